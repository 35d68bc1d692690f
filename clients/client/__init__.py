"""Clients over HTTP and gRPC: values, calls, retries, connections."""
