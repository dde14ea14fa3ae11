"""What writers of encoded frames have in common, and the writer of a part of a video."""

from __future__ import annotations

import errno
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from sosie.errors import OutputError
from sosie.files import StrPath
from sosie.media.base_writer import Writer
from sosie.media.encoders import container_format
from sosie.media.encoding import choose_encoding
from sosie.media.input_info import NativeFrame, VideoSource
from sosie.media.segments import SegmentLog
from sosie.media.video_encoder import VideoEncoder
from sosie.output import FULL, not_written

# In frames. Containers round timestamps to milliseconds, which is less.
_AVI_SLACK = Fraction(1, 4)
# Containers whose clock has no start of its own, and the most that a video in another begins late.
_BROADCAST, _LONGEST_DELAY_S = ("mpegts", "mpeg"), 60
_OF_THE_SYSTEM = (*FULL, errno.EFBIG, errno.EIO)


class EncodingWriter(Writer):
    """Writes frames that are encoded as those of a video, with their own times."""

    _encoder: VideoEncoder

    def __init__(self, video: VideoSource, path: Path, shown: StrPath | None) -> None:
        super().__init__(video, path, shown)
        self._constant = path.suffix.lower() == ".avi"
        self._last_position = -1
        self._shift = _clock_start(video) if video.span_s[0] is None else video.first_time

    def _prepared(self, frame: NativeFrame) -> Any:
        """A frame as the encoder takes it, in the output's clock."""
        native = frame.native
        native.pts -= round(self._shift / native.time_base)
        if self._constant:
            self._check_constant(native)
        return self._encoder.prepared(native)

    def _position(self, time: Fraction) -> Fraction:
        """Of a frame on the even clock of an AVI."""
        return (time - self._video.first_time + self._shift) / self._encoder.clock

    def _check_constant(self, native: Any) -> None:
        """Refuses frames that are not on the even clock of an AVI."""
        position = self._position(native.pts * native.time_base)
        off_beat = abs(position - round(position)) > _AVI_SLACK
        if off_beat or round(position) <= self._last_position:
            raise OutputError(
                f"{self._shown} cannot be written: .avi holds a constant frame rate only, and the "
                f"video's is variable; write a .mp4 or .mkv."
            )
        self._last_position = round(position)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """FFmpeg's and the system's errors while writing as OutputError."""
        try:
            yield
        except (FFmpegError, OSError) as error:
            if error.errno in _OF_THE_SYSTEM:
                raise OutputError(not_written(self._shown, OSError(*error.args[:2]))) from error
            raise OutputError(
                f"{self._shown} could not be written ({error.strerror}); "
                f"check the folder, or write another kind of file."
            ) from error


class VideoPartWriter(EncodingWriter):
    """Encodes the frames of one segment as `VideoWriter` does, and keeps their packets. There is no
    file but that of the segment."""

    def __init__(
        self,
        video: VideoSource,
        path: Path,
        codec: str,
        crf: int,
        preset: str,
        threads: int | None,
        is_first: bool,
    ) -> None:
        """path: of the video that the segment is of. is_first: whether that begins with it. Raises
        what `VideoWriter` does."""
        super().__init__(video, path, None)
        encoding = choose_encoding(video, path, codec, crf, preset)
        self._source = video.open()
        try:
            # What an encoder is told hangs on the container, of which nothing is written.
            self._output = av.open(io.BytesIO(), "w", format=container_format(path))
            stream = next(s for s in self._source.streams if s.index == video.stream_index)
            self._encoder = VideoEncoder(
                *(video, path, encoding, self._output, stream),
                *(video.first_time - self._shift, threads),
            )
            if not is_first:
                self._encoder.forget()
        except BaseException:
            self._source.close()
            raise

    def write(self, frame: NativeFrame) -> None:
        """Encodes a frame. It must not be changed afterwards."""
        native = self._prepared(frame)
        with self._explained():
            self._keep(self._encoder.encode(native))
        self.frames += 1

    def end_segment(self) -> dict[str, Any]:
        """Keeps what the encoder still holds."""
        with self._explained():
            self._keep(self._encoder.end())
        return {}

    def go_on(self, log: SegmentLog, number: int, plates: Iterable[NativeFrame] = ()) -> None:
        """A part needs nothing of what is before it."""

    def close(self) -> None:
        """Lets go of the encoder."""
        self._let_go()
        self.is_whole = True

    def _let_go(self) -> None:
        self._source.close()

    def _keep(self, packets: Iterable[Any]) -> None:
        assert self._log is not None, "the packets go nowhere else"
        for packet in packets:
            self._log.add(packet)


def _clock_start(video: VideoSource) -> Fraction:
    """Where a video starts by its clock, where that is the recorder's; 0 where it is its own, by
    which a video may begin a little late on purpose."""
    is_recorders = video.info.container in _BROADCAST or video.origin > _LONGEST_DELAY_S
    return video.origin if is_recorders else Fraction(0)
