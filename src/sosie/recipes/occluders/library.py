"""The library of occluders: drawn once into the cache, read by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.datasets.array_files import in_processes, new_bytes, short_hash
from sosie.geometry import mesh
from sosie.recipes.face_cache import FaceSet, open_faces
from sosie.recipes.occluders import body, objects, worn
from sosie.recipes.occluders.drawing import SPRITE_PX, Floats, Sprite
from sosie.training.recipe import Materials

Matrix = NDArray[np.float64]
Placing = Literal["worn", "reaching", "upright", "anyhow", "beside"]

# A change of a drawing starts a new library.
_VERSION = 2
# Differences of CIELAB (8 bits a channel) from which hair of a photo is taken not to be skin.
_NOT_SKIN = 22


@dataclass(frozen=True)
class Manner:
    """How a thing lies over a face (`placed`).

    size: least and greatest side of the sprite in sizes of the face, where it is not worn. anchors:
    mesh points that bring what is worn onto a face.
    """

    placing: Placing
    size: tuple[float, float] = (1.0, 1.0)
    anchors: tuple[int, ...] = ()


@dataclass(frozen=True)
class Kind:
    """A kind of occluder. draw: makes one. share: of the library, and of what is laid over faces.
    skin: whether its color follows the face's own."""

    draw: Callable[[np.random.Generator, Photos], Sprite]
    share: float
    manner: Manner
    skin: bool = False


class Photos:
    """Pieces of the training people's photos, for textures. All float32, h x w x 3, 0..1."""

    def __init__(self, faces: FaceSet) -> None:
        self._faces = faces
        self._rows = np.flatnonzero(faces.train)

    def piece(self, rng: np.random.Generator) -> Floats:
        """Any part of any photo, turned by quarters."""
        crop = self._faces.crops[rng.choice(self._rows)]
        side = int(rng.integers(40, crop.shape[0]))
        y, x = rng.integers(0, crop.shape[0] - side + 1, 2)
        part = np.rot90(crop[y : y + side, x : x + side], int(rng.integers(4)))
        return np.ascontiguousarray(part, np.float32) / 255

    def cheek(self, rng: np.random.Generator) -> Floats:
        """Bare skin."""
        row = rng.choice(self._rows)
        return self._around(row, int(rng.choice((50, 280, 151))), (0.0, 0.0), (0.08, 0.08))

    def hair(self, rng: np.random.Generator) -> Floats | None:
        """What is above a forehead, where that differs from the skin; now and then nothing."""
        if rng.random() < 0.35:
            return None
        row = rng.choice(self._rows)
        above = self._around(row, 10, (rng.uniform(-0.15, 0.15), -0.17), (0.2, 0.11))
        skin = self._around(row, 50, (0.0, 0.0), (0.06, 0.06))
        lab = [
            cv2.cvtColor(part, cv2.COLOR_RGB2LAB).mean((0, 1)) * (2.55, 1, 1)
            for part in (above, skin)
        ]
        return above if np.linalg.norm(lab[0] - lab[1]) > _NOT_SKIN else None

    def person(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """A crop (uint8) and its landmarks."""
        row = rng.choice(self._rows)
        return np.array(self._faces.crops[row]), self._faces.landmarks[row]

    def _around(
        self, row: int, point: int, offset: tuple[float, float], half: tuple[float, float]
    ) -> Floats:
        """A box about a mesh point; offset and half sides in sizes of the face."""
        landmarks, crop = self._faces.landmarks[row], self._faces.crops[row]
        size = float(np.ptp(landmarks[:, :2], axis=0).max())
        center = landmarks[point, :2] + np.array(offset) * size
        reach = np.maximum(np.array(half) * size, 3)
        x0, y0 = np.clip(np.round(center - reach), 0, crop.shape[0] - 4).astype(int)
        x1, y1 = np.clip(np.round(center + reach), (x0 + 4, y0 + 4), crop.shape[0]).astype(int)
        return np.ascontiguousarray(crop[y0:y1, x0:x1], np.float32) / 255


def _on_mean(draw: Callable[[np.random.Generator, worn.Points], Sprite]) -> Callable[..., Sprite]:
    return lambda rng, _: draw(rng, worn.mean_points())


def _hair(draw: Callable[..., Sprite]) -> Callable[..., Sprite]:
    return lambda rng, photos: draw(rng, worn.mean_points(), photos.hair(rng))


_EYES = (33, 133, 362, 263, 168, 6, 197, 127, 356, 234, 454)
_LOWER = (234, 454, 58, 288, 152, 136, 365, 197, 4, 61, 291, 93, 323)
_UPPER = (10, 67, 297, 54, 284, 127, 356, 105, 334, 168)

KINDS: dict[str, Kind] = {
    "hand": Kind(
        lambda rng, photos: body.draw_hand(rng, photos.cheek(rng)),
        0.18, Manner("reaching", (1.15, 1.9)), skin=True,
    ),
    "fingers": Kind(
        lambda rng, photos: body.draw_fingers(rng, photos.cheek(rng)),
        0.06, Manner("reaching", (0.8, 1.8)), skin=True,
    ),
    "fringe": Kind(_hair(body.draw_fringe), 0.12, Manner("worn", anchors=_UPPER)),
    "lock": Kind(_hair(body.draw_lock), 0.06, Manner("worn", anchors=mesh.OVAL)),
    "strands": Kind(_hair(body.draw_strands), 0.04, Manner("worn", anchors=mesh.OVAL)),
    "spectacles": Kind(_on_mean(worn.draw_spectacles), 0.1, Manner("worn", anchors=_EYES)),
    "sunglasses": Kind(_on_mean(worn.draw_sunglasses), 0.05, Manner("worn", anchors=_EYES)),
    "mask": Kind(_on_mean(worn.draw_mask), 0.04, Manner("worn", anchors=_LOWER)),
    "scarf": Kind(_on_mean(worn.draw_scarf), 0.03, Manner("worn", anchors=mesh.OVAL)),
    "headset": Kind(_on_mean(worn.draw_headset), 0.04, Manner("worn", anchors=mesh.OVAL)),
    "microphone": Kind(
        lambda rng, _: objects.draw_microphone(rng), 0.05, Manner("reaching", (0.6, 1.6))
    ),
    "cup": Kind(lambda rng, _: objects.draw_cup(rng), 0.03, Manner("upright", (0.4, 1.1))),
    "food": Kind(lambda rng, _: objects.draw_food(rng), 0.03, Manner("anyhow", (0.35, 1.0))),
    "phone": Kind(
        lambda rng, photos: objects.draw_phone(rng, photos.piece(rng)),
        0.04, Manner("anyhow", (0.5, 1.6)),
    ),
    "cord": Kind(lambda rng, _: objects.draw_cord(rng), 0.04, Manner("anyhow", (1.2, 2.2))),
    "caption": Kind(lambda rng, _: objects.draw_caption(rng), 0.02, Manner("upright", (0.5, 2.0))),
    "person": Kind(
        lambda rng, photos: objects.draw_person(rng, *photos.person(rng)),
        0.06, Manner("beside", (1.5, 3.2)),
    ),
    "shape": Kind(
        lambda rng, photos: objects.draw_shape(rng, photos.piece(rng)),
        0.16, Manner("anyhow", (0.2, 1.3)),
    ),
}  # fmt: skip
"""The kinds by name. Leaves and flowers, animals, hats, nets, veils, gloves and umbrellas are kept
for the test (`sosie.recipes.occluders.held_out`) and must not come in here."""


@dataclass(frozen=True)
class Library:
    """rgba: uint8, N x SPRITE_PX x SPRITE_PX x 4, and hides: N x SPRITE_PX x SPRITE_PX, mapped from
    the disk (`Sprite`). rows: kind -> its rows."""

    rgba: NDArray[np.uint8]
    hides: NDArray[np.uint8]
    rows: dict[str, NDArray[np.intp]]


def kind_of_row(count: int) -> list[str]:
    """The kind of each sprite of a library of `count`, by the kinds' shares, at least one each."""
    shares = np.array([kind.share for kind in KINDS.values()])
    ends = np.round(np.cumsum(shares) / shares.sum() * count).astype(int)
    return [list(KINDS)[int(np.searchsorted(ends, row, "right"))] for row in range(count)]


def open_library(materials: Materials, faces: FaceSet, count: int) -> Library:
    """The library of `count` sprites; it is drawn first where need be."""
    made_from = repr((_VERSION, count, len(faces.crops), [(n, k.share) for n, k in KINDS.items()]))
    folder = materials.cache / f"visibility-sprites-{short_hash(made_from)}"
    if not (folder / "hides.npy").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _draw_all(materials, faces, count, folder)
    kinds = np.array(kind_of_row(count))
    return Library(
        np.load(folder / "rgba.npy", mmap_mode="r"),
        np.load(folder / "hides.npy", mmap_mode="r"),
        {name: np.flatnonzero(kinds == name) for name in KINDS},
    )


def draw_row(row: int, kind: str, photos: Photos) -> Sprite:
    """The sprite of a row: the same each time."""
    return KINDS[kind].draw(np.random.default_rng((20, row)), photos)


def _draw_all(materials: Materials, faces: FaceSet, count: int, folder: Path) -> None:
    shape = (count, SPRITE_PX, SPRITE_PX)
    # `hides` ends last: where it is, the library is whole.
    with (
        new_bytes(folder / "hides.npy", shape) as hides,
        new_bytes(folder / "rgba.npy", (*shape, 4)) as rgba,
    ):
        if not materials.workers:
            for row, one in enumerate(_drawn(faces, count, range(count))):
                rgba[row], hides[row] = one.rgba, one.hides
            return
        bounds = np.linspace(0, count, 4 * materials.workers + 1).astype(int).tolist()
        jobs = [(materials, count, start, end) for start, end in pairwise(bounds)]
        for number, drawn in in_processes(_draw_range, jobs, materials.workers):
            _, _, start, end = jobs[number]
            rgba[start:end], hides[start:end] = drawn


def _draw_range(
    materials: Materials, count: int, start: int, end: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    cv2.setNumThreads(1)
    sprites = list(_drawn(open_faces(materials), count, range(start, end)))
    return np.stack([s.rgba for s in sprites]), np.stack([s.hides for s in sprites])


def _drawn(faces: FaceSet, count: int, rows: range) -> Iterator[Sprite]:
    photos, kinds = Photos(faces), kind_of_row(count)
    for row in rows:
        yield draw_row(row, kinds[row], photos)


def placed(manner: Manner, points: NDArray[np.float32], rng: np.random.Generator) -> Matrix:
    """Sprite -> square. points: the face's mesh in the square, 478 x 2."""
    if manner.placing == "worn":
        return _onto(manner.anchors, points, rng)
    low, high = points.min(0), points.max(0)
    center, half = (low + high) / 2, (high - low) / 2
    face = float((high - low).max())
    scale = face / SPRITE_PX * float(np.exp(rng.uniform(*np.log(manner.size))))
    # This point of the sprite, in shares of its half side, comes onto that place of the face.
    grip, angle = rng.normal(0, 0.3, 2), float(rng.uniform(-180, 180))
    place = center + half * rng.uniform(-1, 1, 2)
    if manner.placing == "reaching":
        # What is held or stretched out comes from outside: its lower end points away from the face.
        grip = np.array([rng.normal(0, 0.15), rng.uniform(-0.9, 0.0)])
        outward = place - center + rng.normal(0, 0.5, 2) * face
        outward += np.array([0, rng.exponential(0.35) * face])
        angle = float(np.degrees(np.arctan2(-outward[0], outward[1])))
    elif manner.placing == "upright":
        angle = float(rng.normal(0, 12))
        place = center + half * np.array([rng.uniform(-1, 1), rng.uniform(-0.6, 1.2)])
    elif manner.placing == "beside":
        turned = rng.uniform(0, 2 * np.pi)
        away = np.array([np.cos(turned), np.sin(turned)]) * rng.uniform(0.75, 1.3) * face
        place, angle, grip = center + away, float(rng.normal(0, 15)), np.zeros(2)
    flip = float(rng.choice((-1, 1)))
    a = np.radians(angle)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    stretch = np.diag([flip * np.exp(rng.normal(0, 0.1)), np.exp(rng.normal(0, 0.1))])
    linear = scale * turn @ stretch
    anchor = (SPRITE_PX - 1) / 2 + grip * SPRITE_PX / 2
    return np.column_stack([linear, place - linear @ anchor])


def _onto(
    anchors: tuple[int, ...], points: NDArray[np.float32], rng: np.random.Generator
) -> Matrix:
    """The affine map of the mean face's anchors to the face's, with a little slack."""
    source = worn.mean_points(SPRITE_PX)[list(anchors)]
    if rng.random() < 0.5:
        # The drawing's left side is worn on the right.
        source = source * (-1, 1) + (SPRITE_PX - 1, 0)
    aim = points[list(anchors)].astype(np.float64)
    basis = np.column_stack([source, np.ones(len(source))])
    solved = np.linalg.lstsq(basis, aim, rcond=None)[0].T
    size = float(np.ptp(points, axis=0).max())
    center = aim.mean(0)
    slack = np.eye(2) + rng.normal(0, 0.03, (2, 2))
    linear = slack @ solved[:, :2]
    shift = center + slack @ (solved[:, 2] - center) + rng.normal(0, 0.015, 2) * size
    return np.column_stack([linear, shift])
