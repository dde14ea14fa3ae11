"""What lies on and around each training face: crops of the pictures with planes of its parts.

Two teachers label them: one tells 19 parts (`teachers.PartsTeacher`), the other how much of a pixel
is hair (`HairTeacher`). Pictures that people have labeled (CelebAMask-HQ) have their labels in
place of the first teacher's. Nobody tells a frame from its lenses, nor a hand from what is behind
the face: the planes say what is known, `samples` how much of that is learned from.
"""

from __future__ import annotations

import hashlib
import logging
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.datasets.array_files import new_bytes, save_arrays
from sosie.datasets.split import is_held_out, is_validation
from sosie.errors import InputError
from sosie.geometry import alignment, head_pose
from sosie.geometry.head_pose import region_of
from sosie.recipes.face_cache import FaceSet, decode, open_faces
from sosie.recipes.occlusion.labels import bridge_line
from sosie.recipes.teachers import (
    DETECTOR_FILE,
    HAIR_FILE,
    LANDMARKER_FILE,
    PARTS,
    PARTS_FILE,
    HairTeacher,
    LandmarkTeacher,
    PartsTeacher,
    YuNet,
    teacher_file,
)
from sosie.stops import leave_stops
from sosie.training.recipe import Materials

CROP_PX, CROP_FACES = 288, 2.1
"""Side of a crop, in pixels and in sizes of the face (`topology.region_of`), upright."""

PLANES = ("skin", "hair", "spectacles", "hat")
"""What the planes tell, in order; what is none of these is the rest of the picture."""

LABELED, ARCHIVE = "celebamask", "celebamask.zip"
"""The group of the pictures that people have labeled, and their archive."""

# The colors of the labels of people, 0xRRGGBB, in the order of `PARTS`.
_THEIRS = (
    *(0x000000, 0xCC0000, 0x00FFFF, 0xFFCCCC, 0x3333FF, 0xCC00CC, 0xCCCC00, 0x663300, 0xFF0000),
    *(0x00CCCC, 0x4C9900, 0x66CC00, 0xFFFF00, 0x000099, 0xFF9933, 0x003300, 0x00CC00, 0x0000CC),
    0xFF3399,
)
_SKIN = ("skin", "brow", "eye", "ear", "nose", "mouth", "lip")
# Share of each group's pictures that is labeled; of these two, where many show one person or are
# small, those of the test people are left out. Pictures with a line of this contrast across the
# nose's bridge are labeled as well: that is nearly all spectacles, and as many bare noses.
_SHARES = {"hires": 1.0, "celeba": 0.08, "youtube": 0.02, "lfw": 0.03}
_NO_TEST = ("youtube", "lfw")
_LIKELY_SPECTACLES = 0.25
_PART = 200
_COLUMNS = ("crops", "planes", "landmarks", "people", "groups")
# How far, in pixels of the teacher's square, the hair network is believed about the edge of what
# the parser calls hair.
_BAND_PX = 9
_VERSION = 1

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LabeledFaces:
    """crops: uint8, N x CROP_PX x CROP_PX x 3, RGB. planes: uint8, N x CROP_PX x CROP_PX x 4: the
    share of each pixel that is each of PLANES. Both are mapped from the disk. landmarks: float32,
    N x 478 x 3, in pixels of the crop. people, groups: where each is from.
    """

    crops: NDArray[np.uint8]
    planes: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    people: NDArray[np.str_]
    groups: NDArray[np.str_]

    @property
    def test(self) -> NDArray[np.bool_]:
        """The people on whom nothing is fitted and nothing chosen."""
        return np.array([is_held_out(person) for person in self.people])

    @property
    def validation(self) -> NDArray[np.bool_]:
        """The people on whom the best snapshot is chosen."""
        return np.array([is_validation(person) for person in self.people])

    @property
    def train(self) -> NDArray[np.bool_]:
        """All others."""
        return ~(self.test | self.validation)


@dataclass(frozen=True)
class _Picture:
    """name: in the archive. landmarks: in its pixels, where they are known. person: who it is."""

    name: str
    person: str
    landmarks: NDArray[np.float32] | None


@dataclass(frozen=True)
class _Part:
    """Some pictures of one archive: the unit of work."""

    group: str
    archive: Path
    pictures: tuple[_Picture, ...]


def open_labeled(materials: Materials) -> LabeledFaces:
    """The labeled faces of `materials.data`; they are cut out and labeled first where need be.

    Raises InputError where an archive or a teacher is absent.
    """
    for name in (DETECTOR_FILE, LANDMARKER_FILE, PARTS_FILE, HAIR_FILE):
        teacher_file(materials.teachers, name)
    archive = materials.data / ARCHIVE
    if not archive.is_file():
        raise InputError(f"There is no {ARCHIVE} in {materials.data}: give the data's folder.")
    faces = open_faces(materials)
    chosen = (_SHARES, _LIKELY_SPECTACLES, _BAND_PX, CROP_PX, CROP_FACES)
    made_from = (archive.stat().st_size, len(faces.crops), faces.landmarks[::97].tobytes())
    key = hashlib.sha256(repr((_VERSION, chosen, made_from)).encode()).hexdigest()[:12]
    folder = materials.cache / f"parser-{key}"
    if not (folder / "faces.npz").exists():
        parts = list(_all_parts(materials, archive, faces))
        files = [folder / f"part-{number:03}.npz" for number in range(len(parts))]
        _label_missing(parts, files, materials)
        _merge(files, folder)
    with np.load(folder / "faces.npz", allow_pickle=False) as kept:
        arrays = {name: kept[name] for name in kept.files}
    crops, planes = (np.load(folder / f"{n}.npy", mmap_mode="r") for n in ("crops", "planes"))
    return LabeledFaces(crops=crops, planes=planes, **arrays)


def _all_parts(materials: Materials, archive: Path, faces: FaceSet) -> Iterator[_Part]:
    with zipfile.ZipFile(archive) as opened:
        names = sorted(name for name in opened.namelist() if name.endswith(".jpg"))
    pictures = [_Picture(name, f"{LABELED}/{Path(name).stem}", None) for name in names]
    yield from _in_parts(LABELED, archive, pictures)
    test = faces.test
    chance = np.random.default_rng(5).random(len(test))
    likely = _likely_spectacles(faces)
    for group, share in _SHARES.items():
        chosen = (faces.groups == group) & ~(test & (group in _NO_TEST))
        chosen &= (chance < share) | likely
        for name in np.unique(faces.archives[chosen]):
            rows = np.flatnonzero(chosen & (faces.archives == name))
            yield from _in_parts(
                group, materials.data / str(name), [_known(faces, int(row)) for row in rows]
            )


def _likely_spectacles(faces: FaceSet) -> NDArray[np.bool_]:
    lines = [bridge_line(c, p) for c, p in zip(faces.crops, faces.landmarks, strict=True)]
    return np.array(lines) > _LIKELY_SPECTACLES


def _known(faces: FaceSet, row: int) -> _Picture:
    """A picture of the face cache with its landmarks."""
    back = alignment.invert(faces.matrices[row])
    points = faces.landmarks[row].copy()
    points[:, :2] = alignment.transform_points(points[:, :2], back)
    points[:, 2] *= back[0, 0]
    return _Picture(str(faces.names[row]), str(faces.people[row]), points)


def _in_parts(group: str, archive: Path, pictures: list[_Picture]) -> Iterator[_Part]:
    for start in range(0, len(pictures), _PART):
        yield _Part(group, archive, tuple(pictures[start : start + _PART]))


def _label_missing(parts: list[_Part], files: list[Path], materials: Materials) -> None:
    missing = [(p, f) for p, f in zip(parts, files, strict=True) if not f.exists()]
    total, done = sum(len(part.pictures) for part, _ in missing), 0
    started = time.monotonic()
    # A fresh interpreter each: MediaPipe's threads do not survive a fork.
    with ProcessPoolExecutor(
        max(1, materials.workers), mp_context=get_context("spawn"), initializer=leave_stops
    ) as pool:
        futures = {
            pool.submit(_label_part, part, file, materials.teachers): part for part, file in missing
        }
        for future in as_completed(futures):
            future.result()
            done += len(futures[future].pictures)
            rate = done / (time.monotonic() - started)
            _log.info("parts: %d of %d pictures, %.1f a second", done, total, rate)


def _label_part(part: _Part, file: Path, teachers: Path) -> None:
    cv2.setNumThreads(1)
    rows: dict[str, list[object]] = {key: [] for key in _COLUMNS}
    with zipfile.ZipFile(part.archive) as opened:
        for picture in part.pictures:
            pixels = decode(opened.read(picture.name))
            landmarks = picture.landmarks
            if landmarks is None:
                landmarks = landmarks_of(pixels, teachers)
            if landmarks is None:
                continue
            theirs = None
            if part.group == LABELED:
                theirs = np.frombuffer(opened.read(label_name(picture.name)), np.uint8)
            crop, planes, points = _labeled(pixels, landmarks, theirs, teachers)
            for key, value in zip(
                _COLUMNS, (crop, planes, points, picture.person, part.group), strict=True
            ):
                rows[key].append(value)
    save_arrays(file, {key: np.array(values) for key, values in rows.items()})


def label_name(picture: str) -> str:
    """The name of a picture's labels in the archive of labeled pictures."""
    return picture.replace("images/", "labels/").replace(".jpg", ".png")


def landmarks_of(pixels: NDArray[np.uint8], teachers: Path) -> NDArray[np.float32] | None:
    """Those of the largest face, in pixels of the picture; None where none is seen."""
    detector, reader = _readers(teachers)
    boxes = detector.detect(pixels).boxes
    if not len(boxes):
        return None
    box = max(boxes, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))
    reading = reader.read(pixels, box)
    return None if reading is None else reading.landmarks


def _labeled(
    pixels: NDArray[np.uint8],
    landmarks: NDArray[np.float32],
    theirs: NDArray[np.uint8] | None,
    teachers: Path,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
    """Crop, planes and the landmarks in the crop's pixels. theirs: a PNG of people's labels."""
    parser, hair = _labellers(teachers)
    region = region_of(landmarks)
    own = head_pose.square_matrix(region, CROP_FACES, CROP_PX)
    if theirs is None:
        labels, _ = teachers_labels(pixels, landmarks, teachers)
    else:
        at_parser = head_pose.square_matrix(region, CROP_FACES, parser.side_px)
        labels = labels_of(theirs, pixels.shape[:2], at_parser, parser.side_px)
    at_hair = head_pose.square_matrix(region, CROP_FACES, hair.side_px)
    fine = hair.read(_square(pixels, at_hair, hair.side_px))
    share = cv2.resize(fine, labels.shape[::-1], interpolation=cv2.INTER_AREA)
    planes = planes_of(labels, np.asarray(share, np.float32))
    small = cv2.resize(planes, (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA)
    points = landmarks.copy()
    points[:, :2] = alignment.transform_points(landmarks[:, :2], own)
    points[:, 2] *= alignment.scale_of(own)
    return (
        _square(pixels, own, CROP_PX),
        np.clip(np.rint(small * 255), 0, 255).astype(np.uint8),
        points,
    )


def teachers_labels(
    pixels: NDArray[np.uint8], landmarks: NDArray[np.float32], teachers: Path
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The parts teacher's labels of a face, by PARTS, in its square; and picture -> square."""
    parser, _ = _labellers(teachers)
    matrix = head_pose.square_matrix(region_of(landmarks), CROP_FACES, parser.side_px)
    return parser.read(_square(pixels, matrix, parser.side_px)), matrix


def planes_of(labels: NDArray[np.uint8], hair: NDArray[np.float32]) -> NDArray[np.float32]:
    """The planes of a square, float32, S x S x 4, 0..1. labels: by PARTS. hair: share, 0..1.

    The hair network follows strands, and takes dark eyes for hair now and then: it is believed near
    the edge of the parser's hair. What strands leave to be seen there is what lies beside the hair.
    """
    known = (labels == PARTS.index("hair")).astype(np.uint8)
    kernel = np.ones((2 * _BAND_PX + 1, 2 * _BAND_PX + 1), np.uint8)
    sure, possible = cv2.erode(known, kernel), cv2.dilate(known, kernel)
    share = np.where(sure > 0, 1.0, np.where(possible > 0, hair, 0.0)).astype(np.float32)
    behind = labels
    if known.any() and not known.all():
        _, nearest = cv2.distanceTransformWithLabels(
            known, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        by_number = np.zeros(int(nearest.max()) + 1, np.uint8)
        by_number[nearest[known == 0]] = labels[known == 0]
        behind = by_number[nearest]
    skin = np.isin(behind, [n for n, part in enumerate(PARTS) if part.split()[-1] in _SKIN])
    rest = 1 - share
    spectacles, hat = (behind == PARTS.index(part) for part in ("spectacles", "hat"))
    planes = np.stack([skin * rest, share, spectacles * rest, hat * rest], -1)
    return np.asarray(planes, np.float32)


def labels_of(
    png: NDArray[np.uint8], shape: tuple[int, ...], matrix: NDArray[np.float64], side_px: int
) -> NDArray[np.uint8]:
    """People's labels of a picture of this shape in the square of a matrix, by PARTS."""
    colors = cv2.imdecode(png, cv2.IMREAD_COLOR).astype(np.int64) @ (1, 256, 65536)
    order = np.argsort(_THEIRS)
    labels = np.asarray(order[np.searchsorted(np.array(_THEIRS)[order], colors)], np.uint8)
    if labels.shape != shape[:2]:
        size = (shape[1], shape[0])
        labels = np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    square = cv2.warpAffine(labels, matrix, (side_px, side_px), flags=cv2.INTER_NEAREST)
    return np.asarray(square, np.uint8)


def _square(
    pixels: NDArray[np.uint8], matrix: NDArray[np.float64], side_px: int
) -> NDArray[np.uint8]:
    warped = alignment.warp(pixels, matrix, side_px, side_px, cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.uint8)


def _merge(files: list[Path], folder: Path) -> None:
    """All parts as two arrays of pixels and one file of the rest; the parts are removed."""
    columns: dict[str, list[NDArray[np.generic]]] = {}
    counts = []
    for file in files:
        with np.load(file, allow_pickle=False) as kept:
            counts.append(len(kept["people"]))
            if counts[-1]:
                for name in ("landmarks", "people", "groups"):
                    columns.setdefault(name, []).append(kept[name])
    for name, channels in (("crops", 3), ("planes", 4)):
        with new_bytes(folder / f"{name}.npy", (sum(counts), CROP_PX, CROP_PX, channels)) as array:
            row = 0
            for count, file in zip(counts, files, strict=True):
                if count:
                    with np.load(file, allow_pickle=False) as kept:
                        array[row : row + count] = kept[name]
                row += count
    save_arrays(
        folder / "faces.npz", {name: np.concatenate(values) for name, values in columns.items()}
    )
    for file in files:
        file.unlink()


@cache
def _readers(teachers: Path) -> tuple[YuNet, LandmarkTeacher]:
    return YuNet(teachers), LandmarkTeacher(teachers)


@cache
def _labellers(teachers: Path) -> tuple[PartsTeacher, HairTeacher]:
    return PartsTeacher(teachers), HairTeacher(teachers)
