"""A result beside its target: side by side, or with a border between both that moves."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.errors import InputError
from sosie.files import StrPath
from sosie.media.encoders import VIDEO_EXTENSIONS
from sosie.media.image import load_photo
from sosie.media.image_write import photo_format, save_photo
from sosie.media.input_info import VideoSource
from sosie.media.new_frames import NewFrame, NewFrames
from sosie.media.picture_video import Pictures
from sosie.media.sequence_names import sequence_name
from sosie.media.targets import open_target
from sosie.media.video import Video, VideoFrame
from sosie.media.video_write import VideoWriter
from sosie.media.writers import check_written
from sosie.options import SwapOptions
from sosie.output import atomic_output, check_output
from sosie.types import Pixels, Progress

# Two frames side by side are made smaller where they would be larger than this: few players show
# more.
_WIDEST_PX, _HIGHEST_PX = 3840, 2160
_SWEEP_S = 6.0
"""The border of a video goes from right to left and back in this time, or in its length."""

# By how many of 255 levels a pixel of a photo differs where the swap has changed it.
_CHANGED = 12


def comparison_path(result: Path, is_photo: bool) -> Path:
    """Where the comparison of a result goes: `out.compare.mp4` for `out.mp4`. That of numbered
    frames, or of an animation, is a video beside their folder, or beside it."""
    if not is_photo and sequence_name(result) is not None:
        folder = result.parent.absolute()
        return folder.with_name(f"{folder.name}.compare.mp4")
    is_kept = is_photo or result.suffix.lower() in VIDEO_EXTENSIONS
    return result.with_name(f"{result.stem}.compare{result.suffix if is_kept else '.mp4'}")


def compare_photos(
    target: StrPath, result: StrPath, output: StrPath, layout: str, overwrite: bool = False
) -> None:
    """Writes a photo and what was made of it in one picture.

    layout: `side`, the target left and the result right; or `wipe`, one picture that is the target
    left and the result right of a border through the middle of what was changed. Raises InputError
    where both are not of one size, UsageError or OutputError where the picture cannot be written.
    """
    check_output(output, [target, result], overwrite)
    photo_format(output)
    before, after = load_photo(target), load_photo(result)
    _require_one_size((before.width, before.height), (after.width, after.height), target, result)
    there, here = _alike(before.pixels, after.pixels), after.pixels
    alphas = None
    if before.alpha is not None and after.alpha is not None:
        alphas = _alike(before.alpha, after.alpha), after.alpha
    if layout == "side":
        pixels = np.hstack([there, here])
        alpha = None if alphas is None else np.hstack(alphas)
    else:
        border = _middle_of_change(there, here)
        pixels = _wiped(there, here, border)
        alpha = None if alphas is None else np.where(_left_of(border, here), *alphas)
    save_photo(replace(after, pixels=pixels, alpha=alpha), output, overwrite=overwrite)


def compare_videos(
    target: Path,
    result: Path,
    output: Path,
    layout: str,
    options: SwapOptions,
    on_progress: Callable[[Progress], None] | None = None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> tuple[str, ...]:
    """Writes a video and what was made of it as one video, with the result's sound.

    layout: `side`, the target left and the result right, smaller where both would be wider than
    3840 pixels; or `wipe`, the target left and the result right of a border that moves. options: of
    the swap: its part of the target, the frame rate of numbered frames, and how to encode.
    is_cancelled: asked after each frame; KeyboardInterrupt is raised where it says so.

    Frames belong together by their order. Returns notes: where one video has more of them, the
    comparison ends with the other. Raises InputError where both are not of one size, and the errors
    of a writer.
    """
    check_written(output, options.codec, options.crf, options.preset, options.overwrite)
    check_output(output, [target, result], options.overwrite)
    o = options
    span = (o.start_s, o.end_s)
    with (
        open_target(target, *span, o.threads, o.sequence) as before,
        open_target(result, None, None, o.threads, o.sequence) as after,
    ):
        sizes = [(one.info.width, one.info.height) for one in (before, after)]
        _require_one_size(sizes[0], sizes[1], target, result)
        composer = _Composer(after.source, layout, _length_s(after))
        pairs = _paired(before, after)
        first = next(pairs, None)
        if first is None:
            raise InputError(f"{result} has no frames; swap it again.")
        source = composer.source(first)
        started, done = time.perf_counter(), 0
        with (
            atomic_output(output, o.overwrite) as pending,
            VideoWriter(
                source, pending.path, o.codec, o.crf, o.preset, o.threads, shown=pending.final
            ) as writer,
        ):
            pair: _Pair | None = first
            while pair is not None:
                writer.write(composer.compose(pair))
                done += 1
                if on_progress is not None:
                    fps = done / max(time.perf_counter() - started, 1e-9)
                    on_progress(Progress(done, after.expected_frames, fps, "comparing"))
                if is_cancelled():
                    raise KeyboardInterrupt
                last, pair = pair, next(pairs, None)
        if last.is_longer is None:
            return ()
        longer = target if last.is_longer == "target" else result
        return (f"The comparison has {done} frames: {longer} has more of them than the other.",)


@dataclass
class _Pair:
    """Frames that belong together. is_longer: which of both videos goes on after the last pair."""

    before: VideoFrame
    after: VideoFrame
    is_longer: str | None = None


class _Composer:
    """Makes the frames of a comparison. length_s: of the result, None where that is unknown."""

    def __init__(self, result: VideoSource, layout: str, length_s: float | None) -> None:
        self._layout = layout
        self._sweep_s = min(_SWEEP_S, length_s or _SWEEP_S)
        width, height = result.info.width, result.info.height
        scale = 1.0
        if layout == "side":
            scale = min(1.0, _WIDEST_PX / (2 * width), _HIGHEST_PX / height)
        # Most encoders take even sizes only.
        self._size = (max(2, round(width * scale) // 2 * 2), max(2, round(height * scale) // 2 * 2))
        self._is_scaled = scale < 1
        self._frames = NewFrames(result, keeps_colors=True)

    def source(self, first: _Pair) -> VideoSource:
        """What a writer has to know: all of the result but its pictures."""
        return self._frames.source(self._pixels(first))

    def compose(self, pair: _Pair) -> NewFrame:
        """A frame of the comparison, with the time of the result's."""
        return self._frames.made(self._pixels(pair), pair.after)

    def _pixels(self, pair: _Pair) -> Pixels:
        here = pair.after.to_rgb()
        there = _alike(pair.before.to_rgb(), here)
        there, here = self._fitted(there), self._fitted(here)
        if self._layout == "side":
            pixels = np.hstack([there, here])
        else:
            passed = pair.after.time_s / self._sweep_s % 1.0
            border = round(self._size[0] * abs(1 - 2 * passed))
            pixels = _wiped(there, here, border)
        return pixels

    def _fitted(self, pixels: Pixels) -> Pixels:
        width, height = self._size
        if self._is_scaled:
            return np.asarray(cv2.resize(pixels, self._size, interpolation=cv2.INTER_AREA))
        return np.ascontiguousarray(pixels[:height, :width])


def _paired(before: Video | Pictures, after: Video | Pictures) -> Iterator[_Pair]:
    """The frames of both by their order. The last pair says which has more."""
    targets, results = before.frames(), after.frames()
    held: _Pair | None = None
    while True:
        one, other = next(targets, None), next(results, None)
        if one is None or other is None:
            if held is not None:
                goes_on = [name for name, f in (("target", one), ("result", other)) if f]
                held.is_longer = goes_on[0] if goes_on else None
                yield held
            return
        if held is not None:
            yield held
        held = _Pair(one, other)


def _length_s(video: Video | Pictures) -> float | None:
    if video.info.duration_s is not None:
        return video.info.duration_s
    count, fps = video.expected_frames, video.info.fps
    return float(count / fps) if count and fps else None


def _wiped(there: Pixels, here: Pixels, border: int) -> Pixels:
    """The first picture left of a border at a column, the second right of it."""
    width = here.shape[1]
    pixels = here.copy()
    pixels[:, :border] = there[:, :border]
    if 0 < border < width:
        line = max(1, round(width / 640))
        top = np.iinfo(here.dtype).max
        # White on dark: it shows on any picture.
        pixels[:, max(0, border - line - 1) : border + line + 1] = 0
        pixels[:, max(0, border - line) : border + line] = top
    return pixels


def _left_of(border: int, pixels: Pixels) -> NDArray[np.bool_]:
    return np.broadcast_to(np.arange(pixels.shape[1]) < border, pixels.shape[:2])


def _middle_of_change(there: Pixels, here: Pixels) -> int:
    """The column in the middle of what differs, or of the picture where nothing does."""
    top = np.iinfo(here.dtype).max
    apart = cv2.absdiff(there, here).max(axis=2) > _CHANGED * (top // 255)
    columns = np.flatnonzero(apart.any(axis=0))
    if not len(columns):
        return int(here.shape[1] // 2)
    share = np.cumsum(apart.sum(axis=0))
    return int(np.searchsorted(share, share[-1] / 2))


def _alike(pixels: NDArray[Any], like: NDArray[Any]) -> NDArray[Any]:
    """Pixels in the depth of others."""
    if pixels.dtype == like.dtype:
        return pixels
    if like.dtype == np.uint16:
        return pixels.astype(np.uint16) * 257
    return (pixels >> 8).astype(np.uint8)


def _require_one_size(
    before: tuple[int, int], after: tuple[int, int], target: StrPath, result: StrPath
) -> None:
    if before != after:
        raise InputError(
            f"{os.fspath(target)} has {before[0]} x {before[1]} pixels and {os.fspath(result)} "
            f"{after[0]} x {after[1]}; give a result of that target."
        )
