"""gRPC as a transport: what a method is, and the servers and channels that carry calls."""
