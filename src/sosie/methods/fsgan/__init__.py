"""Method `fsgan`: reenacts a source's face as the target's, completes it and blends it in."""

from __future__ import annotations

from sosie.methods.fsgan.swapper import FsganSwapper

METHOD = FsganSwapper
