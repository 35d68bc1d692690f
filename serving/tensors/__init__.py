"""What everybody agrees on: element types, arrays and TensorProto, signatures, rows of different lengths."""
