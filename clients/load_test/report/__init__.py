"""What a load test found: tables, pages, comparisons."""
