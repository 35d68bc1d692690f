"""The models of the notebook, and the blocks that they are built of."""
