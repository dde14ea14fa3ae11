"""Method `hififace`: its networks and what the published checkpoints are called."""

from sosie.methods.weights import imported_method

METHOD = imported_method("hififace")
