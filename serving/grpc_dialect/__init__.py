"""TensorFlow Serving's gRPC dialect: what its messages ask for, and its services as descriptors."""
