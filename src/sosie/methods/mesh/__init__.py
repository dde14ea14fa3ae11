"""Method `mesh`: the source's texture and proportions on the target's geometry; no network."""

from sosie.methods.mesh.swapper import MeshSwapper

METHOD = MeshSwapper

__all__ = ["METHOD"]
