"""TensorFlow Serving's REST dialect: bodies of Predict, Classify and Regress to arrays, and answers to JSON. Pure."""
