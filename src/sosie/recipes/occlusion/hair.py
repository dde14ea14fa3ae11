"""Hair as an occluder: fringes, locks at the sides, loose strands; drawn, or filled from photos.

Hair is worn: it is drawn about the mean face as it stands in a sample's square and is brought onto
a face by its landmarks (`worn.mean_points`).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.recipes.occlusion.compositing import (
    DRAWN_PX,
    Floats,
    Sprite,
    curve,
    empty,
    grain,
    noise,
    polygon,
    sprite,
)

_COLORS = np.array(
    [
        (22, 20, 20), (38, 30, 26), (60, 42, 30), (85, 58, 38), (112, 78, 50), (140, 104, 68),
        (176, 138, 92), (205, 172, 122), (226, 204, 160), (120, 58, 30), (160, 82, 44),
        (110, 106, 102), (160, 158, 154), (215, 212, 206),
    ]
) / 255.0  # fmt: skip


class Strands:
    """Many curves with one color of hair, drawn one over the other."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._rgb = np.zeros((DRAWN_PX, DRAWN_PX, 3), np.uint8)
        self._alpha = np.zeros((DRAWN_PX, DRAWN_PX), np.uint8)
        color = _COLORS[rng.integers(len(_COLORS))] * np.exp(rng.normal(0, 0.08, 3))
        if rng.random() < 0.06:
            color = rng.uniform(0.1, 0.9, 3)
        self._color = color
        self._vary = rng.uniform(0.08, 0.3)

    def add(self, points: NDArray[np.float64], width: float) -> None:
        """A strand through points (N x 2), of a width at its root that halves to its tip."""
        shade = float(np.exp(self._rng.normal(0, self._vary)))
        color = tuple(int(v) for v in np.clip(self._color * shade * 255, 0, 255))
        whole = np.round(points * 16).astype(np.int32)
        middle = len(whole) // 2
        for part, thick in ((whole[: middle + 1], width), (whole[middle:], width * 0.55)):
            pixels = max(1, round(thick))
            cv2.polylines(self._rgb, [part], False, color, pixels + 2, cv2.LINE_8, 4)
            cv2.polylines(self._alpha, [part], False, (255,), pixels, cv2.LINE_AA, 4)

    def fill(self, mask: Floats) -> None:
        """Hair behind the strands, where `mask` (0..1) is: darker, streaked."""
        there = self._alpha[..., None].astype(np.float32) / 255
        behind = self._color * 0.75 * (1 + 0.2 * noise(self._rng, 12)) * 255
        self._rgb = np.clip(there * self._rgb + (1 - there) * behind, 0, 255).astype(np.uint8)
        self._alpha = np.maximum(self._alpha, (mask * 255).astype(np.uint8))

    def drawing(self, photo: Floats | None) -> Floats:
        """Lit along the strands. photo: hair of a photo that gives all colors, 0..1, if any."""
        drawing = empty()
        colors = self._rgb.astype(np.float32) / 255
        if photo is not None:
            wide = cv2.resize(photo, (DRAWN_PX, DRAWN_PX), interpolation=cv2.INTER_CUBIC)
            lightness = colors.mean(2, keepdims=True)
            shown = lightness[self._alpha > 0]
            mean = float(shown.mean()) if shown.size else 1.0
            colors = wide * (1 + 0.4 * (np.clip(lightness / max(mean, 0.02), 0.3, 2.0) - 1))
        gloss = 1 + self._rng.uniform(0, 0.35) * noise(self._rng, 3)
        drawing[..., :3] = np.clip(colors * gloss, 0, 1)
        drawing[..., 3] = self._alpha.astype(np.float32) / 255
        return drawing


def draw_fringe(
    rng: np.random.Generator, points: NDArray[np.float64], photo: Floats | None
) -> Sprite:
    """Hair over the forehead, sparse or dense, to any side. points: mean face, drawing pixels."""
    strands = Strands(rng)
    low, high = points[[54, 21, 127][rng.integers(3)]], points[[284, 251, 356][rng.integers(3)]]
    top, brow = points[10], points[[105, 334]].mean(0)
    face = points[152, 1] - points[10, 1]
    reach = float(np.clip(rng.normal(0.75, 0.35), 0.15, 1.8))
    parting, sweep = rng.uniform(-0.2, 1.2), rng.normal(0, 0.22)
    dense = rng.random() < 0.65
    wave = abs(rng.normal(0, 0.02)) * face
    uneven, slant = rng.uniform(0.02, 0.25), rng.normal(0, 0.3)
    tips = []
    for t in np.sort(
        rng.uniform(0, 1, int(rng.integers(130, 260) if dense else rng.integers(8, 70)))
    ):
        arch = np.sin(np.pi * t)
        x = low[0] + t * (high[0] - low[0])
        hairline = top[1] + (1 - arch) * (low[1] - top[1]) * 0.55
        root = np.array([x, hairline - face * rng.uniform(0.05, 0.2)])
        depth = (brow[1] - top[1]) * (reach + slant * (t - 0.5) + rng.normal(0, uneven))
        drift = (sweep + 0.35 * np.tanh(4 * (t - parting))) * depth
        tip = np.array([x + drift, top[1] + max(depth, -0.02 * face)])
        bend = root + (tip - root) * rng.uniform(0.3, 0.6) + np.array([-0.25 * drift, 0])
        line = curve(np.stack([root, bend, tip]))
        line[:, 0] += wave * np.sin(np.linspace(0, rng.uniform(2, 9), len(line)) + 6 * t)
        strands.add(line, rng.uniform(1.5, 5 if dense else 4))
        tips.append(line[-1])
    if dense:
        strands.fill(_curtain(np.array(tips), low, high, top[1] - 0.25 * face, rng))
    return sprite(strands.drawing(photo))


def _curtain(
    tips: NDArray[np.float64],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    ceiling: float,
    rng: np.random.Generator,
) -> Floats:
    """All between the crown and a little above the strands' tips."""
    order = tips[np.argsort(tips[:, 0])]
    window = np.ones(9) / 9
    smooth = np.stack([np.convolve(order[:, k], window, "valid") for k in range(2)], 1)
    smooth[:, 1] -= rng.uniform(4, 14)
    roof = np.array([[high[0] + 20, ceiling], [low[0] - 20, ceiling]])
    mask = polygon(np.concatenate([smooth, roof]))
    ragged = cv2.GaussianBlur(mask, (0, 0), 3) + 0.18 * grain(rng, 30, 2)
    return np.clip((ragged - 0.5) * 4 + 0.5, 0, 1).astype(np.float32) * (mask > 0)


def draw_lock(
    rng: np.random.Generator, points: NDArray[np.float64], photo: Floats | None
) -> Sprite:
    """Hair down one side of the face, or both, over temple and cheek."""
    strands = Strands(rng)
    face = points[152, 1] - points[10, 1]
    sides = [0, 1] if rng.random() < 0.35 else [int(rng.integers(2))]
    for side in sides:
        inward = 1 if side == 0 else -1
        temple, jaw = (points[127], points[172]) if side == 0 else (points[356], points[397])
        over, curl = rng.uniform(-0.02, 0.28) * face, rng.normal(0, 0.05) * face
        length = rng.uniform(0.5, 1.4)
        for _ in range(int(rng.integers(40, 160))):
            depth = over * rng.random() ** 0.7
            root = np.array([temple[0] + inward * rng.normal(0, 0.08) * face, points[10, 1]])
            root[1] -= rng.uniform(0.05, 0.25) * face
            middle = temple + np.array([inward * depth * 1.2, 0])
            end = temple + length * (jaw - temple) + np.array([inward * depth + curl, 0])
            ends = np.stack([root, middle, end + rng.normal(0, 0.04 * face, 2)])
            outside = np.array([-inward * 0.1 * face * rng.random(), 0])
            strands.add(curve(ends + outside), rng.uniform(2, 6))
    return sprite(strands.drawing(photo))


def draw_strands(
    rng: np.random.Generator, points: NDArray[np.float64], photo: Floats | None
) -> Sprite:
    """A few loose strands or a thin veil of hair blown across the face."""
    strands = Strands(rng)
    center = points[[10, 152]].mean(0)
    angle, bow = rng.uniform(0, np.pi), rng.normal(0, 0.3, 2)
    ahead = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-ahead[1], ahead[0]])
    place, width = rng.normal(0, 0.25) * DRAWN_PX, rng.uniform(0.01, 0.15) * DRAWN_PX
    for _ in range(int(rng.integers(3, 40))):
        offset = center + across * (place + rng.normal(0, width))
        control = [
            offset + ahead * share * DRAWN_PX + across * bulge * DRAWN_PX
            for share, bulge in (
                (-0.5, 0),
                (-0.15, bow[0] + rng.normal(0, 0.03)),
                (0.2, bow[1]),
                (0.5, 0),
            )
        ]
        strands.add(curve(np.stack(control)), rng.uniform(1, 4))
    return sprite(strands.drawing(photo))
