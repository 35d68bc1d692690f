"""The deploy files against the code: what they name exists."""
