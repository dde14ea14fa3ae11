"""The pictures that the detector learns from: whole, small, with all their faces, in one file.

Pictures of faces are those of the archives, labeled by YuNet. Pictures without faces are made from
them by covering the faces, and taken from scikit-image where that is installed and from the folder
`faceless` of the data where there is one.

Hard negatives are places in them that the shipped detector takes for faces and that are none:
collars, knots of scarves, ears, fists and emblems, which pictures drawn at random seldom show. At
run time the landmark network looks only where the detector sees something, so it learns its
`presence` from them, and the next detector learns to leave them alone.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis import detection
from sosie.analysis.detector import Detector, overlaps
from sosie.datasets.array_files import Columns, load_arrays, open_cache, save_arrays, short_hash
from sosie.datasets.split import identity_of, is_held_out, is_validation
from sosie.errors import InputError
from sosie.geometry.head_pose import Region
from sosie.models.cards import read_embedded
from sosie.models.session import create_session
from sosie.recipes.face_cache import ARCHIVES, Part, decode, picture_parts
from sosie.recipes.teachers import DETECTOR_FILE, FoundBoxes, YuNet, teacher_file
from sosie.training.recipe import Materials

MAX_SIDE_PX = 512
"""Longer side of a kept picture; larger ones are shrunk, or cut where they show no face."""

SURE_SCORE, UNSURE_SCORE = 0.6, 0.3
"""What YuNet scores higher is a face; between the two nobody knows, and nothing is learnt there."""

FACELESS_FOLDER = "faceless"
SCIKIT_IMAGE = (
    *("brick.png", "cell.png", "chelsea.png", "chessboard_GRAY.png", "clock_motion.png"),
    *("coffee.png", "coins.png", "color.png", "grass.png", "gravel.png", "horse.png"),
    *("hubble_deep_field.jpg", "ihc.png", "logo.png", "microaneurysms.png", "moon.png"),
    *("motorcycle_left.png", "page.png", "phantom.png", "retina.jpg", "rocket.jpg", "text.png"),
)
"""The pictures in scikit-image's package that show no face."""

_log = logging.getLogger(__name__)

_PAINTED_SHARE = 4
_COVER = 1.35
# A change of what is read, or how, starts a new cache.
_VERSION = 1


@dataclass(frozen=True)
class Labels:
    """The faces of one picture, in its pixels.

    boxes: float32, F x 4, x0, y0, x1, y1. points5: float32, F x 5 x 2, in the order of
    `Face.points5`. sure: bool, F; false where it may be a face or not.
    """

    boxes: NDArray[np.float32]
    points5: NDArray[np.float32]
    sure: NDArray[np.bool_]


@dataclass(frozen=True)
class PictureSet:
    """The cached pictures of those people who may be trained and validated on.

    blob: uint8, all pixels, mapped from the disk. sizes: int64, N x 3, where a picture starts in
    it, its height and width. validation, faceless: bool, N. starts: int64, N + 1, the rows of a
    picture's faces in `labels`.
    """

    blob: NDArray[np.uint8]
    sizes: NDArray[np.int64]
    validation: NDArray[np.bool_]
    faceless: NDArray[np.bool_]
    starts: NDArray[np.int64]
    labels: Labels

    def __len__(self) -> int:
        return len(self.sizes)

    def pixels(self, row: int) -> NDArray[np.uint8]:
        """One picture, RGB uint8, H x W x 3; not to be written to."""
        start, height, width = self.sizes[row]
        size = height * width * 3
        return self.blob[start : start + size].reshape(int(height), int(width), 3)

    def faces(self, row: int) -> Labels:
        """All faces of one picture."""
        part = slice(int(self.starts[row]), int(self.starts[row + 1]))
        return Labels(self.labels.boxes[part], self.labels.points5[part], self.labels.sure[part])


def open_pictures(materials: Materials) -> PictureSet:
    """The pictures of `materials.data`; they are read and labeled first where need be.

    Raises InputError where an archive or the teacher is absent.
    """
    parts = [part for group in ARCHIVES for part in picture_parts(materials.data, group)]
    teacher = teacher_file(materials.teachers, DETECTOR_FILE)
    extra = faceless_files(materials.data)
    made_from = [(p.archive.name, p.archive.stat().st_size, p.names) for p in parts]
    more = [(file.name, file.stat().st_size) for file in extra]
    key = repr((_VERSION, made_from, more, hashlib.sha256(teacher.read_bytes()).hexdigest()))
    folder = materials.cache / f"detector-{short_hash(key)}"
    arrays = open_cache(
        folder,
        "labels.npz",
        ("pixels",),
        _read_part,
        lambda: [
            *(((part, materials.teachers), len(part.names)) for part in parts),
            ((extra, materials.teachers), len(extra)),
        ],
        workers=materials.workers,
        finish=_with_starts,
    )
    counts = arrays["counts"]
    labels = Labels(arrays["boxes"], arrays["points5"], arrays["scores"] > SURE_SCORE)
    return PictureSet(
        blob=arrays["pixels"],
        sizes=arrays["sizes"],
        validation=arrays["validation"],
        faceless=arrays["faceless"],
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        labels=labels,
    )


def faceless_files(data: Path) -> list[Path]:
    """Files of pictures without faces: those of scikit-image, and of the folder `faceless`."""
    found = importlib.util.find_spec("skimage")
    folders = [] if found is None else [Path(p) for p in found.submodule_search_locations or ()]
    files = [folder / "data" / name for folder in folders for name in SCIKIT_IMAGE]
    endings = {".jpg", ".jpeg", ".png", ".webp"}
    given = sorted((data / FACELESS_FOLDER).rglob("*"))
    return [f for f in files if f.is_file()] + [f for f in given if f.suffix.lower() in endings]


def identity_of_faceless(file: Path) -> str:
    """What decides whether a picture without faces is trained on or tested with."""
    return f"{FACELESS_FOLDER}/{file.stem}"


def tiles(pixels: NDArray[np.uint8], side_px: int = MAX_SIDE_PX) -> Iterator[NDArray[np.uint8]]:
    """A picture whole, shrunk to at most `side_px`, and, if it was larger, cut into such parts."""
    yield shrunk(pixels, side_px)
    height, width = pixels.shape[:2]
    if max(height, width) > side_px * 1.5:
        for y in range(0, height - side_px // 2, side_px):
            for x in range(0, width - side_px // 2, side_px):
                yield pixels[y : y + side_px, x : x + side_px]


def shrunk(pixels: NDArray[np.uint8], side_px: int = MAX_SIDE_PX) -> NDArray[np.uint8]:
    """The picture with its longer side at most `side_px`."""
    scale = side_px / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def label(teacher: YuNet, pixels: NDArray[np.uint8]) -> FoundBoxes:
    """All that YuNet finds in a picture or in its mirror image, each once.

    Where it is found in both, the label is the mean, and the score the higher one. What is found
    in one alone, and not surely, has half its score: it is unsure at best.
    """
    plain = teacher.detect(pixels)
    mirrored = _unmirrored(teacher.detect(np.ascontiguousarray(pixels[:, ::-1])), pixels.shape[1])
    boxes, points, scores = plain.boxes.copy(), plain.points5.copy(), plain.scores.copy()
    same = overlaps(plain.boxes, mirrored.boxes) > 0.5
    for row in range(len(boxes)):
        twins = np.flatnonzero(same[row])
        if len(twins):
            boxes[row] = (boxes[row] + mirrored.boxes[twins[0]]) / 2
            points[row] = (points[row] + mirrored.points5[twins[0]]) / 2
            scores[row] = max(scores[row], mirrored.scores[twins[0]])
        elif scores[row] < 0.75:
            scores[row] /= 2
    alone = ~same.any(0) if len(boxes) else np.ones(len(mirrored.boxes), bool)
    lonely = mirrored.scores[alone]
    return FoundBoxes(
        np.concatenate([boxes, mirrored.boxes[alone]]),
        np.concatenate([points, mirrored.points5[alone]]),
        np.concatenate([scores, np.where(lonely < 0.75, lonely / 2, lonely)]),
    )


def without_faces(
    pixels: NDArray[np.uint8], boxes: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """The picture with ellipses over all faces (N x 4) filled from around, or from elsewhere in it.

    Hair, ears, hands and clothes stay: what surrounds a face does not make one.
    """
    mask = np.zeros(pixels.shape[:2], np.uint8)
    for x0, y0, x1, y1 in boxes:
        center = (float(x0 + x1) / 2, float(y0 + y1) / 2)
        size = (_COVER * float(x1 - x0), _COVER * float(y1 - y0))
        cv2.ellipse(mask, (center, size, 0.0), (255,), -1)
    if rng.random() < 0.6:
        # At half size: only smooth content can be made up, and a quarter of the work makes it.
        small = (max(8, pixels.shape[1] // 2), max(8, pixels.shape[0] // 2))
        rough = cv2.inpaint(
            cv2.resize(pixels, small, interpolation=cv2.INTER_AREA),
            cv2.resize(mask, small, interpolation=cv2.INTER_NEAREST),
            3,
            cv2.INPAINT_TELEA,
        )
        fill = cv2.resize(rough, pixels.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        grain = rng.normal(0, rng.uniform(0, 6), pixels.shape[:2])[:, :, None]
        fill = np.clip(fill + grain, 0, 255).astype(np.uint8)
    else:
        corner = pixels[: max(8, pixels.shape[0] // 4), : max(8, pixels.shape[1] // 3)]
        turned = corner[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
        fill = cv2.resize(turned, pixels.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    soft = cv2.GaussianBlur(mask, (0, 0), 2.0).astype(np.float32)[:, :, None] / 255
    return np.asarray(pixels + soft * (fill.astype(np.float32) - pixels), np.uint8)


def _unmirrored(found: FoundBoxes, width: int) -> FoundBoxes:
    boxes, points = found.boxes.copy(), found.points5[:, [1, 0, 2, 4, 3]].copy()
    boxes[:, [0, 2]] = width - 1 - found.boxes[:, [2, 0]]
    points[:, :, 0] = width - 1 - points[:, :, 0]
    return FoundBoxes(boxes, points, found.scores)


_Row = tuple[NDArray[np.uint8], bool, FoundBoxes | None]
"""A picture, whether it is for validation, and its faces; None says that there is none."""


def _read_part(file: Path, part: Part | list[Path], teachers: Path) -> None:
    """Read, label and keep what may be trained or validated on of a part of an archive, or of files
    of pictures without faces."""
    if isinstance(part, list):
        save_arrays(file, _packed(_faceless_rows(part)))
        return
    teacher = _teacher(teachers)
    rows: list[_Row] = []
    with zipfile.ZipFile(part.archive) as opened:
        for name in part.names:
            identity = identity_of(part.group, name)
            if is_held_out(identity):
                continue
            pixels = shrunk(decode(opened.read(name)))
            found = label(teacher, pixels)
            rows.append((pixels, is_validation(identity), found))
            number = int(hashlib.sha256(name.encode()).hexdigest(), 16)
            if number % _PAINTED_SHARE == 0:
                painted = without_faces(pixels, found.boxes, np.random.default_rng(number % 2**63))
                rows.append((painted, is_validation(identity), None))
    save_arrays(file, _packed(rows))


def _faceless_rows(files: Sequence[Path]) -> list[_Row]:
    rows: list[_Row] = []
    for file in files:
        identity = identity_of_faceless(file)
        if is_held_out(identity):
            continue
        try:
            pixels = decode(file.read_bytes())
        except (OSError, TypeError) as error:
            raise InputError(f"{file} is not a picture that can be read: remove it.") from error
        rows += [(tile, is_validation(identity), None) for tile in tiles(pixels)]
    return rows


def _packed(rows: Sequence[_Row]) -> dict[str, NDArray[np.generic]]:
    none = FoundBoxes(
        np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32)
    )
    found = [none, *(none if faces is None else faces for _, _, faces in rows)]
    pixels = [np.zeros(0, np.uint8), *(picture.ravel() for picture, _, _ in rows)]
    sizes = [(picture.size, *picture.shape[:2]) for picture, _, _ in rows]
    return {
        "pixels": np.concatenate(pixels),
        "sizes": np.array(sizes, np.int64).reshape(-1, 3),
        "validation": np.array([validation for _, validation, _ in rows], bool),
        "faceless": np.array([faces is None for _, _, faces in rows], bool),
        "counts": np.array([len(faces.scores) for faces in found[1:]], np.int64),
        "boxes": np.concatenate([faces.boxes for faces in found]),
        "points5": np.concatenate([faces.points5 for faces in found]),
        "scores": np.concatenate([faces.scores for faces in found]),
    }


def _with_starts(columns: Columns) -> Columns:
    """`sizes` with the place where a picture starts instead of its length."""
    lengths = columns["sizes"][:, 0]
    columns["sizes"][:, 0] = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    return columns


@cache
def _teacher(folder: Path) -> YuNet:
    cv2.setNumThreads(1)
    return YuNet(folder, UNSURE_SCORE)


# Scores that are looked at: lower ones the run time leaves alone, and much higher ones are faces
# that the teacher of the labels has missed.
_LEAST, _MOST = 0.2, 0.75
_LEAST_PX = 20.0
# A place is apart from a face if, across or down, it is further away than this share of its size,
# from the rim of the face's box.
_APART = 0.35


@dataclass(frozen=True)
class HardNegatives:
    """Places in pictures. rows: of `pictures`, N. regions: float32, N x 4, as `Region`."""

    pictures: PictureSet
    rows: NDArray[np.int64]
    regions: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rows)

    def place(self, number: int) -> tuple[NDArray[np.uint8], Region]:
        """A picture, RGB uint8, not to be written to, and the place in it."""
        pixels = self.pictures.pixels(int(self.rows[number]))
        return pixels, Region(*map(float, self.regions[number]))


def open_hard_negatives(materials: Materials) -> HardNegatives:
    """The places in the pictures of the training people; they are looked for first where need be.

    Raises InputError where an archive, a teacher or the shipped detector is absent.
    """
    pictures = open_pictures(materials)
    weights = read_embedded("detector")
    key = repr((1, pictures.sizes.tobytes(), hashlib.sha256(weights).hexdigest()))
    file = materials.cache / f"mistaken-{short_hash(key)}.npz"
    if not file.exists():
        detector = Detector(create_session(weights, threads=1), detection.THOROUGH_PX)
        save_arrays(file, find_hard_negatives(detector, pictures))
    return HardNegatives(pictures, **load_arrays(file))


def find_hard_negatives(detector: Detector, pictures: PictureSet) -> dict[str, NDArray[np.generic]]:
    """`rows` and `regions` of `HardNegatives`, in all pictures that are not for validation."""
    rows, regions = [], []
    for row in np.flatnonzero(~pictures.validation):
        boxes = pictures.faces(int(row)).boxes
        for found in detection.find(detector, pictures.pixels(int(row)), False, _LEAST):
            region = found.region
            if found.score < _MOST and region.size_px >= _LEAST_PX and _is_apart(region, boxes):
                rows.append(int(row))
                regions.append((region.x, region.y, region.size_px, region.roll_deg))
    if not rows:
        raise InputError("The detector errs in none of the pictures: are they those of the data?")
    _log.info("%d places that the detector takes for faces", len(rows))
    return {"rows": np.array(rows, np.int64), "regions": np.array(regions, np.float32)}


def _is_apart(region: Region, boxes: NDArray[np.float32]) -> bool:
    """Whether a place shows none of the faces, sure or not, in boxes of N x 4."""
    reach = _APART * region.size_px
    x = (boxes[:, 0] < region.x + reach) & (boxes[:, 2] > region.x - reach)
    y = (boxes[:, 1] < region.y + reach) & (boxes[:, 3] > region.y - reach)
    return not bool((x & y).any())
