"""Frames written as numbered pictures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from sosie.errors import OutputError
from sosie.files import StrPath
from sosie.media.base_writer import Writer
from sosie.media.dpx import write_dpx
from sosie.media.exr import require_exr, rewrite_exr, write_exr
from sosie.media.image_write import save_photo
from sosie.media.input_info import NativeFrame, VideoSource
from sosie.media.kept_files import KeptFiles, check_files
from sosie.media.linear import is_linear, linear_rgb, to_linear
from sosie.media.picture_source import PictureSource, photo_of
from sosie.media.segments import SegmentLog
from sosie.media.sequence_names import SequenceName
from sosie.output import not_written


class SequenceWriter(Writer):
    """Writes frames as numbered pictures: those of a sequence under their own numbers, those of a
    video from 1 on. What goes along with a picture (profile, EXIF, other channels of an EXR, the
    header of a DPX) is kept where the kind of file is the same."""

    def __init__(
        self, source: VideoSource, path: Path, name: SequenceName, shown: StrPath | None = None
    ) -> None:
        """name: the sequence that `path` stands for."""
        super().__init__(source, path, shown)
        self._name = name
        self._written = KeptFiles()
        is_video = not isinstance(source, PictureSource)
        if is_video and source.info.tracks:
            self.add_notes(["A sequence of pictures holds no sound and no other tracks."])
        if is_linear(source.native_format) and name.suffix != ".exr":
            self.add_notes(
                [f"Linear light is written as a screen shows it: {name.suffix} has an upper end."]
            )

    def write(self, frame: NativeFrame) -> None:
        """Writes a picture. Raises OutputError where that fails."""
        native = frame.native
        pts, self.frames = native.pts, self.frames + 1
        source = self._video
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
                self.add_notes(save_photo(photo_of(source, native, like), path, overwrite=True))
        except OSError as error:
            raise OutputError(not_written(self._shown.with_name(path.name), error)) from error
        if self._log is not None:
            self._written.wrote(path)

    def end_segment(self) -> dict[str, Any]:
        """Waits until the pictures have reached the disk."""
        try:
            return {"files": self._written.end()}
        except OSError as error:
            raise OutputError(not_written(self._shown, error)) from error

    def go_on(
        self,
        log: SegmentLog,
        number: int,
        plates: Iterable[NativeFrame] = (),  # noqa: ARG002 (what is kept is whole)
    ) -> None:
        """The pictures of an earlier run are there: each must be as it was written."""
        facts = log.facts(number)
        check_files(self.path.parent, facts["files"])
        self._take_facts(facts)

    def close(self) -> None:
        """All are written."""
        self.end_segment()
        self.is_whole = True

    def _write_exr(self, path: Path, native: Any, same: Path | None) -> None:
        if is_linear(native.format.name) and same is not None:
            rewrite_exr(same, path, linear_rgb(native))
            return
        shown = self._video.converter.to_rgb(native)
        light = to_linear(
            np.asarray(self._video.orientation.upright(shown), np.uint16)
            * (1 if shown.dtype == np.uint16 else 257)
        )
        write_exr(path, {name: light[..., k].astype(np.float16) for k, name in enumerate("RGB")})

    def _upright(self, native: Any) -> Any:
        if not is_linear(native.format.name) and native.format.is_rgb:
            return native
        pixels = photo_of(self._video, native, None).pixels
        return type(native).from_ndarray(
            np.ascontiguousarray(pixels), "rgb48le" if pixels.dtype == np.uint16 else "rgb24"
        )


def check_sequence(name: SequenceName, overwrite: bool) -> None:
    """Raises OutputError or UnavailableError, before any work, where a sequence cannot be
    written."""
    if name.suffix == ".exr":
        require_exr()
    if not overwrite and name.folder.is_dir() and name.numbers():
        raise OutputError(
            f"There are frames of {name.pattern} already; give another folder, or --overwrite."
        )
