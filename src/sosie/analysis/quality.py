"""How good a picture of a face is."""

from __future__ import annotations

import cv2
import numpy as np

from sosie.analysis.analyzer import to_8_bit
from sosie.geometry import alignment
from sosie.geometry.head_pose import region_of, square_matrix
from sosie.types import Face, Pixels

_SIDE_PX = 192


def sharpness(pixels: Pixels, face: Face) -> float:
    """How much fine detail a face shows, from 0: below about 0.05 blurred, from about 0.08 sharp.

    pixels: RGB, H x W x 3, uint8 or uint16. The upright square around the landmarks is brought to
    192 x 192 gray pixels, so that the detail that counts is that of the face's own scale, however
    large the picture; a face of fewer pixels has none at this scale and is blurred. The result is
    std(g - G(g)) / std(g), with g the gray values and G a Gaussian of 1.5 pixels: the share of the
    contrast that is finer than about a fortieth of the face, whatever the light.
    """
    matrix = square_matrix(region_of(face.landmarks), 1.0, _SIDE_PX)
    square = alignment.crop(to_8_bit(pixels), matrix, _SIDE_PX)
    gray = cv2.cvtColor(square, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = gray - cv2.GaussianBlur(gray, (0, 0), 1.5)
    contrast = float(gray.std())
    return float(fine.std()) / contrast if contrast > 0 else 0.0
