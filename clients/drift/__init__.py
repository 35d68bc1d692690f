"""Drift: whether what callers send, and what they are answered, is still distributed as it was."""
