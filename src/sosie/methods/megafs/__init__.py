"""Method `megafs`: swaps in the latents of a generator of faces, up to 1024 px."""

from __future__ import annotations

from sosie.methods.megafs.swapper import MegafsSwapper

METHOD = MegafsSwapper
