"""Method `facedancer`: its networks and what the published checkpoint is called."""

from sosie.methods.weights import trained_method

METHOD = trained_method("facedancer")
