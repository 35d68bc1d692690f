"""Clients: people, programs and batch scoring that call the service. No TensorFlow here."""
