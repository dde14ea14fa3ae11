"""The streams of a video besides its video: copied packet by packet, or converted where the
output's container cannot hold them, and never left out without a note."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import av
from av.codec.codec import Codec
from av.error import ArgumentError, FFmpegError, InvalidDataError, PatchWelcomeError
from av.stream import Discard, Disposition

from sosie.errors import InputError
from sosie.media.probe import codec_name, is_chapter_track, is_cover, opened, video_origin
from sosie.media.streams import (
    LAYOUTS,
    ConvertedSound,
    ConvertedText,
    CopiedTrack,
    Track,
    add_sound,
    add_text,
)
from sosie.media.truncation import Damage, decoding, passed_over, readable

# What a track is converted to where the container cannot hold it as it is.
_AUDIO_CODECS = {"mp4": "aac", "mov": "aac", "matroska": "aac", "webm": "libopus", "avi": "ac3"}
_TEXT_CODECS = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip", "webm": "webvtt"}
# How far before a part's start a subtitle may have begun that is still shown in it.
_SUBTITLE_LEAD_S = 60
# So many packets of a file are looked through for one of a data stream.
_SAMPLED_PACKETS = 2000
# Figures on the old file that Matroska keeps as if they were words on it.
_STALE_TAGS = (
    *("DURATION", "BPS", "NUMBER_OF_", "_STATISTICS", "ENCODER", "encoder"),
    *("ALPHA_MODE", "alpha_mode"),
)
# Names of an MP4's own parts, which say nothing in another container.
_MP4_TAGS = ("handler_name", "vendor_id", "HANDLER_NAME", "VENDOR_ID")
_MP4 = ("mp4", "mov")
# Containers in which no stream can begin before 0: all would be moved to make room.
_NO_NEGATIVE_TIMES = ("matroska", "webm", "avi")
# QuickTime knows languages by names of its own.
_QUICKTIME_LANGUAGES = dict(
    pair.split(":")
    for pair in (
        *("deu:ger", "nld:dut", "swe:sve", "ell:gre", "isl:ice", "zho:chi", "fas:per", "cze:ces"),
        *("slo:slk", "rum:ron", "mkd:mac", "sqi:alb", "hye:arm", "kat:geo", "eus:baq", "mya:bur"),
        *("cym:wel", "bod:tib", "msa:may", "fre:fra"),
    )
)


class Tracks:
    """Every stream of a video but its video, on the way into an output.

    shift: seconds that all timestamps move back by. span: first and last timestamp of the part, in
    seconds; None for no limit. notes: sentences on what was converted or could not be kept.
    """

    def __init__(
        self,
        source: Any,
        output: Any,
        path: Path,
        shift: Fraction,
        span: tuple[Fraction | None, Fraction | None],
    ) -> None:
        self.notes: list[str] = []
        self._source = source
        self._output = output
        self._path = path
        self._extension = Path(output.name).suffix.lower()
        self._shift = shift
        self._span = span
        self._tracks: dict[int, Track] = {}
        self._heard: dict[int, Damage] = {}
        self._covers: list[Any] = []
        self._waiting: Any = None
        self._reader: Iterator[Any] | None = None

    def add(self, stream: Any) -> None:
        """Makes the output's stream for one of the input's. Before anything is written."""
        if is_chapter_track(stream) or self._is_timecode(stream):
            return  # chapters and timecode are kept, and the container makes its own track
        if is_cover(stream):
            self._add_cover(stream)
            return
        sample = self._sample(stream)
        if can_hold(self._output.format.name, stream, sample):
            self._keep(CopiedTrack(self._copied(stream), self._shift), stream)
            self._note_lost_words(stream)
        elif not self._add_converted(stream):
            self._note_left_out(self._describe(stream), can_hold("matroska", stream, sample))

    def start(self) -> None:
        """Begins to read the input, once all streams are added."""
        for stream in self._source.streams:
            if stream.index not in self._tracks:
                stream.discard = Discard.all
        for cover in self._covers:
            self._output.mux(cover)
        streams = [self._source.streams[index] for index in self._tracks]
        if streams:
            self._reader = self._read(streams)
            self._waiting = next(self._reader, None)

    def write_until(self, time: Fraction | None) -> None:
        """Writes all packets up to this time of the output, in seconds; all the rest for None."""
        while self._waiting is not None and self._reader is not None:
            stamp = self._waiting.dts if self._waiting.dts is not None else self._waiting.pts
            if time is not None and stamp * self._waiting.time_base - self._shift > time:
                return
            track = self._tracks[self._waiting.stream_index]
            self._write(track, track.packets(self._waiting))
            self._waiting = next(self._reader, None)

    def finish(self) -> None:
        """Writes what converted tracks still hold back. Nothing can be written afterwards."""
        self._waiting = None
        for damage in self._heard.values():
            note = damage.note(video_origin(self._source), "sound")
            if note is not None and note not in self.notes:
                self.notes.append(note)
        while self._tracks:
            index, track = self._tracks.popitem()
            self._write(track, track.rest())
            if track.damaged:
                self.notes.append(
                    f"{self._describe(self._source.streams[index])}: {track.damaged} damaged "
                    f"packets were left out."
                )

    def _write(self, track: Track, packets: Iterator[Any]) -> None:
        for packet in packets:
            try:
                self._output.mux(packet)
            except (InvalidDataError, ArgumentError, PatchWelcomeError):
                # What a container refuses of a damaged sound is not worth the whole video.
                track.damaged += 1

    def _keep(self, track: Track, stream: Any) -> None:
        if stream.type != "attachment":  # an attachment is in the header and has no packets
            self._tracks[stream.index] = track

    def _copied(self, stream: Any) -> Any:
        target = self._output.add_stream_from_template(stream, opaque=True)
        if stream.type == "audio":
            layout = stream.codec_context.layout
            # Matroska does not say which channel is which; MP4 wants to know.
            if layout.name.endswith("channels") and layout.nb_channels in LAYOUTS:
                target.codec_context.layout = LAYOUTS[layout.nb_channels]
        return copy_words(stream, target)

    def _note_lost_words(self, stream: Any) -> None:
        language = stream.metadata.get("language", "und")
        if self._extension == ".avi" and language != "und":
            self.notes.append(f"{self._describe(stream)}: .avi does not hold its language.")
        if self._extension in (".avi", ".mov") and stream.disposition & Disposition.forced:
            self.notes.append(
                f"{self._describe(stream)}: {self._extension} does not mark it forced."
            )

    def _add_cover(self, stream: Any) -> None:
        with opened(self._path) as again:
            packets = again.demux(again.streams[stream.index])
            packet = next((p for p in packets if p.size), None)
        if packet is None:
            return
        kind = {"mjpeg": "jpg", "png": "png"}.get(codec_name(stream))
        if self._extension == ".mkv" and kind:
            name = stream.metadata.get("filename") or f"cover.{kind}"
            mime = "image/jpeg" if kind == "jpg" else "image/png"
            self._output.add_attachment(name, mime, bytes(packet))
        elif self._extension in (".mp4", ".m4v") and kind:
            packet.stream = self._copied(stream)
            packet.pts = packet.dts = 0
            self._covers.append(packet)
        else:
            self._note_left_out("The cover picture", kind is not None)

    def _note_left_out(self, what: str, fits_matroska: bool) -> None:
        advice = "; write a .mkv to keep it" if fits_matroska and self._extension != ".mkv" else ""
        self.notes.append(f"{what} was left out: {self._extension} cannot hold it{advice}.")

    def _is_timecode(self, stream: Any) -> bool:
        """Whether a stream only counts the time of day, as a word of the video does too, which the
        output keeps."""
        if stream.type != "data" or "timecode" not in stream.metadata:
            return False
        words = [video.metadata.get("timecode") for video in self._source.streams.video]
        return stream.metadata["timecode"] in words and self._extension != ".avi"

    def _sample(self, stream: Any) -> Any:
        """The first packet of a data stream, where there is one near the start: some such streams
        are refused only at the end of the file, once there are packets."""
        if stream.type != "data":
            return None
        with opened(self._path) as again:
            for packet in islice(again.demux(), _SAMPLED_PACKETS):
                if packet.stream_index == stream.index and packet.size:
                    return packet
        return None

    def _add_converted(self, stream: Any) -> bool:
        container = self._output.format.name
        if stream.codec_context is None:
            return False
        if stream.type == "audio" and container in _AUDIO_CODECS:
            name = _AUDIO_CODECS[container]
            target = add_sound(self._output, stream, name)
            self._keep(ConvertedSound(stream, target, self._shift), stream)
        elif stream.type == "subtitle" and container in _TEXT_CODECS and _is_text(stream):
            name = _TEXT_CODECS[container]
            target = add_text(self._output, stream, name)
            self._keep(ConvertedText(stream, target, self._shift), stream)
        else:
            return False
        copy_words(stream, target)
        self._note_lost_words(stream)
        self.notes.append(
            f"{self._describe(stream)} was converted to {name}: "
            f"{self._extension} cannot hold it as it is."
        )
        return True

    def _is_lead_in(self, packet: Any) -> bool:
        """Whether a packet only warms up the decoder of a sound, before 0, and would move the
        timestamps of the whole video in this container."""
        if packet.stream.type != "audio" or self._output.format.name not in _NO_NEGATIVE_TIMES:
            return False
        if self._source.format.name == "matroska,webm" and self._extension != ".avi":
            return False  # Matroska states the lead-in apart
        end = (packet.pts or 0) + (packet.duration or 0)
        return bool(packet.pts is not None and packet.pts < 0 and end <= 0)

    def _describe(self, stream: Any) -> str:
        language = stream.metadata.get("language")
        tongue = f", {language}" if language and language != "und" else ""
        kind = {"subtitle": "Subtitle", "audio": "Audio", "data": "Data", "video": "Video"}
        name = kind.get(stream.type, stream.type.capitalize())
        return f"{name} stream {stream.index} ({codec_name(stream)}{tongue})"

    def _read(self, streams: list[Any]) -> Iterator[Any]:
        with decoding(self._path):
            yield from self._wanted(streams)

    def _wanted(self, streams: list[Any]) -> Iterator[Any]:
        """The packets that are of the part."""
        low, high = self._span
        if low is not None and low > _SUBTITLE_LEAD_S:
            self._source.seek(int((low - _SUBTITLE_LEAD_S) * av.time_base))
        begun: set[int] = set()
        for packet in readable(self._source, streams, self._note_damage):
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is None:
                continue
            start = stamp * packet.time_base
            if high is not None and start >= high:
                continue
            if low is not None and start < low and not _clip(packet, low):
                continue
            if packet.stream.type == "audio" and packet.duration:
                heard = self._heard.setdefault(packet.stream_index, Damage(lambda: self._holes))
                heard.frame(start, start + packet.duration * packet.time_base)
            if self._is_lead_in(packet):
                continue
            if packet.stream.type == "video" and packet.stream_index not in begun:
                if not packet.is_keyframe:
                    continue
                begun.add(packet.stream_index)
            yield packet

    @cached_property
    def _holes(self) -> list[tuple[Fraction, Fraction]]:
        """Where FFmpeg passes over broken bytes in silence: asked where a sound has a gap."""
        with opened(self._path) as again:
            return passed_over(again)

    def _note_damage(self, error: FFmpegError, is_tried_further: bool) -> None:
        if not is_tried_further:
            raise InputError(
                f"{self._path} is damaged in its sound or subtitles ({error.strerror}); "
                f"repair or export it again."
            ) from error
        note = "The video is damaged: some of its sound or subtitles could not be read."
        if note not in self.notes:
            self.notes.append(note)


def can_hold(container: str, stream: Any, sample: Any = None) -> bool:
    """Whether this kind of container takes a copy of a stream, and a packet of it: tried on one in
    memory."""
    buffer = io.BytesIO()
    try:
        with av.open(buffer, "w", format=container) as trial:
            target = trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
            if sample is not None:
                sample.stream = target
                trial.mux(sample)
    except (FFmpegError, ValueError):
        return False
    return True


def copy_words(source: Any, target: Any) -> Any:
    """Gives a stream of the output the language, title, other words and marks of the input's."""
    dropped: tuple[str, ...] = _STALE_TAGS
    if target.container.format.name not in _MP4:
        dropped += _MP4_TAGS
    words = {k: v for k, v in source.metadata.items() if not k.startswith(dropped)}
    if "name" in words:  # how an MP4's title of a track is read; it is written as `title`
        words.setdefault("title", words.pop("name"))
    if target.container.format.name == "mov" and "language" in words:
        words["language"] = _QUICKTIME_LANGUAGES.get(words["language"], words["language"])
    target.metadata.update(words)
    target.disposition = source.disposition
    return target


def moved_chapters(
    chapters: list[Any], shift: Fraction, span: tuple[Fraction | None, Fraction | None]
) -> list[Any]:
    """The chapters that lie in a part of the video, in its time."""
    low, high = span
    kept = []
    for chapter in chapters:
        base = chapter["time_base"]
        start, end = chapter["start"] * base, chapter["end"] * base
        start = start if low is None else max(start, low)
        end = end if high is None else min(end, high)
        if start < end:
            times = {"start": round((start - shift) / base), "end": round((end - shift) / base)}
            kept.append({**chapter, **times})
    return kept


def _is_text(stream: Any) -> bool:
    return bool(Codec(stream.codec_context.codec.name, "r").text_sub)


def _clip(packet: Any, low: Fraction) -> bool:
    """Makes a subtitle that began before `low` begin there. False where it is over by then, or the
    packet is not a subtitle's."""
    if packet.stream.type != "subtitle" or not packet.duration:
        return False
    first = -(-low // packet.time_base)
    over = packet.pts + packet.duration - first
    if over <= 0:
        return False
    packet.pts = packet.dts = int(first)
    packet.duration = int(over)
    return True
