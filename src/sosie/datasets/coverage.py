"""How much of a person a set shows: poses, expressions, light, and how well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.analysis.landmarker import EXPRESSIONS

YAWS = ("far left", "left", "front", "right", "far right")
"""Where the head looks in the picture; bounds at 45 and 15 degrees."""
PITCHES = ("up", "level", "down")
"""Bounds at 12 degrees."""
KINDS = ("mouth open", "eyes shut", "smile", "brows", "calm")
"""Expressions; of several the first counts."""
LIGHTS = ("from left", "even", "from right", "dark")
"""Light on the face; of several the last counts."""

ENOUGH = 10
"""Faces of a kind from which on it is covered."""

SHARP = 0.08
"""`sosie.analysis.quality.sharpness` of a sharp face."""

PARTS = {"pose": 0.4, "expression": 0.25, "light": 0.2, "quality": 0.15}
"""What each part weighs in the completeness."""

FORMULA = (
    "Completeness = 100 × (0.4 P + 0.25 E + 0.2 L + 0.15 Q). P, E and L are means of "
    "min(1, n / 10) over the 15 poses (5 directions of the head, each up, level and down), the "
    "5 expressions and the 4 kinds of light, with n the number of faces of each; Q is the share of "
    "faces that are sharp (0.08 or more) and not enlarged to the set's size by more than half."
)

_SIDE_LIGHT, _DARK = 0.12, 0.22

_NAMED = {name: number for number, name in enumerate(EXPRESSIONS)}


@dataclass(frozen=True)
class Coverage:
    """Of one person. faces: how many. cells: int, 5 x 5 x 4, faces by YAWS, KINDS and LIGHTS.
    poses: int, 5 x 3, by YAWS and PITCHES. parts: each of PARTS, 0..1. completeness: 0..100.
    """

    faces: int
    cells: NDArray[np.intp]
    poses: NDArray[np.intp]
    parts: dict[str, float]
    completeness: float


@dataclass(frozen=True)
class Wish:
    """What to record next. gain: points of completeness that enough of it adds. missing: faces."""

    text: str
    gain: float
    missing: int


COLUMNS = (
    "yaw", "pitch", "expression", "side_light", "brightness", "sharpness", "matrix",
)  # fmt: skip
"""Of the table, that `cover` needs."""


def cover(table: Mapping[str, NDArray[Any]]) -> Coverage:
    """What the faces of one person show. table: columns COLUMNS, N rows each, N may be 0."""
    yaw = np.digitize(table["yaw"], (-45, -15, 15, 45))
    pitch = np.digitize(table["pitch"], (-12, 12))
    kind, light = expression_kinds(table["expression"]), light_kinds(table)
    cells = np.zeros((len(YAWS), len(KINDS), len(LIGHTS)), np.intp)
    np.add.at(cells, (yaw, kind, light), 1)
    poses = np.zeros((len(YAWS), len(PITCHES)), np.intp)
    np.add.at(poses, (yaw, pitch), 1)
    parts = {
        "pose": _filled(poses),
        "expression": _filled(cells.sum((0, 2))),
        "light": _filled(cells.sum((0, 1))),
        "quality": float(good(table).mean()) if len(yaw) else 0.0,
    }
    total = 100 * sum(PARTS[name] * value for name, value in parts.items())
    return Coverage(len(yaw), cells, poses, parts, total)


def expression_kinds(weights: NDArray[Any]) -> NDArray[np.intp]:
    """Numbers in KINDS of faces with these expression weights, N x 52."""

    def mean(*names: str) -> NDArray[Any]:
        return np.asarray(weights[:, [_NAMED[name] for name in names]].mean(1))

    conditions = [
        mean("jawOpen") > 0.25,
        mean("eyeBlinkLeft", "eyeBlinkRight") > 0.5,
        mean("mouthSmileLeft", "mouthSmileRight") > 0.4,
        np.maximum(mean("browInnerUp"), mean("browDownLeft", "browDownRight")) > 0.4,
    ]
    return np.select(conditions, list(range(4)), 4).astype(np.intp)


def light_kinds(table: Mapping[str, NDArray[Any]]) -> NDArray[np.intp]:
    """Numbers in LIGHTS of faces by their columns `side_light` and `brightness`."""
    side, dark = table["side_light"], table["brightness"] < _DARK
    conditions = [dark, side < -_SIDE_LIGHT, side > _SIDE_LIGHT]
    return np.select(conditions, [3, 0, 2], 1).astype(np.intp)


def good(table: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Which faces are sharp, and not enlarged by more than half."""
    scale = np.hypot(table["matrix"][:, 0, 0], table["matrix"][:, 0, 1])
    return np.asarray((table["sharpness"] >= SHARP) & (scale <= 1.5))


def wishes(covered: Coverage, limit: int = 6) -> list[Wish]:
    """What adds most to the completeness, the best first."""
    found = []
    share = 100 / covered.poses.size * PARTS["pose"]
    for (yaw, pitch), number in np.ndenumerate(covered.poses):
        found.append(_wish(f"the head {_pose(yaw, pitch)}", int(number), share))
    for name, part, numbers, titles in (
        ("", "expression", covered.cells.sum((0, 2)), KINDS),
        ("light ", "light", covered.cells.sum((0, 1)), LIGHTS),
    ):
        share = 100 / len(titles) * PARTS[part]
        for title, number in zip(titles, numbers, strict=True):
            text = "dim light" if title == "dark" else name + _SPOKEN.get(title, title)
            found.append(_wish(text, int(number), share))
    soft = covered.faces and covered.parts["quality"] < 0.7
    if soft or not covered.faces:
        gain = 100 * PARTS["quality"] * (1 - covered.parts["quality"])
        found.append(Wish("sharper and larger pictures: nearer, in better light", gain, 0))
    found = [wish for wish in found if wish.gain > 0.005]
    return sorted(found, key=lambda wish: -wish.gain)[:limit]


def _filled(numbers: NDArray[np.intp]) -> float:
    return float(np.minimum(numbers / ENOUGH, 1).mean())


def _wish(text: str, number: int, share: float) -> Wish:
    missing = max(ENOUGH - number, 0)
    return Wish(text, share * missing / ENOUGH, missing)


_SPOKEN = {
    "mouth open": "an open mouth, as in speech and laughter",
    "eyes shut": "shut eyes",
    "smile": "a smile",
    "brows": "raised brows and a frown",
    "calm": "a calm face",
    "from left": "from the picture's left",
    "from right": "from the picture's right",
    "even": "that is even",
}


def _pose(yaw: int, pitch: int) -> str:
    turn = {
        0: "in profile to the picture's left",
        1: "half turned to the picture's left",
        2: "to the front",
        3: "half turned to the picture's right",
        4: "in profile to the picture's right",
    }[yaw]
    return turn + {0: ", looking up", 1: "", 2: ", looking down"}[pitch]
