"""Method `simswap`: its networks and what its published checkpoints are called."""
