"""Alignment: named templates, the similarity fit, and a warp that filters what it shrinks.

A transform is a float64 2 x 3 matrix that maps pixel coordinates (x, y, 1); (0, 0) is the
center of the top left pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from sosie.errors import UsageError, nearest
from sosie.geometry import mesh
from sosie.types import FloatArray, Pixels

Matrix = NDArray[np.float64]

# With the mean of two that follows it, the cubic kernel of twice the width (Keys, "Cubic
# convolution interpolation for digital image processing", 1981, a = -1/2) at its eight places. The
# mean alone lets two fifths pass of a pattern that is half as fine again as the half can show; with
# this it is a fifteenth, and what the half shows well stays as sharp.
_HALVING = np.array([-3, -6, 35, 76, 35, -6, -3], np.float32) / 128
# What is shrunk by more than twice this is first brought to this many times the size that it is to
# have, by plain means over squares: of what they let alias, no more than a fifteenth remains where
# the result still shows something. The cubic kernel would go over all pixels of a large photo.
_BY_MEANS = 8

# Five points (eye centers, nose tip, mouth corners; image left first) as shares of the crop's
# side. Published constants of the systems that the names stand for.
_TEMPLATES = {
    # SimSwap 224, GHOST: the frontal one of insightface's five pose templates.
    "arcface_112_v1": (
        (0.35473214, 0.45658929),
        (0.64526786, 0.45658929),
        (0.5, 0.61154464),
        (0.37913393, 0.776875),
        (0.62086607, 0.776875),
    ),
    # ArcFace's own 112 x 112 alignment, as recognition networks are trained on.
    "arcface": (
        (0.34191607, 0.46157411),
        (0.65653393, 0.45983393),
        (0.500225, 0.64050536),
        (0.37097589, 0.82469196),
        (0.63151696, 0.82325089),
    ),
    # inswapper and its family: ArcFace's with 8 px more on each side at 128.
    "arcface_128": (
        (0.36167656, 0.40387734),
        (0.63696719, 0.40235469),
        (0.50019687, 0.56044219),
        (0.38710391, 0.72160547),
        (0.61507734, 0.72034453),
    ),
    "ffhq": (
        (0.37691676, 0.46864664),
        (0.62285697, 0.46912813),
        (0.50123859, 0.61331904),
        (0.39308822, 0.725411),
        (0.61150205, 0.72490465),
    ),
    "mtcnn_512": (
        (0.36562865, 0.46733799),
        (0.63305391, 0.46585885),
        (0.50019127, 0.61942959),
        (0.39032951, 0.77598822),
        (0.61178945, 0.77476328),
    ),
    "dfl_whole_face": (
        (0.35342266, 0.39285716),
        (0.62797622, 0.39285716),
        (0.48660713, 0.5401786),
        (0.38839287, 0.68750011),
        (0.59821427, 0.68750011),
    ),
    "styleganex_384": (
        (0.42353745, 0.52289879),
        (0.57725008, 0.52319972),
        (0.50123859, 0.61331904),
        (0.43364461, 0.68337652),
        (0.57015325, 0.68306005),
    ),
}
TEMPLATES = MappingProxyType(
    {name: np.array(points, np.float64) for name, points in _TEMPLATES.items()}
)


def template_points(name: str, size_px: int) -> NDArray[np.float64]:
    """The five points of a template for a crop of `size_px` squared, 5 x 2, in pixels.

    Raises UsageError for an unknown name.
    """
    if name not in TEMPLATES:
        raise UsageError(f"Unknown alignment template {name!r}: {nearest(name, TEMPLATES)}.")
    return TEMPLATES[name] * size_px


def fit_similarity(points: ArrayLike, onto: ArrayLike) -> Matrix:
    """The rotation, uniform scale and shift that bring `points` nearest to `onto`.

    Both N x 2, N >= 2. Least squares in closed form, never a reflection (Umeyama, "Least-squares
    estimation of transformation parameters between two point patterns", 1991, eq. 40 to 43, in
    its two-dimensional form). Raises ValueError where all points coincide.
    """
    a = np.asarray(points, np.float64)
    b = np.asarray(onto, np.float64)
    mean_a, mean_b = a.mean(0), b.mean(0)
    a, b = a - mean_a, b - mean_b
    spread = float((a * a).sum())
    if spread <= 1e-12:
        raise ValueError("cannot fit a similarity to points that all coincide")
    cosine = float((a * b).sum()) / spread
    sine = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / spread
    linear = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack([linear, mean_b - linear @ mean_a])


def align_matrix(points5: ArrayLike, template: str, size_px: int) -> Matrix:
    """Frame -> crop for a face's five points (5 x 2) and a named template."""
    return fit_similarity(points5, template_points(template, size_px))


def resize_matrix(scale: float) -> Matrix:
    """A picture -> the same, `scale` times as large."""
    shift = scale / 2 - 0.5
    return np.array([[scale, 0, shift], [0, scale, shift]])


def invert(matrix: ArrayLike) -> Matrix:
    """The inverse of a 2 x 3 transform."""
    m = np.asarray(matrix, np.float64)
    linear = np.linalg.inv(m[:, :2])
    return np.column_stack([linear, -linear @ m[:, 2]])


def compose(second: ArrayLike, first: ArrayLike) -> Matrix:
    """The transform that applies `first`, then `second`."""
    a, b = np.asarray(second, np.float64), np.asarray(first, np.float64)
    return np.column_stack([a[:, :2] @ b[:, :2], a[:, :2] @ b[:, 2] + a[:, 2]])


def transform_points(points: ArrayLike, matrix: ArrayLike) -> NDArray[np.float32]:
    """Apply a similarity to N x 2 points, or to N x 3 whose z is scaled with it."""
    p, m = np.asarray(points, np.float64), np.asarray(matrix, np.float64)
    moved = p[:, :2] @ m[:, :2].T + m[:, 2]
    if p.shape[1] == 3:
        moved = np.column_stack([moved, p[:, 2] * scale_of(m)])
    return np.asarray(moved, np.float32)


def scale_of(matrix: ArrayLike) -> float:
    """By how much a transform enlarges lengths (square root of the area's factor)."""
    m = np.asarray(matrix, np.float64)
    return float(np.sqrt(abs(np.linalg.det(m[:, :2]))))


def prefilter(
    image: NDArray[Any], scale: float, by_means: int = _BY_MEANS
) -> tuple[NDArray[Any], Matrix]:
    """Filter an image that is about to be sampled at `scale` (< 1 shrinks), so that nothing finer
    than the new pixel grid is left to alias.

    Returns the filtered image and the transform from the image to it. A large factor begins with
    plain means; then whole halvings are cubic, and what remains of the factor is a Gaussian. Values
    stay in the image's own range. With scale >= 1 nothing is done.
    """
    reduced, matrix = image, np.array([[1.0, 0, 0], [0, 1.0, 0]])
    by = min(int(1 / (by_means * max(scale, 1e-9))), *image.shape[:2])
    if by >= 2:
        height, width = image.shape[0] // by, image.shape[1] // by
        whole = image[: height * by, : width * by]
        reduced = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
        matrix = np.array([[1 / by, 0, 0.5 / by - 0.5], [0, 1 / by, 0.5 / by - 0.5]])
        scale *= by
    while scale <= 0.5 and min(reduced.shape[:2]) >= 2:
        height, width = reduced.shape[0] // 2 * 2, reduced.shape[1] // 2 * 2
        soft = cv2.sepFilter2D(reduced, -1, _HALVING, _HALVING, borderType=cv2.BORDER_REPLICATE)
        if image.dtype.kind == "f":
            # The kernel overshoots, and a mask must not: whole numbers are cut off by their type.
            soft = np.clip(soft, image.min(), image.max())
        reduced = cv2.resize(
            np.ascontiguousarray(soft[:height, :width]),
            (width // 2, height // 2),
            interpolation=cv2.INTER_AREA,
        )
        matrix = compose([[0.5, 0, -0.25], [0, 0.5, -0.25]], matrix)
        scale *= 2
    if scale < 0.99:
        # A Gaussian of this deviation brings the old pixel's footprint to the new one's.
        sigma_px = 0.7 * float(np.sqrt(scale**-2 - 1))
        reduced = cv2.GaussianBlur(reduced, (0, 0), sigma_px, borderType=cv2.BORDER_REPLICATE)
    return reduced, matrix


def warp(
    image: NDArray[Any],
    matrix: ArrayLike,
    width: int,
    height: int,
    border: int = cv2.BORDER_REPLICATE,
    by_means: int = _BY_MEANS,
) -> NDArray[Any]:
    """Sample `image` through `matrix` (image -> result) into `height` x `width` pixels.

    What shrinks is filtered first: `cv2.warpAffine` alone aliases, whatever flag it is given.
    Any dtype and channel count that OpenCV takes; outside the image the border is repeated.
    by_means: plain means reduce it to this many times the size that it is to have; from there on
    better filters do.
    """
    m = np.asarray(matrix, np.float64)
    corners = np.array([[0, 0], [width, 0], [0, height], [width, height]], np.float64)
    seen = transform_points(corners, invert(m))
    # Only the part that is seen is filtered; 16 px let the filter's kernel see past its edge.
    margin_px = 16 / max(scale_of(m), 1e-6)
    x0, y0 = np.clip(np.floor(seen.min(0) - margin_px), 0, None).astype(int)
    x1, y1 = np.ceil(seen.max(0) + margin_px).astype(int) + 1
    x0, y0 = min(x0, image.shape[1] - 1), min(y0, image.shape[0] - 1)
    part = image[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    reduced, shrink = prefilter(part, scale_of(m), by_means)
    forward = compose(m, compose([[1, 0, x0], [0, 1, y0]], invert(shrink)))
    return cv2.warpAffine(
        np.ascontiguousarray(reduced),
        forward,
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=border,
    )


def crop(pixels: Pixels, matrix: ArrayLike, size_px: int) -> Pixels:
    """An aligned square crop of a frame, antialiased, border repeated."""
    return warp(pixels, matrix, size_px, size_px)


def fill_polygon(
    corners: NDArray[Any], width: int, height: int, antialiased: bool = True
) -> NDArray[np.uint8]:
    """The inside of a polygon (N x 2, pixels) as 255 on 0, uint8, height x width."""
    inside = np.zeros((height, width), np.uint8)
    sixteenths = np.round(np.asarray(corners, np.float64) * 16).astype(np.int32)
    line = cv2.LINE_AA if antialiased else cv2.LINE_8
    cv2.fillPoly(inside, [sixteenths], (255,), lineType=line, shift=4)
    return inside


def fill_hull(
    points: NDArray[Any], ring: Sequence[int], width: int, height: int, antialiased: bool = True
) -> NDArray[np.uint8]:
    """The convex hull of some mesh points (478 x 2 or x 3, pixels) as 255 on 0, uint8, height x
    width. ring: their numbers, as `mesh.RIGHT_BROW`."""
    hull = cv2.convexHull(np.asarray(points[list(ring), :2], np.float32))[:, 0]
    return fill_polygon(hull, width, height, antialiased)


def face_window(
    landmarks: FloatArray, margin: float, shape: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 around a face's landmarks (478 x 3), whole pixels, inside a frame of `shape`
    (height, width, ...). margin: as a share of the face's size."""
    points = landmarks[: mesh.SURFACE_POINTS, :2]
    low, high = points.min(0), points.max(0)
    pad = margin * float((high - low).max()) + 4
    x0, y0 = np.clip(np.floor(low - pad), 0, (shape[1] - 1, shape[0] - 1)).astype(int)
    x1, y1 = np.clip(np.ceil(high + pad) + 1, (x0 + 1, y0 + 1), (shape[1], shape[0])).astype(int)
    return int(x0), int(y0), int(x1), int(y1)
