"""The pictures of a list of pairs as files: plain ones where they lie, others taken out.

A picture of a zip archive (`lfw-0.zip/Ann/1.webp`) or of a video (`000.mp4#120`, the frame with
that number, from 0) is put into a folder when it is first asked for, whole or not at all.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from sosie import foreign
from sosie.errors import InputError
from sosie.evaluation.files import write_picture
from sosie.media.video import open_video
from sosie.output import make_folder, write_whole

_LIST = "The list of pairs"
_FRAME = re.compile(r"(?P<video>.+\.\w+)#(?P<index>\d+)")


class Album:
    """Finds pictures by the names that a list has for them.

    root: the folder that names are relative to, and that none may leave. folder: where pictures
    that are no files are put; None where only `content` will be asked for.
    names: all that will be asked for, so that a video is read once for all of its frames.
    sha256: name -> digest that the file of that picture must have.
    """

    def __init__(
        self,
        root: Path,
        folder: Path | None = None,
        names: Iterable[str] = (),
        sha256: Mapping[str, str] | None = None,
    ) -> None:
        self._root = root
        self._folder = folder
        self._sha256 = sha256 or {}
        self._checked: set[str] = set()
        self._archives: dict[Path, zipfile.ZipFile] = {}
        self._frames: dict[Path, set[int]] = {}
        for name in names:
            frame = _FRAME.fullmatch(name)
            if frame and foreign.is_inside(name) and not (root / name).is_file():
                self._frames.setdefault(root / frame["video"], set()).add(int(frame["index"]))

    def file(self, name: str) -> Path:
        """The file of a picture.

        Raises InputError where there is none, it is not the one that the list was made with, or its
        name leads out of the root.
        """
        path = self._at(name)
        found = path if path.is_file() else self._from_video(name) or self._from_archive(name)
        if found is None:
            raise InputError(f"{path} does not exist; check the list of pairs and its root.")
        self._check(name, found)
        return found

    def content(self, name: str) -> bytes | None:
        """The bytes of a picture's file, wherever it lies; None for a frame of a video.

        Raises InputError where there is no such file, or its name leads out of the root.
        """
        path = self._at(name)
        if path.is_file():
            return path.read_bytes()
        archive = archive_of(path)
        if archive is not None:
            return foreign.read_member(self._open(archive[0]), archive[1])
        if _FRAME.fullmatch(name):
            return None
        raise InputError(f"{path} does not exist; check the list of pairs and its root.")

    def close(self) -> None:
        """Let go of the archives."""
        for archive in self._archives.values():
            archive.close()
        self._archives.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check(self, name: str, file: Path) -> None:
        wanted = self._sha256.get(name)
        if wanted is None or name in self._checked:
            return
        if digest(file.read_bytes()) != wanted:
            raise InputError(
                f"{file} is not the picture that the list of pairs was made with: its SHA-256 "
                f"differs; get that one, or draw the list anew."
            )
        self._checked.add(name)

    def _from_archive(self, name: str) -> Path | None:
        archive = archive_of(self._at(name))
        if archive is None:
            return None
        file, member = archive
        taken = self._place(name)
        if not taken.is_file():
            content = foreign.read_member(self._open(file), member)
            make_folder(taken.parent)
            write_whole(taken, content)
        return taken

    def _from_video(self, name: str) -> Path | None:
        frame = _FRAME.fullmatch(name)
        if frame is None or not (self._root / frame["video"]).is_file():
            return None
        taken = self._place(f"{frame['video']}/{int(frame['index']):06}.png")
        if not taken.is_file():
            self._take_frames(frame["video"], int(frame["index"]))
        if not taken.is_file():
            raise InputError(
                f"{self._root / frame['video']} has no frame {frame['index']}; check the list of "
                f"pairs."
            )
        return taken

    def _take_frames(self, video_name: str, index: int) -> None:
        path = self._root / video_name
        wanted = self._frames.pop(path, set()) | {index}
        with open_video(path) as video:
            for frame in video.frames():
                if frame.index in wanted:
                    place = self._place(f"{video_name}/{frame.index:06}.png")
                    make_folder(place.parent)
                    write_picture(place, frame.to_rgb())
                if frame.index >= max(wanted):
                    break

    def _place(self, name: str) -> Path:
        if self._folder is None:
            raise ValueError("an album without a folder has no place for pictures")
        return foreign.inside(self._folder, name, _LIST)

    def _at(self, name: str) -> Path:
        return foreign.inside(self._root, name, _LIST)

    def _open(self, file: Path) -> zipfile.ZipFile:
        if file not in self._archives:
            self._archives[file] = foreign.open_zip(file)
        return self._archives[file]


def digest(content: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def archive_of(path: Path) -> tuple[Path, str] | None:
    """The zip archive that a path leads into, and the rest of the path, which may be empty; None
    where it leads into none."""
    for parent in (path, *path.parents):
        if parent.is_file():
            inside = path.relative_to(parent).as_posix()
            is_archive = parent.suffix.lower() == ".zip"
            return (parent, "" if inside == "." else inside) if is_archive else None
    return None
