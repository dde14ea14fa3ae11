"""Method `simswap`: its networks and what its published checkpoints are called."""

from sosie.methods.weights import trained_method

METHOD = trained_method("simswap")
