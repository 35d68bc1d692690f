"""Releases in traffic: which version of a model answers, how its candidate does, and who stops it."""
