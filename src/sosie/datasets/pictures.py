"""Pictures of people as users have them: folders and zips, a folder a person or all in one."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.datasets.split import identity_of
from sosie.errors import InputError

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

    person: who it shows, as the folders tell; None where they tell nothing.
    """

    container: Path
    name: str
    person: str | None


def find_pictures(data: Path) -> list[Picture]:
    """All pictures of a folder or a zip, sorted, those of zips in the folder among them.

    A folder with pictures is a person, whose name is the folder's; pictures that lie at the top are
    of nobody in particular. Raises InputError where there is no such place, where it has no
    pictures, or where a zip is damaged.
    """
    if data.is_file() and data.suffix == ".zip":
        found = _in_zip(data)
    elif data.is_dir():
        files = sorted(path for path in data.rglob("*") if path.is_file())
        found = [
            Picture(data, path.relative_to(data).as_posix(), _person(path.relative_to(data)))
            for path in files
            if path.suffix.lower() in ENDINGS
        ]
        for path in files:
            if path.suffix == ".zip":
                found += _in_zip(path)
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

    Raises ValueError where the file is no picture, or is damaged.
    """
    if opened is not None:
        encoded = opened.read(picture.name)
    elif picture.container.is_dir():
        encoded = (picture.container / picture.name).read_bytes()
    else:
        with zipfile.ZipFile(picture.container) as archive:
            encoded = archive.read(picture.name)
    if not encoded:
        raise ValueError("empty")
    pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError("not a picture")
    return np.ascontiguousarray(pixels[:, :, ::-1], np.uint8)


def _in_zip(archive: Path) -> list[Picture]:
    try:
        with zipfile.ZipFile(archive) as opened:
            names = sorted(n for n in opened.namelist() if Path(n).suffix.lower() in ENDINGS)
    except (zipfile.BadZipFile, OSError) as error:
        raise InputError(f"{archive} is no .zip, or it is damaged: get it again.") from error
    group = next((g for g, pattern in _ARCHIVES.items() if fnmatch(archive.name, pattern)), None)
    if group is not None:
        return [Picture(archive, name, identity_of(group, name)) for name in names]
    return [Picture(archive, name, _person(PurePosixPath(name))) for name in names]


def _person(path: Path | PurePosixPath) -> str | None:
    return path.parent.as_posix() if len(path.parts) > 1 else None
