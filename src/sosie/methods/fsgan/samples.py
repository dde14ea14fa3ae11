"""The faces that FSGAN's networks learn from: photos of people, sets, and videos of one person."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis import embedder
from sosie.analysis.analyzer import Analyzer, create_analyzer
from sosie.analysis.parser import FaceParts, square_matrix
from sosie.datasets.array_files import open_cache, save_arrays
from sosie.datasets.images import Picture, find_pictures, read_each
from sosie.datasets.people import People
from sosie.errors import InputError
from sosie.geometry import alignment
from sosie.geometry.face_types import BOX, face_matrix
from sosie.geometry.head_pose import region_of
from sosie.methods.fsgan.heat_maps import points_98
from sosie.recipes.two_people.faces import frames_of, is_video
from sosie.types import Face, FloatArray

BACKGROUND, FACE, HAIR = 0, 1, 2
"""Labels, as the published segmentation has them."""

_MOST_OF_VIDEO = 400
_PART = 100
# A change of what is read, or how, starts a new cache.
_VERSION = 1
_TEXTS = ("people", "names", "splits")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Faces:
    """N faces as FSGAN crops them, S x S: a square about the bounds, not turned.

    people: the crops, and whom they show; every video is one person. labels: uint8, N x S x S, by
    the parser. points: float32, N x 98 x 2, pixels of the crop. poses: float32, N x 3, degrees:
    yaw, pitch, roll. identities: float32, N x 512, unit length. aligned: float32, N x 2 x 3, from
    the identity network's crop to this one.
    """

    people: People
    labels: NDArray[np.uint8]
    points: FloatArray
    poses: FloatArray
    identities: FloatArray
    aligned: FloatArray

    def only(self, rows: NDArray[np.intp]) -> Faces:
        """Some of the faces."""
        told = {name: value[rows] for name, value in vars(self).items() if name != "people"}
        texts = {name: getattr(self.people, name)[rows] for name in _TEXTS}
        return Faces(replace(self.people, faces=self.people.faces[rows], **texts), **told)


def open_faces(place: Path, cache_folder: Path, size_px: int, workers: int = 0) -> Faces:
    """The largest face of every picture in a folder, zip or set, and of frames of every video.

    They are read once and kept in `cache_folder`; a run that stops goes on where it was. workers:
    processes that read; 0 reads here. What is damaged or shows no face is left out, counted and
    logged. Raises InputError where there is nothing to read, or no face in it.
    """
    parts = _parts(place, size_px)
    digest = hashlib.sha256(repr((_VERSION, size_px)).encode())
    for part in parts:
        digest.update(part.told().encode())
    columns = open_cache(
        cache_folder / f"fsgan-{digest.hexdigest()[:12]}",
        "fsgan.npz",
        ("faces", "labels"),
        _read_part,
        lambda: [((part,), part.count) for part in parts],
        workers=workers,
    )
    unreadable, faceless = int(columns["unreadable"]), int(columns["faceless"])
    if unreadable or faceless:
        _log.info(
            "%s: %d pictures could not be read and %d show no face; they are left out",
            place, unreadable, faceless,
        )  # fmt: skip
    if not len(columns["points"]):
        raise InputError(f"Nothing in {place} shows a face that can be found: name another.")
    people = People(
        faces=columns["faces"],
        unreadable=unreadable,
        faceless=faceless,
        **{name: columns[name] for name in _TEXTS},
    )
    told = {name: columns[name] for name in ("labels", "points", "poses", "identities", "aligned")}
    return Faces(people, **told)


@dataclass(frozen=True)
class _Part:
    """Pictures, or a whole video, that a process reads. person: of the video."""

    pictures: tuple[Picture, ...]
    video: Path | None
    person: str
    size_px: int

    @property
    def count(self) -> int:
        return len(self.pictures) or _MOST_OF_VIDEO

    def told(self) -> str:
        """All that the faces depend on."""
        files = {
            one.container if one.container.is_file() else one.container / one.name
            for one in self.pictures
        }
        if self.video is not None:
            files = {self.video}
        stamps = [
            (str(file), known.st_size, known.st_mtime_ns)
            for file in sorted(files)
            if file.exists() and (known := file.stat())
        ]
        return repr(([(p.name, p.person, p.split) for p in self.pictures], self.person, stamps))


def _parts(place: Path, size_px: int) -> list[_Part]:
    if not place.exists():
        raise InputError(f"There is no {place}: name a folder of pictures or videos, or a video.")
    if place.is_file() and place.suffix.lower() != ".zip":
        if not is_video(place):
            raise InputError(
                f"{place} is no video and no .zip: name a folder of photos, or a video."
            )
        return [_Part((), place, place.stem, size_px)]
    videos: list[Path] = []
    if place.is_dir():
        files = sorted(path for path in place.rglob("*") if path.is_file())
        videos = [path for path in files if is_video(path)]
    found = [_Part((), video, str(video.relative_to(place)), size_px) for video in videos]
    try:
        pictures = find_pictures(place)
    except InputError:
        if not found:
            raise
        pictures = []
    return found + [
        _Part(tuple(pictures[start : start + _PART]), None, "", size_px)
        for start in range(0, len(pictures), _PART)
    ]


def _read_part(file: Path, part: _Part) -> None:
    names = ("faces", "labels", "points", "poses", "identities", "aligned", *_TEXTS)
    columns: dict[str, list[Any]] = {name: [] for name in names}
    counts = {"unreadable": 0, "faceless": 0}
    for pixels, told in _pictures_of(part, counts):
        found = _analyzer().analyze(pixels, thorough=False)
        if not found:
            counts["faceless"] += 1
            continue
        face = max(found, key=lambda one: one.size_px)
        for name, value in (_cut(pixels, face, part.size_px) | told).items():
            columns[name].append(value)
    size = part.size_px
    shapes: dict[str, tuple[int, ...]] = {
        "faces": (size, size, 3),
        "labels": (size, size),
        "points": (98, 2),
        "poses": (3,),
        "identities": (embedder.NUMBERS,),
        "aligned": (2, 3),
    }
    arrays: dict[str, NDArray[Any]] = {name: np.array(columns[name], np.str_) for name in _TEXTS}
    for name, shape in shapes.items():
        kind = np.uint8 if name in ("faces", "labels") else np.float32
        arrays[name] = np.array(columns[name], kind).reshape(-1, *shape)
    save_arrays(file, arrays | {name: np.array(count) for name, count in counts.items()})


def _pictures_of(
    part: _Part, counts: dict[str, int]
) -> Iterator[tuple[NDArray[np.uint8], dict[str, Any]]]:
    """The pixels of each picture or frame, and whom it shows."""
    if part.video is not None:
        for number, pixels in enumerate(frames_of(part.video, _MOST_OF_VIDEO)):
            yield pixels, {"people": part.person, "names": f"{part.person}/{number}", "splits": ""}
        return
    for picture, pixels in read_each(part.pictures, counts):
        place = f"{picture.container.name}/{picture.name}"
        yield pixels, {"people": picture.person or place, "names": place, "splits": picture.split}


def _cut(pixels: NDArray[np.uint8], face: Face, size_px: int) -> dict[str, Any]:
    """A face's crop, and what is known of it."""
    matrix = face_matrix(face, BOX, size_px)
    onto = alignment.align_matrix(face.points5, embedder.TEMPLATE, embedder.SIDE_PX)
    points = alignment.transform_points(points_98(face.landmarks), matrix)
    square = square_matrix(region_of(face.landmarks))
    to_crop = alignment.compose(matrix, alignment.invert(square))
    return {
        "faces": alignment.crop(pixels, matrix, size_px),
        "labels": labels_of(_analyzer().parts(pixels, face.landmarks), to_crop, size_px),
        "points": points,
        "poses": (face.pose.yaw, face.pose.pitch, face.pose.roll),
        "identities": _analyzer().identify(pixels, face),
        "aligned": alignment.compose(matrix, alignment.invert(onto)),
    }


def labels_of(parts: FaceParts, to_crop: alignment.Matrix, size_px: int) -> NDArray[np.uint8]:
    """The published labels of a crop: skin with all features, and spectacles, are face. to_crop:
    parser's square -> crop."""
    planes = (
        parts.beyond + parts.hat + parts.thing,
        parts.skin + parts.frame + parts.lens,
        parts.hair,
    )
    shares = [alignment.warp(plane, to_crop, size_px, size_px) for plane in planes]
    return np.asarray(np.argmax(np.stack(shares), 0), np.uint8)


@cache
def _analyzer() -> Analyzer:
    cv2.setNumThreads(1)
    return create_analyzer(threads=1)
