"""Found faces on their way into the set: pictures written at once by several threads, and then
their rows, so that no row is without its picture."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.datasets.extract.candidates import Found
from sosie.datasets.extract.options import ExtractOptions
from sosie.datasets.extract.sampling import Place
from sosie.datasets.face_rows import FaceRow
from sosie.datasets.markers import FACES, REJECTED
from sosie.datasets.store import FaceStore
from sosie.errors import OutputError
from sosie.output import atomic_output, make_folder

_WAITING_PICTURES = 8
_ENCODING = {
    # More compression takes several times as long for a tenth less.
    "png": [cv2.IMWRITE_PNG_COMPRESSION, 2],
    "jpg": [
        *(cv2.IMWRITE_JPEG_QUALITY, 95),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    ],
    "webp": [cv2.IMWRITE_WEBP_QUALITY, 95],
}
_ODD = re.compile(r"[^\w .()+=@,-]")


@dataclass(frozen=True)
class Source:
    """An input, as its faces are stored.

    name: as it was given. sha256: of its content. folder: of its pictures. stem: what a photo's
    pictures are named by; "" for a video, where the frame's number does. person: whose all its
    faces are, which lie in the person's folder; "" where unknown.
    """

    name: str
    sha256: str
    folder: str
    stem: str = ""
    person: str = ""


class FaceWriter:
    """Where found faces are put."""

    def __init__(self, store: FaceStore, pool: Executor, options: ExtractOptions) -> None:
        self._store, self._pool, self._options = store, pool, options
        self._rows: list[FaceRow] = []
        self._writes: deque[Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many rows were added since the last `commit`."""
        return len(self._rows)

    def add(self, source: Source, found: Found, at: Place, track: int) -> None:
        """Store a face. Raises OutputError where pictures cannot be written."""
        face_id = _face_id(source.sha256, at.index, found.position)
        stem = source.stem or f"{at.index:07}"
        folders = (REJECTED, found.rejected) if found.rejected else (FACES,)
        folder = source.folder if found.rejected else source.person or source.folder
        file = "/".join([*folders, folder, f"{stem}-{face_id}.{self._options.picture}"])
        while len(self._writes) >= _WAITING_PICTURES:
            self._writes.popleft().result()
        path = self._store.place(file)
        self._writes.append(self._pool.submit(_write, path, found.picture))
        self._rows.append(
            replace(
                _row(found, at, track, self._options.align),
                id=face_id,
                file=file,
                input=source.name,
                input_sha256=source.sha256,
                person="" if found.rejected else source.person,
            )
        )

    def commit(self, inputs: Sequence[Mapping[str, Any]]) -> None:
        """Wait for the pictures and add the rows, with what is now known of inputs."""
        while self._writes:
            self._writes.popleft().result()
        self._store.append(self._rows, inputs)
        self._rows = []


def safe_name(text: str) -> str:
    """A name for a file or folder that every system takes."""
    return _ODD.sub("_", text).strip(". ")[:80] or "unnamed"


def _face_id(sha256: str, frame: int, position: int) -> str:
    return hashlib.sha256(f"{sha256}:{frame}:{position}".encode()).hexdigest()[:16]


def _write(path: Path, picture: NDArray[np.uint8]) -> None:
    extension = path.suffix
    ok, data = cv2.imencode(extension, picture[..., ::-1], _ENCODING[extension[1:]])
    if not ok:
        raise OutputError(f"{path} could not be encoded; choose another format of pictures.")
    make_folder(path.parent, "free some space or check the permissions, and run the command again")
    with atomic_output(path, overwrite=True) as pending:
        pending.path.write_bytes(data.tobytes())


def _row(found: Found, at: Place, track: int, template: str) -> FaceRow:
    """All that is known of a face but its names."""
    face = found.face
    expression = face.expression if face.expression is not None else np.zeros(52, np.float32)
    return FaceRow(
        id="",
        file="",
        input="",
        input_sha256="",
        frame=at.index,
        time_s=at.time_s,
        scene=at.scene,
        track=track,
        person="",
        template=template,
        size_px=found.picture.shape[0],
        matrix=found.matrix,
        frame_width=found.frame_width,
        frame_height=found.frame_height,
        box=face.box,
        points5=face.points5,
        landmarks=face.landmarks,
        score=face.score,
        yaw=face.pose.yaw,
        pitch=face.pose.pitch,
        roll=face.pose.roll,
        face_px=face.size_px,
        sharpness=found.sharpness,
        blur_px=found.blur_px,
        brightness=found.light.brightness,
        contrast=found.light.contrast,
        side_light=found.light.side_light,
        expression=expression,
        visible=found.visible,
        identity=found.identity,
        phash=found.phash,
        rejected=found.rejected,
    )
