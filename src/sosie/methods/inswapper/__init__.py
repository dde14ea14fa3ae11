"""Method `inswapper`: its network and what its published checkpoint is called."""

from sosie.methods.weights import imported_method

METHOD = imported_method("inswapper")
