"""Face swapping by geometry: the source's texture on the target's mesh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie import face_mesh
from sosie.face_shape import Points, canonicalise, face_shape, smoothstep
from sosie.geometry import fill_polygon, prefilter
from sosie.methods.base import Card, Source
from sosie.methods.mesh.render import rasterise
from sosie.methods.mesh.retarget import retarget
from sosie.options import SwapOptions
from sosie.types import Crop, FloatArray, SwappedCrop

CARD = Card(
    name="mesh",
    summary="the source's texture, carried to the target's geometry over a face mesh",
    licence="Apache-2.0",
    paper="none: geometry alone, no network",
    template=None,
    size_px=None,
)

# A triangle of the source is trusted as its area, against that of the mean face seen from the
# front, grows from the first to the second value: less is seen too much from the side.
_FORESHORTENED = (0.2, 0.5)
# The map is worked out at no more than this many pixels a face's side and enlarged: it is smooth.
_MAP_PX = 192
# Photos are kept at these steps of size, so that a shrunk texture does not alias.
_PYRAMID_STEP = 2**-0.5
_MIN_SIDE_PX = 24
# The mesh is drawn larger by this factor around its outline, so that the map has values there.
_SKIRT = 1.12
# Another source photo takes over when it is nearer to the target's pose by this much.
_SWITCH_DEG = 8.0
# Softness of the edge of the target's own eyes and mouth, as a share of their width.
_OWN_FEATHER = 0.03


@dataclass(frozen=True)
class PreparedPhoto:
    """One source photo, ready to be sampled.

    levels: RGB float32 0..1 and the visible share as a fourth channel, from full size down.
    scales: the size of each level against the photo.
    landmarks: 478 x 3, in pixels of the first level. direct, mirrored: 478, weights of a point's
        own place and of its mirror side's. yaw_deg, pitch_deg: head pose. scale: pixels a
        canonical unit.
    """

    levels: tuple[FloatArray, ...]
    scales: tuple[float, ...]
    landmarks: FloatArray
    direct: FloatArray
    mirrored: FloatArray
    yaw_deg: float
    pitch_deg: float
    scale: float


class MeshSwapper:
    """The method `mesh`. Of the options it uses `shape`; it has no other state."""

    card = CARD

    def __init__(self, options: SwapOptions) -> None:
        self.shape = options.shape

    def prepare(self, sources: Sequence[Source]) -> tuple[PreparedPhoto, ...]:
        """Texture pyramids and visibility of each source photo."""
        return tuple(_prepare(source) for source in sources)

    def choose(
        self, prepared: Sequence[PreparedPhoto], crop: Crop, before: int | None = None
    ) -> int:
        """Which source photo is nearest to the target's head pose."""
        pose = crop.face.pose
        turns = [np.hypot(p.yaw_deg - pose.yaw, p.pitch_deg - pose.pitch) for p in prepared]
        nearest = int(np.argmin(turns))
        if before is not None and turns[before] - turns[nearest] < _SWITCH_DEG:
            return before
        return nearest

    def swap(self, prepared: Sequence[PreparedPhoto], crops: Sequence[Crop]) -> list[SwappedCrop]:
        """Each crop's face with the texture and inner proportions of the source."""
        chosen = [self.choose(prepared, c) if c.source is None else c.source for c in crops]
        return [
            self._swap(prepared[number], crop) for number, crop in zip(chosen, crops, strict=True)
        ]

    def _swap(self, photo: PreparedPhoto, crop: Crop) -> SwappedCrop:
        height, width = crop.pixels.shape[:2]
        points = retarget(photo.landmarks, crop.landmarks, crop.aim, self.shape)
        texture, mask = _textured(photo, points, width, height)
        own, moved = _own_parts(crop, points)
        share = own[..., None]
        pixels = np.asarray(texture * (1 - share) + moved * share, np.float32)
        return SwappedCrop(pixels, np.asarray(np.maximum(mask, own), np.float32), own)


def _prepare(source: Source) -> PreparedPhoto:
    shape = face_shape()
    top = 255.0 if source.pixels.dtype == np.uint8 else 65535.0
    size_px = source.face.size_px
    x0, y0 = np.maximum(source.face.box[:2] - 0.25 * size_px, 0).astype(int)
    x1, y1 = np.ceil(source.face.box[2:] + 0.25 * size_px).astype(int)
    part = source.pixels[y0:y1, x0:x1].astype(np.float32) / np.float32(top)
    full = np.dstack([part, source.visible[y0:y1, x0:x1]])
    levels, scales = [full], [1.0]
    while min(full.shape[:2]) * scales[-1] * _PYRAMID_STEP > _MIN_SIDE_PX:
        scales.append(scales[-1] * _PYRAMID_STEP)
        reduced, _ = prefilter(full, scales[-1])
        size = (round(full.shape[1] * scales[-1]), round(full.shape[0] * scales[-1]))
        levels.append(cv2.resize(reduced, size, interpolation=cv2.INTER_LINEAR))
    landmarks = source.face.landmarks - np.array([x0, y0, 0], np.float32)
    seen = smoothstep(_foreshortening(landmarks), *_FORESHORTENED)
    return PreparedPhoto(
        tuple(levels),
        tuple(scales),
        landmarks,
        seen.astype(np.float32),
        ((1 - seen) * seen[shape.mirror]).astype(np.float32),
        source.face.pose.yaw,
        source.face.pose.pitch,
        canonicalise(landmarks, shape).scale,
    )


def _foreshortening(landmarks: FloatArray) -> Points:
    """Area of each point's triangles as seen, against those of the mean face from the front."""
    shape = face_shape()
    scale = canonicalise(landmarks, shape).scale
    seen = _areas(landmarks.astype(np.float64) / scale, shape.triangles)
    ratio = seen / np.maximum(_areas(shape.mean, shape.triangles), 1e-4)
    total, count = np.zeros(face_mesh.POINTS), np.zeros(face_mesh.POINTS)
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


def _textured(
    photo: PreparedPhoto, points: FloatArray, width: int, height: int
) -> tuple[FloatArray, FloatArray]:
    """The source's texture on a mesh of `points`: RGB h x w x 3 and a mask h x w, both 0..1."""
    mirror = photo.landmarks[face_shape().mirror]
    values = np.column_stack(
        [photo.landmarks[:, :2], mirror[:, :2], photo.direct, photo.mirrored]
    ).astype(np.float32)
    field, inside = _field(points, values, width, height)
    scale = canonicalise(points, face_shape()).scale / photo.scale
    # The smallest level that still has all the detail which the target can show.
    level = max(k for k, size in enumerate(photo.scales) if size >= min(scale, 1.0) or k == 0)
    image, shrink = photo.levels[level], photo.scales[level]
    seen = _sample(image, field[..., 0:2], shrink)
    # A triangle's last pixel lies just outside it, where its plane can leave 0..1.
    shares = np.clip(field[..., 4:6], 0, 1)
    weight = shares[..., :1] * seen[..., 3:]
    colour = seen[..., :3] * weight
    if photo.mirrored.max() > 0.05:
        other = _sample(image, field[..., 2:4], shrink)
        share = shares[..., 1:] * other[..., 3:]
        colour, weight = colour + other[..., :3] * share, weight + share
    mask = np.clip(weight[..., 0], 0, 1) * inside
    return colour / np.maximum(weight, 1e-4), mask


def _sample(image: FloatArray, places: FloatArray, shrink: float) -> FloatArray:
    """`image` at `places` (x, y in pixels of the photo), by cubic interpolation."""
    # The centre of the first pixel is 0, its corner -0.5: a smaller level is shifted accordingly.
    x, y = (
        cv2.transform(
            places, np.array([[shrink, 0, 0.5 * shrink - 0.5], [0, shrink, 0.5 * shrink - 0.5]])
        )
    ).transpose(2, 0, 1)
    sampled = cv2.remap(image, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(sampled, 0, 1), np.float32)


def _field(
    points: FloatArray, values: FloatArray, width: int, height: int
) -> tuple[FloatArray, FloatArray]:
    """Per-point `values` over the crop, h x w x K, and where the mesh lies, h x w, 0..1."""
    face_px = float(np.ptp(points[: face_mesh.SURFACE_POINTS, :2], axis=0).max())
    shrink = min(1.0, _MAP_PX / face_px)
    around, skirt = _skirt(points, values)
    small = around * np.float32(shrink) + np.array([0.5 * shrink - 0.5] * 2 + [0], np.float32)
    size = (int(np.ceil(width * shrink)), int(np.ceil(height * shrink)))
    raster = rasterise(small, _skirt_triangles(), *size)
    field = raster.interpolate(skirt)
    if shrink < 1:
        back = np.array([[shrink, 0, 0.5 * shrink - 0.5], [0, shrink, 0.5 * shrink - 0.5]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        field = np.dstack(
            [
                cv2.warpAffine(field[..., k : k + 2], back, (width, height), flags=flags)
                for k in range(0, field.shape[2], 2)
            ]
        )
    inside = fill_polygon(points[list(face_mesh.OVAL), :2], width, height)
    return field, inside.astype(np.float32) / 255


def _skirt(points: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Points and values with one more ring outside the outline, continued linearly."""
    oval = list(face_mesh.OVAL)
    centre, centre_values = points[oval].mean(0), values[oval].mean(0)
    ring = centre + (points[oval] - centre) * np.float32(_SKIRT)
    # Behind everything, so that it never hides the face itself.
    ring[:, 2] = points[:, 2].max() + 1
    ring_values = centre_values + (values[oval] - centre_values) * np.float32(_SKIRT)
    ring_values[:, 4:] = values[oval][:, 4:]
    return np.concatenate([points, ring]), np.concatenate([values, ring_values])


@cache
def _skirt_triangles() -> NDArray[np.int32]:
    oval = list(face_mesh.OVAL)
    count = len(oval)
    outer = [face_mesh.POINTS + k for k in range(count)]
    ring = []
    for k in range(count):
        after = (k + 1) % count
        ring.append((oval[k], outer[k], outer[after]))
        ring.append((oval[k], outer[after], oval[after]))
    inner = [t for eye in (face_mesh.RIGHT_EYE, face_mesh.LEFT_EYE) for t in face_mesh.fan(eye)]
    inner += face_mesh.fan(face_mesh.INNER_LIPS)
    return np.concatenate([face_shape().triangles, np.array(inner + ring, np.int32)])


def _own_parts(crop: Crop, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The target's own eyeballs and mouth, moved with the lids and lips that now surround them.

    Gaze, lids and teeth are the target's: what a photo does not show cannot be carried.
    Returns a soft mask, h x w, and the moved pixels, h x w x 3, both 0..1.
    """
    height, width = crop.pixels.shape[:2]
    top = np.float32(255 if crop.pixels.dtype == np.uint8 else 65535)
    own = np.zeros((height, width), np.float32)
    moved = np.zeros((height, width, 3), np.float32)
    for ring in (face_mesh.RIGHT_EYE, face_mesh.LEFT_EYE, face_mesh.INNER_LIPS):
        corners = points[list(ring), :2]
        width_px = float(np.ptp(corners, axis=0).max())
        x0, y0 = np.maximum(np.floor(corners.min(0) - 0.1 * width_px - 2), 0).astype(int)
        x1, y1 = np.minimum(
            np.ceil(corners.max(0) + 0.1 * width_px + 2) + 1, (width, height)
        ).astype(int)
        if x1 <= x0 or y1 <= y0:
            continue
        corners = corners - np.array([x0, y0], np.float32)
        opening = fill_polygon(corners, x1 - x0, y1 - y0)
        soft = cv2.GaussianBlur(opening, (0, 0), max(0.5, _OWN_FEATHER * width_px))
        back = _affine(corners, crop.landmarks[list(ring), :2])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (x1 - x0, y1 - y0)
        part = cv2.warpAffine(crop.pixels, back, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        own[y0:y1, x0:x1] = soft.astype(np.float32) / 255
        moved[y0:y1, x0:x1] = part.astype(np.float32) / top
    return own, moved


def _affine(points: FloatArray, onto: FloatArray) -> Points:
    """The affine map, 2 x 3, that brings `points` nearest to `onto`, damped towards a shift: a
    closed eye has no height to tell one from."""
    centre = points.mean(0, dtype=np.float64)
    around = points - centre
    change = (onto - onto.mean(0)) - around
    spread = around.T @ around
    damping = 0.02 * np.trace(spread) * np.eye(2)
    linear = np.eye(2) + np.linalg.solve(spread + damping, around.T @ change).T
    return np.column_stack([linear, onto.mean(0) - linear @ centre])
