"""The faces of one person that a network of two people learns from: of photos, a set or a video.

Each is cut out once with its mask and with where eyes and mouth are, and kept in the cache. Who
else is seen is left out by identity, and counted.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis import embedder
from sosie.analysis.analyzer import Analyzer, create_analyzer, to_8_bit
from sosie.analysis.parser import square_matrix
from sosie.blending.mask import feature_mask
from sosie.datasets.array_files import open_cache, save_arrays
from sosie.datasets.images import Picture, find_pictures, read_each
from sosie.errors import InputError
from sosie.geometry import alignment, mesh
from sosie.geometry.face_types import face_matrix
from sosie.geometry.head_pose import region_of
from sosie.geometry.morphable_model import silhouette
from sosie.media.kinds import kind_of
from sosie.media.targets import open_target
from sosie.types import Face, FloatArray, Pixels

LEAST = 12
"""Fewer faces of a person teach nothing but themselves."""

SAME_FACE = 0.35
"""A face whose cosine with the mean of all is less is left out as somebody else's."""
ONE_PERSON = 0.5
"""Two sets whose means have this cosine show one person."""

MASKS = "masks"
"""Of the user's own masks, beside the pictures: white is the face."""

_MOST_OF_VIDEO = 2000
_PART = 100
# A change of what is read, or how, starts a new cache.
_VERSION = 1
# How far past the mesh a mask may reach, as a share of the face's size: the mesh ends within it.
_PAST = 0.05
_ENDINGS = (".png", ".webp", ".jpg", ".jpeg", ".bmp")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PersonFaces:
    """Faces of one person, N of them.

    faces: uint8, N x S x S x 3, RGB. masks: uint8, N x S x S, 255 on the face; features: the same
    about eyes, brows and mouth. yaws: degrees. identities: float32, N x 512, unit length. aligned:
    float32, N x 2 x 3, from the identity network's crop to the face's.
    """

    faces: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    features: NDArray[np.uint8]
    yaws: FloatArray
    identities: FloatArray
    aligned: FloatArray

    @property
    def identity(self) -> FloatArray:
        """The mean over all, unit length."""
        return unit_length(self.identities.mean(0))


def open_person(
    place: Path, cache_folder: Path, template: str, size_px: int, own_masks: bool, workers: int = 0
) -> PersonFaces:
    """The faces of the person that most of `place` shows.

    place: a folder or zip of photos, a set of faces, or a video. template: of the crops. own_masks:
    masks are the pictures in the folder `masks` inside, of the photos' names; else the parser says
    what is face. Raises InputError where there is nothing to be read, too few faces, or a mask is
    missing.
    """
    read = _read(place, cache_folder, template, size_px, own_masks, workers)
    return _of_one_person(place, read)


def open_mixed(
    place: Path, cache_folder: Path, template: str, size_px: int, own_masks: bool, workers: int = 0
) -> PersonFaces:
    """All faces in `place`, whoever they are of, as if they were one person's: for pretraining.
    Otherwise as `open_person`."""
    columns = _read(place, cache_folder, template, size_px, own_masks, workers)
    every = np.arange(len(columns["yaws"]))
    require_enough(len(every), LEAST, place)
    return _chosen(columns, every)


def _read(
    place: Path, cache_folder: Path, template: str, size_px: int, own_masks: bool, workers: int
) -> dict[str, NDArray[Any]]:
    """All faces of a place, as the cache keeps them."""
    parts = _parts(place, template, size_px, own_masks)
    digest = hashlib.sha256(repr((_VERSION, template, size_px, own_masks)).encode())
    for part in parts:
        digest.update(part.told().encode())
    columns = open_cache(
        cache_folder / f"person-{digest.hexdigest()[:12]}",
        "person.npz",
        ("faces", "masks", "features"),
        _read_part,
        lambda: [((part,), part.count) for part in parts],
        workers=workers,
    )
    unmasked = int(columns["unmasked"])
    if unmasked:
        raise InputError(
            f"{unmasked} pictures in {place} have no mask in the folder {MASKS} inside: draw one "
            f"for each, of its name, white on the face, or leave own_masks out, and the parser "
            f"makes them."
        )
    unreadable, faceless = int(columns["unreadable"]), int(columns["faceless"])
    if unreadable or faceless:
        _log.info(
            "%s: %d pictures could not be read and %d show no face; they are left out",
            place, unreadable, faceless,
        )  # fmt: skip
    return columns


def require_enough(count: int, least: int, place: Path, others: int = 0) -> None:
    """Raises InputError where a place has too few faces. others: how many more it has of others."""
    if count < least:
        beside = f" ({others} more look like other people)" if others else ""
        raise InputError(
            f"{place} gives {count} {'face' if count == 1 else 'faces'}{beside}, and at least "
            f"{least} are wanted, better some hundreds: add photos, or take frames of a video with "
            f"`sosie dataset extract`."
        )


def require_two(source: FloatArray, target: FloatArray) -> None:
    """Raises InputError where two mean identities (unit length) are one person's."""
    alike = float(source @ target)
    if alike >= ONE_PERSON:
        raise InputError(
            f"Source and target show one person (similarity {alike:.2f}), and a swap takes two: "
            f"name another's faces with --source or --target."
        )


def _of_one_person(place: Path, columns: dict[str, NDArray[Any]]) -> PersonFaces:
    identities = columns["identities"]
    rows = np.arange(len(identities))
    for _ in range(3):
        if not len(rows):
            break
        middle = unit_length(np.median(identities[rows], axis=0))
        rows = np.flatnonzero(identities @ middle >= SAME_FACE)
    strangers = len(identities) - len(rows)
    require_enough(len(rows), LEAST, place, strangers)
    if strangers:
        _log.info("%s: %d faces look like somebody else and are left out", place, strangers)
    return _chosen(columns, rows)


def _chosen(columns: dict[str, NDArray[Any]], rows: NDArray[np.intp]) -> PersonFaces:
    names = ("faces", "masks", "features", "yaws", "identities", "aligned")
    if len(rows) == len(columns["yaws"]):
        # Those that lie on the disk stay there.
        return PersonFaces(**{name: columns[name] for name in names})
    return PersonFaces(**{name: np.asarray(columns[name][rows]) for name in names})


def unit_length(identity: NDArray[Any]) -> FloatArray:
    """An identity at unit length."""
    return np.asarray(identity / max(float(np.linalg.norm(identity)), 1e-9), np.float32)


@dataclass(frozen=True)
class _Part:
    """Pictures, or a whole video, that a process reads."""

    pictures: tuple[Picture, ...]
    video: Path | None
    template: str
    size_px: int
    own_masks: bool

    @property
    def count(self) -> int:
        return len(self.pictures) or _MOST_OF_VIDEO

    def told(self) -> str:
        """All that the faces depend on."""
        files = [
            one.container if one.container.is_file() else one.container / one.name
            for one in self.pictures
        ]
        if self.video is not None:
            files = [self.video]
        elif self.own_masks:
            files += [mask for one in self.pictures if (mask := _mask_file(one)) is not None]
        stamps = [
            (str(file), known.st_size, known.st_mtime_ns)
            for file in dict.fromkeys(files)
            if file.exists() and (known := file.stat())
        ]
        return repr(([picture.name for picture in self.pictures], stamps))


def _parts(place: Path, template: str, size_px: int, own_masks: bool) -> list[_Part]:
    kind = kind_of(place) if place.is_file() and place.suffix.lower() != ".zip" else None
    if kind == "video":
        if own_masks:
            raise InputError(f"A video has no masks of its own: leave own_masks out for {place}.")
        return [_Part((), place, template, size_px, own_masks)]
    if kind is not None:
        raise InputError(
            f"{place} is one photo, and at least {LEAST} faces are wanted: name a folder of photos "
            f"or a video."
        )
    if not place.exists():
        raise InputError(f"There is no {place}: name a folder of photos, a set, or a video.")
    if own_masks and place.is_file():
        raise InputError(f"Your own masks are read from a folder alone: unpack {place}.")
    pictures = [
        one
        for one in find_pictures(place)
        if one.split != "test" and Path(one.name).parts[0] != MASKS
    ]
    if not pictures:
        raise InputError(
            f"{place} has no pictures to learn from beside masks and faces that are kept for "
            f"tests: name a place that has."
        )
    return [
        _Part(tuple(pictures[start : start + _PART]), None, template, size_px, own_masks)
        for start in range(0, len(pictures), _PART)
    ]


def _mask_file(picture: Picture) -> Path | None:
    """The user's mask of a picture in a folder; None where there is none."""
    inside = (picture.container / MASKS / picture.name).with_suffix("")
    return next(
        (f for end in _ENDINGS if (f := inside.with_name(inside.name + end)).is_file()), None
    )


def _read_part(file: Path, part: _Part) -> None:
    columns: dict[str, list[NDArray[Any] | float]] = {
        name: [] for name in ("faces", "masks", "features", "yaws", "identities", "aligned")
    }
    counts = {"unreadable": 0, "faceless": 0, "unmasked": 0}
    for pixels, mask in _pictures_of(part, counts):
        found = _analyzer().analyze(pixels, thorough=False)
        if not found:
            counts["faceless"] += 1
            continue
        face = max(found, key=lambda one: one.size_px)
        for name, value in _cut(pixels, face, mask, part).items():
            columns[name].append(value)
    size = part.size_px
    save_arrays(
        file,
        {
            "faces": np.array(columns["faces"], np.uint8).reshape(-1, size, size, 3),
            "masks": np.array(columns["masks"], np.uint8).reshape(-1, size, size),
            "features": np.array(columns["features"], np.uint8).reshape(-1, size, size),
            "yaws": np.array(columns["yaws"], np.float32),
            "identities": np.array(columns["identities"], np.float32).reshape(-1, 512),
            "aligned": np.array(columns["aligned"], np.float32).reshape(-1, 2, 3),
            **{name: np.array(count) for name, count in counts.items()},
        },
    )


def _pictures_of(
    part: _Part, counts: dict[str, int]
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8] | None]]:
    """The pixels of each picture or frame, and the user's mask where those count."""
    if part.video is not None:
        for pixels in frames_of(part.video, _MOST_OF_VIDEO):
            yield pixels, None
        return
    for picture, pixels in read_each(part.pictures, counts):
        mask = _mask_of(picture) if part.own_masks else None
        if part.own_masks and mask is None:
            counts["unmasked"] += 1
        else:
            yield pixels, mask


def _mask_of(picture: Picture) -> NDArray[np.uint8] | None:
    """The user's mask of a picture, 0..255; None where there is none that can be read."""
    file = _mask_file(picture)
    mask = None if file is None else cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    return None if mask is None else np.asarray(mask, np.uint8)


def is_video(file: Path) -> bool:
    """Whether a file is a video."""
    return kind_of(file) == "video"


def frames_of(video: Path, most: int) -> Iterator[NDArray[np.uint8]]:
    """Frames of a video, evenly, at most so many: RGB, uint8."""
    with open_target(video) as opened:
        known = opened.info.frame_count
        step = max(1, -(-(known or 0) // most))
        for number, frame in enumerate(opened.frames()):
            if number % step == 0:
                yield to_8_bit(frame.to_rgb())


def _cut(
    pixels: Pixels, face: Face, drawn: NDArray[np.uint8] | None, part: _Part
) -> dict[str, NDArray[Any] | float]:
    """A face's crop, its masks, and what is known of it."""
    size = part.size_px
    matrix = face_matrix(face, part.template, size)
    landmarks = alignment.transform_points(face.landmarks, matrix)
    spans = np.ptp(landmarks[: mesh.SURFACE_POINTS, :2], axis=0)
    face_px = float(np.sqrt(spans[0] * spans[1]))
    if drawn is None:
        mask = _parsed(pixels, face, landmarks, matrix, size, face_px)
    else:
        whole = cv2.resize(drawn, (pixels.shape[1], pixels.shape[0]))
        mask = alignment.warp(whole, matrix, size, size, cv2.BORDER_CONSTANT)
    features = feature_mask(landmarks, (size, size), face_px) * 255
    onto = alignment.align_matrix(face.points5, embedder.TEMPLATE, embedder.SIDE_PX)
    return {
        "faces": alignment.crop(pixels, matrix, size),
        "masks": np.asarray(mask, np.uint8),
        "features": np.asarray(features.round(), np.uint8),
        "yaws": face.pose.yaw,
        "identities": _analyzer().identify(pixels, face),
        "aligned": alignment.compose(matrix, alignment.invert(onto)),
    }


def _parsed(
    pixels: Pixels,
    face: Face,
    landmarks: FloatArray,
    matrix: alignment.Matrix,
    size: int,
    face_px: float,
) -> NDArray[np.uint8]:
    """What of a crop the parser takes for face, spectacles included, about the mesh: 255 on it."""
    parts = _analyzer().parts(pixels, face.landmarks)
    plane = np.clip(parts.skin + parts.frame + parts.lens, 0, 1)
    square = square_matrix(region_of(face.landmarks))
    to_crop = alignment.compose(matrix, alignment.invert(square))
    skin = alignment.warp(plane, to_crop, size, size)
    inside = np.asarray(silhouette(landmarks, size, size) > 0, np.uint8)
    side = 2 * max(1, round(_PAST * face_px)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray(np.rint(skin * cv2.dilate(inside, kernel) * 255), np.uint8)


@cache
def _analyzer() -> Analyzer:
    cv2.setNumThreads(1)
    return create_analyzer(threads=1)
