"""The writer that the name of an output means: of a video, a sequence or an animation."""

from __future__ import annotations

from pathlib import Path

from sosie.errors import UsageError, nearest
from sosie.files import StrPath
from sosie.media.animation_write import ANIMATION_FORMATS, AnimationPartWriter, AnimationWriter
from sosie.media.base_writer import Writer
from sosie.media.encoders import VIDEO_EXTENSIONS
from sosie.media.encoding import check_encoding
from sosie.media.input_info import VideoSource
from sosie.media.sequence_names import SEQUENCE_SUFFIXES, sequence_name
from sosie.media.sequence_write import SequenceWriter, check_sequence
from sosie.media.video_part import VideoPartWriter
from sosie.media.video_write import VideoWriter


def open_writer(
    source: VideoSource,
    path: Path,
    codec: str,
    crf: int,
    preset: str,
    threads: int | None,
    shown: StrPath | None = None,
) -> Writer:
    """A writer of `source` into `path`; see `VideoWriter`."""
    sequence = sequence_name(path)
    if sequence is not None:
        return SequenceWriter(source, path, sequence, shown)
    if path.suffix.lower() in ANIMATION_FORMATS:
        return AnimationWriter(source, path, shown)
    return VideoWriter(source, path, codec, crf, preset, threads, shown)


def open_part_writer(
    source: VideoSource,
    path: Path,
    codec: str,
    crf: int,
    preset: str,
    threads: int | None,
    is_first: bool,
) -> Writer:
    """A writer of one segment of `source`, which gives what that of `open_writer` keeps of it; of a
    sequence it writes the pictures beside `path`. is_first: whether the output begins with it."""
    sequence = sequence_name(path)
    if sequence is not None:
        return SequenceWriter(source, path, sequence)
    if path.suffix.lower() in ANIMATION_FORMATS:
        return AnimationPartWriter(source, path, None)
    return VideoPartWriter(source, path, codec, crf, preset, threads, is_first)


def check_written(path: Path, codec: str, crf: int, preset: str, overwrite: bool) -> None:
    """Raises an error, before any work, where frames cannot be written to such a path."""
    sequence = sequence_name(path)
    if sequence is not None:
        check_sequence(sequence, overwrite)
    elif path.suffix.lower() not in ANIMATION_FORMATS:
        if path.suffix.lower() not in VIDEO_EXTENSIONS:
            known = (*VIDEO_EXTENSIONS, *ANIMATION_FORMATS, *SEQUENCE_SUFFIXES)
            advice = nearest(path.suffix.lower(), known[: -len(SEQUENCE_SUFFIXES)])
            if path.suffix.lower() in known:
                advice = f"for numbered frames write {path.stem}.%04d{path.suffix}, else {advice}"
            raise UsageError(f"{path} has no extension of a video that can be written: {advice}.")
        check_encoding(path, codec, crf, preset)
