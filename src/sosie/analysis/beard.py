"""A target's beard, which the parser calls skin: whether there is one, and where.

A beard is hair, and goes on beyond the face: where the swapped face ended it, a gray muzzle with a
rim of hair was left. Whether a face has one is told by the identity network's vector, which knows a
beard from the shade under a chin; where it is, by how much darker and grayer a pixel is than the
cheeks. The file `beard.npz` is made by `tools/fit_beard.py`.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.occlusion import carried_outwards, surface
from sosie.analysis.parser import MARGIN, SIDE_PX, FaceParts, cut_square
from sosie.geometry import mesh
from sosie.geometry.alignment import fill_hull, transform_points
from sosie.geometry.head_pose import region_of
from sosie.geometry.morphable_model import face_shape, smoothstep
from sosie.geometry.rasterizer import rasterize
from sosie.models.cards import read_embedded
from sosie.types import FloatArray

_FACE_PX = SIDE_PX / MARGIN
# The middle of the nose's base, and from forehead to chin.
_NOSE_BASE, _TOP, _CHIN = 2, 10, 152
_FEATURES = (
    mesh.RIGHT_EYE + mesh.RIGHT_BROW,
    mesh.LEFT_EYE + mesh.LEFT_BROW,
    mesh.OUTER_LIPS,
    (*mesh.NOSE, 97, 326),
)
# A pixel is skin from this share of the parser's on, and so many are needed to compare with.
_SKIN, _ENOUGH = 0.8, 50
# Gray counts so much, as a share of red that is missing, against the log of luma. From the first to
# the second of both a pixel is hair: of a face of which it is hardly known that it has a beard, and
# of one of which it is, at these scores. A shade on a cheek is darker than a thin moustache.
_GRAY, _DOUBTED, _KNOWN, _SURE = 6.0, (0.25, 0.5), (0.1, 0.3), (-1.2, 1.0)
_SOFT_PX = 2.0

BEARDED = (-1.6, -0.8)
"""Up to the first score, a logit, a face has no beard, and from the second it has; between, its
beard, or stubble, counts in part. Of people left out of the fit nine of ten with a beard are above
the middle, and one of twenty without, nearly all of them unshaven men."""

LOOKS = 8
"""A score is the mean over so many looks, and then holds."""

# Of successive looks' maps about so many are averaged.
_AVERAGED = 3


@dataclass(frozen=True)
class Beard:
    """like: float32, SIDE_PX x SIDE_PX, 0..1: how much like hair the face is in the parser's
    square, where a beard can be; beyond its edge what it is at the edge. score: a logit, of there
    being one. looks: how many it is the mean of."""

    like: FloatArray
    score: float
    looks: int = 1

    def towards(self, later: Beard) -> Beard:
        """The same after another look."""
        like = self.like + (later.like - self.like) / _AVERAGED
        if self.looks >= LOOKS:
            return Beard(like, self.score, self.looks)
        looks = self.looks + 1
        return Beard(like, self.score + (later.score - self.score) / looks, looks)

    @property
    def seen(self) -> bool:
        """Whether there is one, be it stubble."""
        return self.score > BEARDED[0]

    def covers(self) -> FloatArray:
        """How far it covers each place of the square, 0..1: nowhere where the face has none."""
        score = np.array(self.score)
        sure = float(smoothstep(score, *_SURE))
        low, high = (a + sure * (b - a) for a, b in zip(_DOUBTED, _KNOWN, strict=True))
        hair = smoothstep(self.like.astype(np.float64), low, high)
        return np.asarray(hair * smoothstep(score, *BEARDED), np.float32)

    def share_of(self, landmarks: FloatArray) -> float:
        """How much of the face with these landmarks it covers, 0..1."""
        inside = surface(landmarks) > 0
        return float(self.covers()[inside].mean()) if inside.any() else 0.0


def find(
    picture: NDArray[np.uint8],
    landmarks: FloatArray,
    parts: FaceParts,
    identity: FloatArray | None,
) -> Beard:
    """What a look at one face tells.

    picture: RGB. landmarks: the face's in it, 478 x 3; parts: of its square. identity: 512, unit
    length; None where no score is wanted, which then is 0.
    """
    score = 0.0
    if identity is not None:
        weights, bias = _model()
        score = float(weights @ identity + bias)
    unlike = 1 - np.clip(_like_hair(picture, landmarks, parts), 0, 1)
    carried = carried_outwards(np.asarray(unlike, np.float32), surface(landmarks))
    return Beard(np.asarray(1 - cv2.GaussianBlur(carried, (0, 0), _SOFT_PX), np.float32), score)


def _like_hair(picture: NDArray[np.uint8], landmarks: FloatArray, parts: FaceParts) -> FloatArray:
    """How much like hair each pixel of the parser's square is where a beard can be; 0 elsewhere."""
    square, matrix = cut_square(picture, region_of(landmarks))
    points = transform_points(landmarks, matrix)
    across, down = _axes(points)
    features = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    for ring in _FEATURES:
        features |= fill_hull(points, ring, SIDE_PX, SIDE_PX)
    near = cv2.dilate(features, np.ones((3, 3), np.uint8))
    bare = (surface(landmarks) > 0) & (near == 0)
    # Beside the mouth a beard begins at the nose's base, and further out it goes up to the ears.
    sides = np.clip((np.abs(across) - 0.22) / 0.15, 0, 1)
    zone = bare & (down > -0.02 - 0.3 * sides)
    eyes = points[[*mesh.RIGHT_EYE, *mesh.LEFT_EYE], :2].mean(0)
    eye_height = float(_along(points, eyes)[1])
    cheeks = bare & (parts.skin > _SKIN) & (down < -0.03) & (down > eye_height + 0.06)
    if cheeks.sum() < _ENOUGH:
        return np.zeros((SIDE_PX, SIDE_PX), np.float32)
    pixels = cv2.GaussianBlur(square.astype(np.float32) * np.float32(1 / 255), (0, 0), 1.0)
    bright = np.log(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) + np.float32(0.03))
    lit, cheeks = _lit_skin(bright, across, cheeks)
    red = pixels[..., 0] / (pixels.sum(2) + 0.05)
    gray = np.median(red[cheeks]) - red
    like = cv2.GaussianBlur((lit - bright + _GRAY * gray) * zone, (0, 0), _SOFT_PX)
    return _of_both_sides(np.asarray(like, np.float32), points)


def _of_both_sides(like: FloatArray, points: FloatArray) -> FloatArray:
    """The mean of what is told on both sides of a face: half a moustache is a stain, and light from
    one side hides the other half."""
    shape = face_shape()
    raster = rasterize(np.ascontiguousarray(points), shape.triangles, SIDE_PX, SIDE_PX)
    across = raster.interpolate(np.ascontiguousarray(points[shape.mirror, :2]))
    other = cv2.remap(like, across[..., 0], across[..., 1], cv2.INTER_LINEAR)
    return np.asarray((like + other) / 2, np.float32)


def _lit_skin(
    bright: FloatArray, across: FloatArray, cheeks: NDArray[np.bool_]
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """How bright (as a logarithm) skin is in the light from one side to the other, and which of the
    cheeks' pixels are skin: those that a line across them tells."""
    kept = cheeks
    offset, slope = 0.0, 0.0
    for _ in range(3):
        slope, offset = np.polyfit(across[kept], bright[kept], 1)
        away = bright - (offset + slope * across)
        near = np.abs(away) < 2 * max(float(away[kept].std()), 0.05)
        if (cheeks & near).sum() < _ENOUGH:
            break
        kept = cheeks & near
    return np.asarray(offset + slope * np.clip(across, -0.4, 0.4), np.float32), kept


def _axes(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Of each pixel of the square, how far it is across and down from the nose's base, in faces."""
    x, y = np.meshgrid(*(np.arange(SIDE_PX, dtype=np.float32),) * 2)
    along = _along(points, np.stack([x, y], -1))
    return along[..., 0], along[..., 1]


def _along(points: FloatArray, places: FloatArray) -> FloatArray:
    """Places (... x 2, pixels of the square) across and down from the nose's base, in faces."""
    down = points[_CHIN, :2] - points[_TOP, :2]
    down = down / max(float(np.linalg.norm(down)), 1e-6)
    from_nose = (places - points[_NOSE_BASE, :2]) / np.float32(_FACE_PX)
    turned = np.stack([from_nose @ np.array([down[1], -down[0]]), from_nose @ down], -1)
    return np.asarray(turned, np.float32)


@cache
def _model() -> tuple[FloatArray, float]:
    """Weights of the identity's 512 numbers, and a bias."""
    with np.load(io.BytesIO(read_embedded("beard")), allow_pickle=False) as stored:
        return stored["weights"].astype(np.float32), float(stored["bias"])
