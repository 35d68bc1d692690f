"""The model server: the API, flags and files of TensorFlow Serving in front of the engine."""
