"""Traces of requests: whose they are, by W3C Trace Context, and their spans on the way to a collector."""
