"""Files of results: columns, blocks, parts, and where they are committed."""
