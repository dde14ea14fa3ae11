"""The frames of a video that are looked at, with the shot that each lies in."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sosie.analysis.tracking.shots import split_scenes
from sosie.datasets.extract.options import ExtractOptions
from sosie.errors import InputError
from sosie.media.thumbnail import Shrinker
from sosie.media.video import Video, VideoFrame, open_video
from sosie.types import Pixels

# Whether a cut lies before a frame depends on the frames around it: so many are read again before
# the one at which a video is taken up.
_WARM_FRAMES = 12
_SAME_TIME_S = 1e-4

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Place:
    """A frame of a video: its index, its time, and the number of its scene."""

    index: int
    time_s: float
    scene: int


@dataclass(frozen=True)
class Sample:
    """A frame to look at. warm: a place before it from which the video can be taken up again."""

    frame: VideoFrame
    at: Place
    warm: Place


@dataclass(frozen=True)
class _Small:
    """A frame as the search for cuts sees it."""

    frame: VideoFrame
    shrinker: Shrinker

    def to_rgb(self) -> Pixels:
        return self.shrinker.small_rgb(self.frame)


class Sampler:
    """Reads a video and picks frames. `done` counts the frames that were passed, `total` is how
    many there are, about, None where unknown."""

    def __init__(
        self, path: Path, options: ExtractOptions, warm: Place | None = None, start: int = 0
    ) -> None:
        """start: index of the first frame that may be picked. warm: a place before it.

        Raises InputError where the video cannot be read.
        """
        self._options = options
        self._start = start
        self._video, self._origin = _taken_up(path, warm, options.threads)
        self.total = self._video.info.frame_count
        self.done = start

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what of the video could not be read."""
        return self._video.notes

    def __iter__(self) -> Iterator[Sample]:
        shrinker = Shrinker()
        recent: deque[Place] = deque(maxlen=_WARM_FRAMES)
        scene = self._origin.scene - 1
        before_s: float | None = None
        with self._video:
            frames = (_Small(frame, shrinker) for frame in self._video.frames())
            for shot in split_scenes(frames):
                frame = shot.frame.frame
                scene += shot.starts_scene
                at = Place(self._origin.index + frame.index, frame.time_s, scene)
                recent.append(at)
                if at.index >= self._start:
                    self.done = at.index + 1
                    if self._is_due(at, before_s):
                        yield Sample(frame, at, recent[0])
                before_s = at.time_s

    def _is_due(self, at: Place, before_s: float | None) -> bool:
        fps = self._options.fps
        if fps is None:
            return at.index % self._options.every == 0
        return before_s is None or int(at.time_s * fps // 1) > int(before_s * fps // 1)


def _taken_up(path: Path, warm: Place | None, threads: int | None) -> tuple[Video, Place]:
    """A video opened at a place, and that place; at its start where that cannot be found."""
    if warm is not None and warm.index > 0:
        video = open_video(path, start_s=warm.time_s, threads=threads)
        first = video.source.first_time - video.source.origin
        if abs(float(first) - warm.time_s) < _SAME_TIME_S:
            return video, warm
        video.close()
    return open_video(path, threads=threads), Place(0, 0.0, 0)


def in_order(
    pool: Executor, function: Callable[[T], R], items: Iterator[T], ahead: int
) -> Generator[tuple[T, R], None, None]:
    """Each item with `function` of it, in order, at most `ahead` of them at work at once.

    An InputError of `items` is raised after what came before it.
    """
    waiting: deque[tuple[T, Future[R]]] = deque()
    damage: InputError | None = None
    more = True
    try:
        while more or waiting:
            try:
                while more and len(waiting) < ahead:
                    item = next(items)
                    waiting.append((item, pool.submit(function, item)))
            except StopIteration:
                more = False
            except InputError as error:
                more, damage = False, error
            if waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        if damage is not None:
            raise damage
    finally:
        for _, future in waiting:
            future.cancel()
