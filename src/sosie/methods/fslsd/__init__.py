"""Method `fslsd`: builds the source's face in the target's pose, and the target's light on it, in
the latents of a generator of faces, and lays it into the target's own features."""

from __future__ import annotations

from sosie.methods.fslsd.swapper import FslsdSwapper

METHOD = FslsdSwapper
