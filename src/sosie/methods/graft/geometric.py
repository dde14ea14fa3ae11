"""Face swapping by geometry: the source's texture on the target's mesh."""

from __future__ import annotations

from sosie.methods.base import Card
from sosie.methods.graft.base import CarriedSwapper
from sosie.methods.graft.retarget import strength_beside
from sosie.methods.graft.source_texture import PreparedPhoto
from sosie.methods.graft.warp import carried
from sosie.options import SwapOptions
from sosie.types import Crop, SwappedCrop

CARD = Card(
    name="mesh",
    summary="the source's texture, carried to the target's geometry over a face mesh",
    license="Apache-2.0",
    paper="none: geometry alone, no network",
    template=None,
    size_px=None,
)


class MeshSwapper(CarriedSwapper):
    """The method `mesh`. Of the options it uses `shape`, `keep`, `expression`; it has
    no other state."""

    card = CARD

    def __init__(self, options: SwapOptions) -> None:
        self.shape = strength_beside(options.kept_parts(), options.shape)
        self.expression = options.expression_share()
        self.keep = options.kept()

    def swap_one(self, photo: PreparedPhoto, crop: Crop) -> SwappedCrop:
        """With the texture and inner proportions of the source."""
        return carried(photo, crop, self.shape, self.expression)
