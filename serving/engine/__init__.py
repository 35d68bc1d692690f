"""The engine: SavedModels run through the C API of TensorFlow."""
