"""Method `faceshifter`: its networks and what the published checkpoints are called."""

from sosie.methods.trained import trained_method

METHOD = trained_method("faceshifter")
