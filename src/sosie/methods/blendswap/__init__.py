"""Method `blendswap`: its networks and what the published checkpoint is called."""

from sosie.methods.weights import PictureSwapper, trained_method

METHOD = trained_method("blendswap", PictureSwapper)
