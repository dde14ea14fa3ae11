"""The faces of a video's frames, and where its segments start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

from sosie import records
from sosie.analysis.analyzer import Analyzer
from sosie.analysis.tracking import tracks
from sosie.analysis.tracking.tracks import FaceTracker, TrackedFace
from sosie.media.picture_video import Pictures
from sosie.media.place import Place
from sosie.media.prefetch import prefetch
from sosie.media.spool import Spool
from sosie.media.video import Video, VideoFrame
from sosie.timing import Stopwatch

# Frames that may wait between two stages: fewer where they are large.
_QUEUE_FRAMES, _QUEUE_BYTES = 3, 32 << 20
# For a video that does not tell: only the tracker's sense of time depends on it.
_UNKNOWN_FPS = 25
# A segment ends at the first cut after the least of these, or else after the most; a video that is
# no longer than that is one.
_LEAST_S, _MOST_S = 2, 6


@dataclass(frozen=True)
class SegmentStart:
    """Where a segment starts. tracker: the tracker's state before it, packed. is_cut: whether a
    shot starts there."""

    tracker: bytes
    is_cut: bool


@dataclass(frozen=True)
class Analyzed:
    """A frame and its faces. start: where a segment starts with it."""

    frame: VideoFrame
    faces: tuple[TrackedFace, ...]
    start: SegmentStart | None


class VideoAnalysis:
    """Finds and follows the faces of a video, from its start or from where an earlier run came to.

    began, tracker: that place, and the tracker's state before it, packed; None for the start.
    """

    def __init__(self, video: Video | Pictures, analyzer: Analyzer, in_segments: bool) -> None:
        """in_segments: whether starts of segments are marked."""
        self.began: Place | None = None
        self.tracker: bytes | None = None
        self._video, self._analyzer, self._in_segments = video, analyzer, in_segments

    def frames(self, spool: Spool, watch: Stopwatch) -> Iterator[Analyzed]:
        """The frames with their faces. They wait in `spool`, however large they are."""
        fps = float(self._video.info.fps or _UNKNOWN_FPS)
        began = self.began
        read = self._video.frames() if began is None else self._video.frames_from(began)
        # Closed here: after an error its traceback would keep the thread and the file.
        with prefetch(watch.timed("decode", read), queue_frames(self._video)) as frames:
            waited = _put_away(watch.timed("waited", frames), spool)
            tracker: FaceTracker[VideoFrame] = FaceTracker(self._analyzer, fps)
            followed = self._marked(tracker, waited)
            yield from watch.timed("analysis", followed, without="waited")

    def _marked(
        self, tracker: FaceTracker[VideoFrame], frames: Iterator[VideoFrame]
    ) -> Iterator[Analyzed]:
        first = 0
        least, most = segment_frames(self._video)
        if self.began is not None and self.tracker is not None:
            first = self.began.index
            tracker.restore(records.unpack(self.tracker, tracks.STATE_CLASSES), frames)
        followed, last_start = tracker.follow(frames), first
        for index in count(first):
            since, start = index - last_start, None
            is_cut = tracker.starts_scene(index)
            if self._in_segments and ((since >= least and is_cut) or since >= most):
                last_start = index
                start = SegmentStart(records.pack(tracker.state()), is_cut)
            try:
                # Without a name for it, the frame is kept by nobody here.
                yield Analyzed(*next(followed), start)
            except StopIteration:
                return


def segment_frames(video: Video | Pictures) -> tuple[int, int]:
    """The least and the most frames of a segment of a video."""
    fps = video.info.fps or _UNKNOWN_FPS
    return max(1, round(_LEAST_S * fps)), max(1, round(_MOST_S * fps))


def is_long(video: Video | Pictures) -> bool:
    """Whether a video is written in segments, so that its writing can be resumed."""
    expected = video.expected_frames
    return expected is None or expected > segment_frames(video)[1]


def queue_frames(video: Video | Pictures) -> int:
    """How many frames of a video may wait between two stages."""
    return max(1, min(_QUEUE_FRAMES, _QUEUE_BYTES // video.frame_bytes))


def _put_away(frames: Iterator[VideoFrame], spool: Spool) -> Iterator[VideoFrame]:
    """The same frames, each put away once it has been looked at: it waits for later ones."""
    for frame in frames:
        yield frame
        frame.put_away(spool)
