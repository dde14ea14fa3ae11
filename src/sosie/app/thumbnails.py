"""Pictures of the people who were found, one each, to be used as references of a swap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from sosie.analysis.analyzer import Analyzer
from sosie.analysis.quality import sharpness
from sosie.analysis.selection import SAME_PERSON
from sosie.analysis.tracking.tracks import TrackedFace
from sosie.errors import OutputError
from sosie.media.image_write import save_photo
from sosie.media.output_folder import atomic_folder
from sosie.media.photo import array_photo
from sosie.media.sheet import as_bytes
from sosie.media.video import VideoFrame
from sosie.output import check_folder, make_folder
from sosie.types import Face, FloatArray, Pixels

# How much around the face is shown, in sizes of the face: less where somebody else is near.
_FACES_WIDE = (2.2, 1.8, 1.5)
_LARGEST_PX, _SMALLEST_PX = 512, 192
# What makes a face clear: beyond these, more of it makes it no clearer.
_LARGE_PX, _SHARP = 200.0, 0.08
# A later sight is looked at closely where it may be clearer by so much.
_BETTER = 1.1
# What a sight counts at which something was in front of the face, or that lies between others.
_UNCLEAR = 0.3


@dataclass(frozen=True)
class Sight:
    """A face as it was seen. pixels: a copy of its surroundings, RGB, as far as the picture has
    them. center, size_px: of the face in them. clarity: how well it shows who it is. time_s: None
    in a photo."""

    pixels: Pixels
    center: tuple[float, float]
    size_px: float
    clarity: float
    time_s: float | None = None


@dataclass
class Person:
    """One person. numbers: of the faces of a photo, or the tracks of a video. sight: the clearest.
    identity: float32, 512, unit length; None where it could not be told. frames: of a video, on
    which the person is seen. thumbnail: the file that was written. is_reference: whether the person
    is recognized by that."""

    numbers: list[int]
    sight: Sight
    identity: FloatArray | None = None
    frames: set[int] = field(default_factory=set)
    thumbnail: Path | None = None
    is_reference: bool = False


class BestSights:
    """Keeps the clearest sight of each track of a video."""

    def __init__(self) -> None:
        self.people: dict[int, Person] = {}
        self._looked: dict[int, float] = {}

    def see(self, frame: VideoFrame, faces: Sequence[TrackedFace]) -> None:
        """Takes a frame and its faces."""
        pixels: Pixels | None = None
        for found in faces:
            known = self.people.get(found.track)
            if known is not None:
                known.frames.add(frame.index)
                known.identity = found.identity
            is_clear = not (found.bridged or found.hazy)
            rough = _size_and_turn(found.face) * (1.0 if is_clear else _UNCLEAR)
            if rough <= _BETTER * self._looked.get(found.track, 0.0):
                continue
            self._looked[found.track] = rough
            # Converted for the few frames that need it.
            pixels = frame.to_rgb() if pixels is None else pixels
            sight = sight_of(pixels, found.face, frame.time_s, is_clear)
            if known is None:
                seen = {frame.index}
                self.people[found.track] = Person([found.track], sight, found.identity, seen)
            elif sight.clarity > known.sight.clarity:
                known.sight = sight


def sight_of(
    pixels: Pixels, face: Face, time_s: float | None = None, is_clear: bool = True
) -> Sight:
    """A face of a picture (RGB, uint8 or uint16), cut out."""
    x0, y0, x1, y1 = _window(pixels, face.center, face.size_px, _FACES_WIDE[0])
    sharp = min(1.0, sharpness(pixels, face) / _SHARP)
    clarity = _size_and_turn(face) * sharp * (1.0 if is_clear else _UNCLEAR)
    x, y = face.center
    part = as_bytes(pixels[y0:y1, x0:x1]).copy()
    return Sight(part, (x - x0, y - y0), face.size_px, clarity, time_s)


def joined(people: Sequence[Person]) -> list[Person]:
    """The tracks of a video as people, in the order of their first frames: those that are alike,
    and never seen at once, are one."""
    found: list[Person] = []
    for one in sorted(people, key=lambda person: len(person.frames), reverse=True):
        like = [
            (float(other.identity @ one.identity), other)
            for other in found
            if one.identity is not None and other.identity is not None
            if not other.frames & one.frames
        ]
        similarity, other = max(like, key=lambda pair: pair[0], default=(-1.0, one))
        if similarity < SAME_PERSON:
            found.append(one)
            continue
        assert one.identity is not None and other.identity is not None, "they were compared"
        mean = other.identity * len(other.frames) + one.identity * len(one.frames)
        other.identity = np.asarray(mean / np.linalg.norm(mean), np.float32)
        other.numbers = sorted([*other.numbers, *one.numbers])
        other.frames |= one.frames
        if one.sight.clarity > other.sight.clarity:
            other.sight = one.sight
    return sorted(found, key=lambda person: (min(person.frames, default=0), person.numbers[0]))


def check_thumbnails(folder: Path, overwrite: bool) -> None:
    """Raises OutputError, before any work, where thumbnails cannot be written into a folder."""
    whole = folder.absolute()
    check_folder(next(one for one in (whole, *whole.parents) if one.exists()))
    if not overwrite and folder.exists() and any(folder.glob("person-*.png")):
        raise OutputError(
            f"There are pictures of people in {folder} already; give another folder, or "
            f"--overwrite."
        )


def write_thumbnails(people: Sequence[Person], folder: Path, analyzer: Analyzer) -> None:
    """Writes `person-0.png` and so on, all or none. The names need no backslash in a `--map`.

    Each is looked at as a reference of a swap is, and shows less of the surroundings where somebody
    else in it would be taken for the person. Raises OutputError.
    """
    make_folder(folder.absolute().parent)
    with atomic_folder(folder / "person-0.png") as pending:
        for number, person in enumerate(people):
            pixels, person.is_reference = _recognized(person, analyzer)
            name = f"person-{number}.png"
            save_photo(array_photo(pixels), pending.path.with_name(name))
            person.thumbnail = folder / name


def _recognized(person: Person, analyzer: Analyzer) -> tuple[Pixels, bool]:
    """The person's picture, and whether it shows them to a swap."""
    sight = person.sight
    first: Pixels | None = None
    for wide in _FACES_WIDE:
        x0, y0, x1, y1 = _window(sight.pixels, sight.center, sight.size_px, wide)
        picture = _scaled(sight.pixels[y0:y1, x0:x1])
        first = picture if first is None else first
        found = analyzer.analyze(picture)
        if not found or person.identity is None:
            continue
        largest = max(found, key=lambda face: face.shown_area(picture))
        similarity = float(analyzer.identify(picture, largest) @ person.identity)
        if similarity >= SAME_PERSON:
            return picture, True
    assert first is not None, "it was looked at"
    return first, False


def _window(
    pixels: Pixels, center: tuple[float, float], size_px: float, faces_wide: float
) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 (exclusive) of the surroundings of a face, as far as a picture has them."""
    half = max(1.0, size_px * faces_wide / 2)
    x, y = center
    height, width = pixels.shape[:2]
    return (
        *(max(0, round(x - half)), max(0, round(y - half))),
        *(min(width, round(x + half)), min(height, round(y + half))),
    )


def _scaled(pixels: Pixels) -> Pixels:
    """Neither too large for a thumbnail nor too small for a face to be found."""
    side = max(pixels.shape[:2])
    scale = min(max(side, _SMALLEST_PX), _LARGEST_PX) / side
    if scale == 1:
        return np.ascontiguousarray(pixels)
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, size, interpolation=how))


def _size_and_turn(face: Face) -> float:
    turned = math.cos(math.radians(face.pose.yaw)) * math.cos(math.radians(face.pose.pitch))
    return min(face.size_px, _LARGE_PX) * max(turned, 0.1)
