"""Frames written as numbered pictures."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from sosie.errors import OutputError, UsageError
from sosie.media.dpx import write_dpx
from sosie.media.exr import require_exr, rewrite_exr, write_exr
from sosie.media.image_write import save_photo
from sosie.media.input_info import NativeFrame, VideoSource
from sosie.media.linear import is_linear, linear_rgb, to_linear
from sosie.media.picture_source import PictureSource, photo_of
from sosie.media.sequence_names import SequenceName
from sosie.output import not_written


class SequenceWriter:
    """Writes frames as numbered pictures: those of a sequence under their own numbers, those of a
    video from 1 on. What goes along with a picture (profile, EXIF, other channels of an EXR, the
    header of a DPX) is kept where the kind of file is the same. Used like a `VideoWriter`."""

    def __init__(self, source: VideoSource, name: SequenceName) -> None:
        self.frames = 0
        self.is_whole = False
        self._source, self._name = source, name
        self._notes: dict[str, None] = {}
        is_video = not isinstance(source, PictureSource)
        if is_video and source.info.tracks:
            self._notes["A sequence of pictures holds no sound and no other tracks."] = None
        if is_linear(source.native_format) and name.suffix != ".exr":
            self._notes[
                f"Linear light is written as a screen shows it: {name.suffix} has an upper end."
            ] = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what could not be kept as it was."""
        return tuple(self._notes)

    def write(self, frame: NativeFrame) -> None:
        """Writes a picture. Raises OutputError where that fails."""
        native = frame.native
        pts, self.frames = native.pts, self.frames + 1
        source = self._source
        file = source.files.get(pts) if isinstance(source, PictureSource) else None
        like = source.kept.pop(pts, None) if isinstance(source, PictureSource) else None
        first = source.first_number if isinstance(source, PictureSource) else None
        path = self._name.path(self.frames if first is None else first + pts)
        same = file if file is not None and file.suffix.lower() == self._name.suffix else None
        try:
            if self._name.suffix == ".exr":
                self._write_exr(path, native, same)
            elif self._name.suffix == ".dpx":
                write_dpx(path, self._upright(native), same)
            else:
                self._notes |= dict.fromkeys(save_photo(photo_of(source, native, like), path))
        except OSError as error:
            raise OutputError(not_written(path, error)) from error

    def close(self) -> None:
        """All are written."""
        self.is_whole = True

    close_partial = close

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()

    def _write_exr(self, path: Path, native: Any, same: Path | None) -> None:
        if is_linear(native.format.name) and same is not None:
            rewrite_exr(same, path, linear_rgb(native))
            return
        shown = self._source.converter.to_rgb(native)
        light = to_linear(
            np.asarray(self._source.orientation.upright(shown), np.uint16)
            * (1 if shown.dtype == np.uint16 else 257)
        )
        write_exr(path, {name: light[..., k].astype(np.float16) for k, name in enumerate("RGB")})

    def _upright(self, native: Any) -> Any:
        if not is_linear(native.format.name) and native.format.is_rgb:
            return native
        pixels = photo_of(self._source, native, None).pixels
        return type(native).from_ndarray(
            np.ascontiguousarray(pixels), "rgb48le" if pixels.dtype == np.uint16 else "rgb24"
        )


def check_sequence(name: SequenceName, overwrite: bool) -> None:
    """Raises UsageError or OutputError, before any work, where a sequence cannot be written."""
    if name.suffix == ".exr":
        require_exr()
    if not overwrite and name.folder.is_dir() and name.numbers():
        raise UsageError(
            f"There are frames of {name.pattern} already; give another folder, or --overwrite."
        )
