"""Surfaces without faces, made up, and what cameras and codecs do to a picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_LETTERS = "ABCDEFGHIKLMNOPQRSTUVWXYZabcdefghiklmnoprstuvwxyz0123456789&%#@!?"


def plain(side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One color, or one that changes evenly from edge to edge: black, white and gray often."""
    if rng.random() < 0.5:
        color = np.full(3, rng.choice([0, 0, 127, 255, rng.integers(256)]))
        return np.broadcast_to(color.astype(np.uint8), (side, side, 3)).copy()
    corners = rng.integers(0, 256, (2, 2, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(corners, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)


def clouds(side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Noise of several grains on top of one another, in color or in gray."""
    channels = 3 if rng.random() < 0.6 else 1
    half = side // 2
    total = np.full((half, half, channels), rng.uniform(40, 215), np.float32)
    weight = rng.uniform(40, 110)
    for grain in (3, 7, 18, 48, 120)[: rng.integers(1, 6)]:
        rough = rng.standard_normal((grain, grain, channels), np.float32) * np.float32(weight)
        fine = cv2.resize(rough, (half, half), interpolation=cv2.INTER_LINEAR)
        total += np.asarray(fine, np.float32).reshape(half, half, channels)
        weight *= rng.uniform(0.3, 0.9)
    made = np.repeat(np.clip(total, 0, 255).astype(np.uint8), 3 // channels, 2)
    return np.asarray(cv2.resize(made, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def shapes(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The surface with ellipses, boxes, lines, rings and letters drawn on it, in place.

    Ovals with two dark spots, which are not faces, are among them.
    """
    side = pixels.shape[0]
    for _ in range(int(rng.integers(1, 14))):
        color = tuple(int(c) for c in rng.integers(0, 256, 3))
        x, y = (int(v) for v in rng.integers(0, side, 2))
        size = int(np.exp(rng.uniform(np.log(6), np.log(side / 2))))
        line = int(rng.integers(1, 6))
        kind = rng.integers(6)
        if kind == 0:
            axes = (size, max(3, int(size * rng.uniform(0.5, 1.0))))
            cv2.ellipse(pixels, (x, y), axes, float(rng.uniform(0, 360)), 0, 360, color, -1)
        elif kind == 1:
            corner = (x + size, y + int(size * rng.uniform(0.3, 2)))
            cv2.rectangle(pixels, (x, y), corner, color, -1 if rng.random() < 0.5 else line)
        elif kind == 2:
            for step in range(int(rng.integers(1, 12))):
                end = (x + size, y + step * 3 * line)
                cv2.line(pixels, (x, y + step * 3 * line), end, color, line)
        elif kind == 3:
            cv2.circle(pixels, (x, y), size // 2, color, line, cv2.LINE_AA)
        elif kind == 4:
            text = "".join(rng.choice(list(_LETTERS), int(rng.integers(1, 12))))
            cv2.putText(pixels, text, (x - size, y), int(rng.integers(8)), size / 40, color, line)
        else:
            _oval_with_spots(pixels, (x, y), size, color, rng)
    return pixels


def surface(side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Any of the above: RGB uint8, side x side x 3."""
    made = plain(side, rng) if rng.random() < 0.35 else clouds(side, rng)
    return shapes(made, rng) if rng.random() < 0.6 else made


def degraded(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture as another camera, lens, light or codec might have given it."""
    if rng.random() < 0.75:
        pixels = _recolored(pixels, rng)
    if rng.random() < 0.12:
        gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        pixels = np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), np.uint8)
    if rng.random() < 0.2:
        pixels = _blurred(pixels, rng)
    if rng.random() < 0.2:
        pixels = _noisy(pixels, rng)
    if rng.random() < 0.2:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(12, 80))]
        coded = cv2.imencode(".jpg", pixels, quality)[1]
        pixels = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
    return pixels


def _oval_with_spots(
    pixels: NDArray[np.uint8],
    center: tuple[int, int],
    size: int,
    color: tuple[int, ...],
    rng: np.random.Generator,
) -> None:
    x, y = center
    half = max(3, size // 2)
    cv2.ellipse(pixels, center, (int(half * 0.75), half), 0, 0, 360, color, -1)
    dark = tuple(c // 3 for c in color)
    apart = int(half * rng.uniform(0.2, 0.5))
    for side in (-1, 1):
        cv2.circle(pixels, (x + side * apart, y - half // 4), max(1, half // 8), dark, -1)


def _recolored(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Another exposure, contrast and white balance; one time in seven it is dark."""
    levels = np.arange(256, dtype=np.float32) / 255
    gain = rng.uniform(0.2, 0.6) if rng.random() < 0.14 else rng.uniform(0.6, 1.5)
    contrast, middle = rng.uniform(0.6, 1.4), rng.uniform(0.3, 0.6)
    curve = (levels ** rng.uniform(0.65, 1.6) - middle) * contrast + middle
    tint = 1 + rng.normal(0, 0.08, 3).astype(np.float32)
    table = np.clip(curve[:, None] * gain * tint * 255, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(pixels, table[None]), np.uint8)


def _blurred(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Out of focus, moved, or enlarged from fewer pixels."""
    kind = rng.integers(3)
    if kind == 0:
        return np.asarray(cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.6, 2.5)), np.uint8)
    if kind == 1:
        length = int(rng.integers(3, 12))
        kernel = np.zeros((length, length), np.float32)
        angle = rng.uniform(0, np.pi)
        reach = (length - 1) / 2 * np.array([np.cos(angle), np.sin(angle)])
        start, end = np.rint((length - 1) / 2 + np.stack([-reach, reach])).astype(int).tolist()
        cv2.line(kernel, start, end, (1.0,))
        return np.asarray(cv2.filter2D(pixels, -1, kernel / kernel.sum()), np.uint8)
    side = pixels.shape[0]
    few = int(side * rng.uniform(0.35, 0.8))
    small = cv2.resize(pixels, (few, few), interpolation=cv2.INTER_AREA)
    how = cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(small, (side, side), interpolation=how), np.uint8)


def _noisy(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Noise of a sensor: from few random numbers, since they cost more than all else here."""
    grain = rng.standard_normal(7919, np.float32) * rng.uniform(2, 16)
    more, less = (
        np.resize(np.clip(sign * grain, 0, 255).astype(np.uint8), pixels.shape) for sign in (1, -1)
    )
    return np.asarray(cv2.subtract(cv2.add(pixels, more), less), np.uint8)
