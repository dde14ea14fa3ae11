"""Spectacles drawn before a face: rims, arms, glass with its tint and reflections, and shadows."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.geometry.morphable_model import silhouette
from sosie.recipes.occluders.layer import Bent, Layer, Mask, Pixels, cast_shadow, weighted
from sosie.recipes.occluders.spectacle_frame import Frame, Points, build_frame

# Masks are drawn so many times as fine, since a line is a whole number of pixels wide.
_FINE = 3
_SUBPIXEL_BITS = 4
# From this part of the way from the front to its side on, a temple is turned away.
_AWAY = 0.25
_METALS = np.array([(204, 168, 92), (160, 164, 170), (120, 112, 106), (190, 140, 120)]) / 255
_RIMLESS, _HALF = 0.12, 0.18
_CLEAR, _TINTED = 0.62, 0.83


def spectacles(pixels: Pixels, landmarks: NDArray[np.float32], rng: np.random.Generator) -> Layer:
    """Spectacles for the face in a picture (RGB, h x w), in about its light.

    landmarks: 478 x 3, in its pixels. The layer's shares are `frame` and `lens`; where a lens is
    clear its alpha is near 0.
    """
    frame = build_frame(landmarks, rng)
    height, width = pixels.shape[:2]
    low, high = frame.bounds
    x0, y0 = np.clip(np.floor(low), 0, (width - 2, height - 2)).astype(int)
    x1, y1 = np.clip(np.ceil(high), (x0 + 2, y0 + 2), (width, height)).astype(int)
    # All is drawn in the window that it needs.
    away = np.array([x0, y0, 0])
    near = _drawn(
        frame.moved(-away), np.ascontiguousarray(pixels[y0:y1, x0:x1]), landmarks - away, rng
    )
    return _widened(near, (x0, y0), (height, width))


def _drawn(
    frame: Frame, pixels: Pixels, landmarks: NDArray[np.float32], rng: np.random.Generator
) -> Layer:
    """A built pair over a window of the picture."""
    size = (pixels.shape[0], pixels.shape[1])
    kind = rng.random()
    width = frame.unit * float(np.exp(rng.uniform(np.log(0.018), np.log(0.13))))
    rimless = kind < _RIMLESS
    half = _RIMLESS <= kind < _RIMLESS + _HALF
    glass = [_polygon(lens[:, :2], size) for lens in frame.lenses]
    rims = _rims(frame, width, rimless, half, rng, size)
    thin = max(min(width, 0.05 * frame.unit), 0.02 * frame.unit)
    for curve in frame.bridges:
        rims = _joined(rims, _line(curve[:, :2], thin if rimless else width * 0.9, size))
    arms = _arms(frame, thin if rimless else width * rng.uniform(0.7, 1.3), landmarks, size)
    rims = _joined(rims, arms)
    rims = _small(rims, size)
    lenses = [_small(mask, size) for mask in glass]
    lens = _less(_joined(*lenses), rims)
    tint, opacity = _tint(lenses, pixels, rng)
    colors = _frame_colors(rng, size)
    light = float(np.clip(pixels.mean() / 115, 0.3, 1.4)) ** float(rng.uniform(0.2, 1))
    solid = 1.0 if rng.random() < 0.92 else float(rng.uniform(0.35, 0.75))
    rim_alpha = np.asarray(cv2.convertScaleAbs(rims, alpha=solid), np.uint8)
    lens_alpha = np.asarray(cv2.multiply(lens, opacity, scale=1 / 255), np.uint8)
    front = weighted(np.clip(colors * light, 0, 255).astype(np.uint8), rim_alpha)
    behind = weighted(np.clip(tint * light, 0, 255).astype(np.uint8), lens_alpha)
    bent = _bent(frame, lenses, rng) if rng.random() < 0.6 else ()
    shadow = _shadow(frame, rims, lens_alpha, rng) if rng.random() < 0.55 else None
    return Layer(
        np.asarray(cv2.add(front, behind), np.uint8),
        _joined(rim_alpha, lens_alpha),
        shadow,
        {"frame": rims, "lens": lens},
        opacity,
        bent,
    )


def _widened(near: Layer, place: tuple[int, int], size: tuple[int, int]) -> Layer:
    """A layer of a window, whose upper left corner is at `place` (x, y), for the whole picture."""
    x, y = place
    high, wide = near.alpha.shape

    def whole(part: NDArray[np.uint8], outside: int = 0) -> NDArray[np.uint8]:
        array = np.full((*size, *part.shape[2:]), outside, np.uint8)
        array[y : y + high, x : x + wide] = part
        return array

    shift = np.array([x, y])
    return Layer(
        whole(near.colors),
        whole(near.alpha),
        None if near.shadow is None else whole(near.shadow, 255),
        {name: whole(share) for name, share in near.shares.items()},
        None if near.lens_opacity is None else whole(near.lens_opacity),
        tuple(
            Bent(
                whole(bent.glass),
                np.column_stack(
                    [bent.matrix[:, :2], bent.matrix[:, 2] + shift - bent.matrix[:, :2] @ shift]
                ),
            )
            for bent in near.bent
        ),
    )


def _rims(
    frame: Frame,
    width: float,
    rimless: bool,
    half: bool,
    rng: np.random.Generator,
    size: tuple[int, int],
) -> Mask:
    """Both rims, fine. Plates are thick from the side too; half a rim runs along the top."""
    mask = np.zeros((size[0] * _FINE, size[1] * _FINE), np.uint8)
    if rimless:
        return mask
    deep = rng.uniform(0, 0.6) * width
    for lens in frame.lenses:
        upper = lens[:, 1] < np.median(lens[:, 1])
        for back in (deep, 0.0):
            moved = lens[:, :2] + back * np.array([frame.outward[0], 0])
            if half:
                order = np.flatnonzero(upper)
                start = order[np.argmax(np.diff(order, prepend=order[-1] - len(lens)) > 1)]
                path = moved[(start + np.arange(len(order))) % len(lens)]
                _draw(mask, path, width, False)
                continue
            _draw(mask, moved, width * 0.8, True)
            brow = rng.uniform(0.8, 1.6)
            if brow > 1:
                ring = np.where(upper[:, None], moved, np.nan)
                whole = ring[~np.isnan(ring[:, 0])]
                _draw(mask, whole[np.argsort(whole[:, 0])], width * brow, False)
    return mask


def _arms(
    frame: Frame, width: float, landmarks: NDArray[np.float32], size: tuple[int, int]
) -> Mask:
    """Both arms, fine. Where a temple is turned away the head hides its arm."""
    total = np.zeros((size[0] * _FINE, size[1] * _FINE), np.uint8)
    outside = cv2.bitwise_not(silhouette(landmarks, size[1], size[0]))
    outside = cv2.resize(outside, total.shape[::-1], interpolation=cv2.INTER_NEAREST)
    for arm, outward in zip(frame.arms, frame.outward, strict=True):
        mask = _line(arm[:, :2], width, size)
        if outward > _AWAY:
            mask = np.asarray(cv2.bitwise_and(mask, outside), np.uint8)
        total = _joined(total, mask)
    return total


def _tint(
    lenses: list[Mask], pixels: Pixels, rng: np.random.Generator
) -> tuple[NDArray[np.float32], Mask]:
    """Colors of the glass (float32, h x w x 3, 0..255) and how much they hide (uint8)."""
    height, width = lenses[0].shape
    kind = rng.random()
    if kind < _CLEAR:
        amount, color = float(rng.uniform(0, 0.08)), rng.uniform(0.2, 1, 3)
    elif kind < _TINTED:
        amount, color = float(rng.uniform(0.1, 0.55)), rng.uniform(0, 0.6, 3)
    else:
        amount, color = float(rng.uniform(0.75, 1)), rng.uniform(0, 0.2, 3)
        if rng.random() < 0.25:
            color = rng.uniform(0, 0.8, 3)
    _, y, _, high = cv2.boundingRect(_joined(*lenses))
    fade = np.ones((height, 1), np.float32)
    if rng.random() < 0.4:
        ramp = np.linspace(1, rng.uniform(0.2, 1), max(high, 1), dtype=np.float32)
        fade[y : y + high, 0] = ramp
        fade[y + high :, 0] = ramp[-1]
    hidden = np.broadcast_to(amount * fade, (height, width)).astype(np.float32)
    shown = np.broadcast_to((color * 255).astype(np.float32), (height, width, 3))
    for lens in lenses:
        if rng.random() < (0.4 if kind < _CLEAR else 0.65):
            light, image = _reflection(lens, pixels, rng)
            total = hidden + light * (1 - hidden)
            share = (light / np.maximum(total, 1e-4))[..., None]
            shown = shown + share * (image - shown)
            hidden = total
    return np.asarray(shown, np.float32), np.rint(hidden * 255).astype(np.uint8)


def _reflection(
    lens: Mask, pixels: Pixels, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What a lens mirrors: how much of it (float32, h x w, 0..1) and its colors (0..255)."""
    x, y, wide, high = cv2.boundingRect(lens)
    light = np.zeros(lens.shape, np.float32)
    most = float(rng.uniform(0.08, 0.75))
    if rng.random() < 0.6:
        size = np.array([wide, high]) * rng.uniform(0.1, 0.5, 2)
        corners = (x, y) + np.array([wide, high]) * rng.uniform(0.1, 0.9, 2)
        corners = corners + np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * size
        corners[:2, 0] += rng.normal(0, 0.5) * size[1]
        whole = np.round(corners * 2**_SUBPIXEL_BITS).astype(np.int32)
        cv2.fillPoly(light, [whole], (most,), cv2.LINE_8, _SUBPIXEL_BITS)
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), float(rng.uniform(0.4, 2))), np.float32)
    else:
        width = lens.shape[1]
        ramp = np.linspace(0, 1, width, dtype=np.float32) - (x + wide * rng.random()) / width
        light[:] = most / (1 + np.exp(np.clip(ramp * rng.normal(0, 60), -30, 30)))
    if rng.random() < 0.5:
        color = np.clip(np.array([0.9, 0.95, 1.0]) + rng.normal(0, 0.1, 3), 0, 1) * 255
        return light, np.broadcast_to(color.astype(np.float32), (*lens.shape, 3))
    # A piece of the picture's surroundings stands for the room.
    turned = np.rot90(pixels, int(rng.integers(1, 4)))
    room = cv2.resize(turned, lens.shape[::-1]).astype(np.float32)
    return light, np.clip(room * rng.uniform(0.8, 2.2), 0, 255).astype(np.float32)


def _bent(frame: Frame, lenses: list[Mask], rng: np.random.Generator) -> tuple[Bent, ...]:
    """Both lenses make what is behind them smaller or larger."""
    growth = rng.uniform(0.93, 1.06)
    found = []
    for lens, mask in zip(frame.lenses, lenses, strict=True):
        x, y = lens[:, :2].mean(0)
        matrix = np.array([[growth, 0, x * (1 - growth)], [0, growth, y * (1 - growth)]])
        found.append(Bent(mask, matrix))
    return tuple(found)


def _shadow(frame: Frame, rims: Mask, lens_alpha: Mask, rng: np.random.Generator) -> Mask:
    """Of the frame and, as far as they are dark, of the lenses, on the face behind them."""
    angle, far = rng.uniform(-0.2, np.pi + 0.2), rng.uniform(0.03, 0.2) * frame.unit
    shift = np.array([np.cos(angle), np.sin(angle)]) * far
    dark = np.asarray(cv2.addWeighted(rims, 1.0, lens_alpha, 0.6, 0), np.uint8)
    soft = float(np.exp(rng.uniform(np.log(0.008), np.log(0.05)))) * frame.unit
    return cast_shadow(dark, shift, soft, float(rng.uniform(0.1, 0.55)))


def _frame_colors(rng: np.random.Generator, size: tuple[int, int]) -> NDArray[np.float32]:
    """Black, tortoiseshell, metal, horn or any color: float32, h x w x 3, 0..255."""
    kind = rng.random()
    flat = np.ones((*size, 1), np.float32)
    if kind < 0.4:
        color = flat * rng.uniform(0.02, 0.16, 3)
    elif kind < 0.55:
        spots = _noise(rng, size, int(rng.integers(20, 60)))[..., None]
        light, dark = np.array([0.58, 0.36, 0.16]), np.array([0.16, 0.08, 0.05])
        color = dark + np.clip(0.5 + 0.5 * spots, 0, 1) * (light - dark) * rng.uniform(0.5, 1)
    elif kind < 0.82:
        shine = 0.65 + 0.5 * np.clip(_noise(rng, size, int(rng.integers(5, 30))), -1, 1.4)
        color = _METALS[rng.integers(len(_METALS))] * shine[..., None]
    else:
        color = flat * rng.uniform(0, 1, 3)
    gloss = 1 + rng.uniform(0, 0.5) * np.clip(_noise(rng, size, 9), 0, 2)[..., None]
    return np.asarray(np.clip(color * gloss, 0, 1) * 255, np.float32)


def _noise(rng: np.random.Generator, size: tuple[int, int], cells: int) -> NDArray[np.float32]:
    """Smooth noise with about `cells` bumps a side, mean 0, deviation near 1: h x w."""
    grid = rng.standard_normal((cells, cells)).astype(np.float32)
    wide = cv2.resize(grid, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(wide, np.float32)


def _polygon(corners: Points, size: tuple[int, int]) -> Mask:
    """The inside of a polygon (N x 2, pixels of the picture), fine."""
    mask = np.zeros((size[0] * _FINE, size[1] * _FINE), np.uint8)
    cv2.fillPoly(mask, [_whole(corners)], (255,), cv2.LINE_8, _SUBPIXEL_BITS)
    return mask


def _line(points: Points, width: float, size: tuple[int, int]) -> Mask:
    """A line of a width, in pixels of the picture, fine."""
    mask = np.zeros((size[0] * _FINE, size[1] * _FINE), np.uint8)
    _draw(mask, points, width, False)
    return mask


def _draw(mask: Mask, points: Points, width: float, closed: bool) -> None:
    thick = max(1, round(width * _FINE))
    cv2.polylines(mask, [_whole(points)], closed, (255,), thick, cv2.LINE_8, _SUBPIXEL_BITS)


def _whole(points: Points) -> NDArray[np.int32]:
    fine = (points + 0.5) * _FINE - 0.5
    return np.asarray(np.round(fine * 2**_SUBPIXEL_BITS), np.int32)


def _small(mask: Mask, size: tuple[int, int]) -> Mask:
    return np.asarray(cv2.resize(mask, (size[1], size[0]), interpolation=cv2.INTER_AREA), np.uint8)


def _joined(first: Mask, second: Mask) -> Mask:
    return np.asarray(cv2.max(first, second), np.uint8)


def _less(mask: Mask, front: Mask) -> Mask:
    """What of a mask another one before it leaves."""
    return np.asarray(cv2.multiply(mask, cv2.bitwise_not(front), scale=1 / 255), np.uint8)
