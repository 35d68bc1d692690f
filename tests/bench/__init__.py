"""Benchmarks, run by `make bench`. They print figures; no test depends on them."""
