"""Releases: which version of a model takes traffic, in what share, and who said so. Files and pure functions."""
