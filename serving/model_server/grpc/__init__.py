"""The model server's gRPC port."""
