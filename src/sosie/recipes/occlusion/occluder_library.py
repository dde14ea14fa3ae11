"""The library of occluders: drawn once into the cache, read by row."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.datasets.array_files import new_bytes
from sosie.geometry import mesh
from sosie.recipes.face_cache import FaceSet, open_faces
from sosie.recipes.occlusion import hair, hands, objects, worn
from sosie.recipes.occlusion.compositing import SPRITE_PX, Floats, Sprite
from sosie.stops import leave_stops
from sosie.training.recipe import Materials

Placing = Literal["worn", "reaching", "upright", "anyhow", "beside"]

# A change of a drawing starts a new library.
_VERSION = 2
# Differences of CIELAB (8 bits a channel) from which hair of a photo is taken not to be skin.
_NOT_SKIN = 22


@dataclass(frozen=True)
class Manner:
    """How a thing lies over a face (`samples.placed`).

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
        lambda rng, photos: hands.draw_hand(rng, photos.cheek(rng)),
        0.18, Manner("reaching", (1.15, 1.9)), skin=True,
    ),
    "fingers": Kind(
        lambda rng, photos: hands.draw_fingers(rng, photos.cheek(rng)),
        0.06, Manner("reaching", (0.8, 1.8)), skin=True,
    ),
    "fringe": Kind(_hair(hair.draw_fringe), 0.12, Manner("worn", anchors=_UPPER)),
    "lock": Kind(_hair(hair.draw_lock), 0.06, Manner("worn", anchors=mesh.OVAL)),
    "strands": Kind(_hair(hair.draw_strands), 0.04, Manner("worn", anchors=mesh.OVAL)),
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
for the test (`sosie.recipes.occlusion.evaluate_kinds`) and must not come in here."""


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
    folder = (
        materials.cache
        / f"visibility-sprites-{hashlib.sha256(made_from.encode()).hexdigest()[:12]}"
    )
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
        bounds = np.linspace(0, count, 4 * materials.workers + 1).astype(int)
        jobs = [(materials, count, int(a), int(b)) for a, b in pairwise(bounds)]
        with ProcessPoolExecutor(
            materials.workers, mp_context=get_context("spawn"), initializer=leave_stops
        ) as pool:
            for (_, _, start, end), (colors, masks) in zip(
                jobs, pool.map(_draw_range, jobs), strict=True
            ):
                rgba[start:end], hides[start:end] = colors, masks


def _draw_range(
    job: tuple[Materials, int, int, int],
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    materials, count, start, end = job
    cv2.setNumThreads(1)
    sprites = list(_drawn(open_faces(materials), count, range(start, end)))
    return np.stack([s.rgba for s in sprites]), np.stack([s.hides for s in sprites])


def _drawn(faces: FaceSet, count: int, rows: range) -> Iterator[Sprite]:
    photos, kinds = Photos(faces), kind_of_row(count)
    for row in rows:
        yield draw_row(row, kinds[row], photos)
