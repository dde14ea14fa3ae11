"""FSLSD's networks at work, from the ONNX files in a folder: those of a training, which has all but
the inverter in one graph, or the parts of a published checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from sosie.errors import InputError
from sosie.geometry import alignment
from sosie.methods.base import as_signed
from sosie.methods.fslsd.files import IMPORTED, has_part, part_file
from sosie.methods.fslsd.heat_maps import POINTS, heat_maps, points_106
from sosie.methods.fslsd.masks import face_mask
from sosie.methods.parts import licenses_of
from sosie.models.session import Session, create_session
from sosie.types import FloatArray, Pixels

TEMPLATE = "ffhq"

SWAP_INPUTS = ("source", "target", "landmarks", "picture", "mask", "before", "share")
SWAP_OUTPUTS = ("swapped", "moved")

_MOST_LAYERS, _FIRST_PX = 18, 4


@dataclass(frozen=True)
class Codes:
    """A face as the networks have it. latents: float32, C x L. points: the 106 landmarks, float32,
    106 x 2, in pixels of its crop."""

    latents: FloatArray
    points: FloatArray


@dataclass(frozen=True)
class Drawn:
    """picture: float32, 3 x S x S, about -1..1. moved: float32, K x L, by how much the latents of
    the structure are away from the target's."""

    picture: FloatArray
    moved: FloatArray


class Drawer(Protocol):
    """What draws a swap of codes. size_px: of pictures. maps_px: of heat-maps. shape: C and L of
    the latents. structure: how many latents are of the structure."""

    sessions: Mapping[str, Session]
    size_px: int
    maps_px: int
    shape: tuple[int, int]
    structure: int

    def run(self, given: Mapping[str, FloatArray]) -> Drawn:
        """given: by SWAP_INPUTS, each with a batch of one."""


class TrainedDrawer:
    """The graph of `sosie train fslsd`."""

    def __init__(self, folder: Path, provider: str, threads: int | None) -> None:
        file = part_file(folder, "swap", ".onnx")
        session = create_session(file, provider, threads)
        self.sessions: Mapping[str, Session] = {"swap": session}
        if tuple(session.inputs) != SWAP_INPUTS:
            raise _wrong(file, "swap")
        latents, maps, picture, before = (
            session.inputs[name] for name in ("source", "landmarks", "picture", "before")
        )
        if not _fits(latents, (_MOST_LAYERS, 512)) or maps[1] != 2 * POINTS:
            raise _wrong(file, "swap")
        self.shape = (int(latents[1] or 0), int(latents[2] or 0))
        self.structure = int(before[1] or 0)
        self.maps_px, self.size_px = int(maps[-1] or 0), int(picture[-1] or 0)
        if self.size_px != _size_of(self.shape[0]) or not 0 < self.structure < self.shape[0]:
            raise _wrong(file, "swap")

    def run(self, given: Mapping[str, FloatArray]) -> Drawn:
        found = self.sessions["swap"].run(dict(given))
        return Drawn(found["swapped"][0], found["moved"][0])


class ImportedDrawer:
    """The parts of the published checkpoint, one after the other."""

    def __init__(self, folder: Path, provider: str, threads: int | None) -> None:
        wanted = (*IMPORTED, "bald") if has_part(folder, "bald") else IMPORTED
        files = {part: part_file(folder, part, ".onnx") for part in wanted}
        self.sessions: Mapping[str, Session] = {
            part: create_session(file, provider, threads) for part, file in files.items()
        }
        maps, latents = self.sessions["landmarks"].inputs, self.sessions["maps"].inputs
        if tuple(maps) != ("landmarks",) or tuple(latents) != ("latents",):
            raise _wrong(files["landmarks"], "landmark encoder")
        shape = latents["latents"]
        self.shape = (int(shape[1] or 0), int(shape[2] or 0))
        self.size_px, self.maps_px = _size_of(self.shape[0]), int(maps["landmarks"][-1] or 0)
        self.structure = 7
        self._names = list(self.sessions["decoder"].inputs)

    def run(self, given: Mapping[str, FloatArray]) -> Drawn:
        sessions, structure = self.sessions, self.structure
        offsets = _first(sessions["landmarks"], given["landmarks"])
        source, target = given["source"], given["target"]
        moved = source[:, :structure] + offsets - target[:, :structure]
        moved = np.asarray(
            (1 - given["share"]) * moved + given["share"] * given["before"], np.float32
        )
        latents = target.copy()
        latents[:, :structure] += moved
        if "bald" in sessions:
            flat = latents.reshape(1, -1)
            latents = _first(sessions["bald"], flat).reshape(latents.shape)
        ours = list(sessions["maps"].run({"latents": latents}).values())
        theirs = list(sessions["target"].run({"target": given["picture"]}).values())
        parts = dict(zip(self._names, [*ours, *theirs, given["mask"]], strict=True))
        return Drawn(_first_of(sessions["decoder"], parts)[0], moved[0])


class Networks:
    """The inverter, and what draws a swap of its codes.

    Raises InputError where a file is not there, is another network, or does not fit the others.
    """

    def __init__(self, folder: Path, provider: str, threads: int | None) -> None:
        if not folder.is_dir():
            raise InputError(
                f"{folder} is no folder: name the one that holds the networks of fslsd."
            )
        imported = any(has_part(folder, part) for part in IMPORTED)
        if imported and has_part(folder, "swap"):
            raise InputError(
                f"{folder} holds a trained fslsd.onnx and imported parts of FSLSD: keep those that "
                f"are meant there."
            )
        drawer: type[ImportedDrawer] | type[TrainedDrawer]
        drawer = ImportedDrawer if imported else TrainedDrawer
        self._drawer: Drawer = drawer(folder, provider, threads)
        self.size_px = self._drawer.size_px
        file = part_file(folder, "inverter", ".onnx")
        self._inverter = create_session(file, provider, threads)
        seen = self._inverter.inputs.get("picture")
        if seen is None or len(seen) != 4 or seen[1] != 3 or seen[-1] is None:
            raise _wrong(file, "inverter")
        self._seen_px = int(seen[-1])
        probe = self._latents(np.zeros((self._seen_px, self._seen_px, 3), np.uint8))
        if probe.shape != self._drawer.shape:
            raise InputError(
                f"{file} does not fit the other networks in {folder}: its latents have other "
                f"numbers; train it for the generator that they are made with."
            )
        self.sessions: Mapping[str, Session] = {
            "inverter": self._inverter,
            **self._drawer.sessions,
        }

    @property
    def licenses(self) -> str:
        """What the files say of their licenses."""
        return licenses_of(self.sessions.values())

    def crop(self, pixels: Pixels, points5: FloatArray) -> tuple[Pixels, alignment.Matrix]:
        """A face of a photo as the generator makes them, size_px squared, and the transform from
        the photo to it. points5: of `Face`."""
        matrix = alignment.align_matrix(points5, TEMPLATE, self.size_px)
        return alignment.crop(pixels, matrix, self.size_px), matrix

    def encode(self, crop: Pixels, landmarks: FloatArray) -> Codes:
        """A crop, RGB uint8 or uint16, with its 478 landmarks -> its codes."""
        return Codes(self._latents(crop), points_106(landmarks))

    def draw(
        self,
        source: Codes,
        target: Codes,
        crop: Pixels,
        landmarks: FloatArray,
        before: FloatArray | None = None,
        share: float = 0.0,
    ) -> Drawn:
        """The swap of a crop of size_px. landmarks: its 478. before: `Drawn.moved` of the frame
        before, of which `share` (0..1) counts."""
        drawer, size = self._drawer, self.size_px
        maps = [heat_maps(one.points, size, drawer.maps_px) for one in (source, target)]
        none = np.zeros((drawer.structure, drawer.shape[1]), np.float32)
        given = {
            "source": source.latents,
            "target": target.latents,
            "landmarks": np.concatenate(maps),
            "picture": as_signed(crop),
            "mask": face_mask(landmarks, size, size)[None],
            "before": none if before is None else before,
            "share": np.full((1, 1), 0.0 if before is None else share, np.float32),
        }
        drawn = drawer.run(
            {name: np.ascontiguousarray(v[None], np.float32) for name, v in given.items()}
        )
        if drawn.picture.shape != (3, size, size):
            raise InputError("The decoder gives no picture: its file is damaged; get it again.")
        return drawn

    def _latents(self, crop: Pixels) -> FloatArray:
        signed, side = as_signed(crop), self._seen_px
        if signed.shape[-1] != side:
            way = cv2.INTER_AREA if signed.shape[-1] > side else cv2.INTER_CUBIC
            resized = cv2.resize(signed.transpose(1, 2, 0), (side, side), interpolation=way)
            signed = np.asarray(resized.transpose(2, 0, 1), np.float32)
        return np.asarray(_first(self._inverter, signed[None])[0], np.float32)


def _first(session: Session, values: FloatArray) -> FloatArray:
    """The first output of a network of one input."""
    return _first_of(session, {next(iter(session.inputs)): values})


def _first_of(session: Session, given: Mapping[str, FloatArray]) -> FloatArray:
    inputs = {name: np.ascontiguousarray(values, np.float32) for name, values in given.items()}
    return np.asarray(next(iter(session.run(inputs).values())), np.float32)


def _size_of(count: int) -> int:
    """Side of the pictures of a generator of so many latents: two for each doubling."""
    return int(_FIRST_PX * 2 ** (count // 2 - 1))


def _fits(shape: tuple[int | None, ...], most: tuple[int, int]) -> bool:
    sides = shape[1:]
    return len(sides) == 2 and all(
        side is not None and 0 < side <= limit for side, limit in zip(sides, most, strict=True)
    )


def _wrong(file: Path, part: str) -> InputError:
    return InputError(
        f"{file} is no {part} of FSLSD: make one with `sosie train`, or import a published one "
        f"with `sosie weights import fslsd`."
    )
