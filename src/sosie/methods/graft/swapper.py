"""Face swapping by geometry and a network that corrects what geometry cannot know."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np

from sosie.blending.color_transfer import match_skin
from sosie.blending.mask import feature_mask
from sosie.geometry.head_pose import region_of
from sosie.geometry.morphable_model import silhouette
from sosie.methods.base import Card
from sosie.methods.graft import view
from sosie.methods.graft.base import CarriedSwapper
from sosie.methods.graft.retarget import retarget, strength_beside
from sosie.methods.graft.source_texture import PreparedPhoto
from sosie.methods.graft.warp import carried
from sosie.models.session import Session, create_session
from sosie.models.zoo import open_network
from sosie.options import SwapOptions
from sosie.types import Crop, SwappedCrop

CARD = Card(
    name="graft",
    summary="the source's texture on the target's geometry, its light and gaps corrected by a "
    "network",
    license="Apache-2.0",
    paper="none: Sosie's own",
    template=None,
    size_px=None,
    # The network sees to expression and pose as well; a second draft cost more likeness than that.
    drafts=1,
)

MODEL = "swap"
"""Name of the network's weight file."""


class GraftSwapper(CarriedSwapper):
    """The method `graft`. Of the options it uses `shape`, `keep`, `expression`, `provider`,
    `threads`, and `color`: the network is what moves the light, so that another choice than `light`
    leaves it out.

    model: the network's ONNX file, as bytes; None takes the package's own, which is read when it is
    first needed.
    """

    card = CARD

    def __init__(self, options: SwapOptions, model: bytes | None = None) -> None:
        self.shape = strength_beside(options.kept_parts(), options.shape)
        self.expression = options.expression_share()
        self.keep = options.kept()
        self._options = options
        self._model = model
        self._providers: dict[str, str] = {}

    @property
    def providers(self) -> Mapping[str, str]:
        """Of the network, once it was needed."""
        return self._providers

    def swap_one(self, photo: PreparedPhoto, crop: Crop) -> SwappedCrop:
        """With the source's texture, in the target's light."""
        if self._options.color != "light":
            return carried(photo, crop, self.shape, self.expression)
        height, width = crop.pixels.shape[:2]
        points = retarget(photo.landmarks, crop.landmarks, crop.aim, self.shape, self.expression)
        over = crop.hair_or_rims()
        made = view.draft(
            photo, crop.pixels, crop.landmarks, points, crop.visible, over, self.expression
        )
        matrix = view.square(crop.landmarks)
        shown = view.shown_to_network(made, crop.pixels, matrix)
        answer = self._session.run({"pixels": shown[None]})
        pixels = view.corrected(made, answer["light"][0], answer["detail"][0], matrix)
        pixels = view.in_base_color(made, pixels)
        size_px = float(region_of(crop.landmarks).size_px)
        skin = np.asarray(made.shown * (1 - made.own), np.float32)
        features = feature_mask(crop.landmarks, skin.shape, size_px)
        if over is not None:
            # Rims and a beard have contrast that the target's skin has not.
            features = np.maximum(features, over)
        # Of a large face these are pictures of many megabytes.
        del made
        pixels = match_skin(pixels, view.as_unit(crop.pixels), skin, features, size_px)
        outline = points if self.expression else None
        inside = silhouette(crop.landmarks, width, height)
        if outline is not None:
            inside |= silhouette(outline, width, height)
        mask = np.asarray(inside * np.float32(1 / 255), np.float32)
        # The network has given it the target's light.
        return SwappedCrop(pixels, mask, np.ones_like(mask), outline=outline)

    @cached_property
    def _session(self) -> Session:
        where = self._options.provider, self._options.threads
        if self._model is None:
            session = open_network(MODEL, *where)
        else:
            session = create_session(self._model, *where)
        self._providers[MODEL] = session.provider
        return session
