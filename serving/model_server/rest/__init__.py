"""The model server's REST port."""
