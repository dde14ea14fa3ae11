"""Writes a video anew: changed frames encoded, everything else as it was."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.error import FFmpegError

from sosie.errors import OutputError
from sosie.files import StrPath
from sosie.media.encoders import container_format
from sosie.media.encoding import choose_encoding
from sosie.media.input_info import NativeFrame, VideoSource
from sosie.media.segment_encoders import RisingTimes
from sosie.media.segments import SegmentLog
from sosie.media.tracks import Tracks, moved_chapters
from sosie.media.video_encoder import VideoEncoder
from sosie.media.video_file import VideoFile
from sosie.media.video_part import EncodingWriter
from sosie.output import full_disk

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
# What the index of a video takes at most for a frame, and for the sound and subtitles beside it.
_INDEX_BYTES = 128


class VideoWriter(EncodingWriter):
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
    what is before it. The packets of segments are kept; the same up to the end of a segment another
    writer of the same video takes by `go_on`.

    Of a disk that becomes full the writer keeps enough to end the file by `close_partial`.

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
        super().__init__(video, path, shown)
        encoding = choose_encoding(video, path, codec, crf, preset)
        self.add_notes(encoding.notes)
        self._muxed = 0
        self._times = RisingTimes()
        # One thread may write while another, after a second Ctrl-C, ends the file.
        self._busy = threading.Lock()
        self._started = self._flushed = self._closed = False
        self._end_time = Fraction(0)
        start, end = video.span_s
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
                self._output = self._open_output(container_format(path), encoding.starts_fast)
            self._tracks = Tracks(self._source, self._output, video.path, self._shift, (low, high))
            video_stream = next(s for s in self._source.streams if s.index == video.stream_index)
            for stream in self._source.streams:
                if stream is video_stream:
                    self._encoder = VideoEncoder(
                        *(video, path, encoding, self._output, stream),
                        *(video.first_time - self._shift, threads),
                    )
                    self.add_notes(self._encoder.notes)
                else:
                    self._tracks.add(stream)
            chapters = moved_chapters(self._source.chapters(), self._shift, (low, high))
            self._output.set_chapters(chapters)
            if chapters and path.suffix.lower() == ".avi":
                self.add_notes(["An .avi holds no chapters: they were left out."])
        except BaseException:
            self._source.close()
            self._file.release()
            raise

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what could not be kept as it was."""
        return (*super().notes, *self._tracks.notes)

    def write(self, frame: NativeFrame) -> None:
        """Encodes a frame. It must not be changed afterwards."""
        native = self._prepared(frame)
        self._end_time = (native.pts + (native.duration or 0)) * native.time_base
        with self._busy, self._explained():
            self._start()
            packets = self._encoder.encode(native)
            self.frames += 1
            self._mux(packets)

    def end_segment(self) -> dict[str, Any]:
        """Writes what the encoder still holds. The next frame begins with an encoder of its own."""
        with self._busy, self._explained():
            self._mux(self._encoder.end())
        return {}

    def go_on(
        self,
        log: SegmentLog,
        number: int,
        plates: Iterable[NativeFrame] = (),  # noqa: ARG002 (what is kept is whole)
    ) -> None:
        """Writes the packets of a segment that was ended in an earlier run."""
        with self._busy, self._explained():
            self._start()
            self._encoder.forget()
            for packet in log.packets(number):
                time, length = packet.pts * packet.time_base, packet.duration or 0
                self._end_time = max(self._end_time, time + length * packet.time_base)
                self._last_position = max(self._last_position, round(self._position(time)))
                self._mux([packet])
            self._take_facts(log.facts(number))

    def close(self) -> None:
        """Writes what the encoder still holds and the rest of all tracks, and ends the file."""
        self._end(partial=False)

    def close_partial(self) -> None:
        """Ends the file after the last frame written, so that it plays: sound and subtitles are cut
        there too."""
        self._end(partial=True)

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
                self._log = None
                packets = self._encoder.end()
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
            if self._log is not None:
                packet = self._log.add(packet)
            self._times.set_after(packet)
            packet.stream = self._encoder.stream
            self._tracks.write_until(packet.dts * packet.time_base)
            self._output.mux(packet)
            self._muxed += 1
            self._file.reserve(_INDEX_BYTES * self._muxed)
            if self._file.error is not None:
                raise OutputError(full_disk(self._shown))

    def _open_output(self, container: str, starts_fast: bool) -> Any:
        words = {
            key.lower() if key.lower() in _MP4_TAGS else key: value
            for key, value in self._source.metadata.items()
            if key not in _OWN_TAGS
        }
        # Else a Matroska has random ids, and the same video twice is not the same file.
        options = {"fflags": "+bitexact"}
        flags = ["faststart"] if starts_fast else []
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
