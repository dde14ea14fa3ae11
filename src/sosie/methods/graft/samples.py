"""Samples of swapping: what the network is shown of a source and a target, and what should be.

Of one person the target itself is the answer (a pair), or of one photo another version of it (a
self). Across people nobody knows the answer: a likeness and a light are asked for instead (cross).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis import embedder, landmarker, occlusion
from sosie.analysis.analyzer import make_face
from sosie.geometry import alignment, head_pose
from sosie.geometry.head_pose import MIRROR, Region
from sosie.methods.base import WINDOW_MARGIN, Source
from sosie.methods.graft import alter, view
from sosie.methods.graft.alter import Pixels
from sosie.methods.graft.retarget import retarget
from sosie.methods.graft.source_texture import prepare_photo
from sosie.methods.graft.view import MARGIN, SIDE_PX
from sosie.recipes.occluders.library import Library
from sosie.types import FloatArray

PAIR, SELF, CROSS = 0, 1, 2
"""Kinds of samples."""

# Share of the sources, and of the targets, that are altered where the answer stays known.
_RELIT = 0.6
_THING, _TURNED, _PAINTED, _MISREAD = 0.45, 0.25, 0.6, 0.5
# Share of the sources whose head is turned, by kind.
_HEAD = {PAIR: 0.15, SELF: 0.4, CROSS: 0.0}


@dataclass(frozen=True)
class CachedFace:
    """A face of the cache: crop (uint8, RGB, square), landmarks (478 x 3, in it) and the view of
    what is visible (`occlusion.visible`; uint8, 0..255)."""

    crop: Pixels
    landmarks: FloatArray
    view: NDArray[np.uint8]

    def mirrored(self) -> CachedFace:
        """The mirror image."""
        landmarks = self.landmarks[MIRROR].copy()
        landmarks[:, 0] = self.crop.shape[1] - 1 - landmarks[:, 0]
        return CachedFace(
            np.ascontiguousarray(self.crop[:, ::-1]),
            landmarks,
            np.ascontiguousarray(self.view[:, ::-1]),
        )

    def visible(self) -> FloatArray:
        """What is visible, over the crop: float32, 0..1."""
        shown = np.asarray(self.view.astype(np.float32) / 255, np.float32)
        height, width = self.crop.shape[:2]
        return occlusion.place_view(shown, self.landmarks, width, height)


@dataclass(frozen=True)
class Target:
    """A face in a network's square: pixels (uint8, RGB, side x side x 3), landmarks, visible."""

    pixels: Pixels
    landmarks: FloatArray
    visible: FloatArray


def in_square(face: CachedFace, rng: np.random.Generator | None, side_px: int = SIDE_PX) -> Target:
    """A cached face cut to the network's square, laid as the landmarks tell; with `rng` a little
    off that."""
    region = head_pose.region_of(face.landmarks)
    if rng is not None:
        shift = rng.normal(0, 0.015, 2) * region.size_px
        region = Region(
            region.x + float(shift[0]),
            region.y + float(shift[1]),
            region.size_px * float(np.exp(rng.normal(0, 0.03))),
            region.roll_deg + float(rng.normal(0, 3)),
        )
    matrix = head_pose.square_matrix(region, MARGIN, side_px)
    pixels = np.asarray(alignment.crop(face.crop, matrix, side_px), np.uint8)
    landmarks = alignment.transform_points(face.landmarks, matrix)
    shown = np.asarray(face.view.astype(np.float32) / 255, np.float32)
    return Target(pixels, landmarks, occlusion.place_view(shown, landmarks, side_px, side_px))


def make_sample(
    kind: int,
    source: CachedFace,
    target: CachedFace,
    library: Library,
    rng: np.random.Generator,
) -> dict[str, NDArray[Any]]:
    """One sample; of a self, `source` and `target` are one face.

    shown: uint8, SIDE_PX squared x CHANNELS (`view.shown_to_network`). target: uint8, SIDE_PX
    squared x 3: what should be, or, of a cross, what was. kind: int64. aligned, looked: float32,
    2 x 3: from the identity and from the landmark network's crop to the square. moved: float32,
    478 x 3: from the target's landmarks to those of the swapped face, in pixels of the latter.
    """
    if rng.random() < 0.5:
        source, target = source.mirrored(), target.mirrored()
    there = in_square(target, rng)
    pixels, visible, landmarks = source.crop, source.visible(), source.landmarks
    known = kind != CROSS
    if known and rng.random() < _RELIT:
        there = Target(alter.relit(there.pixels, there.landmarks, rng), *_rest(there))
    if rng.random() < _HEAD[kind]:
        pixels, visible, landmarks = alter.turned_head(pixels, visible, landmarks, rng)
    if known and rng.random() < _RELIT:
        pixels = alter.relit(pixels, landmarks, rng)
    if known and rng.random() < _THING:
        pixels, visible = alter.behind_a_thing(pixels, visible, landmarks, library, rng)
    if known and rng.random() < _MISREAD:
        landmarks = alter.misread(landmarks, rng)
    photo = prepare_photo(Source(pixels, make_face(landmarks, 1.0), visible))
    if known and rng.random() < _TURNED:
        photo = alter.turned_away(photo, rng)
    seen = there.pixels
    if known and rng.random() < _PAINTED:
        seen = alter.painted(seen, there.landmarks, rng)
    seen = as_window(seen, there.landmarks)
    points = there.landmarks
    if not known:
        points = retarget(photo.landmarks, points, points, float(rng.uniform(0.7, 1)))
    made = view.draft(photo, seen, there.landmarks, points, there.visible)
    return _assembled(kind, made, seen, there)


def plain_sample(kind: int, source: CachedFace, target: CachedFace) -> dict[str, NDArray[Any]]:
    """A sample as `make_sample` gives it, of two faces as they are: for validation."""
    there = in_square(target, None)
    photo = prepare_photo(Source(source.crop, make_face(source.landmarks, 1.0), source.visible()))
    points = there.landmarks
    if kind == CROSS:
        points = retarget(photo.landmarks, points, points, 1.0)
    seen = as_window(there.pixels, there.landmarks)
    made = view.draft(photo, seen, there.landmarks, points, there.visible)
    return _assembled(kind, made, seen, there)


def as_window(pixels: Pixels, landmarks: FloatArray) -> Pixels:
    """The picture as a method is given it: no more than a narrow window around the face (see
    `WINDOW_MARGIN`), whose border is repeated beyond."""
    height, width = pixels.shape[:2]
    x0, y0, x1, y1 = alignment.face_window(landmarks, WINDOW_MARGIN, pixels.shape)
    sides = (y0, height - y1, x0, width - x1)
    inner = np.ascontiguousarray(pixels[y0:y1, x0:x1])
    return np.asarray(cv2.copyMakeBorder(inner, *sides, cv2.BORDER_REPLICATE), np.uint8)


def _assembled(kind: int, made: view.Draft, seen: Pixels, there: Target) -> dict[str, NDArray[Any]]:
    five = head_pose.five_points(there.landmarks)
    onto = alignment.align_matrix(five, embedder.TEMPLATE, embedder.SIDE_PX)
    looks = landmarker.square_matrix(head_pose.region_of(there.landmarks))
    moved = alignment.transform_points(made.field.points, looks)
    moved = moved - alignment.transform_points(there.landmarks, looks)
    return {
        "shown": view.shown_to_network(made, seen, np.eye(2, 3)),
        "target": there.pixels,
        "kind": np.array(kind, np.int64),
        "aligned": alignment.invert(onto).astype(np.float32),
        "looked": alignment.invert(looks).astype(np.float32),
        "moved": moved.astype(np.float32),
    }


def _rest(there: Target) -> tuple[FloatArray, FloatArray]:
    return there.landmarks, there.visible
