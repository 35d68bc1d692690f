"""JSON text and named arrays, as every dialect needs them: parsing, nested lists, long lists of numbers, NaN."""
