"""Sharpness grows with detail and with nothing else."""

from __future__ import annotations

import cv2
import numpy as np

from sosie.analysis.quality import sharpness
from sosie.types import Face


def scaled(face: Face, factor: float) -> Face:
    landmarks = face.landmarks * np.float32(factor)
    return Face(face.box * factor, face.points5 * factor, landmarks, face.pose, face.score)


def test_blur_lowers_sharpness(hopper: np.ndarray, hopper_face: Face) -> None:
    values = [
        sharpness(cv2.GaussianBlur(hopper, (0, 0), blur) if blur else hopper, hopper_face)
        for blur in (0, 1, 2, 4, 8)
    ]
    assert values == sorted(values, reverse=True)
    assert values[0] > 0.08
    assert values[-1] < 0.03


def test_light_and_depth_do_not_matter(hopper: np.ndarray, hopper_face: Face) -> None:
    plain = sharpness(hopper, hopper_face)
    dim = (hopper * 0.4 + 30).astype(np.uint8)
    assert abs(sharpness(dim, hopper_face) - plain) < 0.1 * plain
    assert sharpness(hopper.astype(np.uint16) * 257, hopper_face) == plain


def test_an_enlarged_picture_is_not_sharper(hopper: np.ndarray, hopper_face: Face) -> None:
    large = cv2.resize(hopper, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    small = cv2.resize(hopper, None, fx=0.2, fy=0.2, interpolation=cv2.INTER_AREA)
    plain = sharpness(hopper, hopper_face)
    assert sharpness(large, scaled(hopper_face, 3)) < 1.1 * plain
    assert sharpness(small, scaled(hopper_face, 0.2)) < 0.6 * plain


def test_an_even_patch_has_none(hopper_face: Face) -> None:
    assert sharpness(np.full((600, 512, 3), 90, np.uint8), hopper_face) == 0
