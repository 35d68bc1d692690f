"""TensorFlow Serving's batching."""
