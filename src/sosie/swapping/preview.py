"""Frames of a target that are swapped to be looked at, each by itself."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sosie.analysis.analyzer import Analyzer
from sosie.errors import NoFaceError, UsageError
from sosie.media.kinds import require_kind
from sosie.media.masks import DrawnMasks, frame_number
from sosie.media.prefetch import prefetch
from sosie.media.targets import open_target
from sosie.media.timecodes import timecode
from sosie.methods.base import Source
from sosie.options import SwapOptions
from sosie.swapping.assignment import Picture, Role, load
from sosie.swapping.face import Engine
from sosie.swapping.frame import FrameSwapper, faces_of_photo, matte_of
from sosie.swapping.still import assign_still
from sosie.timing import Stopwatch
from sosie.types import Face, FloatArray, Pixels, PreviewFrame

MOST_FRAMES = 64
"""A preview has no more frames: beyond, it would be a video."""

# Where a face is looked for when no time is given: shares of the video's length.
_LIKELY = (1 / 2, 1 / 4, 3 / 4, 1 / 8, 3 / 8, 5 / 8, 7 / 8)
_SOURCE_FACES_WIDE = 2.2


@dataclass(frozen=True)
class _Read:
    """A frame that was read. drawn: its mask that somebody drew. The rest: as in PreviewFrame."""

    pixels: Pixels
    time_s: float | None
    sample_aspect: float = 1.0
    drawn: FloatArray | None = None


class TargetFrames:
    """The frames of a target that are to be swapped, read ahead in a thread: what is made of this
    first has less to wait for.

    name: of the target, for messages. is_search: whether the first frame that has somebody to swap
    is all that is wanted.
    """

    def __init__(
        self,
        target: Picture,
        options: SwapOptions,
        at_s: Sequence[float] | None,
        count: int | None,
    ) -> None:
        """at_s, count: as `sosie.preview` takes them. Raises UsageError where they cannot be meant,
        and InputError where the target is nothing to be read."""
        if at_s is not None and count is not None:
            raise UsageError("Give either times or a number of frames, not both.")
        if count is not None and not 1 <= count <= MOST_FRAMES:
            raise UsageError(f"frames must be between 1 and {MOST_FRAMES}, not {count}.")
        if at_s is not None and not 1 <= len(at_s) <= MOST_FRAMES:
            raise UsageError(f"A preview has 1 to {MOST_FRAMES} times, not {len(at_s)}.")
        is_video = _is_video(target, options)
        if not is_video and (at_s is not None or count not in (None, 1)):
            raise UsageError("A photo has no times and one frame: leave these out.")
        if not is_video and options.masks is not None:
            raise UsageError("Masks belong to videos and sequences: leave them out.")
        self.is_search = is_video and at_s is None and count is None
        self.name = str(target) if isinstance(target, str | os.PathLike) else "the picture"
        if is_video:
            path = Path(self.name)
            reading = _read_video(path, options, None if at_s is None else sorted(at_s), count)
        else:
            reading = _read_photo(target)
        self._ahead = prefetch(reading, 1)

    def __iter__(self) -> Iterator[_Read]:
        with self._ahead as frames:
            yield from frames

    def close(self) -> None:
        """Ends the reading."""
        self._ahead.close()


@dataclass(frozen=True)
class Previewer:
    """Swaps single frames. sources: of the people who are put in, as those of `engine`; roles: who
    they replace."""

    engine: Engine
    analyzer: Analyzer
    sources: Sequence[Sequence[Source]]
    roles: Sequence[Role]
    faces: str

    def frames(self, target: TargetFrames) -> Iterator[PreviewFrame]:
        """The frames, swapped. Raises NoFaceError, after the last, where nobody was in any."""
        notes: list[str] = []
        count = 0
        with closing(target):
            for read in target:
                count += 1
                try:
                    row = self._swapped(read)
                except NoFaceError as error:
                    when = "" if read.time_s is None else f" at {timecode(read.time_s)}"
                    notes.append(f"{target.name}{when}: {error}")
                    if not target.is_search:
                        yield _unswapped(read, str(error))
                    continue
                yield row
                if target.is_search:
                    return
        if len(notes) == count:
            more = f" {count - 1} other frames have nobody to swap either." * (count > 1)
            raise NoFaceError(f"{notes[0]}{more}")

    def _swapped(self, read: _Read) -> PreviewFrame:
        """A frame swapped. Raises NoFaceError where nobody is to be swapped."""
        target = read.pixels
        faces = faces_of_photo(self.analyzer.analyze(target), target)
        claims, _ = assign_still(target, faces, self.roles, self.faces, self.analyzer)
        result = target.copy()
        swapped = FrameSwapper(self.engine).swap(result, claims, faces, Stopwatch(), read.drawn)
        taken = [
            self.sources[one.claim.person][one.source]
            for one in swapped.faces
            if self.sources[one.claim.person]
        ]
        return PreviewFrame(
            time_s=read.time_s,
            target=target,
            result=result,
            mask=matte_of(swapped, target.shape[1], target.shape[0]),
            faces=tuple(one.claim.face.face for one in swapped.faces),
            sources=tuple(face_square(one.pixels, one.face, _SOURCE_FACES_WIDE) for one in taken),
            sample_aspect=read.sample_aspect,
        )


def _unswapped(read: _Read, note: str) -> PreviewFrame:
    blank = np.zeros(read.pixels.shape[:2], np.float32)
    return PreviewFrame(
        *(read.time_s, read.pixels, read.pixels, blank),
        note=note,
        sample_aspect=read.sample_aspect,
    )


def _read_photo(target: Picture) -> Iterator[_Read]:
    _, photo = load(target, "the picture")
    yield _Read(photo.pixels, None)


def _read_video(
    path: Path, options: SwapOptions, at_s: Sequence[float] | None, count: int | None
) -> Iterator[_Read]:
    masks = None if options.masks is None else DrawnMasks(Path(options.masks))
    span = (options.start_s, options.end_s)
    with open_target(path, *span, options.threads, options.sequence) as video:
        source = video.source
        if at_s is not None:
            groups = [at_s]
        elif count is not None:
            groups = [video.spread_times(count)]
        else:
            middle, start = video.spread_times(1)[0], options.start_s or 0.0
            groups = [[start + 2 * (middle - start) * share] for share in _LIKELY]
        for times in groups:
            for frame in video.frames_at(times, counted=masks is not None):
                drawn = None
                if masks is not None:
                    drawn = masks.read(frame_number(source, frame), frame.width, frame.height)
                aspect = float(source.info.sample_aspect)
                yield _Read(frame.to_rgb(), frame.time_s, aspect, drawn)


def face_square(pixels: Pixels, face: Face, faces_wide: float) -> Pixels:
    """The square round a face, kept inside the picture, as far as that has one.

    faces_wide: its side in sizes of the face. A view.
    """
    height, width = pixels.shape[:2]
    side = max(1, round(min(face.size_px * faces_wide, height, width)))
    x, y = face.center
    left = round(min(max(x - side / 2, 0), width - side))
    # There is more head above the landmarks than below.
    top = round(min(max(y - side * 0.52, 0), height - side))
    return pixels[top : top + side, left : left + side]


def _is_video(target: Picture, options: SwapOptions) -> bool:
    if not isinstance(target, str | os.PathLike):
        return False
    path = Path(target)
    if path.is_dir():
        if options.sequence is None:
            raise UsageError(
                f"{path} is a folder: give one photo or video of it, or the frame rate of its "
                f"numbered frames with --sequence."
            )
        return True
    return require_kind(path) == "video"
