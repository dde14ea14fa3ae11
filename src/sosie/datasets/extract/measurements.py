"""What can be measured of a face's picture: blur, light, what is seen of it, a hash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis import parser
from sosie.geometry import alignment, head_pose, mesh
from sosie.geometry.morphable_model import silhouette
from sosie.types import Face, FloatArray

# A face is judged at its own scale, but never larger than this: finer detail no method shows.
_OWN_PX = 256
_LEAST_PX = 16
# Deviation by which the picture is blurred once more, and the share of the face's pixels, those of
# the steepest edges, at which that is compared.
_AGAIN_PX, _EDGES = 1.0, 0.05
_DIRECTIONS = ((1.0, 0.0), (0.0, 1.0), (0.7071, 0.7071), (0.7071, -0.7071))
# Turned by more than this, the far eye is hidden by the nose.
_HALF_PROFILE_DEG = 35.0
_HASH_PX, _HASH_SIDE = 32, 8


@dataclass(frozen=True)
class Light:
    """Of the luma of a face's pixels, 0..1: mean, standard deviation, and the image's right half
    less the left over their sum, -1..1."""

    brightness: float
    contrast: float
    side_light: float


@dataclass(frozen=True)
class OwnScale:
    """A face upright at its own scale: gray, float32, side x side, 0..255, and where the face is in
    it, bool."""

    gray: FloatArray
    inside: NDArray[np.bool_]


def own_scale(frame: NDArray[np.uint8], face: Face) -> OwnScale:
    """The square around a face's landmarks, with as many pixels as the face has in the frame (RGB,
    H x W x 3), but at most 256 a side."""
    region = head_pose.region_of(face.landmarks)
    side = int(np.clip(round(region.size_px), _LEAST_PX, _OWN_PX))
    matrix = head_pose.square_matrix(region, 1.0, side)
    square = alignment.crop(frame, matrix, side)
    points = alignment.transform_points(face.landmarks, matrix)
    return OwnScale(
        cv2.cvtColor(square, cv2.COLOR_RGB2GRAY).astype(np.float32),
        silhouette(points, side, side) > 127,
    )


def blur_px(own: OwnScale) -> float:
    """How far a face's edges are smeared, by the lens or by motion: the deviation of the Gaussian
    that would do the same, in pixels of `own`, in the direction in which it is greatest.

    A sharp face has about 1.2 at any size from 30 px on (0.8 to 1.7), with 2 the finest detail is
    lost. An edge blurred by s and once more by t loses steepness by sqrt((s^2 + t^2) / s^2) (Zhuo
    and Sim, "Defocus map estimation from a single image", 2011, eq. 5); the ratio is taken over the
    steepest edges of four directions.
    """
    again = np.asarray(cv2.GaussianBlur(own.gray, (0, 0), _AGAIN_PX), np.float32)
    slopes = [_gradient(image) for image in (own.gray, again)]
    most = 0.0
    for x, y in _DIRECTIONS:
        before, after = (np.abs(x * across + y * down)[own.inside] for across, down in slopes)
        if before.size == 0:
            return 0.0
        edges = before >= np.quantile(before, 1 - _EDGES)
        ratio = float(before[edges].sum()) / max(float(after[edges].sum()), 1e-6)
        most = max(most, _AGAIN_PX / float(np.sqrt(max(ratio**2 - 1, 1e-4))))
    return most


def light(own: OwnScale) -> Light:
    """The light on a face."""
    luma = own.gray / 255
    values = luma[own.inside]
    if values.size == 0:
        return Light(0.0, 0.0, 0.0)
    columns = np.broadcast_to(np.arange(luma.shape[1]), luma.shape)[own.inside]
    middle = float(np.median(columns))
    left, right = (
        float(half.mean()) if half.size else 0.0
        for half in (values[columns < middle], values[columns > middle])
    )
    side = (right - left) / max(right + left, 1e-6)
    return Light(float(values.mean()), float(values.std()), side)


@dataclass(frozen=True)
class Seen:
    """What of a face nothing hides and the frame does not cut off, 0..1: of all of it, and of the
    feature (an eye, the nose, the mouth) of which the least is seen."""

    face: float
    feature: float


def seen(view: FloatArray, face: Face, frame_width: int, frame_height: int) -> Seen:
    """view: what nothing hides, as `Analyzer.visible` has it.

    Of a face in half profile the far eye does not count.
    """
    side = view.shape[0]
    matrix = parser.square_matrix(head_pose.region_of(face.landmarks))
    points = alignment.transform_points(face.landmarks, matrix)
    shown = view * _in_frame(alignment.invert(matrix), side, frame_width, frame_height)
    features: list[Sequence[int]] = [mesh.NOSE, mesh.OUTER_LIPS]
    if face.pose.yaw > -_HALF_PROFILE_DEG:
        features.append(mesh.LEFT_EYE)
    if face.pose.yaw < _HALF_PROFILE_DEG:
        features.append(mesh.RIGHT_EYE)
    shares = []
    for ring in features:
        inside = alignment.fill_hull(points, ring, side, side, antialiased=False) > 0
        shares.append(_mean(shown, inside))
    return Seen(_mean(shown, silhouette(points, side, side) > 127), min(shares))


def phash(frame: NDArray[np.uint8], face: Face) -> int:
    """64 bits of the aligned face: which of the 8 x 8 lowest waves of its 32 x 32 gray pixels
    (without the mean) are above their median."""
    matrix = alignment.align_matrix(face.points5, "arcface", _HASH_PX)
    small = cv2.cvtColor(alignment.crop(frame, matrix, _HASH_PX), cv2.COLOR_RGB2GRAY)
    waves = np.asarray(cv2.dct(small.astype(np.float32)), np.float32)
    low = waves[:_HASH_SIDE, :_HASH_SIDE].ravel()
    bits = low > np.median(low[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _gradient(gray: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Along x and y."""
    across, down = (cv2.Sobel(gray, cv2.CV_32F, dx, 1 - dx, ksize=3) for dx in (1, 0))
    return np.asarray(across, np.float32), np.asarray(down, np.float32)


def _in_frame(
    to_frame: NDArray[np.float64], side: int, width: int, height: int
) -> NDArray[np.bool_]:
    """Which pixels of a square lie inside the frame."""
    rows, columns = np.mgrid[:side, :side]
    x, y = (line[0] * columns + line[1] * rows + line[2] for line in to_frame)
    return np.asarray((x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5))


def _mean(values: FloatArray, where: NDArray[np.bool_]) -> float:
    return float(values[where].mean()) if where.any() else 0.0
