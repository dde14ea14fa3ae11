"""Processor `expression`: the target's expression on the swapped face.

Without files it is geometry alone: what the swapped face is read to lack of the target's expression
is added over the mesh, and its eyes and mouth are the target's own, moved to where they now belong.
With LivePortrait's files these do it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from sosie.analysis.analyzer import Analyzer, create_analyzer
from sosie.blending.pixel_math import mixed
from sosie.errors import UsageError, nearest
from sosie.geometry import mesh
from sosie.geometry.head_pose import region_of
from sosie.geometry.morphable_model import (
    Points,
    canonicalize,
    distance_from_contour,
    face_shape,
    smoothstep,
)
from sosie.methods.graft.retarget import keep_openings
from sosie.methods.graft.warp import Field, own_parts
from sosie.options import SwapOptions
from sosie.processors.base import Card, FaceProcessor, Request
from sosie.reenactment.portrait.restorer import MOST_FACTOR, USUAL_FACTOR, PortraitRestorer
from sosie.types import Crop, FloatArray, SwappedCrop

AREAS = ("upper", "lower")
"""Eyes and brows; the mouth and what is below it."""

_FACTOR = 1.0
# Canonical distance from the outline over which the change grows from none to all.
_FALLOFF = 0.12
# Canonical height between the eyes and the mouth, from which on a point belongs to the lower part.
_MIDDLE = (0.15, 0.45)
# A face that is read further off than this share of its width is not the one that was swapped.
_LOST = 0.25
_CARD = Card(
    name="expression",
    summary="the target's expression on the swapped face, by geometry",
    license="Apache-2.0",
    stage="face",
)


class ExpressionRestorer:
    """Reads target and swapped face, and moves the latter's features to the target's expression.

    factor: 0..1.2, how far it goes. areas: of `AREAS`, what moves.
    """

    card = _CARD

    def __init__(
        self, options: SwapOptions, factor: float = _FACTOR, areas: Sequence[str] = AREAS
    ) -> None:
        self._options, self._factor, self._areas = options, factor, tuple(areas)

    @property
    def providers(self) -> Mapping[str, str]:
        """That of the landmark network is told by the swap's own analysis."""
        return {}

    def process(self, crops: Sequence[Crop], faces: Sequence[SwappedCrop]) -> list[SwappedCrop]:
        """Each face moved; one that is not found again stays as it is."""
        return [self._restored(crop, face) for crop, face in zip(crops, faces, strict=True)]

    def _restored(self, crop: Crop, face: SwappedCrop) -> SwappedCrop:
        top = np.float32(np.iinfo(crop.pixels.dtype).max)
        target = crop.pixels.astype(np.float32) / top
        whole = mixed(target, face.pixels, face.mask)
        picture = np.asarray(np.rint(np.clip(whole, 0, 1) * 255), np.uint8)
        read = self._analyzer.landmarks(picture, region_of(crop.landmarks))
        if read is None or _is_lost(read.landmarks, crop.landmarks):
            return face
        seen = read.landmarks
        points = self._aimed(seen, crop.landmarks)
        pixels, mask = _moved(face, seen, points)
        own, parts = own_parts(crop.pixels, crop.landmarks, points)
        own *= np.float32(min(1.0, self._factor)) * self._shown(points, own.shape)
        pixels = mixed(pixels, parts, own)
        kept = np.maximum(face.own, own)
        return replace(face, pixels=pixels, mask=np.maximum(mask, own), own=kept)

    def _aimed(self, seen: FloatArray, target: FloatArray) -> FloatArray:
        """Where the swapped face's landmarks, 478 x 3, are to go."""
        shape = face_shape()
        now, wanted = canonicalize(seen, shape), canonicalize(target, shape)
        change = shape.expression_change(wanted.points - now.points)
        share = self._factor * smoothstep(distance_from_contour(), 0.0, _FALLOFF) * self._share()
        points = np.asarray(seen + now.to_picture(change * share[:, None]), np.float32)
        rings = {"upper": (mesh.RIGHT_EYE, mesh.LEFT_EYE), "lower": (mesh.INNER_LIPS,)}
        chosen = [ring for area in self._areas for ring in rings[area]]
        keep_openings(points, target, min(1.0, self._factor), chosen)
        return points

    def _share(self) -> Points:
        """How far each point belongs to what moves, 478."""
        lower = smoothstep(face_shape().mean[:, 1], *_MIDDLE)
        shares = {"upper": 1 - lower, "lower": lower}
        return np.asarray(sum(shares[area] for area in self._areas))

    def _shown(self, points: FloatArray, size: tuple[int, ...]) -> FloatArray:
        """Where the target's own eyes and mouth count, of those that move: h x w, 0..1."""
        if set(self._areas) == set(AREAS):
            return np.ones(size, np.float32)
        share = Field(points, size[1], size[0]).spread(np.asarray(self._share(), np.float32))
        return np.asarray(np.clip(share, 0, 1), np.float32)

    @cached_property
    def _analyzer(self) -> Analyzer:
        return create_analyzer(self._options.threads, self._options.provider)


def _is_lost(seen: FloatArray, target: FloatArray) -> bool:
    apart = float(np.abs(seen[:, :2] - target[:, :2]).mean())
    return apart > _LOST * float(np.ptp(target[:, 0]))


def _moved(
    face: SwappedCrop, seen: FloatArray, points: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The face's pixels and mask with its landmarks moved from `seen` to `points`."""
    height, width = face.mask.shape
    field = Field(points, width, height)
    shift = field.spread(np.asarray(seen[:, :2] - points[:, :2], np.float32), flat=True)
    x = shift[..., 0] + np.arange(width, dtype=np.float32)
    y = shift[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    pixels, mask = (
        np.asarray(np.clip(_looked_up(one, x, y), 0, 1), np.float32)
        for one in (face.pixels, face.mask)
    )
    return pixels, mask


def _looked_up(picture: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    found = cv2.remap(picture, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32)


def _create(request: Request, options: SwapOptions) -> FaceProcessor:
    request.require("factor", "area")
    area = request.settings.get("area", "all")
    if area != "all" and area not in AREAS:
        raise UsageError(f"Unknown area {area!r}: {nearest(area, ['all', *AREAS])}.")
    areas = AREAS if area == "all" else (area,)
    if request.value is None:
        return ExpressionRestorer(options, request.number("factor", _FACTOR, 0, MOST_FACTOR), areas)
    factor = request.number("factor", USUAL_FACTOR, 0, MOST_FACTOR)
    return PortraitRestorer(Path(request.value), options, factor, areas)


PROCESSOR = _create
