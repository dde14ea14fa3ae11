"""Processor `expression`: the target's expression on the swapped face.

What the swapped face is read to lack of the target's expression is added over the mesh, and its
eyes and mouth are the target's own, moved to where they now belong. A small network (`expression`)
then moves what is finer than the mesh: lids, brows, the corners of eyes and lips. With
LivePortrait's files these do it instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

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
from sosie.methods.graft.view import as_unit
from sosie.methods.graft.warp import Field, own_parts
from sosie.models.session import Session
from sosie.models.zoo import open_network
from sosie.options import SwapOptions
from sosie.processors.base import Card, FaceProcessor, Request
from sosie.reenactment.expression import view as expression_view
from sosie.reenactment.portrait.restorer import MOST_FACTOR, USUAL_FACTOR, PortraitRestorer
from sosie.types import Crop, Face, FloatArray, Pixels, SwappedCrop

MODEL = "expression"
"""Name of the network's weight file."""

AREAS = ("upper", "lower")
"""Eyes and brows; the mouth and what is below it."""

_FACTOR = 1.0
# Canonical distance from the outline over which the change grows from none to all.
_FALLOFF = 0.12
# Canonical height between the eyes and the mouth, from which on a point belongs to the lower part.
_MIDDLE = (0.15, 0.45)
# The mesh stays where the face's expression is nearer than the first to the target's (Euclidean, of
# 52 weights), and moves all the way from the second on: so near, most of the difference is misread,
# and each motion costs likeness.
_MOVED = (0.6, 1.0)
# So much of the network's motion is taken: the rest costs likeness and hardly brings the expression
# nearer, as other networks read it.
_OF_NETWORK = 0.6
# A face that is read further off than this share of its width is not the one that was swapped.
_LOST = 0.25
_CARD = Card(
    name="expression",
    summary="the target's expression on the swapped face, by geometry and a small network",
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
        self._providers: dict[str, str] = {}

    @property
    def providers(self) -> Mapping[str, str]:
        """Of the network, once it was needed; that of the landmark network is told by the swap's
        own analysis."""
        return self._providers

    def process(self, crops: Sequence[Crop], faces: Sequence[SwappedCrop]) -> list[SwappedCrop]:
        """Each face moved; one that is not found again stays as it is."""
        return [self._restored(crop, face) for crop, face in zip(crops, faces, strict=True)]

    def _restored(self, crop: Crop, face: SwappedCrop) -> SwappedCrop:
        seen = self._read(_as_bytes(_whole(crop, face)), crop.landmarks)
        there = self._read(crop.pixels, crop.landmarks)
        if seen is None or there is None or _is_lost(seen.landmarks, crop.landmarks):
            return face
        points = self._aimed(seen, there, crop.landmarks)
        pixels, mask = _moved(face, seen.landmarks, points)
        own, parts = own_parts(crop.pixels, crop.landmarks, points)
        own *= np.float32(min(1.0, self._factor)) * self._shown(points, own.shape)
        pixels, mask = mixed(pixels, parts, own), np.maximum(mask, own)
        moved = replace(face, pixels=pixels, mask=mask, own=np.maximum(face.own, own))
        return self._finished(crop, moved, there, own, points)

    def _read(self, picture: Pixels, landmarks: FloatArray) -> Face | None:
        return self._analyzer.landmarks(picture, region_of(landmarks))

    def _aimed(self, seen: Face, there: Face, target: FloatArray) -> FloatArray:
        """Where the swapped face's landmarks are to go: 478 x 3, in the crop. seen, there: the
        swapped face and the target's, as they are read; target: the target's landmarks."""
        shape = face_shape()
        now, wanted = canonicalize(seen.landmarks, shape), canonicalize(target, shape)
        change = shape.expression_change(wanted.points - now.points)
        apart = np.linalg.norm(_expression(there) - _expression(seen))
        factor = self._factor * float(smoothstep(np.array(apart), *_MOVED))
        share = factor * smoothstep(distance_from_contour(), 0.0, _FALLOFF) * self._share()
        points = np.asarray(seen.landmarks + now.to_picture(change * share[:, None]), np.float32)
        rings = {"upper": (mesh.RIGHT_EYE, mesh.LEFT_EYE), "lower": (mesh.INNER_LIPS,)}
        chosen = [ring for area in self._areas for ring in rings[area]]
        keep_openings(points, target, min(1.0, self._factor), chosen)
        return points

    def _finished(
        self,
        crop: Crop,
        face: SwappedCrop,
        there: Face,
        own: FloatArray,
        points: FloatArray,
    ) -> SwappedCrop:
        """The moved face as the network moves it further. there: the target's face; own: where it
        is the target's own, h x w; points: of the moved face, 478 x 3."""
        whole = _whole(crop, face)
        seen = self._read(_as_bytes(whole), points)
        if seen is None:
            return face
        height, width = face.mask.shape
        shown = face.mask * crop.visible * self._shown(points, (height, width))
        matrix = expression_view.square(points)
        given: dict[str, NDArray[Any]] = {
            "shown": expression_view.shown_to_network(whole, shown, own, points, matrix)[None],
            "has": _expression(seen)[None],
            "wanted": _expression(there)[None],
        }
        flow = self._session.run(given)["flow"][0]
        flow = np.asarray(flow * np.float32(_OF_NETWORK * self._factor), np.float32)
        pixels = expression_view.answered(face.pixels, shown, flow, matrix)
        return replace(face, pixels=pixels)

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

    @cached_property
    def _session(self) -> Session:
        session = open_network(MODEL, self._options.provider, self._options.threads)
        self._providers[MODEL] = session.provider
        return session


def _whole(crop: Crop, face: SwappedCrop) -> FloatArray:
    """The swapped face in the target's surroundings."""
    return mixed(as_unit(crop.pixels), face.pixels, face.mask)


def _as_bytes(picture: FloatArray) -> NDArray[np.uint8]:
    return np.asarray(np.rint(np.clip(picture, 0, 1) * 255), np.uint8)


def _expression(face: Face) -> FloatArray:
    assert face.expression is not None, "the landmark network reads it"
    return face.expression


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
