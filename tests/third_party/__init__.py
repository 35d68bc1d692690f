"""Clients of other projects against the gateway, each in an environment of its own."""
