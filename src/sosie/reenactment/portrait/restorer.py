"""The target's expression on the swapped face by LivePortrait's files: `expression:FOLDER`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sosie.methods.base import soft_edge
from sosie.options import SwapOptions
from sosie.processors.base import Card
from sosie.reenactment.portrait.files import SIZE_PX, PortraitFiles, seen
from sosie.reenactment.portrait.motion import AREAS, restored
from sosie.reenactment.portrait.reenactor import LICENSE
from sosie.types import Crop, SwappedCrop

USUAL_FACTOR, MOST_FACTOR = 0.96, 1.2
"""How far it goes if nothing is said, and at most."""
# Towards the crop's edge what was painted gives way to the swapped face over this share of it.
_EDGE = 0.15


class PortraitRestorer:
    """Reads the target's expression and moves the swapped face to it.

    factor: 0..1.2, how far it goes; 1 is the target's. areas: names in `motion.AREAS`. Raises
    InputError where files lack, UnavailableError where the provider does not start.
    """

    card = Card(
        name="expression",
        summary="the target's expression on the swapped face, by LivePortrait's files",
        license=LICENSE,
        stage="face",
        template="arcface_128",
        size_px=SIZE_PX,
    )

    def __init__(
        self,
        folder: Path,
        options: SwapOptions,
        factor: float = USUAL_FACTOR,
        areas: Sequence[str] = tuple(AREAS),
    ) -> None:
        self._files = PortraitFiles(folder, options.provider, options.threads)
        self.providers = self._files.providers
        self._factor, self._areas = factor, tuple(areas)
        self._matte = soft_edge(SIZE_PX, _EDGE)[..., None]

    def process(self, crops: Sequence[Crop], faces: Sequence[SwappedCrop]) -> list[SwappedCrop]:
        """One run of each network a face: the published files take no more at once."""
        return [self._restored(crop, face) for crop, face in zip(crops, faces, strict=True)]

    def _restored(self, crop: Crop, face: SwappedCrop) -> SwappedCrop:
        given = seen(face.pixels)
        own = self._files.motion(given)
        moved = restored(own, self._files.motion(seen(crop.pixels)), self._factor, self._areas)
        volume = self._files.appearance(given)
        painted = self._files.painted(volume, moved.placed(), own.placed())
        pixels = face.pixels + (painted - face.pixels) * self._matte
        return replace(face, pixels=np.asarray(pixels, np.float32))
