"""Face swapping by geometry and a network that corrects what geometry cannot know."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from sosie.face_shape import silhouette
from sosie.methods.base import Card, Source, nearest_pose
from sosie.methods.graft import view
from sosie.options import SwapOptions
from sosie.runtime import Session, create_session
from sosie.texture.photo import PreparedPhoto, prepare_photo
from sosie.texture.retarget import retarget
from sosie.types import Crop, SwappedCrop
from sosie.weights import read_embedded

CARD = Card(
    name="graft",
    summary="the source's texture on the target's geometry, its light and gaps corrected by a "
    "network",
    licence="Apache-2.0",
    paper="none: Sosie's own",
    template=None,
    size_px=None,
)

MODEL = "swap"
"""Name of the network's weight file."""


class GraftSwapper:
    """The method `graft`. Of the options it uses `shape`, `provider` and `threads`.

    model: the network's ONNX file, as bytes; None takes the package's own, which is read when it is
    first needed.
    """

    card = CARD

    def __init__(self, options: SwapOptions, model: bytes | None = None) -> None:
        self.shape = options.shape
        self._options = options
        self._model = model

    def prepare(self, sources: Sequence[Source]) -> tuple[PreparedPhoto, ...]:
        """Texture pyramids and visibility of each source photo."""
        return tuple(prepare_photo(source) for source in sources)

    def choose(
        self, prepared: Sequence[PreparedPhoto], crop: Crop, before: int | None = None
    ) -> int:
        """Which source photo is nearest to the target's head pose."""
        return nearest_pose([photo.pose for photo in prepared], crop.face.pose, before)

    def swap(self, prepared: Sequence[PreparedPhoto], crops: Sequence[Crop]) -> list[SwappedCrop]:
        """Each crop's face with the source's texture, in the target's light."""
        chosen = [self.choose(prepared, c) if c.source is None else c.source for c in crops]
        return [
            self._swap(prepared[number], crop) for number, crop in zip(chosen, crops, strict=True)
        ]

    def _swap(self, photo: PreparedPhoto, crop: Crop) -> SwappedCrop:
        height, width = crop.pixels.shape[:2]
        points = retarget(photo.landmarks, crop.landmarks, crop.aim, self.shape)
        made = view.draft(photo, crop.pixels, crop.landmarks, points, crop.visible)
        matrix = view.square(crop.landmarks)
        shown = view.shown_to_network(made, crop.pixels, matrix)
        answer = self._session.run({"pixels": shown[None]})
        pixels = view.corrected(made, answer["light"][0], answer["detail"][0], matrix)
        inside = silhouette(crop.landmarks, width, height) * np.float32(1 / 255)
        # The network has given it the target's light.
        return SwappedCrop(pixels, np.asarray(inside, np.float32), np.ones_like(inside))

    @cached_property
    def _session(self) -> Session:
        model = read_embedded(MODEL) if self._model is None else self._model
        return create_session(model, self._options.provider, self._options.threads)
