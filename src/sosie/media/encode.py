"""Writes a video anew: changed frames encoded, everything else as it was."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
from av.codec.context import Flags
from av.error import FFmpegError
from av.filter import Graph
from av.video.format import VideoFormat

from sosie.errors import OutputError, UnavailableError
from sosie.files import StrPath
from sosie.media.encoders import Encoder, container_format
from sosie.media.encoding import choose_encoding, must_be_turned, written_size
from sosie.media.input_info import NativeFrame, VideoSource
from sosie.media.pixel_formats import is_rgb
from sosie.media.restart import EncoderSettings, RisingTimes
from sosie.media.tracks import Tracks, copy_words, moved_chapters
from sosie.media.video_file import VideoFile
from sosie.output import FULL, full_disk, not_written

# Written by the container itself; as words they would be those of the old file.
_OWN_TAGS = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder", "ENCODER"})
# The words that MP4 has places for; it drops others unless told to write them as free keys.
_MP4_TAGS = frozenset(
    (
        *("title", "artist", "album_artist", "composer", "album", "date", "comment", "genre"),
        *("copyright", "grouping", "lyrics", "description", "synopsis", "show", "episode_id"),
        *("network", "keywords", "episode_sort", "season_number", "media_type", "hd_video"),
        *("gapless_playback", "compilation", "track", "disc", "creation_time", "timecode"),
    )
)
# In frames. Containers round timestamps to milliseconds, which is less.
_AVI_SLACK = Fraction(1, 4)
_BT709_MATRIX = 1
# What the index of a video takes at most for a frame, and for the sound and subtitles beside it.
_INDEX_BYTES = 128
# Containers whose clock has no start of its own, and the most that a video in another begins late.
_BROADCAST, _LONGEST_DELAY_S = ("mpegts", "mpeg"), 60
_OF_THE_SYSTEM = (*FULL, errno.EFBIG, errno.EIO)
_LIMITED_RANGE, _FULL_RANGE = 1, 2


class VideoWriter:
    """Writes a video with changed frames.

    Every other stream, the chapters, the metadata, the color tags, the rotation and the sample
    aspect are kept; what a container cannot hold is converted or left out, and `notes` says so.
    Frames keep their timestamps. Those of a part of a video move so that its first frame is at 0,
    and those of a recording, whose clock began before it, so that its start is.

    Give the frames to `write` in order, then `close`; or, after an interruption, `close_partial`.
    As a context manager it closes at a normal end, and lets go of the file at an exception.
    `frames` counts those written. Ctrl-C during `write` or `close` can lose a packet: a thread that
    it cannot reach is the place for them.

    `end_segment` ends what was encoded so far: the next frame is a key frame that needs nothing of
    what is before it. `on_packet` is called with each packet of the video as it is encoded, and
    what it returns is written; the same up to the end of a segment another writer of the same video
    takes by `go_on`.

    `is_whole` says whether the file was ended so that it plays. Of a disk that becomes full the
    writer keeps enough to end the file by `close_partial`.

    Raises UsageError on an unknown codec, preset, crf or extension, or a codec that the container
    cannot hold; UnavailableError where the codec is not there or does not start; OutputError where
    the file cannot be written.
    """

    def __init__(
        self,
        video: VideoSource,
        path: Path,
        codec: str,
        crf: int,
        preset: str,
        threads: int | None,
        shown: StrPath | None = None,
    ) -> None:
        """shown: what messages call the file, where that is not `path`."""
        self._encoding = choose_encoding(video, path, codec, crf, preset)
        self.path = path
        self.frames = 0
        self.is_whole = False
        self._shown = Path(shown or path)
        self._muxed = 0
        self._video = video
        self._notes = [*self._encoding.notes]
        self.on_packet: Callable[[Any], Any] | None = None
        self._encoder: Any = None
        self._times = RisingTimes()
        # One thread may write while another, after a second Ctrl-C, ends the file.
        self._busy = threading.Lock()
        self._started = self._flushed = self._closed = False
        self._constant = path.suffix.lower() == ".avi"
        self._last_position = -1
        self._end_time = Fraction(0)
        start, end = video.span_s
        self._shift = _clock_start(video) if start is None else video.first_time
        low = None if start is None else video.first_time
        high = None if end is None else video.origin + Fraction(end)
        with self._explained():
            self._file = VideoFile(path)
        try:
            self._source = video.open()
        except BaseException:
            self._file.release()
            raise
        try:
            with self._explained():
                self._output = self._open_output(container_format(path))
            self._tracks = Tracks(self._source, self._output, video.path, self._shift, (low, high))
            self._turn = must_be_turned(video, path)
            video_stream = next(s for s in self._source.streams if s.index == video.stream_index)
            for stream in self._source.streams:
                if stream is video_stream:
                    self._video_stream = self._add_video(video_stream, threads)
                else:
                    self._tracks.add(stream)
            chapters = moved_chapters(self._source.chapters(), self._shift, (low, high))
            self._output.set_chapters(chapters)
            if chapters and path.suffix.lower() == ".avi":
                self._notes.append("An .avi holds no chapters: they were left out.")
        except BaseException:
            self._source.close()
            self._file.release()
            raise

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what could not be kept as it was."""
        return (*self._notes, *self._tracks.notes)

    def write(self, frame: NativeFrame) -> None:
        """Encodes a frame. It must not be changed afterwards."""
        native = frame.native
        native.pts -= round(self._shift / native.time_base)
        if self._constant:
            self._check_constant(native)
        if self._graph is not None:
            self._graph.push(native)
            native = self._graph.pull()
        if native.format.name != self._format:
            native = self._video.converter.reformat(native, self._format)
        self._end_time = (native.pts + (native.duration or 0)) * native.time_base
        _tag(native, self._tags)  # some encoders go by those of the frame alone
        native.pict_type = 0  # as it was encoded before, which must not decide how it is now
        with self._busy, self._explained():
            self._start()
            packets = self._open_again().encode(native)
            self.frames += 1
            self._mux(packets)

    def end_segment(self) -> None:
        """Writes what the encoder still holds. The next frame begins with an encoder of its own."""
        with self._busy, self._explained():
            if self._encoder is not None:
                encoder, self._encoder = self._encoder, None
                self._mux(encoder.encode(None))

    def go_on(self, packets: Iterable[Any], frames: int) -> None:
        """Writes the packets of segments that were ended in an earlier run, `frames` frames. Before
        any other."""
        with self._busy, self._explained():
            self._start()
            self._encoder = None
            for packet in packets:
                time, length = packet.pts * packet.time_base, packet.duration or 0
                self._end_time = max(self._end_time, time + length * packet.time_base)
                self._last_position = max(self._last_position, round(self._position(time)))
                self._mux([packet])
            self.frames = frames

    def close(self) -> None:
        """Writes what the encoder still holds and the rest of all tracks, and ends the file."""
        self._end(partial=False)

    def close_partial(self) -> None:
        """Ends the file after the last frame written, so that it plays: sound and subtitles are cut
        there too."""
        self._end(partial=True)

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
        else:
            self._let_go()

    def _end(self, partial: bool) -> None:
        if self._closed:
            return
        try:
            with self._busy:
                self._finish(partial)
        except Exception:
            if partial:  # else what was written may still be ended as a part
                self._let_go()
            raise

    def _finish(self, partial: bool) -> None:
        with self._explained():
            self._start()
            # After Ctrl-C in the middle of `close`, `close_partial` takes up where that was.
            if not self._flushed:
                self._flushed = True
                self.on_packet = None
                packets: list[Any] = [] if self._encoder is None else self._encoder.encode(None)
                with suppress(OutputError) if partial else nullcontext():
                    self._mux(packets)
            self._tracks.write_until(self._end_time if partial else None)
            self._tracks.finish()
            self._closed = True
            self._output.close()
            self._source.close()
            self._file.release()
            self.frames = min(self.frames, self._muxed)
            self.is_whole = True

    def _let_go(self) -> None:
        self._closed = True
        with suppress(FFmpegError, OSError):
            self._output.close()
        self._source.close()
        self._file.release()

    def _start(self) -> None:
        if self._started:
            return
        self._started = True
        self._output.start_encoding()
        self._tracks.start()

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            if self.on_packet is not None:
                packet = self.on_packet(packet)
            self._times.set_after(packet)
            packet.stream = self._video_stream
            self._tracks.write_until(packet.dts * packet.time_base)
            self._output.mux(packet)
            self._muxed += 1
            self._file.reserve(_INDEX_BYTES * self._muxed)
            if self._file.error is not None:
                raise OutputError(full_disk(self._shown))

    def _open_again(self) -> Any:
        if self._encoder is None:
            self._encoder = self._settings.again(self._video_stream.codec_context)
        return self._encoder

    def _open_output(self, container: str) -> Any:
        words = {
            key.lower() if key.lower() in _MP4_TAGS else key: value
            for key, value in self._source.metadata.items()
            if key not in _OWN_TAGS
        }
        # Else a Matroska has random ids, and the same video twice is not the same file.
        options = {"fflags": "+bitexact"}
        flags = ["faststart"] if self._encoding.starts_fast else []
        if container in ("mp4", "mov") and not _MP4_TAGS.issuperset(words):
            flags.append("use_metadata_tags")
        if flags:
            options["movflags"] = "+".join(flags)
        output = av.open(
            self._file,
            "w",
            format=container,
            container_options=options,
            metadata_errors="surrogateescape",
        )
        output.metadata.update(words)
        return output

    def _add_video(self, source: Any, threads: int | None) -> Any:
        video, first, encoder = self._video, self._video.first, self._encoding.encoder
        self._graph = _turning_graph(video) if self._turn else None
        self._format = self._encoding.pixel_format
        width, height = written_size(video, self.path)
        rate = self._rate(source)
        options = self._encoding.options
        video_stream = self._output.add_stream(encoder.name, rate=rate, options=options)
        context = video_stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, self._format
        if self._encoding.tag is not None:
            context.codec_tag = self._encoding.tag
        self._clock = 1 / rate if self._constant else Fraction(source.time_base)
        context.time_base = video_stream.time_base = self._clock
        if encoder.finest_clock and self._clock.denominator > encoder.finest_clock:
            context.time_base = video_stream.time_base = Fraction(1, encoder.finest_clock)
            self._notes.append(
                f"{encoder.name} counts time in 1/{encoder.finest_clock} s: the video's "
                f"timestamps, in {self._clock} s, were rounded to that."
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
        late = video.first_time - self._shift
        if self._constant and late >= self._clock:
            self._notes.append(
                f"An .avi begins with its first frame: that is shown from 0 s on, and not from "
                f"{float(late):.2f} s."
            )
        if self._constant:
            context.max_b_frames = 0  # AVI has no place for the order in which frames are shown
        copy_words(source, video_stream)
        if video.span_s[0] is not None and video_stream.metadata.pop("timecode", None):
            self._notes.append(
                "The video's timecode was left out: it is that of the video's start."
            )
        if encoder.name in ("libvpx", "libvpx-vp9") and self._format.startswith("yuva"):
            video_stream.metadata["alpha_mode"] = "1"
        self._open_encoder(context, encoder)
        return video_stream

    def _keep_aspect(self, context: Any, encoder: Encoder) -> None:
        aspect = self._video.info.sample_aspect
        as_stored = self._video.orientation.swap and not self._turn
        context.sample_aspect_ratio = 1 / aspect if as_stored else aspect
        if aspect != 1 and not encoder.aspect and self.path.suffix.lower() in (".mkv", ".webm"):
            self._notes.append(
                f"The video's pixels are {aspect.numerator}:{aspect.denominator}, not square, and "
                f"{encoder.name} in {self.path.suffix} does not say so: write a .mp4 to keep that."
            )

    def _rate(self, source: Any) -> Fraction:
        rate = self._video.info.fps or Fraction(25)
        base = source.base_rate
        # The average of a few frames may be off; a clock that fits all of them is not.
        return Fraction(base) if self._constant and base and base <= 4 * rate else rate

    def _position(self, time: Fraction) -> Fraction:
        """Of a frame on the even clock of an AVI."""
        return (time - self._video.first_time + self._shift) / self._clock

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

    def _tag_colors(self, context: Any) -> None:
        first = self._video.first
        matrix, full = int(first.colorspace), int(first.color_range)
        if is_rgb(first.format.name) and not is_rgb(self._format):
            matrix, full = _BT709_MATRIX, _LIMITED_RANGE
        elif first.format.name.startswith("yuvj"):  # the format says so, the tag need not
            full = _FULL_RANGE
        self._tags = (int(first.color_primaries), int(first.color_trc), matrix, full)
        _tag(context, self._tags)

    def _open_encoder(self, context: Any, encoder: Encoder) -> None:
        if encoder.name == "libsvtav1":
            os.environ.setdefault("SVT_LOG", "1")  # it writes to the terminal unless told not to
        self._settings = EncoderSettings.of(context)
        self._encoder = context
        try:
            context.open()
        except FFmpegError as error:
            raise UnavailableError(
                f"The codec {encoder.name} does not start here ({error.strerror}): it may need "
                f"hardware or a driver that is absent; choose another, such as libx264."
            ) from error

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


def _clock_start(video: VideoSource) -> Fraction:
    """Where a video starts by its clock, where that is the recorder's; 0 where it is its own, by
    which a video may begin a little late on purpose."""
    is_recorders = video.info.container in _BROADCAST or video.origin > _LONGEST_DELAY_S
    return video.origin if is_recorders else Fraction(0)


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
