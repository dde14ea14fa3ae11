"""Method `e4s`: swaps a face region by region, each by its look and its shape."""

from __future__ import annotations

from sosie.methods.e4s.swapper import E4sSwapper

METHOD = E4sSwapper
