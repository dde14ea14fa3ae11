"""Augmentation: what light, cameras and codecs do to a picture, and another photo made of one.

Squares of a face are `as_photographed`, whole scenes of the detector `degraded`: each has its own
shares and ranges, by which its network was trained. All pictures are RGB, uint8, h x w x 3.
"""

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
        pixels = compressed(pixels, int(rng.integers(12, 85)))
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
    kernel = motion_kernel(length, float(rng.uniform(0, np.pi)))
    return np.asarray(cv2.filter2D(pixels, -1, kernel), np.uint8)


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


def degraded(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture as another camera, lens, light or codec might have given it."""
    if rng.random() < 0.75:
        pixels = _exposed(pixels, rng)
    if rng.random() < 0.12:
        gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        pixels = np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), np.uint8)
    if rng.random() < 0.2:
        pixels = _moved_or_enlarged(pixels, rng)
    if rng.random() < 0.2:
        pixels = _grainy(pixels, rng)
    if rng.random() < 0.2:
        pixels = compressed(pixels, int(rng.integers(12, 80)))
    return pixels


def _exposed(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Another exposure, contrast and white balance; one time in seven it is dark."""
    levels = np.arange(256, dtype=np.float32) / 255
    gain = rng.uniform(0.2, 0.6) if rng.random() < 0.14 else rng.uniform(0.6, 1.5)
    contrast, middle = rng.uniform(0.6, 1.4), rng.uniform(0.3, 0.6)
    curve = (levels ** rng.uniform(0.65, 1.6) - middle) * contrast + middle
    tint = 1 + rng.normal(0, 0.08, 3).astype(np.float32)
    table = np.clip(curve[:, None] * gain * tint * 255, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(pixels, table[None]), np.uint8)


def _moved_or_enlarged(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Out of focus, moved, or enlarged from fewer pixels."""
    kind = rng.integers(3)
    if kind == 0:
        return np.asarray(cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.6, 2.5)), np.uint8)
    if kind == 1:
        length = int(rng.integers(3, 12))
        kernel = motion_kernel(length, float(rng.uniform(0, np.pi)))
        return np.asarray(cv2.filter2D(pixels, -1, kernel), np.uint8)
    side = pixels.shape[0]
    few = int(side * rng.uniform(0.35, 0.8))
    small = cv2.resize(pixels, (few, few), interpolation=cv2.INTER_AREA)
    how = cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(small, (side, side), interpolation=how), np.uint8)


def _grainy(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Noise of a sensor: from few random numbers, since they cost more than all else here."""
    grain = rng.standard_normal(7919, np.float32) * rng.uniform(2, 16)
    more, less = (
        np.resize(np.clip(sign * grain, 0, 255).astype(np.uint8), pixels.shape) for sign in (1, -1)
    )
    return np.asarray(cv2.subtract(cv2.add(pixels, more), less), np.uint8)


def other_self(face: Pixels, rng: np.random.Generator) -> Pixels:
    """Another photo of the person in an aligned face, as far as one photo can be made into it:
    mirrored, turned a little, nearer or further, bent, in another light.

    RGB uint8, S x S x 3. What a network must not copy (place, light) differs, the person stays.
    """
    side = face.shape[0]
    angle, scale = rng.normal(0, 5), float(np.exp(rng.normal(0, 0.06)))
    center = ((side - 1) / 2, (side - 1) / 2)
    matrix = np.asarray(cv2.getRotationMatrix2D(center, float(angle), scale), np.float64)
    matrix[:, 2] += rng.normal(0, 0.02 * side, 2)
    if rng.random() < 0.5:
        face = np.ascontiguousarray(face[:, ::-1])
    turned = cv2.warpAffine(face, matrix, (side, side), borderMode=cv2.BORDER_REFLECT)
    coarse = rng.normal(0, 0.012 * side, (4, 4, 2)).astype(np.float32)
    field = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    bent = displaced(np.asarray(turned, np.uint8), np.asarray(field), cv2.BORDER_REFLECT)
    return relit(bent, rng)


def relit(face: Pixels, rng: np.random.Generator, amount: float = 0.2) -> Pixels:
    """The face in another light: brightness, contrast and the three colors by up to `amount`."""
    gain = 1 + rng.uniform(-amount, amount) + rng.uniform(-amount, amount, 3) / 4
    values = face.astype(np.float32)
    middle = values.mean()
    contrast = 1 + rng.uniform(-amount, amount)
    changed = ((values - middle) * contrast + middle) * gain.astype(np.float32)
    return np.asarray(np.clip(np.rint(changed), 0, 255), np.uint8)


def motion_kernel(length: int, angle: float) -> NDArray[np.float32]:
    """A line through the middle of a square of `length` pixels, at an angle in radians; sum 1."""
    kernel = np.zeros((length, length), np.float32)
    middle = (length - 1) / 2
    step = middle * np.array([np.cos(angle), np.sin(angle)])
    ends = [tuple(int(v) for v in np.round(middle + s * step)) for s in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], (1.0,))
    return np.asarray(kernel / kernel.sum(), np.float32)


def compressed(pixels: Pixels, quality: int) -> Pixels:
    """The picture as a JPEG of this quality (0..100) shows it."""
    _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)


def displaced(
    pixels: Pixels, field: NDArray[np.float32], border: int = cv2.BORDER_REPLICATE
) -> Pixels:
    """The picture with each pixel taken from as far away as the field (h x w x 2: x, y) says."""
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]].astype(np.float32)
    moved = cv2.remap(pixels, x + field[..., 0], y + field[..., 1], cv2.INTER_LINEAR, None, border)
    return np.asarray(moved, np.uint8)
