"""Method `graft`: geometry carries the source's texture, and a small network corrects it."""

from sosie.methods.graft.swapper import GraftSwapper

METHOD = GraftSwapper

__all__ = ["METHOD"]
