"""Pictures of people as users have them: folders and zips, a folder a person or all in one; and
sets of faces (`sosie dataset`), with what their table knows."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie import foreign
from sosie.datasets import dataset_packages
from sosie.datasets.markers import SETTINGS, is_packed_set, is_set
from sosie.datasets.split import identity_of
from sosie.errors import InputError
from sosie.media.stderr import silent_stderr
from sosie.types import FloatArray

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")

_ARCHIVES = {
    "lfw": "lfw-*.zip",
    "celeba": "celeba-*.zip",
    "hires": "hires.zip",
    "youtube": "youtube_faces_68.zip",
}
"""The project's own archives: group -> name. What a name says of the person differs in each."""


@dataclass(frozen=True)
class Picture:
    """One picture file. container: the folder or zip it is in. name: its path in there.

    person: who it shows, as the folders tell; None where they tell nothing. points: float32, 5 x 2,
    where the face's features lie, in a picture of `points_px` squared; None where they have to be
    found. split: `train` or `test` where a set was split, "" elsewhere.
    """

    container: Path
    name: str
    person: str | None
    points: FloatArray | None = None
    points_px: int = 0
    split: str = ""


def find_pictures(data: Path) -> list[Picture]:
    """All pictures of a folder or a zip, sorted, those of zips in the folder among them.

    A folder with pictures is a person, whose name is the folder's; pictures that lie at the top are
    of nobody in particular. Of a set of faces, in a folder or packed, the faces in people's folders
    are taken; where `data` is none itself, the names of its people begin with the set's.
    Raises InputError where there is no such place, where it has no pictures, where a zip is
    damaged, or a set has no people; UnavailableError where a set is given and the packages that
    read its table are absent.
    """
    if data.is_file() and data.suffix.lower() == ".zip":
        found = _in_zip(data, "")
    elif data.is_dir():
        found = _in_set(data, "") if is_set(data) else _in_folder(data)
    else:
        raise InputError(f"There is no folder or .zip {data}: name the pictures with --data.")
    if not found:
        raise InputError(
            f"There are no pictures in {data} ({', '.join(ENDINGS)}): name a folder or a .zip that "
            f"holds some, best a folder a person."
        )
    return found


def read_picture(picture: Picture, opened: zipfile.ZipFile | None = None) -> NDArray[np.uint8]:
    """The pixels, RGB uint8. opened: the container, where it is a zip that is open already.

    Raises ValueError where the file is no picture, or is damaged; InputError where it is absent
    from a zip, or damaged there.
    """
    if opened is not None:
        encoded = foreign.read_member(opened, picture.name)
    elif picture.container.is_dir():
        encoded = _content(picture.container / picture.name)
    else:
        with foreign.open_zip(picture.container) as archive:
            encoded = foreign.read_member(archive, picture.name)
    if not encoded:
        raise ValueError("empty")
    with silent_stderr():
        pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError("not a picture")
    return np.ascontiguousarray(pixels[:, :, ::-1], np.uint8)


def read_each(
    pictures: Sequence[Picture], counts: dict[str, int]
) -> Iterator[tuple[Picture, NDArray[np.uint8]]]:
    """Pictures with their pixels, RGB uint8; zips are opened once. What cannot be read is left out
    and counted under `unreadable`."""
    with ExitStack() as stack:
        archives = {
            place: stack.enter_context(foreign.open_zip(place))
            for place in {one.container for one in pictures if one.container.is_file()}
        }
        for picture in pictures:
            try:
                pixels = read_picture(picture, archives.get(picture.container))
            except (ValueError, OSError, InputError, cv2.error):
                counts["unreadable"] += 1
                continue
            yield picture, pixels


def _content(file: Path) -> bytes:
    if not file.is_file() or file.stat().st_size > foreign.MOST_PICTURE_BYTES:
        raise ValueError("not a file, or too large")
    return file.read_bytes()


def _in_folder(data: Path) -> list[Picture]:
    files = sorted(path for path in data.rglob("*") if path.is_file())
    sets = [path.parent for path in files if path.name == SETTINGS and is_set(path.parent)]
    files = [path for path in files if not any(path.is_relative_to(place) for place in sets)]
    found = [
        Picture(data, path.relative_to(data).as_posix(), _person(path.relative_to(data)))
        for path in files
        if path.suffix.lower() in ENDINGS
    ]
    for place in sets:
        found += _in_set(place, f"{place.relative_to(data).as_posix()}/")
    for path in files:
        # Of a set in several zips all are read with the first of them.
        if path.suffix.lower() == ".zip" and not any(
            path == picture.container for picture in found
        ):
            found += _in_zip(path, f"{path.relative_to(data).with_suffix('').as_posix()}/")
    return found


def _in_set(place: Path, prefix: str) -> list[Picture]:
    with dataset_packages():
        from sosie.datasets.sorted_faces import sorted_faces
    return [
        Picture(
            face.container, face.name, prefix + face.person, face.points, face.size_px, face.split
        )
        for face in sorted_faces(place)
    ]


def _in_zip(archive: Path, prefix: str) -> list[Picture]:
    """prefix: of the names of people, where the zip is a packed set."""
    if is_packed_set(archive):
        return _in_set(archive, prefix)
    with foreign.open_zip(archive) as opened:
        names = sorted(n for n in opened.namelist() if Path(n).suffix.lower() in ENDINGS)
    group = next((g for g, pattern in _ARCHIVES.items() if fnmatch(archive.name, pattern)), None)
    if group is not None:
        return [Picture(archive, name, identity_of(group, name)) for name in names]
    return [Picture(archive, name, _person(PurePosixPath(name))) for name in names]


def _person(path: Path | PurePosixPath) -> str | None:
    return path.parent.as_posix() if len(path.parts) > 1 else None
