"""The gateway: JSON and gRPC in front, named tensors behind."""
