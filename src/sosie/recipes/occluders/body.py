"""Hands and hair as occluders.

Hands and fingers are rods of a skeleton, lit, with nails, creases and a sleeve. Hair (fringes,
locks at the sides, loose strands) is drawn, or filled from photos. It is worn: it is drawn about
the mean face as it stands in a sample's square and is brought onto a face by its landmarks
(`worn.mean_points`).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.recipes.occluders.drawing import (
    DRAWN_PX,
    Color,
    Floats,
    Places,
    Relief,
    Sprite,
    curve,
    empty,
    grain,
    lay,
    noise,
    polygon,
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
    lay(drawing, skin, hand.relief.mask)
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
    lay(drawing, skin, relief.mask)
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
    lay(drawing, color, inside * 0.8)


def _sleeve(drawing: Floats, hand: Hand, rng: np.random.Generator) -> None:
    """Cloth from somewhere above or below the wrist on, wider than the arm."""
    top = hand.wrist_y + rng.uniform(-0.02, 0.12) * DRAWN_PX
    wide = np.asarray(cv2.dilate(hand.relief.mask, np.ones((13, 13), np.uint8)), np.float32)
    edge = top + rng.normal(0, 0.15) * (np.arange(DRAWN_PX) - DRAWN_PX / 2)
    wide *= np.arange(DRAWN_PX)[:, None] > edge[None, :]
    folds = 1 + 0.18 * noise(rng, 5) + 0.04 * noise(rng, 60)
    lay(drawing, rng.uniform(0, 1, 3) * folds, wide)


def _ring(drawing: Floats, hand: Hand, rng: np.random.Generator) -> None:
    place, ahead, radius = hand.tips[int(rng.integers(len(hand.tips)))]
    center = place - ahead * radius * rng.uniform(3.5, 5)
    across = np.array([-ahead[1], ahead[0]]) * radius * 1.15
    mask = np.zeros((DRAWN_PX, DRAWN_PX), np.uint8)
    ends = [tuple(int(v) for v in np.round(center + s * across)) for s in (-1, 1)]
    cv2.line(mask, ends[0], ends[1], (255,), max(3, round(radius * 0.35)), cv2.LINE_AA)
    metal = np.array([0.85, 0.72, 0.35]) if rng.random() < 0.6 else np.array([0.8, 0.8, 0.82])
    lay(drawing, metal, mask.astype(np.float32) / 255 * drawing[..., 3])


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
