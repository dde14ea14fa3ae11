"""Method `ghost`: its networks and what the published checkpoints are called."""

from sosie.methods.weights import trained_method

METHOD = trained_method("ghost")
