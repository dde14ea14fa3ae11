"""Loose things as occluders: microphones, cups, food, phones, books, cords, captions, other people,
and shapes of anything, filled from photos."""

from __future__ import annotations

import string
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.geometry import mesh as face_mesh
from sosie.recipes.occlusion.compositing import (
    DRAWN_PX,
    Color,
    Floats,
    Relief,
    Sprite,
    blob,
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
from sosie.recipes.occlusion.worn import cloth

_MIDDLE = DRAWN_PX / 2


def _column(
    rng: np.random.Generator, top: float, bottom: float, wide: float, narrow: float
) -> tuple[Floats, Floats]:
    """An upright round body, wide at the top: its mask and its shading across."""
    corners = [(-wide, top), (wide, top), (narrow, bottom), (-narrow, bottom)]
    mask = polygon(np.array(corners) + np.array([_MIDDLE, 0.0]))
    x = (np.arange(DRAWN_PX, dtype=np.float32) - _MIDDLE) / max(wide, narrow)
    bright, soft = rng.uniform(-0.6, 0.6), rng.uniform(0.3, 0.7)
    shade = np.clip(1.15 - soft * (x - bright) ** 2, 0.25, 1.2)
    return mask, np.broadcast_to(shade[None, :, None], (DRAWN_PX, DRAWN_PX, 1))


def draw_microphone(rng: np.random.Generator) -> Sprite:
    """A ball of wire or foam on a stick, or a studio microphone with its round screen."""
    drawing = empty()
    dark = np.full(3, rng.uniform(0.03, 0.4)) * (1 + rng.normal(0, 0.06, 3))
    radius = DRAWN_PX * rng.uniform(0.11, 0.24)
    ball_y = DRAWN_PX * 0.03 + radius
    stick = radius * rng.uniform(0.3, 0.75)
    mask, shade = _column(rng, ball_y, DRAWN_PX * 1.1, stick, stick * rng.uniform(0.6, 1.0))
    lay(drawing, np.clip(dark * shade, 0, 1).astype(np.float32), mask)
    power = 2.0 if rng.random() < 0.7 else 3.5
    stretch = rng.uniform(0.95, 1.5)
    ring = ellipse((_MIDDLE, ball_y * 1.1), (radius, radius * stretch), 0, power)
    color = dark if rng.random() < 0.5 else rng.uniform(0, 1, 3)
    y, x = np.mgrid[:DRAWN_PX, :DRAWN_PX].astype(np.float32)
    round_shade = 1.2 - 0.8 * np.hypot(x - _MIDDLE + radius * 0.3, y - ball_y + radius * 0.3) / (
        1.4 * radius
    )
    if rng.random() < 0.5:
        mesh = 1 + 0.35 * np.sign(np.sin(x / 2.2) * np.sin(y / 2.2))
    else:
        mesh = 1 + 0.15 * grain(rng, 90, 2)
    shaded = color * np.clip(round_shade * mesh, 0.15, 1.4)[..., None]
    lay(drawing, np.clip(shaded, 0, 1).astype(np.float32), polygon(ring))
    if rng.random() < 0.4:
        lay(drawing, rng.uniform(0, 1, 3), line(_ring_across(ball_y + radius, radius), 9))
    return sprite(drawing)


def _ring_across(y: float, radius: float) -> NDArray[np.float64]:
    return np.array([(_MIDDLE - radius * 0.8, y), (_MIDDLE, y + 6), (_MIDDLE + radius * 0.8, y)])


def draw_cup(rng: np.random.Generator) -> Sprite:
    """A cup, glass, can or bottle."""
    drawing = empty()
    color = rng.uniform(0, 1, 3)
    wide = DRAWN_PX * rng.uniform(0.14, 0.3)
    top, bottom = DRAWN_PX * rng.uniform(0.05, 0.3), DRAWN_PX * rng.uniform(0.75, 0.97)
    mask, shade = _column(rng, top, bottom, wide, wide * rng.uniform(0.65, 1.0))
    if rng.random() < 0.4:
        handle = ellipse((_MIDDLE + wide, (top + bottom) / 2), (wide * 0.5, (bottom - top) * 0.25))
        lay(drawing, np.clip(color * 0.85, 0, 1), line(handle, rng.uniform(10, 24), closed=True))
    skin = np.clip(color + 0.02 * grain(rng)[..., None], 0, 1) * shade
    lay(drawing, np.clip(skin, 0, 1).astype(np.float32), mask)
    if rng.random() < 0.6:
        y = np.arange(DRAWN_PX)[:, None]
        low, high = np.sort(rng.uniform(top, bottom, 2))
        band = mask * ((y > low) & (y < high))
        lay(drawing, np.clip(cloth(rng) * shade, 0, 1), band.astype(np.float32))
    rim = ellipse((_MIDDLE, top), (wide, wide * rng.uniform(0.08, 0.3)))
    lay(drawing, np.clip(color * rng.uniform(0.3, 1.3), 0, 1), polygon(rim))
    if rng.random() < 0.3:
        neck, neck_shade = _column(rng, DRAWN_PX * 0.02, top + 4, wide * 0.3, wide * 0.6)
        lay(drawing, np.clip(color * neck_shade, 0, 1).astype(np.float32), neck)
    return sprite(drawing)


def draw_food(rng: np.random.Generator) -> Sprite:
    """Fruit, a bun in layers, a slice, an ice cream or something on a stick."""
    kind = rng.integers(4)
    drawing = empty()
    color = np.array(
        [(0.8, 0.12, 0.1), (0.95, 0.8, 0.2), (0.9, 0.5, 0.1), (0.45, 0.65, 0.15), (0.75, 0.5, 0.25),
         (0.35, 0.2, 0.12), (0.95, 0.85, 0.7), (0.9, 0.6, 0.65)][rng.integers(8)]
    ) * np.exp(rng.normal(0, 0.12, 3))  # fmt: skip
    speckled = np.clip(color * (1 + 0.12 * grain(rng, 12)[..., None]), 0, 1)
    if kind == 0:
        relief = Relief()
        ends = curve(np.array([(110, 200), (190, 200 + rng.normal(0, 110)), (270, 200)]), 10)
        radius = rng.uniform(35, 110)
        for start, end in pairwise(ends):
            relief.capsule(start, end, radius, radius)
        lay(drawing, np.clip(speckled * relief.light(rng)[..., None], 0, 1), relief.mask)
    elif kind == 1:
        y = DRAWN_PX * 0.3
        while y < DRAWN_PX * 0.75:
            thick = rng.uniform(14, 70)
            layer = ellipse((_MIDDLE, y), (rng.uniform(120, 160), thick), 0, 3.0)
            tone = np.clip(rng.uniform(0.1, 1, 3) * (1 + 0.2 * grain(rng, 16)[..., None]), 0, 1)
            lay(drawing, tone, polygon(layer))
            y += thick * 0.8
        bun = polygon(ellipse((_MIDDLE, DRAWN_PX * 0.3), (150, 75), 0, 2.4))
        lay(drawing, speckled, bun)
    elif kind == 2:
        corners = np.array([(60, 60), (320, 90), (190, 350)]) + rng.normal(0, 25, (3, 2))
        lay(drawing, speckled, polygon(corners))
        for _ in range(int(rng.integers(3, 12))):
            spot = blob(rng, tuple(rng.uniform(80, 280, 2)), rng.uniform(8, 30), 0.2)
            lay(drawing, rng.uniform(0, 1, 3), polygon(spot) * drawing[..., 3])
    else:
        stick = line(np.array([(_MIDDLE, 180), (_MIDDLE, 390)]), rng.uniform(8, 60))
        lay(drawing, np.array([0.85, 0.72, 0.5]), stick)
        for _ in range(int(rng.integers(1, 4))):
            ball = blob(
                rng, (_MIDDLE + rng.normal(0, 25), rng.uniform(90, 170)), rng.uniform(60, 95), 0.08
            )
            tone = np.clip(rng.uniform(0.3, 1, 3) * (1 + 0.1 * grain(rng, 20)[..., None]), 0, 1)
            lay(drawing, tone, polygon(ball))
    return sprite(drawing)


def draw_phone(rng: np.random.Generator, photo: Floats) -> Sprite:
    """A phone, a book, a card or a sheet of paper; photo: what may be printed on it."""
    drawing = empty()
    half = np.array([rng.uniform(0.18, 0.38), rng.uniform(0.3, 0.47)]) * DRAWN_PX
    power = rng.choice((8.0, 16.0, 40.0))
    body = ellipse((_MIDDLE, _MIDDLE), (float(half[0]), float(half[1])), 0, float(power), 200)
    slant = rng.normal(0, 0.15, 2)
    body[:, 0] += slant[0] * (body[:, 1] - _MIDDLE)
    body[:, 1] += slant[1] * (body[:, 0] - _MIDDLE)
    mask = polygon(body)
    tone = np.full(3, rng.uniform(0.02, 1)) if rng.random() < 0.6 else rng.uniform(0, 1, 3)
    sheen = 1 + 0.12 * noise(rng, 2)
    lay(drawing, np.clip(tone * sheen, 0, 1).astype(np.float32), mask)
    kind = rng.random()
    if kind < 0.35:
        inside = ellipse((_MIDDLE, _MIDDLE), (half[0] * 0.9, half[1] * 0.88), 0, float(power), 200)
        lay(drawing, _fitted(photo), polygon(inside) * mask)
    elif kind < 0.65:
        for _ in range(int(rng.integers(1, 4))):
            place = _MIDDLE + half * rng.uniform(-0.8, 0.8, 2)
            eye = polygon(ellipse((float(place[0]), float(place[1])), (14, 14)))
            lay(drawing, np.full(3, rng.uniform(0, 0.2)), eye * mask)
    else:
        for y in np.arange(_MIDDLE - half[1] * 0.8, _MIDDLE + half[1] * 0.8, rng.uniform(9, 26)):
            ends = _MIDDLE + half[0] * np.array([-0.8, rng.uniform(0.1, 0.8)])
            written = line(np.array([(ends[0], y), (ends[1], y)]), rng.uniform(2, 7))
            lay(drawing, np.clip(1 - tone, 0, 1), written * mask * 0.8)
    return sprite(drawing)


def draw_cord(rng: np.random.Generator) -> Sprite:
    """Bars, cables, strings of beads and stripes from edge to edge."""
    drawing = empty()
    for _ in range(int(rng.integers(1, 4))):
        angle = rng.uniform(0, np.pi)
        ahead = np.array([np.cos(angle), np.sin(angle)])
        middle = _MIDDLE + rng.normal(0, 60, 2)
        control = middle + rng.normal(0, 60, 2) * float(rng.random() < 0.6)
        ends = np.stack([middle - ahead * 420, control, middle + ahead * 420])
        width = float(np.exp(rng.uniform(np.log(3), np.log(50))))
        core = line(curve(ends, 40), width)
        edge = cv2.GaussianBlur(core, (0, 0), max(width / 4, 0.6))
        tone = rng.uniform(0, 1, 3) if rng.random() < 0.5 else np.full(3, rng.uniform(0, 1))
        filling = tone * (0.5 + 0.6 * edge[..., None]) if rng.random() < 0.6 else cloth(rng)
        lay(drawing, np.clip(filling, 0, 1).astype(np.float32), core)
    return sprite(drawing)


def draw_caption(rng: np.random.Generator) -> Sprite:
    """Letters, with or without a box or an outline."""
    drawing = empty()
    fonts = (0, 1, 2, 3, 4, 6, 7)
    white = np.full(3, float(rng.random() < 0.6))
    tone: Color = white if rng.random() < 0.7 else rng.uniform(0, 1, 3)
    y = rng.uniform(0.2, 0.5) * DRAWN_PX
    for _ in range(int(rng.integers(1, 4))):
        signs = list(string.ascii_letters + string.digits)
        text = "".join(rng.choice(signs, int(rng.integers(3, 14))))
        size, thick = rng.uniform(0.8, 4), int(rng.integers(2, 14))
        font = int(rng.choice(fonts))
        (wide, high), _ = cv2.getTextSize(text, font, size, thick)
        at = (int(_MIDDLE - wide / 2), int(y))
        letters = np.zeros((DRAWN_PX, DRAWN_PX), np.uint8)
        outline = np.zeros_like(letters)
        cv2.putText(letters, text, at, font, size, (255,), thick, cv2.LINE_AA)
        if rng.random() < 0.25:
            cv2.rectangle(
                outline, (at[0] - 9, at[1] - high - 9), (at[0] + wide + 9, at[1] + 12), (255,), -1
            )
        elif rng.random() < 0.5:
            cv2.putText(outline, text, at, font, size, (255,), thick + 8, cv2.LINE_AA)
        lay(drawing, 1 - tone, outline.astype(np.float32) / 255)
        lay(drawing, tone, letters.astype(np.float32) / 255)
        y += high * 1.5
    return sprite(drawing)


def draw_person(
    rng: np.random.Generator, crop: NDArray[np.uint8], landmarks: NDArray[np.float32]
) -> Sprite:
    """Another person's head and shoulders, cut from a photo. landmarks: in pixels of the crop."""
    side = crop.shape[0]
    scale = DRAWN_PX / side
    oval = landmarks[list(face_mesh.OVAL), :2].astype(np.float64) * scale
    center = oval.mean(0)
    height = float(np.ptp(oval[:, 1]))
    head = center + (oval - center) * rng.uniform(1.08, 1.25)
    head[:, 1] -= 0.18 * height * (head[:, 1] < center[1]) * rng.uniform(0, 1.2)
    mask = polygon(head)
    if rng.random() < 0.7:
        chin, wide = oval[:, 1].max(), height * rng.uniform(0.6, 1.0)
        neck = float(np.ptp(oval[:, 0])) * 0.35
        shoulders = center[0] + np.array([-neck, neck, wide, wide, -wide, -wide])
        levels = [chin - 0.2 * height, chin - 0.2 * height, chin + 0.4 * height, DRAWN_PX, DRAWN_PX,
                  chin + 0.4 * height]  # fmt: skip
        mask = np.maximum(mask, polygon(np.stack([shoulders, levels], 1)))
    drawing = empty()
    drawing[..., :3] = _fitted(crop.astype(np.float32) / 255)
    drawing[..., 3] = mask
    return sprite(drawing)


def draw_shape(rng: np.random.Generator, photo: Floats) -> Sprite:
    """Any outline with any filling: a piece of a photo, cloth, noise, one color; flat or round."""
    middle = (_MIDDLE, _MIDDLE)
    kind = rng.random()
    if kind < 0.4:
        ring = blob(rng, middle, 180, rng.uniform(0.05, 0.5))
    elif kind < 0.6:
        radii = rng.uniform(60, 180, 2)
        ring = ellipse(middle, (radii[0], radii[1]), rng.uniform(0, 180), rng.uniform(0.7, 9))
    else:
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 11))))
        reach = rng.uniform(50, 185, len(angles))
        ring = _MIDDLE + np.stack([np.cos(angles) * reach, np.sin(angles) * reach], 1)
    mask = polygon(ring)
    surface = _any_surface(rng, photo)
    if rng.random() < 0.4:
        depth = cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
        rounded = np.clip(depth / rng.uniform(20, 120), 0, 1)
        surface = np.asarray(surface * (0.45 + 0.7 * rounded)[..., None], np.float32)
    if rng.random() < 0.2:
        holes = noise(rng, int(rng.integers(4, 16)))[..., 0] > 0.7
        softened = cv2.GaussianBlur((~holes).astype(np.float32), (0, 0), 1.5)
        mask = np.asarray(mask * softened, np.float32)
    drawing = empty()
    lay(drawing, np.clip(surface, 0, 1), mask.astype(np.float32))
    return sprite(drawing)


def _any_surface(rng: np.random.Generator, photo: Floats) -> Floats:
    """A piece of a photo, cloth, noise or one color: DRAWN_PX squared x 3, about 0..1."""
    kind = rng.random()
    if kind < 0.5:
        return _fitted(photo)
    if kind < 0.7:
        return cloth(rng)
    uneven = 0.25 * noise(rng, int(rng.integers(2, 50)), 3) if kind < 0.85 else 0.0
    flat = np.ones((DRAWN_PX, DRAWN_PX, 3), np.float32) * rng.uniform(0, 1, 3)
    return np.asarray(flat + uneven, np.float32)


def _fitted(photo: Floats) -> Floats:
    wide = cv2.resize(photo, (DRAWN_PX, DRAWN_PX), interpolation=cv2.INTER_LINEAR)
    return np.asarray(wide, np.float32)
