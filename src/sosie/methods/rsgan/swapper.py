"""RSGAN at work: the source's face, its hair, or both, in a picture that is made anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sosie.errors import InputError
from sosie.methods.base import grown_mask, soft_edge
from sosie.methods.weights import PictureSwapper, Prepared
from sosie.models.session import Session
from sosie.options import SwapOptions
from sosie.types import Crop, SwappedCrop

_TAKEN = {"face": (1.0, 0.0), "hair": (0.0, 1.0), "both": (1.0, 1.0)}
"""Of `region`: how much of the source's face and of its hair is taken."""

# Towards the crop's edge the picture gives way to the target over this share of its side, and the
# masks are grown and softened by such a share.
_EDGE, _GROWN, _SOFT = 0.08, 0.02, 0.02


class RsganSwapper(PictureSwapper):
    """As `PictureSwapper`. Of the options it uses `region` too."""

    def __init__(self, name: str, file: Path, session: Session, options: SwapOptions) -> None:
        super().__init__(name, file, session, options)
        self._region = options.region
        if set(session.inputs) != {"target", "source", "face", "hair"}:
            raise InputError(
                f"{file} takes {', '.join(session.inputs)}, which no network of `sosie train "
                f"{name}` does: it is damaged, or was changed."
            )

    def swap(self, prepared: Sequence[Prepared], crops: Sequence[Crop]) -> list[SwappedCrop]:
        """One run a crop."""
        chosen = [self.choose(prepared, c) if c.source is None else c.source for c in crops]
        return [self._one(prepared[k], crop) for k, crop in zip(chosen, crops, strict=True)]

    def _one(self, prepared: Prepared, crop: Crop) -> SwappedCrop:
        face, hair = (np.array([[share]], np.float32) for share in _TAKEN[self._region])
        target, side = self.values(crop.pixels), crop.pixels.shape[0]
        told = {"target": target, "source": prepared.known, "face": face, "hair": hair}
        made, regions = self._session.run(told).values()
        if made.shape != target.shape or regions.shape != (1, 2, side, side):
            raise InputError(
                f"{self._file} gives {made.shape} numbers instead of {target.shape}: it is damaged."
            )
        pixels = np.ascontiguousarray(np.clip(made[0].transpose(1, 2, 0), 0, 1), np.float32)
        mask = soft_edge(side, _EDGE)
        if self._region == "face":
            # The face's own outline bounds it, and it is given the target's light.
            return SwappedCrop(pixels, mask, np.zeros_like(mask))
        shown = regions[0, 1] if self._region == "hair" else regions[0].max(0)
        mask = np.asarray(mask * grown_mask(shown, _GROWN, _SOFT), np.float32)
        # Light that is moved onto hair would give it back the color that it had.
        return SwappedCrop(pixels, mask, np.ones_like(mask), bounded=False)
