"""Drawing for occluders: soft shapes with shading and textures, made large and brought down.

A drawing is float32, DRAWN_PX x DRAWN_PX x 4: red, green, blue, alpha, all 0..1, the colors not
multiplied by alpha. `sprite` brings it to SPRITE_PX, so that edges come out smooth.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

SPRITE_PX = 192
DRAWN_PX = 2 * SPRITE_PX
"""Side of a sprite, and of the drawing that it is made from."""

Floats = NDArray[np.float32]
Color = NDArray[np.float64]
Places = NDArray[np.float64]

_SUBPIXEL_BITS = 4


@dataclass(frozen=True)
class Sprite:
    """Something that can lie in front of a face.

    rgba: uint8, SPRITE_PX x SPRITE_PX x 4, colors multiplied by alpha. hides: uint8, SPRITE_PX x
    SPRITE_PX: how much of the face cannot be seen, which is not the alpha behind tinted glass.
    """

    rgba: NDArray[np.uint8]
    hides: NDArray[np.uint8]


def sprite(drawing: Floats, hides: Floats | None = None) -> Sprite:
    """A drawing in the size of a sprite. hides: float32, DRAWN_PX squared, 0..1; else the alpha."""
    # Multiplied by alpha, colors beyond the edge do not bleed in, here and whenever it is moved.
    weighted = np.concatenate([drawing[..., :3] * drawing[..., 3:], drawing[..., 3:]], -1)
    small = cv2.resize(weighted, (SPRITE_PX, SPRITE_PX), interpolation=cv2.INTER_AREA)
    rgba = np.clip(np.rint(small * 255), 0, 255).astype(np.uint8)
    if hides is None:
        return Sprite(rgba, rgba[..., 3].copy())
    less = cv2.resize(hides, (SPRITE_PX, SPRITE_PX), interpolation=cv2.INTER_AREA)
    return Sprite(rgba, np.clip(np.rint(less * 255), 0, 255).astype(np.uint8))


def empty() -> Floats:
    """A drawing of nothing."""
    return np.zeros((DRAWN_PX, DRAWN_PX, 4), np.float32)


def lay(drawing: Floats, filling: Floats | Color, mask: Floats) -> None:
    """Draw a filling (a color, or h x w x 3) over a drawing, in place, where `mask` (0..1) is."""
    x, y, width, height = cv2.boundingRect((mask > 0).astype(np.uint8))
    window = (slice(y, y + height), slice(x, x + width))
    colors = np.asarray(filling, np.float32)
    if colors.ndim == 3:
        colors = colors[window]
    part, new = drawing[window], mask[window]
    alpha = new + part[..., 3] * (1 - new)
    share = (new / np.maximum(alpha, 1e-6))[..., None]
    part[..., :3] += share * (colors - part[..., :3])
    part[..., 3] = alpha


def polygon(corners: Places) -> Floats:
    """The inside of a polygon (N x 2, pixels of the drawing) as 1 on 0."""
    mask = np.zeros((DRAWN_PX, DRAWN_PX), np.uint8)
    points = np.round(np.asarray(corners) * 2**_SUBPIXEL_BITS).astype(np.int32)
    cv2.fillPoly(mask, [points], (255,), cv2.LINE_AA, _SUBPIXEL_BITS)
    return mask.astype(np.float32) / 255


def line(points: Places, width: float, closed: bool = False) -> Floats:
    """A line through points (N x 2) of a width, all in pixels of the drawing, as 1 on 0."""
    mask = np.zeros((DRAWN_PX, DRAWN_PX), np.uint8)
    whole = np.round(np.asarray(points) * 2**_SUBPIXEL_BITS).astype(np.int32)
    thick = max(1, round(width))
    cv2.polylines(mask, [whole], closed, (255,), thick, cv2.LINE_AA, _SUBPIXEL_BITS)
    return mask.astype(np.float32) / 255


def ellipse(
    center: tuple[float, float],
    radii: tuple[float, float],
    angle_deg: float = 0.0,
    power: float = 2.0,
    points: int = 72,
) -> NDArray[np.float64]:
    """Corners of a superellipse, points x 2; power 2 is an ellipse, more is more of a rectangle."""
    t = np.linspace(0, 2 * np.pi, points, endpoint=False)
    x = radii[0] * np.sign(np.cos(t)) * np.abs(np.cos(t)) ** (2 / power)
    y = radii[1] * np.sign(np.sin(t)) * np.abs(np.sin(t)) ** (2 / power)
    a = np.radians(angle_deg)
    turned = np.stack([x * np.cos(a) - y * np.sin(a), x * np.sin(a) + y * np.cos(a)], 1)
    return np.asarray(turned + center)


def blob(
    rng: np.random.Generator, center: tuple[float, float], radius: float, rough: float
) -> NDArray[np.float64]:
    """Corners of a closed curve about a center, 120 x 2. rough: 0 a circle, 0.5 far from one."""
    t = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    r = np.ones_like(t)
    for n in range(1, 9):
        size = rough * rng.normal() / n
        r += size * np.cos(n * t + rng.uniform(0, 2 * np.pi))
    r = np.clip(r, 0.15, None)
    r *= radius / r.max()
    stretch = float(np.exp(rng.normal(0, 0.25)))
    ring = np.stack([np.cos(t) * r * stretch, np.sin(t) * r / stretch], 1)
    return np.asarray(ring + center)


def curve(points: Places, count: int = 24) -> NDArray[np.float64]:
    """A Bezier curve of 3 or 4 control points (N x 2) as `count` points."""
    t = np.linspace(0, 1, count)[:, None]
    level = [np.asarray(p, np.float64)[None] for p in points]
    while len(level) > 1:
        level = [a + t * (b - a) for a, b in pairwise(level)]
    return level[0]


def noise(rng: np.random.Generator, cells: int, channels: int = 1) -> Floats:
    """Smooth noise with about `cells` bumps a side, mean 0, deviation near 1: square x channels."""
    grid = rng.standard_normal((cells + 3, cells + 3, channels)).astype(np.float32)
    wide = cv2.resize(grid, (DRAWN_PX, DRAWN_PX), interpolation=cv2.INTER_CUBIC)
    return np.asarray(wide.reshape(DRAWN_PX, DRAWN_PX, channels), np.float32)


def grain(rng: np.random.Generator, coarse: int = 6, octaves: int = 4) -> Floats:
    """Noise of several sizes, mean 0, deviation near 1: DRAWN_PX squared."""
    total = np.zeros((DRAWN_PX, DRAWN_PX), np.float32)
    for octave in range(octaves):
        total += noise(rng, coarse * 2**octave)[..., 0] * 0.7**octave
    return np.asarray(total / 1.6, np.float32)


class Relief:
    """A surface of rounded parts, each nearer to the viewer than what it covers."""

    def __init__(self) -> None:
        self.height = np.full((DRAWN_PX, DRAWN_PX), -1e3, np.float32)

    def capsule(
        self,
        start: Places,
        end: Places,
        start_radius: float,
        end_radius: float,
        depth: float = 0.0,
    ) -> None:
        """A round rod between two points (x, y), its radii at both, raised by `depth`; pixels."""
        reach = max(start_radius, end_radius) + 1
        low = np.floor(np.minimum(start, end) - reach).astype(int)
        high = np.ceil(np.maximum(start, end) + reach).astype(int)
        x0, y0 = np.clip(low, 0, DRAWN_PX)
        x1, y1 = np.clip(high, 0, DRAWN_PX)
        if x0 >= x1 or y0 >= y1:
            return
        y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
        along = np.asarray(end, np.float64) - start
        length = max(float(along @ along), 1e-6)
        t = np.clip(((x - start[0]) * along[0] + (y - start[1]) * along[1]) / length, 0, 1)
        apart = (x - start[0] - t * along[0]) ** 2 + (y - start[1] - t * along[1]) ** 2
        radius = start_radius + t * (end_radius - start_radius)
        inside = radius**2 - apart
        height = np.where(inside > 0, np.sqrt(np.maximum(inside, 0)) + depth, -1e3)
        part = self.height[y0:y1, x0:x1]
        np.maximum(part, height, out=part, casting="same_kind")

    @property
    def mask(self) -> Floats:
        """1 where there is something, 0 elsewhere."""
        return (self.height > -500).astype(np.float32)

    def light(self, rng: np.random.Generator, softness: float = 2.0) -> Floats:
        """Shading by a light from above, about 0.35..1.15, with dark valleys: DRAWN_PX squared."""
        mask = self.mask
        floor = float(self.height[mask > 0].min()) if mask.any() else 0.0
        smooth = cv2.GaussianBlur(np.where(mask > 0, self.height, floor), (0, 0), softness)
        slope_x = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3) / 8
        slope_y = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3) / 8
        angle = rng.uniform(-np.pi, 0)
        strength = rng.uniform(0.2, 0.7)
        lit = 1 - strength * (np.cos(angle) * slope_x + np.sin(angle) * slope_y)
        lit /= np.sqrt(1 + slope_x**2 + slope_y**2) ** rng.uniform(0.2, 0.7)
        valley = cv2.GaussianBlur(smooth, (0, 0), 9) - smooth
        lit *= 1 - np.clip(valley / 30, 0, rng.uniform(0.2, 0.5))
        return np.asarray(np.clip(lit, 0.3, 1.3), np.float32)
