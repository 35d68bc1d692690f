"""Batch scoring: files in, files out, no row lost and none twice. `job.py` has the flow."""
