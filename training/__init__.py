"""Training: builds, fits, evaluates and exports the models. The only folder that imports TensorFlow."""
