"""The crops of DeepFaceLab, by which per-person networks see a face; and that of FSGAN.

A similarity brings 33 of the 68 annotated points (brows, nose, eyes, outer corners of the mouth)
onto those of a mean face in the unit square; a face type says how much there is around that square.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.geometry.alignment import Matrix, align_matrix, compose, fit_similarity, transform_points
from sosie.geometry.mesh import ANNOTATED
from sosie.types import Face

_FITTED = (*range(17, 49), 54)
# Published constants: dlib's mean face, of which the square holds brows to chin.
# fmt: off
_MEAN_X = (
    0.000213256, 0.0752622, 0.18113, 0.29077, 0.393397, 0.586856, 0.689483, 0.799124, 0.904991,
    0.98004, 0.490127, 0.490127, 0.490127, 0.490127, 0.36688, 0.426036, 0.490127, 0.554217,
    0.613373, 0.121737, 0.187122, 0.265825, 0.334606, 0.260918, 0.182743, 0.645647, 0.714428,
    0.793132, 0.858516, 0.79751, 0.719335, 0.254149, 0.726104,
)
_MEAN_Y = (
    0.106454, 0.038915, 0.0187482, 0.0344891, 0.0773906, 0.0773906, 0.0344891, 0.0187482, 0.038915,
    0.106454, 0.203352, 0.307009, 0.409805, 0.515625, 0.587326, 0.609345, 0.628106, 0.609345,
    0.587326, 0.216423, 0.178758, 0.179852, 0.231733, 0.245099, 0.244077, 0.231733, 0.179852,
    0.178758, 0.216423, 0.244077, 0.245099, 0.780233, 0.780233,
)
# fmt: on
_MEAN = np.column_stack([_MEAN_X, _MEAN_Y])
# By how much more of one cheek than of the other is seen, the nose's bridge tells.
_BRIDGE, _IMAGE_LEFT, _IMAGE_RIGHT = (27, 28, 29), (0, 1, 2), (16, 15, 14)


@dataclass(frozen=True)
class FaceType:
    """padding: around the unit square, as a share of its diagonal, on each side. up: by how much of
    its side the crop's center lies above the square's. follows_yaw: whether the center also goes to
    the side on which more of the head is seen."""

    padding: float
    up: float = 0.0
    follows_yaw: bool = False


FACE_TYPES = MappingProxyType(
    {
        "half": FaceType(0.0),
        "mid-full": FaceType(0.0675),
        "full": FaceType(0.2109375),
        "whole": FaceType(0.40, up=0.07),
        "head": FaceType(0.70, up=0.50, follows_yaw=True),
    }
)
"""By the names that `--face-type` takes."""


def template_of(face_type: str) -> str:
    """What a card names as the template of crops of a face type."""
    return f"dfl_{face_type.replace('-', '_')}"


TEMPLATES_OF_TYPES = MappingProxyType({template_of(name): one for name, one in FACE_TYPES.items()})
"""The same by the names of templates: `dfl_whole` is what DeepFaceLab itself crops; the five points
of `alignment.TEMPLATES["dfl_whole_face"]` come near it."""


BOX = "box"
"""The template that aligns nothing: the square about a face's bounds, as upright as the frame."""

_BOX_SIDES = 1.2


def box_matrix(points: NDArray[Any], size_px: int) -> Matrix:
    """Frame -> crop of `size_px` squared: 1.2 times the longer side of the bounds of some points
    (N x 2 or more)."""
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    scale = size_px / (_BOX_SIDES * max(float((high - low).max()), 1e-6))
    return np.column_stack([np.eye(2) * scale, (size_px - 1) / 2 - scale * (low + high) / 2])


def face_matrix(face: Face, template: str, size_px: int) -> Matrix:
    """Frame -> crop of `size_px` squared for a face, by any template's name: of five points, of a
    face type, or `BOX`. Raises UsageError for an unknown name."""
    if template == BOX:
        return box_matrix(face.landmarks, size_px)
    kind = TEMPLATES_OF_TYPES.get(template)
    if kind is None:
        return align_matrix(face.points5, template, size_px)
    points = face.landmarks[list(ANNOTATED), :2]
    return annotated_matrix(points, kind, size_px)


def annotated_matrix(points: NDArray[Any], kind: FaceType, size_px: int) -> Matrix:
    """The same for a face of which the 68 annotated points are known, 68 x 2.

    The fit is Umeyama's (`alignment.fit_similarity`).
    """
    onto_square = fit_similarity(points[list(_FITTED)], _MEAN)
    x, y = 0.5, 0.5 - kind.up
    if kind.follows_yaw:
        x += _turned(transform_points(points, onto_square)) / 2
    side = 1 + 2 * np.sqrt(2) * kind.padding
    scale = size_px / side
    crop = [[scale, 0, scale * (side / 2 - x)], [0, scale, scale * (side / 2 - y)]]
    return compose(crop, onto_square)


def _turned(points: NDArray[Any]) -> float:
    """How much wider the cheek on the image's right is seen than that on the left, in sides of the
    unit square; small differences count less."""
    bridge, left, right = (points[list(k), 0] for k in (_BRIDGE, _IMAGE_LEFT, _IMAGE_RIGHT))
    wider = float((right - bridge).mean() - (bridge - left).mean())
    return wider * abs(float(np.tanh(2 * wider)))
