"""Hands and fingers as occluders: rods of a skeleton, lit, with nails, creases and a sleeve."""

from __future__ import annotations

import cv2
import numpy as np

from sosie.recipes.occlusion.compositing import (
    DRAWN_PX,
    Color,
    Floats,
    Places,
    Relief,
    Sprite,
    empty,
    grain,
    lay,
    noise,
    sprite,
)

SKIN = np.array([190.0, 140.0, 115.0]) / 255
"""The mean color of drawn skin; samples bring it to the color of the face's own."""


class Hand:
    """A hand that comes in from the lower edge of the drawing.

    relief: its surface. tips: of the fingers, (x, y), with the direction in which each points and
    its radius. wrist_y: where the forearm begins.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.relief = Relief()
        self.tips: list[tuple[Places, Places, float]] = []
        self._rng = rng
        self._width = DRAWN_PX * rng.uniform(0.062, 0.085)
        self.wrist_y = DRAWN_PX * rng.uniform(0.66, 0.8)
        self._lean = rng.normal(0, 0.12)
        self._side = float(rng.choice((-1, 1)))
        self._palm()
        pose = rng.choice(("open", "closed", "fist", "point", "two", "any"))
        self._fingers(str(pose))
        self._thumb(str(pose))

    def _palm(self) -> None:
        """Rods from the wrist to the knuckles, and the forearm."""
        rng, width = self._rng, self._width
        middle = DRAWN_PX / 2
        length = width * rng.uniform(3.0, 3.8)
        wrist = np.array([middle, self.wrist_y])
        arm_end = np.array([middle + rng.normal(0, 30), DRAWN_PX * 1.15])
        self.relief.capsule(wrist, arm_end, width * 1.25, width * rng.uniform(1.3, 2.0))
        self._roots = []
        for k in range(4):
            across = (k - 1.5) * width * 1.02 * self._side
            rise = length * (1.0, 1.06, 1.0, 0.88)[k]
            root = wrist + np.array([across + self._lean * rise, -rise])
            start = wrist + np.array([across * 0.6, 0])
            self.relief.capsule(start, root, width * 0.95, width * 0.72, 3)
            self._roots.append(root)
        self._thumb_root = wrist + np.array([-1.7 * width * self._side, -length * 0.35])
        self.relief.capsule(wrist, self._thumb_root, width * 0.9, width * 0.75)

    def _fingers(self, pose: str) -> None:
        rng, width = self._rng, self._width
        spread = abs(rng.normal(0, 0.16)) if pose != "closed" else 0.02
        for k, root in enumerate(self._roots):
            shown = {"fist": 0.0, "point": float(k == 0), "two": float(k < 2)}.get(pose, 1.0)
            bend = rng.uniform(0, 0.35) if shown else rng.uniform(0.75, 1.0)
            if pose == "any":
                bend = rng.uniform(0, 1)
            full = width * (3.6, 4.0, 3.7, 2.9)[k]
            angle = (k - 1.5) * spread * self._side + self._lean + rng.normal(0, 0.05)
            self._finger(root, angle, full, bend, k)

    def _finger(self, root: Places, angle: float, full: float, bend: float, k: int) -> None:
        """Three bones that get shorter to the eye, and turn back, the more the finger is bent."""
        place, radius = root, self._width * (0.5 if k < 3 else 0.43)
        bow = self._rng.normal(0, 0.08)
        for bone, share in enumerate((0.45, 0.3, 0.25)):
            foreshortened = np.cos(bend * np.pi * (0.45, 0.85, 1.1)[bone])
            step = np.array([np.sin(angle), -np.cos(angle)]) * full * share * foreshortened
            end = place + step
            lift = 6 * bend * (bone + 1)
            self.relief.capsule(place, end, radius, radius * 0.93, lift)
            place, radius, angle = end, radius * 0.93, angle + bow
        if bend < 0.5:
            self.tips.append((place, np.array([np.sin(angle), -np.cos(angle)]), radius))

    def _thumb(self, pose: str) -> None:
        rng, width = self._rng, self._width
        angle = -self._side * (rng.uniform(0.2, 1.1) if pose != "fist" else -0.7)
        place, radius = self._thumb_root, width * 0.55
        for share in (1.5, 1.2):
            end = place + np.array([np.sin(angle), -np.cos(angle)]) * width * share
            self.relief.capsule(place, end, radius, radius * 0.9, 8)
            place, radius, angle = end, radius * 0.9, angle + rng.normal(0, 0.15)
        self.tips.append((place, np.array([np.sin(angle), -np.cos(angle)]), radius))


def draw_hand(rng: np.random.Generator, cheek: Floats) -> Sprite:
    """A hand with its forearm. cheek: skin from a photo, h x w x 3, 0..1, for its texture."""
    hand = Hand(rng)
    skin = _skin(rng, cheek) * hand.relief.light(rng)[..., None]
    drawing = empty()
    lay(drawing, np.clip(skin, 0, 1), hand.relief.mask)
    if rng.random() < 0.6:
        _nails(drawing, hand, rng)
    if rng.random() < 0.45:
        _sleeve(drawing, hand, rng)
    if rng.random() < 0.2:
        _ring(drawing, hand, rng)
    return sprite(drawing)


def draw_fingers(rng: np.random.Generator, cheek: Floats) -> Sprite:
    """One to four fingers alone, side by side or crossed, coming in from the lower edge."""
    relief, tips = Relief(), []
    width = DRAWN_PX * rng.uniform(0.06, 0.13)
    count = int(rng.integers(1, 5))
    for k in range(count):
        x = DRAWN_PX / 2 + (k - (count - 1) / 2) * width * rng.uniform(0.9, 1.25)
        angle = rng.normal(0, 0.1) + (k - (count - 1) / 2) * rng.uniform(0, 0.12)
        top = DRAWN_PX * rng.uniform(0.12, 0.4)
        place, radius = np.array([x, DRAWN_PX * 1.1]), width / 2
        height = place[1] - top
        for share in (0.5, 0.28, 0.22):
            step = np.array([np.sin(angle), -np.cos(angle)]) * height * share
            relief.capsule(place, place + step, radius * 1.04, radius * 0.97)
            place, radius, angle = place + step, radius * 0.96, angle + rng.normal(0, 0.06)
        tips.append((place, np.array([np.sin(angle), -np.cos(angle)]), radius))
    drawing = empty()
    skin = _skin(rng, cheek) * relief.light(rng)[..., None]
    lay(drawing, np.clip(skin, 0, 1), relief.mask)
    if rng.random() < 0.6:
        for tip in tips:
            _nail(drawing, *tip, _polish(rng))
    return sprite(drawing)


def _skin(rng: np.random.Generator, cheek: Floats) -> Floats:
    """Skin without shading: a photo's texture, blotches, redder and darker places."""
    texture = cv2.resize(cheek, (DRAWN_PX, DRAWN_PX), interpolation=cv2.INTER_CUBIC)
    texture = texture / np.maximum(texture.mean((0, 1)), 0.02)
    texture = 1 + rng.uniform(0.3, 1.0) * (np.clip(texture, 0.6, 1.5) - 1)
    blotches = noise(rng, int(rng.integers(3, 9)), 3) * np.array([0.02, 0.035, 0.035])
    pores = grain(rng, 40, 2)[..., None] * rng.uniform(0, 0.03)
    return np.asarray(SKIN * texture * (1 + blotches + pores), np.float32)


def _polish(rng: np.random.Generator) -> Color:
    """The color of nails: bare mostly, else painted."""
    if rng.random() < 0.65:
        return np.asarray(SKIN * np.array([1.12, 1.1, 1.12]))
    return rng.uniform(0, 1, 3)


def _nails(drawing: Floats, hand: Hand, rng: np.random.Generator) -> None:
    color = _polish(rng)
    for tip in hand.tips:
        _nail(drawing, *tip, color)


def _nail(drawing: Floats, place: Places, ahead: Places, radius: float, color: Color) -> None:
    center = place + ahead * radius * 0.15
    box = (
        tuple(float(v) for v in center),
        (radius * 1.05, radius * 1.35),
        float(np.degrees(np.arctan2(ahead[1], ahead[0])) - 90),
    )
    mask = np.zeros((DRAWN_PX, DRAWN_PX), np.uint8)
    cv2.ellipse(mask, box, (255,), -1, cv2.LINE_AA)
    inside = mask.astype(np.float32) / 255 * drawing[..., 3]
    lay(drawing, np.clip(color, 0, 1), inside * 0.8)


def _sleeve(drawing: Floats, hand: Hand, rng: np.random.Generator) -> None:
    """Cloth from somewhere above or below the wrist on, wider than the arm."""
    top = hand.wrist_y + rng.uniform(-0.02, 0.12) * DRAWN_PX
    wide = np.asarray(cv2.dilate(hand.relief.mask, np.ones((13, 13), np.uint8)), np.float32)
    edge = top + rng.normal(0, 0.15) * (np.arange(DRAWN_PX) - DRAWN_PX / 2)
    wide *= np.arange(DRAWN_PX)[:, None] > edge[None, :]
    folds = 1 + 0.18 * noise(rng, 5) + 0.04 * noise(rng, 60)
    lay(drawing, np.clip(rng.uniform(0, 1, 3) * folds, 0, 1), wide)


def _ring(drawing: Floats, hand: Hand, rng: np.random.Generator) -> None:
    place, ahead, radius = hand.tips[int(rng.integers(len(hand.tips)))]
    center = place - ahead * radius * rng.uniform(3.5, 5)
    across = np.array([-ahead[1], ahead[0]]) * radius * 1.15
    mask = np.zeros((DRAWN_PX, DRAWN_PX), np.uint8)
    ends = [tuple(int(v) for v in np.round(center + s * across)) for s in (-1, 1)]
    cv2.line(mask, ends[0], ends[1], (255,), max(3, round(radius * 0.35)), cv2.LINE_AA)
    metal = np.array([0.85, 0.72, 0.35]) if rng.random() < 0.6 else np.array([0.8, 0.8, 0.82])
    lay(drawing, metal, mask.astype(np.float32) / 255 * drawing[..., 3])
