"""Processor `expression`: the target's expression on the swapped face, by LivePortrait's files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sosie.errors import UsageError
from sosie.methods.base import soft_edge
from sosie.options import SwapOptions, nearest
from sosie.processors.base import Card, Request
from sosie.reenactment.portrait.files import SIZE_PX, PortraitFiles, seen
from sosie.reenactment.portrait.motion import AREAS, restored
from sosie.reenactment.portrait.reenactor import LICENSE
from sosie.types import Crop, SwappedCrop

_FACTOR, _MOST = 0.96, 1.2
# Towards the crop's edge what was painted gives way to the swapped face over this share of it.
_EDGE = 0.15


class ExpressionRestorer:
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
        factor: float = _FACTOR,
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


def _create(request: Request, options: SwapOptions) -> ExpressionRestorer:
    request.require("factor", "area")
    if request.value is None:
        raise UsageError(
            "The processor expression needs LivePortrait's files: write expression:FOLDER."
        )
    area = request.settings.get("area", "all")
    if area != "all" and area not in AREAS:
        raise UsageError(f"Unknown area {area!r}: {nearest(area, ['all', *AREAS])}.")
    factor = request.number("factor", _FACTOR, 0, _MOST)
    areas = tuple(AREAS) if area == "all" else (area,)
    return ExpressionRestorer(Path(request.value), options, factor, areas)


PROCESSOR = _create
