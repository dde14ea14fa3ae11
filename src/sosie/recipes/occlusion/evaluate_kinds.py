"""Things to hide faces with in the test, of kinds that no training sample has.

None of these may come into `sosie.recipes.occlusion.occluder_library`: the test would no longer
tell what the network does with things that it does not know.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from sosie.recipes.occlusion.compositing import (
    DRAWN_PX,
    Color,
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
from sosie.recipes.occlusion.hands import Hand
from sosie.recipes.occlusion.occluder_library import Manner
from sosie.recipes.occlusion.worn import mean_points

_MIDDLE = DRAWN_PX / 2
_UPPER = (10, 67, 297, 54, 284, 127, 356, 105, 334, 168)
_WHOLE = (10, 67, 297, 127, 356, 234, 454, 58, 288, 152, 4)


@dataclass(frozen=True)
class TestKind:
    """draw: makes one. manner: how it lies over a face."""

    draw: Callable[[np.random.Generator], Sprite]
    manner: Manner


def draw_leaves(rng: np.random.Generator) -> Sprite:
    """A twig with leaves, green or autumnal."""
    drawing = empty()
    hue = np.array(
        ((0.2, 0.45, 0.12), (0.35, 0.5, 0.15), (0.65, 0.35, 0.1), (0.1, 0.3, 0.15))[rng.integers(4)]
    )
    start, end = np.array([_MIDDLE, DRAWN_PX + 20]), np.array([_MIDDLE + rng.normal(0, 60), 30])
    twig = curve(np.stack([start, (start + end) / 2 + rng.normal(0, 50, 2), end]), 16)
    lay(drawing, np.array([0.3, 0.2, 0.12]), line(twig, 7))
    for number, place in enumerate(twig[1:]):
        side = 1 if number % 2 else -1
        angle = -90 + side * rng.uniform(25, 80)
        _leaf(
            drawing, place, angle, rng.uniform(70, 130), hue * np.exp(rng.normal(0, 0.15, 3)), rng
        )
    return sprite(drawing)


def _leaf(
    drawing: Floats,
    root: Color,
    angle_deg: float,
    length: float,
    color: Color,
    rng: np.random.Generator,
) -> None:
    t = np.linspace(0, 1, 20)
    half = length * rng.uniform(0.18, 0.32) * np.sin(np.pi * t**0.8)
    ring = np.concatenate([np.stack([t * length, half], 1), np.stack([t * length, -half], 1)[::-1]])
    a = np.radians(angle_deg)
    turn = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]])
    mask = polygon(ring @ turn + root)
    tone = np.clip(color * (1 + 0.15 * noise(rng, 10)), 0, 1)
    lay(drawing, tone.astype(np.float32), mask)
    rib = line(np.array([(0, 0), (length, 0)]) @ turn + root, 3)
    lay(drawing, np.clip(color * 1.5, 0, 1), rib * mask * 0.6)


def draw_flowers(rng: np.random.Generator) -> Sprite:
    """A few blossoms."""
    drawing = empty()
    for _ in range(int(rng.integers(1, 5))):
        center = rng.uniform(90, DRAWN_PX - 90, 2)
        color, petals = rng.uniform(0.2, 1, 3), int(rng.integers(5, 12))
        length = rng.uniform(50, 90)
        for number in range(petals):
            angle = 360 * number / petals + rng.normal(0, 4)
            away = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))]) * length * 0.6
            wide = length * rng.uniform(0.22, 0.36)
            ring = ellipse(tuple((center + away).tolist()), (length * 0.5, wide), angle)
            tone = color * (1 + 0.1 * noise(rng, 12)) * rng.uniform(0.8, 1.1)
            lay(drawing, np.clip(tone, 0, 1).astype(np.float32), polygon(ring))
        heart = polygon(ellipse(tuple(center.tolist()), (length * 0.25, length * 0.25)))
        spots = np.array([0.9, 0.75, 0.2]) * (1 + 0.3 * grain(rng, 50, 2)[..., None])
        lay(drawing, np.clip(spots, 0, 1).astype(np.float32), heart)
    return sprite(drawing)


def draw_cat(rng: np.random.Generator) -> Sprite:
    """A cat's outline with fur, plain or striped."""
    head, radius = (_MIDDLE + rng.normal(0, 25), 120.0), rng.uniform(62, 80)
    mask = polygon(ellipse(head, (radius * 1.1, radius)))
    for side in (-1, 1):
        ear = np.array([(0.3, -0.8), (1.05, -0.35), (0.95, -1.6)]) * (side * radius, radius)
        mask = np.maximum(mask, polygon(ear + head))
    mask = np.maximum(mask, polygon(ellipse((_MIDDLE, 300), (rng.uniform(90, 130), 150), 0, 2.5)))
    ragged = cv2.GaussianBlur(mask, (0, 0), 3) + 0.15 * grain(rng, 50, 2) * (mask > 0)
    mask = np.clip((ragged - 0.45) * 4 + 0.5, 0, 1).astype(np.float32)
    coat = np.array(
        ((0.1, 0.1, 0.1), (0.75, 0.5, 0.25), (0.6, 0.58, 0.55), (0.92, 0.9, 0.86))[rng.integers(4)]
    )
    y, x = np.mgrid[:DRAWN_PX, :DRAWN_PX].astype(np.float32)
    bent = noise(rng, 4)[..., 0]
    stripes = 1 - rng.uniform(0, 0.5) * (np.sin(y / 9 + 3 * bent) > 0.3)
    shade = 1.1 - 0.5 * np.abs(x - _MIDDLE) / _MIDDLE
    fur = coat * (stripes * shade * (1 + 0.12 * grain(rng, 60, 2)))[..., None]
    drawing = empty()
    lay(drawing, np.clip(fur, 0, 1).astype(np.float32), mask)
    for side in (-1, 1):
        eye = ellipse((head[0] + side * radius * 0.42, head[1]), (radius * 0.17, radius * 0.12))
        lay(drawing, np.array([0.6, 0.75, 0.2]), polygon(eye))
    return sprite(drawing)


def draw_hat(rng: np.random.Generator) -> Sprite:
    """A hat pulled into the face: a wide brim, and the crown above it."""
    points = mean_points()
    brow = points[[105, 334]].mean(0)
    level = points[10] + rng.uniform(0.1, 0.95) * (brow - points[10])
    tilt = rng.normal(0, 7)
    wide = rng.uniform(150, 230)
    brim = ellipse((float(level[0]), float(level[1]) - 22), (wide, rng.uniform(24, 50)), tilt)
    crown = ellipse((float(level[0]), float(level[1]) - 100), (125, 100), tilt, 3.0)
    color = rng.uniform(0.05, 0.9, 3)
    if rng.random() < 0.5:
        color = np.array([0.8, 0.68, 0.45])
    y, x = np.mgrid[:DRAWN_PX, :DRAWN_PX].astype(np.float32)
    weave = 1 + rng.uniform(0, 0.2) * np.sin(x / 2.5) * np.sin(y / 2.5)
    felt = color * (weave * (1 + 0.05 * grain(rng, 50, 2)))[..., None]
    drawing = empty()
    lay(drawing, np.clip(felt * 0.9, 0, 1).astype(np.float32), polygon(crown))
    shade = 0.75 + 0.4 * np.clip((level[1] - y) / 60, -0.5, 0.6)
    lay(drawing, np.clip(felt * shade[..., None], 0, 1).astype(np.float32), polygon(brim))
    return sprite(drawing)


def draw_net(rng: np.random.Generator) -> Sprite:
    """A veil of coarse net with knots, over all of the face or its upper half."""
    pitch, width = rng.uniform(30, 54), rng.uniform(3.0, 6.0)
    angle = np.radians(rng.choice((45, 30, 0)) + rng.normal(0, 4))
    mask = np.zeros((DRAWN_PX, DRAWN_PX), np.float32)
    for turned in (angle, angle + np.pi / 2):
        ahead = np.array([np.cos(turned), np.sin(turned)])
        across = np.array([-ahead[1], ahead[0]])
        for offset in np.arange(-400, 400, pitch):
            middle = _MIDDLE + across * offset
            ends = np.stack(
                [middle - 400 * ahead, middle + rng.normal(0, 5, 2), middle + 400 * ahead]
            )
            mask = np.maximum(mask, line(curve(ends), width))
    if rng.random() < 0.5:
        for place in rng.uniform(40, DRAWN_PX - 40, (12, 2)):
            knot = ellipse(tuple(place.tolist()), (9, 9))
            mask = np.maximum(mask, polygon(knot))
    if rng.random() < 0.5:
        mask[int(rng.uniform(0.45, 0.7) * DRAWN_PX) :] = 0
    drawing = empty()
    dark = np.full(3, rng.uniform(0.02, 0.15)) if rng.random() < 0.7 else rng.uniform(0.8, 1, 3)
    lay(drawing, dark, mask)
    return sprite(drawing)


def draw_glove(rng: np.random.Generator) -> Sprite:
    """A knitted glove with a ribbed cuff."""
    hand = Hand(rng)
    y, x = np.mgrid[:DRAWN_PX, :DRAWN_PX].astype(np.float32)
    pitch = rng.uniform(5, 10)
    stitches = 1 + 0.3 * np.sin(2 * np.pi * (y + np.abs((x % pitch) - pitch / 2)) / pitch)
    one, two = rng.uniform(0.05, 0.95, 3), rng.uniform(0.05, 0.95, 3)
    bands = (np.sin(y / rng.uniform(12, 40)) > rng.uniform(-0.5, 1.0)).astype(np.float32)
    wool = (one + bands[..., None] * (two - one)) * (stitches * hand.relief.light(rng))[..., None]
    wool *= 1 + 0.08 * grain(rng, 60, 2)[..., None]
    mask = np.asarray(cv2.dilate(hand.relief.mask, np.ones((9, 9), np.uint8)), np.float32)
    cuff = 1 + 0.35 * np.sin(2 * np.pi * x / 12)
    below = (y > hand.wrist_y)[..., None]
    wool = np.where(below, two * cuff[..., None], wool)
    drawing = empty()
    lay(drawing, np.clip(wool, 0, 1).astype(np.float32), mask)
    return sprite(drawing)


def draw_umbrella(rng: np.random.Generator) -> Sprite:
    """An open umbrella: segments between ribs, a scalloped edge, a handle."""
    drawing = empty()
    top, edge, half = 70.0, rng.uniform(190, 240), rng.uniform(150, 180)
    lay(drawing, np.array([0.15, 0.12, 0.1]), line(np.array([(_MIDDLE, top), (_MIDDLE, 380)]), 8))
    segments = int(rng.integers(4, 9))
    one, two = rng.uniform(0, 1, 3), rng.uniform(0, 1, 3)
    angles = np.linspace(np.pi, 0, segments + 1)
    ends = np.stack([_MIDDLE + half * np.cos(angles), edge - 10 * np.sin(angles)], 1)
    for number in range(segments):
        left, right = ends[number], ends[number + 1]
        bulge = (left + right) / 2 + np.array([0, -14])
        lower = curve(np.stack([left, bulge, right]), 10)
        rise = [_rib(p, top) for p in (left, right)]
        ring = np.concatenate([lower, rise[1], rise[0][::-1]])
        tone = (one, two)[number % 2] * (0.7 + 0.5 * number / segments)
        folded = tone * (1 + 0.06 * grain(rng, 10)[..., None])
        lay(drawing, np.clip(folded, 0, 1).astype(np.float32), polygon(ring))
    return sprite(drawing)


def _rib(end: Color, top: float) -> Color:
    """An umbrella's rib from an end to its top, bulging outwards."""
    middle = ((end[0] + _MIDDLE) / 2 + (end[0] - _MIDDLE) * 0.3, top)
    return curve(np.stack([end, middle, (_MIDDLE, top)]), 10)


TEST_KINDS: dict[str, TestKind] = {
    "leaves": TestKind(draw_leaves, Manner("anyhow", (0.9, 1.5))),
    "flowers": TestKind(draw_flowers, Manner("anyhow", (0.6, 1.2))),
    "cat": TestKind(draw_cat, Manner("upright", (0.6, 1.2))),
    "hat": TestKind(draw_hat, Manner("worn", anchors=_UPPER)),
    "net": TestKind(draw_net, Manner("worn", anchors=_WHOLE)),
    "glove": TestKind(draw_glove, Manner("reaching", (1.15, 1.9))),
    "umbrella": TestKind(draw_umbrella, Manner("anyhow", (0.7, 1.4))),
}
"""The test's kinds by name."""
