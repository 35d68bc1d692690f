"""Batch scoring: files in, files out, each row exactly once. `job.py` has the flow and says which file does what."""
