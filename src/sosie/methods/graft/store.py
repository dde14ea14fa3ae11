"""The faces that swapping is learned from: sharper than those of the face cache, with what hides
them and whose they are.

Made once from the archives and the face cache's landmarks, by Sosie's own networks.
"""

from __future__ import annotations

import hashlib
import logging
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis import parser
from sosie.analysis.analyzer import FaceAnalyzer, Networks, make_face
from sosie.analysis.embedder import NUMBERS
from sosie.datasets.array_files import new_bytes, save_arrays
from sosie.geometry import alignment, head_pose
from sosie.models.cards import read_card
from sosie.recipes.face_cache import FaceSet, decode, open_faces
from sosie.training.recipe import Materials
from sosie.types import FloatArray, Pixels

CROP_PX, MARGIN = 320, 1.5
"""Side of a crop in pixels, and in sizes of the face (`topology.region_of`)."""

# Faces that the landmark teacher reads differently in the mirror have no sure place.
_MAX_DISAGREEMENT = 0.06
_VERSION = 1

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SwapFaces:
    """Faces of the training and the validation people, a row each.

    crops: uint8, N x CROP_PX x CROP_PX x 3, RGB, upright, mapped from the disk. landmarks: float32,
    N x 478 x 3, in pixels of the crop. views: uint8, N x 128 x 128, what is visible, 0..255
    (`occlusion.visible`). identity: float32, N x 512, of unit length (`Recognizer`). people,
    groups: where each is from. validation: bool, N: of the people on whom the best is chosen.
    """

    crops: NDArray[np.uint8]
    landmarks: FloatArray
    views: NDArray[np.uint8]
    identity: FloatArray
    people: NDArray[np.str_]
    groups: NDArray[np.str_]
    validation: NDArray[np.bool_]


def open_swap_faces(materials: Materials) -> SwapFaces:
    """The cached faces of `materials.data`; they are made first where need be."""
    faces = open_faces(materials)
    rows = np.flatnonzero(~faces.test & (faces.agreement < _MAX_DISAGREEMENT))
    networks = [read_card(name).sha256 for name in ("parser", "identity")]
    made_from = (_VERSION, CROP_PX, MARGIN, networks, len(faces.names), len(rows))
    names = "\n".join(faces.names[rows])
    key = hashlib.sha256((repr(made_from) + names).encode()).hexdigest()[:12]
    folder = materials.cache / f"swap-{key}"
    if not (folder / "faces.npz").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _make(faces, rows, materials.data, folder)
    with np.load(folder / "faces.npz", allow_pickle=False) as kept:
        arrays = {name: kept[name] for name in kept.files}
    crops = np.load(folder / "crops.npy", mmap_mode="r")
    return SwapFaces(crops=crops, **arrays)


def _make(faces: FaceSet, rows: NDArray[np.intp], data: Path, folder: Path) -> None:
    analyzer = FaceAnalyzer(Networks(threads=1))
    count, started = len(rows), time.monotonic()
    side = parser.SIDE_PX
    columns: dict[str, NDArray[Any]] = {
        "landmarks": np.zeros((count, 478, 3), np.float32),
        "views": np.zeros((count, side, side), np.uint8),
        "identity": np.zeros((count, NUMBERS), np.float32),
    }
    with new_bytes(folder / "crops.npy", (count, CROP_PX, CROP_PX, 3)) as crops:
        for place, (row, pixels) in enumerate(_pictures(faces, rows, data)):
            back = alignment.invert(faces.matrices[row])
            landmarks = alignment.transform_points(faces.landmarks[row], back)
            view = analyzer.visible(pixels, landmarks)
            numbers = analyzer.identify(pixels, make_face(landmarks, 1.0))
            crops[place], columns["landmarks"][place] = cut(pixels, landmarks)
            columns["views"][place] = np.rint(view * 255)
            columns["identity"][place] = numbers
            if place % 500 == 499:
                rate = (place + 1) / (time.monotonic() - started)
                _log.info("swap: %d of %d faces, %.1f a second", place + 1, count, rate)
    origin = {"people": faces.people, "groups": faces.groups, "validation": faces.validation}
    kept: dict[str, NDArray[Any]] = {name: values[rows] for name, values in origin.items()}
    save_arrays(folder / "faces.npz", {**columns, **kept})


def _pictures(
    faces: FaceSet, rows: NDArray[np.intp], data: Path
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Rows of the face cache in their order, each with its picture."""
    opened: dict[str, zipfile.ZipFile] = {}
    try:
        for row in rows:
            archive = str(faces.archives[row])
            if archive not in opened:
                opened[archive] = zipfile.ZipFile(data / archive)
            yield int(row), decode(opened[archive].read(str(faces.names[row])))
    finally:
        for file in opened.values():
            file.close()


def cut(pixels: Pixels, landmarks: FloatArray) -> tuple[Pixels, FloatArray]:
    """The upright crop of a face (landmarks: 478 x 3, in pixels of the picture), and its landmarks
    in the crop."""
    matrix = head_pose.square_matrix(head_pose.region_of(landmarks), MARGIN, CROP_PX)
    crop = alignment.warp(pixels, matrix, CROP_PX, CROP_PX, cv2.BORDER_REPLICATE)
    return crop, alignment.transform_points(landmarks, matrix)
