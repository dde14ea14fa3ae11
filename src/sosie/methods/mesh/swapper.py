"""Face swapping by geometry: the source's texture on the target's mesh."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sosie.face_shape import silhouette
from sosie.methods.base import Card, Source, nearest_pose
from sosie.options import SwapOptions
from sosie.texture.carry import own_parts, textured
from sosie.texture.photo import PreparedPhoto, prepare_photo
from sosie.texture.retarget import retarget
from sosie.types import Crop, SwappedCrop

CARD = Card(
    name="mesh",
    summary="the source's texture, carried to the target's geometry over a face mesh",
    licence="Apache-2.0",
    paper="none: geometry alone, no network",
    template=None,
    size_px=None,
)


class MeshSwapper:
    """The method `mesh`. Of the options it uses `shape`; it has no other state."""

    card = CARD

    def __init__(self, options: SwapOptions) -> None:
        self.shape = options.shape

    def prepare(self, sources: Sequence[Source]) -> tuple[PreparedPhoto, ...]:
        """Texture pyramids and visibility of each source photo."""
        return tuple(prepare_photo(source) for source in sources)

    def choose(
        self, prepared: Sequence[PreparedPhoto], crop: Crop, before: int | None = None
    ) -> int:
        """Which source photo is nearest to the target's head pose."""
        return nearest_pose([photo.pose for photo in prepared], crop.face.pose, before)

    def swap(self, prepared: Sequence[PreparedPhoto], crops: Sequence[Crop]) -> list[SwappedCrop]:
        """Each crop's face with the texture and inner proportions of the source."""
        chosen = [self.choose(prepared, c) if c.source is None else c.source for c in crops]
        return [
            self._swap(prepared[number], crop) for number, crop in zip(chosen, crops, strict=True)
        ]

    def _swap(self, photo: PreparedPhoto, crop: Crop) -> SwappedCrop:
        height, width = crop.pixels.shape[:2]
        points = retarget(photo.landmarks, crop.landmarks, crop.aim, self.shape)
        texture, known = textured(photo, points, width, height)
        mask = known * (silhouette(points, width, height) * np.float32(1 / 255))
        own, moved = own_parts(crop.pixels, crop.landmarks, points)
        share = own[..., None]
        pixels = np.asarray(texture * (1 - share) + moved * share, np.float32)
        return SwappedCrop(pixels, np.asarray(np.maximum(mask, own), np.float32), own)
