"""What people wear in front of a face: spectacles, sunglasses, masks, scarves, headsets, straps.

It is drawn about the mean face as it stands in a sample's square, and brought onto a face by an
affine map of the landmarks.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from sosie.analysis.landmarker import SIDE_PX, square_matrix
from sosie.geometry import alignment, mesh
from sosie.geometry.head_pose import region_of
from sosie.geometry.morphable_model import face_shape
from sosie.recipes.occlusion.compositing import (
    DRAWN_PX,
    Floats,
    Sprite,
    curve,
    ellipse,
    empty,
    grain,
    lay,
    line,
    noise,
    polygon,
    sprite,
)

Points = NDArray[np.float64]


@cache
def mean_points(side_px: int = DRAWN_PX) -> Points:
    """The mean face as it stands in a sample's square of this side: 478 x 2."""
    mean = face_shape().mean.astype(np.float32)
    points = alignment.transform_points(mean, square_matrix(region_of(mean)))[:, :2]
    factor = side_px / SIDE_PX
    return (points.astype(np.float64) + 0.5) * factor - 0.5


def _eye_centers(points: Points) -> tuple[Points, Points]:
    rings = (mesh.RIGHT_EYE, mesh.LEFT_EYE)
    right, left = (points[list(ring)].mean(0) for ring in rings)
    return right, left


def _frame_color(rng: np.random.Generator) -> Floats:
    """Black, tortoiseshell, metal or any color: DRAWN_PX squared x 3."""
    kind = rng.random()
    flat = np.ones((DRAWN_PX, DRAWN_PX, 1), np.float32)
    if kind < 0.45:
        return np.asarray(flat * rng.uniform(0.02, 0.14, 3), np.float32)
    if kind < 0.6:
        spots = np.clip(0.5 + 0.5 * noise(rng, 28), 0, 1)
        light, dark = np.array([0.55, 0.33, 0.14]), np.array([0.16, 0.08, 0.05])
        return np.asarray(dark + spots * (light - dark) * rng.uniform(0.5, 1), np.float32)
    if kind < 0.85:
        metal = np.array([0.8, 0.66, 0.36]) if rng.random() < 0.45 else np.array([0.62, 0.64, 0.67])
        shine = 0.6 + 0.5 * np.clip(noise(rng, 10), -1, 1)
        return np.asarray(np.clip(metal * shine, 0, 1), np.float32)
    return np.asarray(flat * rng.uniform(0, 1, 3), np.float32)


def draw_spectacles(rng: np.random.Generator, points: Points) -> Sprite:
    """Frames thin or thick; the lenses stay see-through, tinted or reflecting at times."""
    lenses, width = _lenses(rng, points, rng.uniform(0.44, 0.66))
    thickness = DRAWN_PX * float(np.exp(rng.uniform(np.log(0.005), np.log(0.032))))
    glass = np.maximum(*(polygon(lens) for lens in lenses))
    drawing = empty()
    tint = rng.random()
    if tint < 0.35:
        fade = np.linspace(1, rng.uniform(0, 1), DRAWN_PX, dtype=np.float32)[:, None]
        lay(drawing, rng.uniform(0, 0.6, 3), glass * fade * float(rng.uniform(0.05, 0.38)))
    if rng.random() < 0.4:
        for lens in lenses:
            _reflection(drawing, polygon(lens), lens, rng, 0.42)
    rims = [line(lens, thickness, closed=True) for lens in lenses]
    frame = np.maximum(*rims)
    if rng.random() < 0.2:
        # Rims along the upper edge alone.
        middle = np.mean([lens[:, 1].mean() for lens in lenses])
        frame = frame * (np.arange(DRAWN_PX)[:, None] < middle + thickness)
    frame = np.maximum(frame, _bridge_and_arms(rng, points, lenses, width, thickness))
    lay(drawing, _frame_color(rng), frame.astype(np.float32))
    return sprite(drawing, frame.astype(np.float32))


def draw_sunglasses(rng: np.random.Generator, points: Points) -> Sprite:
    """Glasses that nobody sees through: dark, colored or mirrored."""
    lenses, width = _lenses(rng, points, rng.uniform(0.55, 0.78))
    thickness = DRAWN_PX * rng.uniform(0.005, 0.03)
    glass = np.maximum(*(polygon(lens) for lens in lenses))
    drawing = empty()
    dark = rng.uniform(0, 0.16, 3)
    if rng.random() < 0.25:
        dark = rng.uniform(0, 0.8, 3)
    fade = 1 + rng.uniform(0, 1.2) * np.linspace(0, 1, DRAWN_PX, dtype=np.float32)[:, None, None]
    filling = np.clip(dark * fade * (1 + 0.15 * noise(rng, 4, 3)), 0, 1)
    lay(drawing, filling.astype(np.float32), glass * float(rng.uniform(0.82, 1)))
    for lens in lenses:
        if rng.random() < 0.6:
            _reflection(drawing, polygon(lens), lens, rng, 0.9)
    rims = np.maximum(*(line(lens, thickness, closed=True) for lens in lenses))
    frame = np.maximum(rims, _bridge_and_arms(rng, points, lenses, width, thickness))
    lay(drawing, _frame_color(rng), frame)
    return sprite(drawing, np.maximum(frame, glass))


def _lenses(rng: np.random.Generator, points: Points, share: float) -> tuple[list[Points], float]:
    """Outlines of both lenses and a lens's width; share: of the distance of the eyes."""
    right, left = _eye_centers(points)
    apart = float(left[0] - right[0])
    width = apart * share * 1.3
    height = width * rng.uniform(0.55, 1.0)
    power, droop = rng.choice((2.0, 2.6, 3.5, 5.0)), rng.normal(0, 5)
    drop = apart * rng.normal(0.06, 0.06)
    taper = rng.uniform(-0.25, 0.15)
    lenses = []
    for center, side in ((right, 1), (left, -1)):
        # The outer edge lies a little further from the eye than the inner one.
        middle = (center[0] - side * apart * 0.03, center[1] + drop)
        lens = ellipse(middle, (width / 2, height / 2), side * droop, float(power))
        low = (lens[:, 1] - middle[1]) / (height / 2)
        lens[:, 0] = middle[0] + (lens[:, 0] - middle[0]) * (1 + taper * low)
        lenses.append(lens)
    gap = lenses[1][:, 0].min() - lenses[0][:, 0].max()
    least = 0.12 * apart
    if gap < least:
        lenses[0][:, 0] -= (least - gap) / 2
        lenses[1][:, 0] += (least - gap) / 2
    return lenses, width


def _bridge_and_arms(
    rng: np.random.Generator, points: Points, lenses: list[Points], width: float, thickness: float
) -> Floats:
    inner = [lenses[0][lenses[0][:, 0].argmax()], lenses[1][lenses[1][:, 0].argmin()]]
    outer = [lenses[0][lenses[0][:, 0].argmin()], lenses[1][lenses[1][:, 0].argmax()]]
    rise = np.array([0, -width * rng.uniform(0.02, 0.3)])
    height = np.array([0, width * rng.uniform(-0.25, 0.05)])
    middle = (inner[0] + inner[1]) / 2 + rise + height
    frame = line(curve(np.stack([inner[0] + height, middle, inner[1] + height])), thickness)
    if rng.random() < 0.15:
        bar = [lens[lens[:, 1].argmin()] for lens in lenses]
        frame = np.maximum(frame, line(np.stack(bar), thickness))
    for corner, ear in zip(outer, (points[127], points[356]), strict=True):
        away = np.sign(ear[0] - points[1, 0])
        end = np.array(
            [ear[0] + away * 0.06 * DRAWN_PX, ear[1] + rng.uniform(-0.01, 0.05) * DRAWN_PX]
        )
        arm = line(np.stack([corner + height, end]), thickness * rng.uniform(0.8, 1.6))
        frame = np.maximum(frame, arm)
    return frame


def _reflection(
    drawing: Floats, glass: Floats, lens: Points, rng: np.random.Generator, most: float
) -> None:
    """A window's light on a lens."""
    low, high = lens.min(0), lens.max(0)
    center = rng.uniform(low, high)
    size = (high - low) * rng.uniform(0.1, 0.5, 2)
    slant = rng.normal(0, 0.5) * size[1]
    corners = center + np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * size
    corners[:2, 0] += slant
    shine = polygon(corners) * glass * float(rng.uniform(0.1, most))
    lay(drawing, np.clip(np.array([0.9, 0.95, 1.0]) + rng.normal(0, 0.1, 3), 0, 1), shine)


def draw_mask(rng: np.random.Generator, points: Points) -> Sprite:
    """A mask over nose, mouth and chin, sometimes pulled down, with its bands."""
    face = points[152, 1] - points[10, 1]
    drop = np.array([0, face * max(0.0, rng.normal(0, 0.08))])
    nose = points[rng.choice((6, 197, 195, 5))] + drop
    cheeks = points[[234, 454]] if rng.random() < 0.5 else points[[93, 323]]
    lower = points[[58, 172, 136, 149, 152, 378, 365, 397, 288]]
    center = points[2]
    lower = center + (lower - center) * rng.uniform(1.0, 1.12)
    right, left = cheeks[0] + drop, cheeks[1] + drop
    over = [curve(np.stack([end, points[k], nose]))[8] for end, k in ((left, 330), (right, 101))]
    upper = [left, over[0], nose, over[1], right]
    mask = polygon(np.concatenate([np.stack(upper), lower]))
    color = rng.uniform(0, 1, 3)
    if rng.random() < 0.6:
        color = np.array(
            ((0.93, 0.94, 0.95), (0.55, 0.75, 0.85), (0.1, 0.1, 0.11))[rng.integers(3)]
        )
    y = np.arange(DRAWN_PX, dtype=np.float32)[:, None, None]
    pleats = 1 + rng.uniform(0, 0.12) * np.sin(y / rng.uniform(5, 12))
    cloth = color * pleats * (1 + 0.12 * noise(rng, 4)) * (1 + 0.03 * grain(rng, 60, 2)[..., None])
    if rng.random() < 0.2:
        cloth = cloth + 0.25 * (noise(rng, int(rng.integers(8, 40)), 3) > 0.6)
    drawing = empty()
    for cheek, ear in ((cheeks[0], points[127]), (cheeks[1], points[356])):
        band = line(np.stack([cheek + drop, ear]), rng.uniform(3, 7))
        lay(drawing, np.clip(color * 0.95, 0, 1), band)
    lay(drawing, np.clip(cloth, 0, 1).astype(np.float32), mask)
    return sprite(drawing)


def draw_scarf(rng: np.random.Generator, points: Points) -> Sprite:
    """Cloth about chin and mouth, or over one side of the head, to the edge of the picture."""
    face = points[152, 1] - points[10, 1]
    x = np.linspace(-20, DRAWN_PX + 20, 30)
    level = points[152, 1] - face * rng.uniform(-0.02, 0.45)
    dip = rng.normal(0, 0.12) * face
    edge = level + dip * np.cos(2 * np.pi * (x / DRAWN_PX - 0.5)) + rng.normal(0, 3, 30)
    edge += rng.normal(0, 0.25) * (x - DRAWN_PX / 2)
    region = np.concatenate([np.stack([x, edge], 1), [(420, DRAWN_PX + 30), (-30, DRAWN_PX + 30)]])
    mask = polygon(region)
    if rng.random() < 0.25:
        # Laid over the head: the same cloth from a side or from above.
        mask = np.ascontiguousarray(np.rot90(mask, int(rng.integers(1, 4))))
    drawing = empty()
    lay(drawing, cloth(rng), mask)
    return sprite(drawing)


def cloth(rng: np.random.Generator) -> Floats:
    """Folded, plain, striped, checked or printed cloth: DRAWN_PX squared x 3."""
    y, x = np.mgrid[:DRAWN_PX, :DRAWN_PX].astype(np.float32)
    angle = rng.uniform(0, np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    one, two = rng.uniform(0, 1, 3), rng.uniform(0, 1, 3)
    kind, size = rng.random(), rng.uniform(6, 40)
    pattern = np.zeros_like(x)
    if kind < 0.25:
        pattern = (np.sin(along / size) > rng.uniform(-0.6, 0.6)).astype(np.float32)
    elif kind < 0.45:
        pattern = ((np.sin(along / size) > 0) ^ (np.sin(across / size) > 0)).astype(np.float32)
    elif kind < 0.6:
        pattern = (noise(rng, int(rng.integers(6, 30)))[..., 0] > 0.4).astype(np.float32)
    base = one + pattern[..., None] * (two - one)
    bent = across / rng.uniform(14, 50) + 1.5 * noise(rng, 3)[..., 0]
    folds = 1 + rng.uniform(0.1, 0.35) * np.sin(bent) + 0.05 * grain(rng, 40, 2)
    return np.asarray(np.clip(base * folds[..., None], 0, 1), np.float32)


def draw_headset(rng: np.random.Generator, points: Points) -> Sprite:
    """A thin microphone arm from an ear to the mouth, or a strap, cord or plaster on the face."""
    drawing = empty()
    kind = rng.random()
    if kind < 0.45:
        ear, mouth = (points[234], points[61]) if rng.random() < 0.5 else (points[454], points[291])
        cheek = (ear + mouth) / 2 + rng.normal(0, 0.04, 2) * DRAWN_PX
        end = mouth + rng.normal(0, 0.03, 2) * DRAWN_PX
        dark = np.full(3, rng.uniform(0.02, 0.25))
        lay(drawing, dark, line(curve(np.stack([ear, cheek, end])), rng.uniform(3, 9)))
        foam = ellipse((float(end[0]), float(end[1])), tuple(rng.uniform(6, 20, 2)))
        lay(drawing, np.clip(dark * (1 + 0.4 * grain(rng, 60, 2)[..., None]), 0, 1), polygon(foam))
    elif kind < 0.8:
        start = points[rng.choice(mesh.OVAL)]
        end = points[rng.choice(mesh.OVAL)]
        center = points[1]
        ends = np.stack([center + 1.4 * (start - center), (start + end) / 2 + rng.normal(0, 25, 2),
                         center + 1.4 * (end - center)])  # fmt: skip
        lay(drawing, cloth(rng), line(curve(ends), rng.uniform(6, 34)))
    else:
        place = points[rng.integers(mesh.SURFACE_POINTS)]
        size = rng.uniform(10, 40, 2)
        plaster = ellipse((float(place[0]), float(place[1])), tuple(size), rng.uniform(0, 180), 4.0)
        lay(drawing, cloth(rng), polygon(plaster))
    return sprite(drawing)
