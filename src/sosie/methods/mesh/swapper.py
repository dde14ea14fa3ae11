"""Face swapping by geometry: the source's texture on the target's mesh."""

from __future__ import annotations

import numpy as np

from sosie.face_shape import silhouette
from sosie.methods.base import Card
from sosie.options import SwapOptions
from sosie.texture.carried import CarriedSwapper
from sosie.texture.carry import own_parts, textured
from sosie.texture.photo import PreparedPhoto
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


class MeshSwapper(CarriedSwapper):
    """The method `mesh`. Of the options it uses `shape`; it has no other state."""

    card = CARD

    def __init__(self, options: SwapOptions) -> None:
        self.shape = options.shape

    def swap_one(self, photo: PreparedPhoto, crop: Crop) -> SwappedCrop:
        """With the texture and inner proportions of the source."""
        height, width = crop.pixels.shape[:2]
        points = retarget(photo.landmarks, crop.landmarks, crop.aim, self.shape)
        texture, known = textured(photo, points, width, height)
        mask = known * (silhouette(points, width, height) * np.float32(1 / 255))
        own, moved = own_parts(crop.pixels, crop.landmarks, points)
        share = own[..., None]
        pixels = np.asarray(texture * (1 - share) + moved * share, np.float32)
        return SwappedCrop(pixels, np.asarray(np.maximum(mask, own), np.float32), own)
