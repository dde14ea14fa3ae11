"""What HifiFace is told of two faces by Sosie's face mesh, in place of a closed 3D face model.

The mesh's statistical model (`geometry.morphable_model`) parts a face's shape from its expression,
as the coefficients of Deep3DFaceRecon do; the pose is a rotation. Texture and light, which those
coefficients also tell, are not among the mesh's numbers: the target's pixels have them.
"""

from __future__ import annotations

import numpy as np

from sosie.geometry.morphable_model import canonicalize, face_shape
from sosie.types import FloatArray

MODES = 64
"""Principal directions that count, of shape and of expression each."""
TARGET_NUMBERS = MODES + 6
"""Of the target: its expression, and two rows of its rotation."""


def source_shape(landmarks: FloatArray) -> FloatArray:
    """The shape of a source's face (landmarks: 478 x 3, pixels): 1 x MODES, about -3..3."""
    return _numbers(landmarks)[0][None]


def target_numbers(landmarks: FloatArray) -> FloatArray:
    """Expression and pose of a target's face (478 x 3, pixels): 1 x TARGET_NUMBERS."""
    return _numbers(landmarks)[1][None]


def _numbers(landmarks: FloatArray) -> tuple[FloatArray, FloatArray]:
    model = face_shape()
    there = canonicalize(landmarks, model)
    shape, expression = (c[:MODES].astype(np.float32) for c in model.coefficients(there.points))
    pose = there.rotation[:2].ravel().astype(np.float32)
    return shape, np.concatenate([expression, pose])
