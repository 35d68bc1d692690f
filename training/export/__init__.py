"""A trained model as a SavedModel with named signatures: written, compared, verified, published."""
