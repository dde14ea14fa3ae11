"""Method `hififace`: its networks and what the published checkpoints are called."""

from sosie.methods.hififace.swapper import HifiFaceSwapper
from sosie.methods.weights import trained_method

METHOD = trained_method("hififace", HifiFaceSwapper)
