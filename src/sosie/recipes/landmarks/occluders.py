"""Things in front of a face: shapes, fingers, pieces of other pictures, glasses, seat backs."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.geometry.head_pose import LEFT_EYE_OUTER, RIGHT_EYE_OUTER

Pixels = NDArray[np.uint8]
Mask = NDArray[np.uint8]


def add_occluders(
    pixels: Pixels, points: NDArray[np.float32], other: Pixels, rng: np.random.Generator
) -> Pixels:
    """Hide parts of the face in a square (uint8, side x side x 3), at most about half of it.

    points: 478 x 3, pixels of the square. other: another picture, RGB, at least as large.
    """
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    size = float((high - low).max())
    kind = rng.random()
    if kind < 0.3:
        mask = _hand(pixels.shape[0], low, high, rng)
        filling = _skin(pixels, points, rng)
    elif kind < 0.45:
        mask = _glasses(pixels.shape[0], points, rng)
        filling = _plain(pixels, rng.integers(0, 90, 3))
    else:
        filling = _piece(other, pixels.shape[0], rng)
        if rng.random() < 0.5:
            filling = _plain(pixels, rng.integers(0, 256, 3))
        if kind < 0.7:
            mask = _ledge(pixels.shape[0], points, rng)
        else:
            mask = _shapes(pixels.shape[0], low, high, size, rng)
    if rng.random() < 0.5:
        mask = np.asarray(cv2.blur(mask, (3, 3)), np.uint8)
    return _blend(pixels, filling, mask)


def _blend(pixels: Pixels, filling: Pixels, mask: Mask) -> Pixels:
    share = cv2.merge([mask, mask, mask])
    front = cv2.multiply(filling, share, scale=1 / 255)
    behind = cv2.multiply(pixels, 255 - share, scale=1 / 255)
    return np.asarray(cv2.add(front, behind), np.uint8)


def _plain(pixels: Pixels, color: NDArray[np.int64]) -> Pixels:
    filling = np.empty_like(pixels)
    filling[:] = color
    return filling


def _skin(pixels: Pixels, points: NDArray[np.float32], rng: np.random.Generator) -> Pixels:
    """The face's own skin, lighter or darker, with the change of light over a hand."""
    side = pixels.shape[0]
    x, y = np.clip(np.round(points[int(rng.choice((50, 280, 151))), :2]).astype(int), 1, side - 2)
    color = pixels[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3).mean(0)
    corners = color * rng.uniform(0.65, 1.25, (3, 3, 1))
    light = np.clip(corners, 0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(light, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)


def _piece(other: Pixels, side: int, rng: np.random.Generator) -> Pixels:
    """A part of another picture, anyhow turned."""
    angle, scale = rng.uniform(0, 360), rng.uniform(0.6, 1.6)
    x, y = rng.uniform(0.25, 0.75, 2) * other.shape[0]
    matrix = cv2.getRotationMatrix2D((float(x), float(y)), float(angle), float(scale))
    to_middle = np.array([[0, 0, side / 2 - x], [0, 0, side / 2 - y]])
    matrix = matrix + to_middle
    piece = cv2.warpAffine(other, matrix, (side, side), borderMode=cv2.BORDER_REFLECT)
    return np.asarray(piece, np.uint8)


def _shapes(
    side: int,
    low: NDArray[np.float32],
    high: NDArray[np.float32],
    size: float,
    rng: np.random.Generator,
) -> Mask:
    """One to three ellipses or polygons, most of them reaching in from the face's edge."""
    mask = np.zeros((side, side), np.uint8)
    for _ in range(int(rng.integers(1, 4))):
        center = rng.uniform(low, high)
        if rng.random() < 0.7:
            edge = int(rng.integers(4))
            center[edge % 2] = (low, high)[edge // 2][edge % 2]
        axes = rng.uniform(0.06, 0.3, 2) * size
        if rng.random() < 0.5:
            box = (tuple(center.tolist()), tuple((2 * axes).tolist()), float(rng.uniform(0, 180)))
            cv2.ellipse(mask, box, (255,), -1, cv2.LINE_AA)
        else:
            angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 7))))
            ring = np.stack([np.cos(angles), np.sin(angles)], 1) * axes + center
            cv2.fillPoly(mask, [np.round(ring * 16).astype(np.int32)], (255,), cv2.LINE_AA, 4)
    return mask


def _ledge(side: int, points: NDArray[np.float32], rng: np.random.Generator) -> Mask:
    """All beyond a straight line, mostly the lower part: a seat back, a book, a scarf."""
    down = rng.random() < 0.7
    angle = np.radians(90 + rng.normal(0, 15) if down else rng.uniform(0, 360))
    beyond = np.array([np.cos(angle), np.sin(angle)])
    along = points[:, :2] @ beyond
    start = beyond * (along.max() - rng.uniform(0.1, 0.58) * np.ptp(along))
    across = 4 * side * np.array([-beyond[1], beyond[0]])
    corners = [start + across, start - across, start - across, start + across]
    corners[2:] = [corner + 4 * side * beyond for corner in corners[2:]]
    mask = np.zeros((side, side), np.uint8)
    cv2.fillPoly(mask, [np.round(np.array(corners) * 16).astype(np.int32)], (255,), cv2.LINE_AA, 4)
    return mask


def _hand(
    side: int, low: NDArray[np.float32], high: NDArray[np.float32], rng: np.random.Generator
) -> Mask:
    """A palm and two to five fingers that come in from one side of the face."""
    mask = np.zeros((side, side), np.uint8)
    size = float((high - low).max())
    angle = rng.uniform(0, 2 * np.pi)
    inward = -np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-inward[1], inward[0]])
    palm = (low + high) / 2 - inward * size * rng.uniform(0.5, 0.8)
    width = size * rng.uniform(0.07, 0.12)
    fingers = int(rng.integers(2, 6))
    for number in range(fingers):
        start = palm + across * width * 1.05 * (number - (fingers - 1) / 2)
        spread = inward + across * rng.normal(0, 0.08)
        end = start + spread * size * rng.uniform(0.3, 0.6)
        ends = [tuple(int(v) for v in np.round(p)) for p in (start, end)]
        cv2.line(mask, ends[0], ends[1], (255,), max(2, round(width)), cv2.LINE_AA)
    box = (tuple(palm.tolist()), (size * 0.5, size * 0.4), float(np.degrees(angle)))
    cv2.ellipse(mask, box, (255,), -1, cv2.LINE_AA)
    return mask


def _glasses(side: int, points: NDArray[np.float32], rng: np.random.Generator) -> Mask:
    """Frames around the eyes; one in four has dark glass."""
    mask = np.zeros((side, side), np.uint8)
    across = points[LEFT_EYE_OUTER, :2] - points[RIGHT_EYE_OUTER, :2]
    span = max(float(np.linalg.norm(across)), 1.0)
    tilt = float(np.degrees(np.arctan2(across[1], across[0])))
    width, height = span * rng.uniform(0.38, 0.5), span * rng.uniform(0.25, 0.42)
    filled = rng.random() < 0.25
    thickness = -1 if filled else max(1, round(span * rng.uniform(0.02, 0.07)))
    lens = []
    for outer, inner in ((RIGHT_EYE_OUTER, 133), (LEFT_EYE_OUTER, 362)):
        center = (points[outer, :2] + points[inner, :2]) / 2
        cv2.ellipse(mask, (center.tolist(), (width, height), tilt), (255,), thickness, cv2.LINE_AA)
        lens.append(center)
    ends = [tuple(int(v) for v in np.round(p)) for p in lens]
    if not filled:
        bridge = np.zeros_like(mask)
        cv2.line(bridge, ends[0], ends[1], (255,), max(1, thickness), cv2.LINE_AA)
        for center in lens:
            cv2.ellipse(bridge, (center.tolist(), (width, height), tilt), (0,), -1)
        mask = np.maximum(mask, bridge)
    return mask
