"""Who is put in, and for whom: the source and reference photos of a swap, read and checked."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sosie.analysis.analyzer import Analyzer
from sosie.analysis.selection import SAME_PERSON, select_faces
from sosie.errors import InputError, NoFaceError, UsageError
from sosie.media.image import MemoryFile, is_photo, load_photo, pillow_photo
from sosie.media.kinds import kind_of
from sosie.media.photo import Photo, array_photo
from sosie.methods.base import Source as PreparedSource
from sosie.options import SwapOptions
from sosie.swapping.face import close_up, source_of
from sosie.swapping.identity_file import SUFFIX, load_identity
from sosie.swapping.source_video import views_of
from sosie.types import Face, FloatArray, PersonReport, Pixels

T = TypeVar("T")
StrPath = str | os.PathLike[str]
Content = bytes | bytearray | memoryview
Picture = StrPath | NDArray[Any] | Image.Image | Content | BinaryIO
"""A path; an array as `sosie.media.photo.array_photo` takes it; a picture of Pillow's; or the
content of a picture's file, as bytes or as a file that is open in binary mode."""
Source = Picture | Sequence[Picture]
"""One photo of a person, or several."""
People = Mapping[StrPath, Source] | Sequence[tuple[Picture, Source]]
"""For each person of the target a photo that shows whom, and the source that is put in."""


@dataclass(frozen=True)
class Role:
    """One person of the target, and who is put in for them.

    source_photos: names of the photos of the one put in, or the file whose weights hold them.
    reference, identity: name of the photo
    that shows who is replaced, and their identity, float32, 512, unit length; None where
    `SwapOptions.faces` says which faces are replaced.
    """

    source_photos: tuple[str, ...]
    reference: str | None = None
    identity: FloatArray | None = None


@dataclass(frozen=True)
class Casting:
    """Pictures as they were given: whom they replace (None: whom the options say), and by whom."""

    reference: Picture | None
    sources: tuple[Picture, ...]

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """All of them."""
        return self.sources if self.reference is None else (self.reference, *self.sources)

    def paths(self) -> dict[str, Any] | None:
        """Where they lie, as JSON keeps it; None where one of them is not a path."""
        whole = [
            str(Path(one).absolute()) for one in self.pictures if isinstance(one, str | os.PathLike)
        ]
        if len(whole) < len(self.pictures):
            return None
        reference = None if self.reference is None else whole.pop(0)
        return {"reference": reference, "sources": whole}


def cast(
    source: Source | None,
    reference: Picture | None,
    people: People | None,
    faces: str,
    needs_source: bool = True,
) -> list[Casting]:
    """The pictures of each role, before any is read.

    faces: as `SwapOptions.faces`. needs_source: False where the person is in the method's weights.
    Raises UsageError where these cannot be meant together.
    """
    if people is not None:
        if source is not None:
            raise UsageError(
                "A map names a source for each person, so that another source has nowhere to go; "
                "give either a map or a source."
            )
        if reference is not None:
            raise UsageError(
                "A map names the people to replace already; write the reference into it, as in "
                "person.jpg=source.jpg."
            )
        pairs: Sequence[Any] = people if isinstance(people, Sequence) else [people]
        if isinstance(people, Mapping):
            pairs = list(people.items())
        if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
            raise UsageError(
                "People must be pairs of a reference and a source, as ('person.jpg', 'source.jpg')."
            )
        castings = [Casting(whom, _pictures(by)) for whom, by in pairs]
    elif source is None and not needs_source:
        castings = [Casting(reference, ())]
    elif source is None:
        raise UsageError("No source was given; name at least one photo, or a map of people.")
    else:
        castings = [Casting(reference, _pictures(source))]
    if not castings:
        raise UsageError("The map is empty; give it at least one person, as person.jpg=source.jpg.")
    if needs_source and not all(casting.sources for casting in castings):
        raise UsageError("No source was given; name at least one photo.")
    if castings[0].reference is not None and faces != SwapOptions.faces:
        raise UsageError(
            f"A reference or a map says by identity which faces to swap, so that faces {faces!r} "
            f"cannot be obeyed as well; leave faces out."
        )
    return castings


def read_sources(
    casting: Casting, analyzer: Analyzer
) -> tuple[list[PreparedSource], tuple[str, ...]]:
    """The source photos of one person, each with the largest face in it, and their names.

    Of each only the pixels around the face: see `engine.close_up`.
    A video gives several frames of one person, in poses that differ (`source_video`).
    An identity file (`.sosie`) stands for the photos that it was made from. Raises InputError where
    one cannot be read, NoFaceError where it shows no face.
    """
    read: list[PreparedSource] = []
    names: list[str] = []
    for number, picture in enumerate(casting.sources):
        if isinstance(picture, str | os.PathLike) and Path(picture).suffix.lower() == SUFFIX:
            sources, photos = load_identity(Path(picture))
            read += sources
            names += photos
            continue
        for name, pixels, face in _views(picture, number, analyzer):
            read.append(source_of(pixels, face, analyzer))
            names.append(name)
    return read, tuple(names)


def _views(picture: Picture, number: int, analyzer: Analyzer) -> list[tuple[str, Pixels, Face]]:
    """The largest face of a photo, or faces of a video in several poses: of each its picture's
    name, the pixels around it and the face in them."""
    if isinstance(picture, str | os.PathLike) and _is_video(Path(picture)):
        return views_of(Path(picture), analyzer)
    name, photo = load(picture, f"source {number}")
    found = analyzer.analyze(photo.pixels)
    part, face, _ = close_up(photo.pixels, _largest(name, found, photo.pixels))
    # A copy, so that the rest of a large photo can go.
    return [(name, np.ascontiguousarray(part), face)]


def _is_video(path: Path) -> bool:
    # An animation of pictures is a picture here, as it always was: its first one.
    return path.is_file() and not is_photo(path) and kind_of(path) == "video"


def read_roles(
    castings: Sequence[Casting], names: Sequence[tuple[str, ...]], analyzer: Analyzer
) -> tuple[list[Role], list[str]]:
    """The roles, and notes on references that show several people: the largest face counts.

    names: of the source photos of each. Raises InputError where a reference cannot be read,
    NoFaceError where it shows no face, and UsageError where two show one person.
    """
    roles, notes = [], []
    for number, (casting, sources) in enumerate(zip(castings, names, strict=True)):
        if casting.reference is None:
            roles.append(Role(sources))
            continue
        name, photo = load(casting.reference, f"reference {number}")
        found = analyzer.analyze(photo.pixels)
        face = _largest(name, found, photo.pixels)
        if len(found) > 1:
            notes.append(f"{name} shows {len(found)} faces; the largest is taken for the person.")
        roles.append(Role(sources, name, analyzer.identify(photo.pixels, face)))
    for a, b in itertools.combinations(roles, 2):
        if a.identity is None or b.identity is None:
            continue
        similarity = float(a.identity @ b.identity)
        if similarity >= SAME_PERSON:
            raise UsageError(
                f"{a.reference} and {b.reference} show the same person (similarity "
                f"{similarity:.2f}); name each person once, with all photos of their source."
            )
    return roles, notes


def person_reports(
    roles: Sequence[Role], face_counts: Sequence[int], best: Sequence[float | None]
) -> tuple[PersonReport, ...]:
    """What became of the people of references, in their order; nothing for other roles.

    face_counts: faces swapped of each role. best: the similarity of the face most alike to each.
    """
    return tuple(
        PersonReport(
            reference=role.reference,
            source_photos=role.source_photos,
            face_count=count,
            similarity=None if value is None else round(value, 4),
        )
        for role, count, value in zip(roles, face_counts, best, strict=True)
        if role.reference is not None
    )


def nobody_alike(people: Sequence[PersonReport]) -> str:
    """The sentence for a target in which none of these people was found."""
    known = [person.similarity for person in people if person.similarity is not None]
    return (
        f"Nobody like {', '.join(person.reference for person in people)} was found: "
        f"{_why_absent(max(known, default=None))}; use a larger, sharper, frontal photo of the "
        f"person as reference, or another target."
    )


def absent_notes(people: Sequence[PersonReport]) -> list[str]:
    """A sentence on each person who was not found, while others were."""
    return [
        f"Nobody like {person.reference} was found: {_why_absent(person.similarity)}."
        for person in people
        if not person.face_count
    ]


def _why_absent(similarity: float | None) -> str:
    if similarity is None:
        return "no face is large enough to compare"
    # Rounded down, so that what just missed is not said to have reached it.
    shown = math.floor(100 * similarity) / 100
    if similarity >= SAME_PERSON:
        return f"the face most alike (similarity {shown:.2f}) is too small, or is somebody else's"
    return (
        f"the face most alike has a similarity of {shown:.2f}, and at least {SAME_PERSON:.2f} "
        f"is needed"
    )


def load(picture: Picture, otherwise: str) -> tuple[str, Photo]:
    """The name for messages (`otherwise` for what has no path), and the photo.

    Raises InputError where it cannot be read, and UsageError where it is no kind of picture.
    """
    if isinstance(picture, str | os.PathLike):
        return str(picture), load_photo(picture)
    if isinstance(picture, np.ndarray):
        return otherwise, array_photo(picture)
    in_messages = otherwise[0].upper() + otherwise[1:]
    if isinstance(picture, Image.Image):
        return otherwise, pillow_photo(picture, in_messages)
    content = picture if isinstance(picture, Content) else _read(picture, in_messages)
    return otherwise, load_photo(MemoryFile(bytes(content), in_messages))


def _read(file: BinaryIO, name: str) -> bytes:
    """What is left to read of a file that is open."""
    if not callable(getattr(file, "read", None)):
        raise UsageError(
            f"{name} must be a path, an array, a picture of Pillow's, bytes, or a file open in "
            f"binary mode, not a {type(file).__name__}."
        )
    try:
        content: object = file.read()
    except (OSError, ValueError) as error:
        raise InputError(f"{name} cannot be read ({error}); open its file again.") from error
    if not isinstance(content, bytes):
        raise UsageError(f"{name} is a file that is open as text; open it in binary mode, 'rb'.")
    return content


def named(name: str, choose: Callable[[], T]) -> T:
    """What `choose` returns; a NoFaceError of it says which picture is meant."""
    try:
        return choose()
    except NoFaceError as error:
        raise NoFaceError(f"{name}: {error}") from None


def _largest(name: str, found: list[Face], pixels: Pixels) -> Face:
    return named(name, lambda: select_faces(found, "largest", pixels))[0]


def _name(picture: Picture, otherwise: str) -> str:
    return str(picture) if isinstance(picture, str | os.PathLike) else otherwise


def _pictures(source: Source) -> tuple[Picture, ...]:
    # Text and bytes are sequences too, but of no pictures.
    if isinstance(source, Sequence) and not isinstance(source, str | Content):
        return tuple(source)
    return (source,)
