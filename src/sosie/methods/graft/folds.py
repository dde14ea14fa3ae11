"""The folds of a source's smile, smoothed away where the swapped face does not smile.

The mesh carries skin to where it is to be, and with it the fold that a smile makes from nose to
mouth: on lips that are shut it frames the mouth like a muzzle.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from sosie.analysis.landmarker import EXPRESSIONS
from sosie.blending.pixel_math import mixed
from sosie.geometry import mesh
from sosie.geometry.alignment import fill_hull
from sosie.geometry.morphable_model import canonicalize, distance_to, face_shape, smoothstep
from sosie.types import FloatArray

# Points along both folds and on the cheeks beside them; around them skin is smoothed up to the
# first canonical distance in full, and not at all from the second on.
_FOLDS = (129, 203, 206, 216, 212, 205, 207, 358, 423, 426, 436, 432, 425, 427)
_NEAR, _FAR = 0.08, 0.3
_NOSE = (2, 97, 326, 4, 98, 327, 129, 358)
# From the first to the second difference of smile, as a weight of expression, folds go.
_FROM, _TO = 0.15, 0.5
# Skin is smoothed over this share of the face, worked out at about so many pixels a face's side.
_SMOOTH, _SMALL_PX = 0.06, 96
_EDGE, _GRAIN = 0.01, 0.006


def smile_beyond(source: FloatArray, points: FloatArray) -> float:
    """How much of a source's folds is to go, 0..1, by how much more it smiles than the swapped
    face. source, points: landmarks of both, 478 x 3."""
    shape = face_shape()
    more = canonicalize(source, shape).points - canonicalize(points, shape).points
    read = (shape.basis @ more.ravel()) @ shape.expression
    return float(smoothstep(read[_smiles()].mean(keepdims=True), _FROM, _TO)[0])


def without_folds(
    texture: FloatArray, known: FloatArray, points: FloatArray, about: FloatArray, share: float
) -> FloatArray:
    """A source's texture on the swapped face (RGB, h x w x 3, 0..1) without its folds.

    known: h x w, 0..1, how far it is known. points: of the swapped face, 478 x 3, in the same
    pixels. about: h x w, `near_folds` spread over the face. share: how much of them goes, 0..1.
    """
    height, width = known.shape
    size_px = float(np.ptp(points[: mesh.SURFACE_POINTS, :2], axis=0).max())
    features = fill_hull(points, mesh.OUTER_LIPS, width, height)
    features |= fill_hull(points, _NOSE, width, height)
    features = np.asarray(cv2.dilate(features, np.ones((5, 5), np.uint8)), np.uint8)
    # Lips and nostrils are no skin, and would run into it.
    skin = np.asarray(known * (1 - features * np.float32(1 / 255)), np.float32)
    shrink = min(1.0, _SMALL_PX / size_px)
    small = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    weight = cv2.resize(skin, small, interpolation=cv2.INTER_AREA)
    colors = cv2.resize(texture * skin[..., None], small, interpolation=cv2.INTER_AREA)
    sigma_px = max(0.5, _SMOOTH * size_px * shrink)
    even = cv2.GaussianBlur(colors, (0, 0), sigma_px)
    even = even / (cv2.GaussianBlur(weight, (0, 0), sigma_px)[..., None] + np.float32(1e-4))
    wide = cv2.resize(even, (width, height), interpolation=cv2.INTER_LINEAR)
    # Pores and grain stay; a fold is wider.
    grain = texture - cv2.GaussianBlur(texture, (0, 0), max(0.5, _GRAIN * size_px))
    soft = cv2.GaussianBlur(about * skin, (0, 0), max(0.5, _EDGE * size_px))
    smooth = np.asarray(wide + grain, np.float32)
    return mixed(texture, smooth, np.asarray(soft * share, np.float32))


@cache
def near_folds() -> FloatArray:
    """Of each mesh point how much its skin is a smile's fold, 478, 0..1."""
    away = distance_to(_FOLDS, face_shape())
    return np.asarray(1 - smoothstep(away, _NEAR, _FAR), np.float32)


@cache
def _smiles() -> list[int]:
    """The places of the smile's weights among those that the model of shape reads."""
    first = len(EXPRESSIONS) - face_shape().expression.shape[1]
    return [EXPRESSIONS.index(f"mouthSmile{side}") - first for side in ("Left", "Right")]
