"""A source photo, made ready once to be sampled at any size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.geometry import mesh
from sosie.geometry.alignment import warp
from sosie.geometry.morphable_model import Points, canonicalize, distance_to, face_shape, smoothstep
from sosie.methods.base import Source
from sosie.types import FloatArray, Pose

# A triangle of the source is trusted as its area, against that of the mean face seen from the
# front, grows from the first to the second value: less is seen too much from the side.
_FORESHORTENED = (0.2, 0.5)
# What is at most twice this many of the mesh's edges wide is a crease, if it lies this far from
# eyes, lips and outline (canonical), and up to the first of these turns of the head; from the
# second on it is what is turned away.
_CREASE_EDGES = 2
_SKIN = (0.15, 0.3)
_TURNED_DEG = (15.0, 30.0)
# What stands in for a turned side and is nowhere wanted more than this is not worth sampling.
_HARDLY = 0.05
# Photos are kept at these steps of size, so that a shrunk texture does not alias.
_PYRAMID_STEP = 2**-0.5
_MIN_SIDE_PX = 24
_MARGIN = 0.25


@dataclass(frozen=True)
class PreparedPhoto:
    """One source photo, ready to be sampled.

    levels: RGB and, as a fourth channel, the visible share, in the photo's depth (uint8 or
    uint16), from full size down. scales: the size of each level against the first.
    landmarks: 478 x 3, in pixels of the first level. direct, other: 478, 0..1, weights of a point's
    own place and of what stands in for it where that is turned away. has_other: whether any point
    uses the latter. scale: pixels a canonical unit. fills: what stands in, as `levels`, unwrapped,
    each half as large as the one before; where there is none it is the point's mirror side.
    """

    levels: tuple[NDArray[Any], ...]
    scales: tuple[float, ...]
    landmarks: FloatArray
    direct: FloatArray
    other: FloatArray
    has_other: bool
    pose: Pose
    scale: float
    fills: tuple[NDArray[Any], ...] = ()

    def level_for(self, scale: float) -> int:
        """The smallest level that has all the detail of a face with `scale` pixels a unit."""
        needed = min(scale / self.scale, 1.0)
        return max(k for k, size in enumerate(self.scales) if size >= needed or k == 0)

    def points_at(self, level: int) -> FloatArray:
        """x, y of the landmarks in pixels of a level, 478 x 2."""
        size = self.scales[level]
        # The center of the first pixel is 0, its corner -0.5.
        return np.asarray((self.landmarks[:, :2] + 0.5) * size - 0.5, np.float32)


def cut_out(source: Source) -> Source:
    """The part of a source photo that holds the face and some around it."""
    face = source.face
    x0, y0 = np.maximum(face.box[:2] - _MARGIN * face.size_px, 0).astype(int)
    x1, y1 = np.ceil(face.box[2:] + _MARGIN * face.size_px).astype(int)
    shift = np.array([x0, y0], np.float32)
    placed = replace(
        face,
        box=np.asarray(face.box - np.tile(shift, 2), np.float32),
        points5=np.asarray(face.points5 - shift, np.float32),
        landmarks=face.landmarks - np.array([x0, y0, 0], np.float32),
    )
    return replace(
        source,
        pixels=source.pixels[y0:y1, x0:x1],
        face=placed,
        visible=source.visible[y0:y1, x0:x1],
    )


def prepare_photo(source: Source, fill: FloatArray | None = None) -> PreparedPhoto:
    """Cut out the face, filter it for all smaller sizes, and find what it shows of the face.

    fill: the whole face, unwrapped (`unwrap`, some times as large, RGB 0..1), for what is turned
    away; without it that is taken from the mirror side.
    """
    shape = face_shape()
    part = cut_out(source)
    top = np.iinfo(part.pixels.dtype).max
    shown = np.rint(part.visible * top).astype(part.pixels.dtype)
    levels, scales = _smaller(np.dstack([part.pixels, shown]), _PYRAMID_STEP)
    landmarks = part.face.landmarks
    seen = seen_points(source, landmarks)
    fills: tuple[NDArray[Any], ...] = ()
    if fill is not None:
        known = np.ones(fill.shape[:2], np.float32)
        fills = _smaller(np.rint(np.dstack([fill, known]) * 255).astype(np.uint8), 0.5)[0]
        other = 1 - seen
    else:
        other = (1 - seen) * seen[shape.mirror]
    return PreparedPhoto(
        levels,
        scales,
        landmarks,
        seen.astype(np.float32),
        other.astype(np.float32),
        bool(other.max() > _HARDLY),
        source.face.pose,
        canonicalize(landmarks, shape).scale,
        fills,
    )


def _smaller(
    image: NDArray[Any], step: float
) -> tuple[tuple[NDArray[Any], ...], tuple[float, ...]]:
    """A picture in ever smaller sizes, from its own down by a factor, and their scales."""
    levels, scales = [image], [1.0]
    while min(image.shape[:2]) * scales[-1] * step > _MIN_SIDE_PX:
        scale = scales[-1] * step
        # By a warp, since a resize stretches to a whole number of pixels.
        matrix = [[scale, 0, 0.5 * scale - 0.5], [0, scale, 0.5 * scale - 0.5]]
        height, width = (round(side * scale) for side in image.shape[:2])
        levels.append(warp(image, matrix, width, height))
        scales.append(scale)
    return tuple(levels), tuple(scales)


def seen_points(source: Source, landmarks: FloatArray) -> Points:
    """How far each point is seen well enough to be sampled, 478, 0..1.

    Beside each nostril lie triangles that are folded even from the front. Such a crease counts as
    seen like the skin on both sides of it, or its mirror side, lit from elsewhere, would show as a
    bright line. Not so lids, pressed lips and the outline; and the more the head is turned, the
    more a crease hides.
    """
    shape = face_shape()
    seen = seen_share(landmarks)
    edges = shape.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    one, other = np.concatenate([edges, edges[:, ::-1]]).T
    # A gray closing over the mesh: the highest of the neighbors, and of that the lowest.
    closed = seen
    for extreme in (np.maximum, np.minimum):
        for _ in range(_CREASE_EDGES):
            spread = closed.copy()
            extreme.at(spread, one, closed[other])
            closed = spread
    turned = smoothstep(np.hypot(source.face.pose.yaw, source.face.pose.pitch), *_TURNED_DEG)
    rings = mesh.OVAL + mesh.RIGHT_EYE + mesh.LEFT_EYE + mesh.OUTER_LIPS
    skin = smoothstep(distance_to(rings, shape), *_SKIN)
    return np.asarray(seen + (closed - seen) * (1 - turned) * skin)


def seen_share(landmarks: FloatArray) -> Points:
    """How far each point (478) is turned to the camera, 0..1, creases as they are."""
    return smoothstep(_foreshortening(landmarks), *_FORESHORTENED)


def _foreshortening(landmarks: FloatArray) -> Points:
    """Area of each point's triangles as seen, against those of the mean face from the front."""
    shape = face_shape()
    scale = canonicalize(landmarks, shape).scale
    seen = _areas(landmarks.astype(np.float64) / scale, shape.triangles)
    ratio = seen / np.maximum(_areas(shape.mean, shape.triangles), 1e-4)
    total, count = np.zeros(mesh.POINTS), np.zeros(mesh.POINTS)
    for corner in shape.triangles.T:
        np.add.at(total, corner, ratio)
        np.add.at(count, corner, 1)
    # Points of the irises belong to no triangle of the surface and are not drawn with it.
    return np.where(count > 0, total / np.maximum(count, 1), 1.0)


def _areas(points: Points, triangles: NDArray[np.int32]) -> Points:
    a, b, c = (points[triangles[:, k], :2] for k in range(3))
    return np.asarray(
        (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    )
