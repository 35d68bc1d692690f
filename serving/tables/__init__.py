"""Tables – CSV, Arrow, Parquet, the parts of a form – as named tensors, and outputs as tables."""
