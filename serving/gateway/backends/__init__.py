"""Where inference runs: the embedded engine, or TensorFlow Serving behind addresses."""
