"""The stream of a video's frames in an output: what its encoder is told, and what it is given."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.codec.context import Flags
from av.error import FFmpegError
from av.filter import Graph
from av.video.format import VideoFormat

from sosie.errors import UnavailableError
from sosie.media.encoders import Encoder
from sosie.media.encoding import Encoding, must_be_turned, written_size
from sosie.media.input_info import VideoSource
from sosie.media.pixel_formats import is_rgb
from sosie.media.segment_encoders import EncoderSettings
from sosie.media.tracks import copy_words

_BT709_MATRIX = 1
_LIMITED_RANGE, _FULL_RANGE = 1, 2


class VideoEncoder:
    """Encodes a video's frames into a stream of their own.

    stream: of the output. clock: seconds a tick of the frames' own times. notes: sentences on what
    could not be kept as it was.
    """

    def __init__(
        self,
        video: VideoSource,
        path: Path,
        encoding: Encoding,
        output: Any,
        source: Any,
        late: Fraction,
        threads: int | None,
    ) -> None:
        """Adds the stream to `output`, which is written to `path`. source: the stream that is
        written anew. late: when the first frame is shown, seconds.

        Raises UnavailableError where the encoder does not start.
        """
        first, encoder = video.first, encoding.encoder
        self.notes: list[str] = []
        self._video, self._path = video, path
        self._turn = must_be_turned(video, path)
        self._graph = _turning_graph(video) if self._turn else None
        self._format = encoding.pixel_format
        is_constant = path.suffix.lower() == ".avi"
        width, height = written_size(video, path)
        rate = _rate(video, source, is_constant)
        video_stream = output.add_stream(encoder.name, rate=rate, options=encoding.options)
        self.stream = video_stream
        context = video_stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, self._format
        if encoding.tag is not None:
            context.codec_tag = encoding.tag
        self.clock = 1 / rate if is_constant else Fraction(source.time_base)
        context.time_base = video_stream.time_base = self.clock
        if encoder.finest_clock and self.clock.denominator > encoder.finest_clock:
            context.time_base = video_stream.time_base = Fraction(1, encoder.finest_clock)
            self.notes.append(
                f"{encoder.name} counts time in 1/{encoder.finest_clock} s: the video's "
                f"timestamps, in {self.clock} s, were rounded to that."
            )
        context.thread_count = threads or 0
        context.flags |= Flags.frame_duration
        if encoder.interlaced and first.interlaced_frame:
            context.flags |= Flags.interlaced_dct
        if source.sample_aspect_ratio:
            self._keep_aspect(context, encoder)
        self._tag_colors(context)
        if video.display_matrix is not None and not self._turn:
            video_stream.set_display_matrix(video.display_matrix)
        if is_constant and late >= self.clock:
            self.notes.append(
                f"An .avi begins with its first frame: that is shown from 0 s on, and not from "
                f"{float(late):.2f} s."
            )
        if is_constant:
            context.max_b_frames = 0  # AVI has no place for the order in which frames are shown
        copy_words(source, video_stream)
        if video.span_s[0] is not None and video_stream.metadata.pop("timecode", None):
            self.notes.append("The video's timecode was left out: it is that of the video's start.")
        if encoder.name in ("libvpx", "libvpx-vp9") and self._format.startswith("yuva"):
            video_stream.metadata["alpha_mode"] = "1"
        self._open_now: Any = context
        self._open(context, encoder)

    def prepared(self, native: Any) -> Any:
        """A frame as it is encoded: upright where the container has no mark for that, in the
        encoder's pixel format, and with the video's color tags."""
        if self._graph is not None:
            self._graph.push(native)
            native = self._graph.pull()
        if native.format.name != self._format:
            native = self._video.converter.reformat(native, self._format)
        _tag(native, self._tags)  # some encoders go by those of the frame alone
        native.pict_type = 0  # as it was encoded before, which must not decide how it is now
        return native

    def encode(self, native: Any) -> list[Any]:
        """Packets, as far as there are any yet, for a frame that was prepared."""
        if self._open_now is None:
            self._open_now = self._settings.again(self.stream.codec_context)
        return list(self._open_now.encode(native))

    def end(self) -> list[Any]:
        """The packets that the encoder still holds. Another one takes the next frame."""
        encoder, self._open_now = self._open_now, None
        return [] if encoder is None else list(encoder.encode(None))

    def forget(self) -> None:
        """Another encoder takes the next frame; what this one holds is lost."""
        self._open_now = None

    def _keep_aspect(self, context: Any, encoder: Encoder) -> None:
        aspect = self._video.info.sample_aspect
        as_stored = self._video.orientation.swap and not self._turn
        context.sample_aspect_ratio = 1 / aspect if as_stored else aspect
        if aspect != 1 and not encoder.aspect and self._path.suffix.lower() in (".mkv", ".webm"):
            self.notes.append(
                f"The video's pixels are {aspect.numerator}:{aspect.denominator}, not square, and "
                f"{encoder.name} in {self._path.suffix} does not say so: write a .mp4 to keep that."
            )

    def _tag_colors(self, context: Any) -> None:
        first = self._video.first
        matrix, full = int(first.colorspace), int(first.color_range)
        if is_rgb(first.format.name) and not is_rgb(self._format):
            matrix, full = _BT709_MATRIX, _LIMITED_RANGE
        elif first.format.name.startswith("yuvj"):  # the format says so, the tag need not
            full = _FULL_RANGE
        self._tags = (int(first.color_primaries), int(first.color_trc), matrix, full)
        _tag(context, self._tags)

    def _open(self, context: Any, encoder: Encoder) -> None:
        if encoder.name == "libsvtav1":
            os.environ.setdefault("SVT_LOG", "1")  # it writes to the terminal unless told not to
        self._settings = EncoderSettings.of(context)
        try:
            context.open()
        except FFmpegError as error:
            raise UnavailableError(
                f"The codec {encoder.name} does not start here ({error.strerror}): it may need "
                f"hardware or a driver that is absent; choose another, such as libx264."
            ) from error


def _rate(video: VideoSource, source: Any, is_constant: bool) -> Fraction:
    rate = video.info.fps or Fraction(25)
    base = source.base_rate
    # The average of a few frames may be off; a clock that fits all of them is not.
    return Fraction(base) if is_constant and base and base <= 4 * rate else rate


def _tag(target: Any, tags: tuple[int, int, int, int]) -> None:
    """Gives a frame or an encoder color tags: primaries, transfer, matrix and range."""
    target.color_primaries, target.color_trc, target.colorspace, target.color_range = tags


def _turning_graph(video: VideoSource) -> Any:
    """A filter that makes frames upright."""
    first, turn = video.first, video.orientation
    graph = Graph()
    nodes = [
        graph.add_buffer(
            width=first.width,
            height=first.height,
            format=VideoFormat(video.native_format, first.width, first.height),
            time_base=first.time_base,
        )
    ]
    if turn.swap:
        nodes.append(graph.add("transpose", "cclock_flip"))
    if turn.mirror_x:
        nodes.append(graph.add("hflip"))
    if turn.mirror_y:
        nodes.append(graph.add("vflip"))
    nodes.append(graph.add("buffersink"))
    graph.link_nodes(*nodes)
    graph.configure()
    return graph
