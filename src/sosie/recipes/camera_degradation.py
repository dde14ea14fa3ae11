"""What cameras and codecs do to a face: light, color, blur, low resolution, noise, compression."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

# Share of the samples to which each is done.
_COLORED, _PALE, _SIDE_LIT = 0.8, 0.2, 0.2
_BLURRED, _SMALL, _NOISY, _COMPRESSED = 0.2, 0.25, 0.3, 0.1
_BANK_PX = 256


def as_photographed(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A square (uint8, side x side x 3, RGB) under other light, by another camera, from a file."""
    if rng.random() < _COLORED:
        pixels = _relit(pixels, rng)
    if rng.random() < _PALE:
        gray = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        share = min(1.0, rng.uniform(0.3, 1.5))
        pixels = np.asarray(cv2.addWeighted(gray, share, pixels, 1 - share, 0), np.uint8)
    if rng.random() < _SIDE_LIT:
        pixels = _lit_from_a_side(pixels, rng)
    if rng.random() < _BLURRED:
        pixels = _blurred(pixels, rng)
    if rng.random() < _SMALL:
        pixels = _from_few_pixels(pixels, rng)
    if rng.random() < _NOISY:
        pixels = _noisy(pixels, rng)
    if rng.random() < _COMPRESSED:
        pixels = _compressed(pixels, rng)
    return np.ascontiguousarray(pixels)


def _relit(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Gamma, contrast, brightness and the color of the light; one in ten is nearly dark."""
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[:, None]
    gamma, contrast = np.exp(rng.normal(0, 0.3)), np.exp(rng.normal(0, 0.2))
    gain = np.exp(rng.normal(0, 0.08, 3))
    if rng.random() < 0.1:
        gain = gain * rng.uniform(0.12, 0.5)
    table = (ramp**gamma - 0.5) * contrast + 0.5 + rng.normal(0, 0.06)
    table = np.clip(table * gain * 255, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(pixels, table.reshape(1, 256, 3)), np.uint8)


def _lit_from_a_side(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Light that falls off over the picture, from any side; at most to a fifth."""
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.8)
    side = pixels.shape[0]
    steps = np.linspace(-0.7, 0.7, side, dtype=np.float32)
    along = np.cos(angle) * steps[None, :] + np.sin(angle) * steps[:, None] + rng.uniform(-0.3, 0.3)
    light = 1 - depth / (1 + np.exp(-rng.uniform(3, 10) * along))
    lit = cv2.multiply(pixels, cv2.merge([light.astype(np.float32)] * 3), dtype=cv2.CV_8U)
    return np.asarray(lit, np.uint8)


def _blurred(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Out of focus or moved; now and then sharpened."""
    kind = rng.random()
    if kind < 0.5:
        return np.asarray(cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.5, 2.2)), np.uint8)
    if kind < 0.75:
        soft = cv2.GaussianBlur(pixels, (0, 0), 1.0)
        amount = rng.uniform(0.3, 1.5)
        return np.asarray(cv2.addWeighted(pixels, 1 + amount, soft, -amount, 0), np.uint8)
    # Odd, or the picture would move by half a pixel.
    length = 2 * int(rng.integers(1, 5)) + 1
    kernel = np.zeros((length, length), np.float32)
    angle, middle = rng.uniform(0, np.pi), (length - 1) / 2
    step = middle * np.array([np.cos(angle), np.sin(angle)])
    ends = [tuple(int(v) for v in np.round(middle + s * step)) for s in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], (1.0,))
    return np.asarray(cv2.filter2D(pixels, -1, kernel / kernel.sum()), np.uint8)


def _from_few_pixels(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """A small face enlarged: down to a square of 36 pixels, in which a face has 24."""
    side = pixels.shape[0]
    small = round(side * float(np.exp(rng.uniform(np.log(0.28), np.log(0.9)))))
    down = (cv2.INTER_AREA, cv2.INTER_LINEAR)[int(rng.random() < 0.3)]
    up = (cv2.INTER_LINEAR, cv2.INTER_CUBIC)[int(rng.integers(2))]
    reduced = cv2.resize(pixels, (small, small), interpolation=down)
    return np.asarray(cv2.resize(reduced, (side, side), interpolation=up), np.uint8)


def _noisy(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Grain of a sensor: white, or of the size that a codec leaves; colored or gray."""
    side = pixels.shape[0]
    bank = _noise_bank()[int(rng.integers(2))]
    y, x = rng.integers(0, _BANK_PX - side + 1, 2)
    part = bank[y : y + side, x : x + side]
    if rng.random() < 0.4:
        part = part[..., :1]
    deviation = float(np.exp(rng.uniform(np.log(1), np.log(22))))
    noisy = np.clip(pixels + part * np.float32(deviation), 0, 255)
    return np.asarray(noisy, np.uint8)


@cache
def _noise_bank() -> NDArray[np.float32]:
    """Noise of deviation 1, white and coarse: 2 x _BANK_PX x _BANK_PX x 3."""
    white = np.random.default_rng(0).standard_normal((_BANK_PX, _BANK_PX, 3)).astype(np.float32)
    coarse = cv2.GaussianBlur(white, (0, 0), 1.2)
    return np.stack([white, coarse / coarse.std()])


def _compressed(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    quality = int(rng.integers(12, 85))
    _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)
