"""Files that are scored: where they are, their records, and the columns of a request."""
