"""Files here are shared, pure and light; folders here are programs."""
