"""What a compositor wants of a swap: the face alone with its matte, masks, UV and the tracks.

The face is premultiplied: laid over the plate, `face + plate * (1 - alpha)`, it gives the result.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.analysis.tracking.tracks import TrackedFace
from sosie.errors import InputError, NoFaceError, OutputError, UsageError
from sosie.geometry.uv import uv_pass
from sosie.media.exr import require_exr, write_exr
from sosie.media.image_write import save_photo
from sosie.media.input_info import VideoSource
from sosie.media.kept_files import KeptFiles, check_files
from sosie.media.linear import is_linear, linear_rgb
from sosie.media.masks import MASK_HEAD, frame_number
from sosie.media.output_folder import atomic_folder
from sosie.media.photo import Photo
from sosie.media.picture_source import PictureSource, native_picture
from sosie.media.pixel_formats import Colors, Converter
from sosie.media.probe import Orientation
from sosie.media.segments import SegmentLog
from sosie.media.sequence_names import SequenceName, sequence_name
from sosie.media.video import VideoFrame
from sosie.media.video_part import EncodingWriter, VideoPartWriter
from sosie.media.video_write import VideoWriter
from sosie.output import check_output, not_written
from sosie.swapping.frame import SwappedFrame, matte_of
from sosie.types import FloatArray, Pixels

TRACKS_NAME = "tracks.json"
_VERSION = 1
_KINDS = (".png", ".exr")
_UV_HEAD = "uv."
# ProRes 4444: the encoder, its quality and its speed, of which it knows none.
_ENCODING = ("prores_ks", 18, "veryfast")
_DEEP = 65535
_USUAL_DIGITS = 6


class LayerWriter:
    """Writes the layers of each frame. Made by `open_layers`, or for one segment by
    `open_layer_part`.

    frames: written so far. As a `sosie.media.base_writer.Writer` does, it keeps segments.
    """

    def __init__(
        self, source: VideoSource, place: Path, video: EncodingWriter | None, tracks: Path | None
    ) -> None:
        """place: of the face's layer, with the others in its folder. video: writes the face, where
        that is no sequence. tracks: the file for these, None where they are only kept."""
        self.frames = 0
        self._source, self._place, self._video = source, place, video
        self._face = sequence_name(place)
        self._digits = self._face.digits if self._face else _USUAL_DIGITS
        info = source.info
        self._size = (info.width, info.height)
        self._written = KeptFiles()
        self._log: SegmentLog | None = None
        self._tracks = None if tracks is None else tracks.open("w", encoding="utf-8")
        if self._tracks is not None:
            head = {
                "version": _VERSION,
                "plate": str(source.path),
                "width": info.width,
                "height": info.height,
                "fps": str(info.fps) if info.fps else None,
            }
            self._tracks.write(json.dumps(head)[:-1] + ', "frames": [')

    def begin_segments(self, log: SegmentLog, folder: Path) -> None:
        """What is written from now on is kept in `log`, and its pictures in `folder`."""
        self._log, self._place = log, folder / self._place.name
        if self._face is not None:
            self._face = replace(self._face, folder=folder)
        if self._video is not None:
            self._video.begin_segments(log)

    def end_segment(self) -> dict[str, Any]:
        """All that was written is kept. Returns what JSON keeps of the segment. Raises
        OutputError."""
        if self._video is not None:
            self._video.end_segment()
        try:
            return {"frames": self.frames, "files": self._written.end()}
        except OSError as error:
            raise OutputError(not_written(self._place, error)) from error

    def go_on(self, log: SegmentLog, number: int, folder: Path) -> None:
        """Takes a segment of an earlier run, whose pictures are in `folder`, before any frame of
        this one. Raises InputError where what was kept is damaged."""
        facts = log.facts(number)
        check_files(folder, facts["files"])
        for piece in log.pieces(number):
            self._write_entry(piece.decode())
            self.frames += 1
        if self._video is not None:
            self._video.go_on(log, number)
        if self.frames != facts["frames"]:
            raise InputError(f"{log.path(number)} is damaged; begin that work anew with --restart.")

    def plate_of(self, frame: VideoFrame, shown: Pixels) -> NDArray[Any]:
        """A frame's samples, to be kept until it is changed. shown: its RGB."""
        return linear_rgb(frame.native) if self._is_linear else shown.copy()

    def write(
        self,
        frame: VideoFrame,
        plate: NDArray[Any],
        shown: Pixels,
        swapped: SwappedFrame | None,
        faces: Sequence[TrackedFace],
    ) -> None:
        """Writes the layers of a frame that was changed, or was not (`swapped` None).

        plate: as `plate_of` gave it. shown: the result's RGB. Raises OutputError.
        """
        number = frame_number(self._source, frame)
        matte = matte_of(swapped, *self._size)
        result = linear_rgb(frame.native) if self._is_linear else shown
        face, alpha = face_layer(plate, result, matte)
        uv = np.zeros((*matte.shape, 3), np.float32)
        for done in swapped.faces if swapped is not None else ():
            one = uv_pass(done.claim.face.face.landmarks, *self._size)
            np.copyto(uv, one, where=one[..., 2:] > 0)
        try:
            self._write_tracks(frame, number, swapped, faces)
            mask = np.repeat(_deep(matte)[..., None], 3, axis=2)
            self._save(Photo(mask, gray=True), MASK_HEAD, number)
            if self._face is not None and self._face.suffix == ".exr":
                self._write_exr(number, face, alpha, matte, uv)
                return
            self._save(Photo(_deep(uv)), _UV_HEAD, number)
            layer = Photo(_deep(face), _deep(alpha))
            if self._face is not None:
                self._save_as(layer, self._face.path(number))
            elif self._video is not None:
                pts, base = frame.pts, frame.time_base
                self._video.write(_Layer(native_picture(layer, pts, base, 0)))
        except OSError as error:
            raise OutputError(not_written(self._place, error)) from error
        finally:
            self.frames += 1

    def close(self) -> None:
        """Ends all files."""
        if self._tracks is not None:
            tracks, self._tracks = self._tracks, None
            with tracks:
                tracks.write("\n]}\n")
        if self._video is not None:
            self._video.close()

    @property
    def _is_linear(self) -> bool:
        return is_linear(self._source.native_format)

    def _save(self, photo: Photo, head: str, number: int) -> None:
        self._save_as(photo, self._place.with_name(f"{head}{number:0{self._digits}d}.png"))

    def _save_as(self, photo: Photo, path: Path) -> None:
        save_photo(photo, path, overwrite=True)
        self._note(path)

    def _note(self, path: Path) -> None:
        if self._log is not None:
            self._written.wrote(path)

    def _write_exr(
        self, number: int, face: FloatArray, alpha: FloatArray, matte: FloatArray, uv: FloatArray
    ) -> None:
        assert self._face is not None
        channels = {name: face[..., k] for k, name in enumerate("RGB")}
        channels |= {"A": alpha, "mask.Y": matte, "uv.U": uv[..., 0], "uv.V": uv[..., 1]}
        halves = {name: channel.astype(np.float16) for name, channel in channels.items()}
        # Half steps are too wide for places in a texture.
        whole = {name: channels[name].astype(np.float32) for name in ("uv.U", "uv.V")}
        path = self._face.path(number)
        write_exr(path, halves | whole)
        self._note(path)

    def _write_tracks(
        self,
        frame: VideoFrame,
        number: int,
        swapped: SwappedFrame | None,
        faces: Sequence[TrackedFace],
    ) -> None:
        claims = {d.claim.face.track: d.claim for d in (swapped.faces if swapped else ())}
        told = []
        for tracked in faces:
            face, claim = tracked.face, claims.get(tracked.track)
            told.append(
                {
                    "track": tracked.track,
                    "scene": tracked.scene,
                    "swapped": claim is not None,
                    "person": None if claim is None else claim.person,
                    "bridged": tracked.bridged,
                    "score": round(float(face.score), 4),
                    "box": _rounded(face.box),
                    "pose": {name: round(value, 2) for name, value in asdict(face.pose).items()},
                    "points5": _rounded(face.points5),
                    "landmarks": _rounded(face.landmarks),
                }
            )
        entry = {"frame": number, "time_s": round(frame.time_s, 6), "faces": told}
        text = json.dumps(entry)
        if self._log is not None:
            self._log.add_piece(text.encode())
        self._write_entry(text)

    def _write_entry(self, text: str) -> None:
        if self._tracks is not None:
            self._tracks.write(("," if self.frames else "") + "\n" + text)


class _Layer:
    """A frame for a writer of videos."""

    changed = None

    def __init__(self, native: Any) -> None:
        self.native = native


def face_layer(
    plate: NDArray[Any], result: NDArray[Any], matte: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The face alone, premultiplied, and its alpha: h x w x 3 and h x w, 0..1 (linear light has no
    upper end), such that `face + plate * (1 - alpha)` is the result.

    plate, result: RGB, h x w x 3, uint8, uint16 or float32 of linear light. matte: h x w, 0..1: how
    much of the face shows. Blending in bands mixes more of it in, or less: alpha is the matte, and
    where that would make the face darker than black or brighter than its alpha, as much more as is
    needed.
    """
    is_light = plate.dtype.kind == "f"
    top = 1.0 if is_light else float(np.iinfo(plate.dtype).max)
    alpha = matte.astype(np.float64)
    changed = (plate != result).any(axis=2) & ~np.isnan(plate).any(axis=2)
    before, after = plate[changed] / top, result[changed] / top
    least = 1 - np.divide(after, before, out=np.ones_like(after, np.float64), where=before > 0)
    if not is_light:
        room = 1 - before
        more = np.divide(after - before, room, out=np.zeros_like(room), where=room > 0)
        least = np.maximum(least, more)
    needed = np.clip(least.max(axis=1), 0, 1)
    # In the steps of 16 bits already, so that the face fits the alpha that is written.
    alpha[changed] = np.ceil(np.maximum(alpha[changed], needed) * _DEEP - 1e-6) / _DEEP
    alpha[~changed] = np.rint(alpha[~changed] * _DEEP) / _DEEP
    there = np.nan_to_num(plate.astype(np.float64) / top, nan=0.0, posinf=0.0, neginf=0.0)
    face = np.nan_to_num(result.astype(np.float64) / top, nan=0.0, posinf=0.0, neginf=0.0)
    face -= there * (1 - alpha[..., None])
    np.maximum(face, 0, out=face)
    face[alpha == 0] = 0
    return face.astype(np.float32), alpha.astype(np.float32)


@contextmanager
def open_layers(source: VideoSource, place: Path, kept: Path | None) -> Iterator[LayerWriter]:
    """A writer of layers beside `place`, which is the face's and was checked by `check_layers`:
    `face.%04d.png`, `face.%04d.exr` or `face.mov`. What is done when the work is stopped is kept,
    with a note on the error.

    kept: the folder where the pictures of segments are, where there are any.
    """
    with atomic_folder(place) as pending:
        folder = pending.path.parent
        video = None
        if sequence_name(place) is None:
            layers = _layer_source(source)
            video = VideoWriter(layers, pending.path, *_ENCODING, threads=None)
        writer = LayerWriter(source, pending.path, video, folder / TRACKS_NAME)
        try:
            yield writer
            writer.close()
            if kept is not None:
                pending.take(kept)
        except NoFaceError:
            writer.close()
            raise
        except BaseException as error:
            writer.close()
            if kept is not None and kept.is_dir():
                pending.take(kept)
            partial = pending.keep_partial() if writer.frames else None
            if partial is not None:
                error.add_note(f"The layers of the first {writer.frames} frames are in {partial}.")
            raise


def open_layer_part(
    source: VideoSource, place: Path, log: SegmentLog, folder: Path, is_first: bool
) -> LayerWriter:
    """A writer of the layers of one segment, which are kept in `log` and `folder` alone. is_first:
    whether the layers begin with it."""
    video = None
    if sequence_name(place) is None:
        layers = _layer_source(source)
        video = VideoPartWriter(layers, place, *_ENCODING, threads=None, is_first=is_first)
    writer = LayerWriter(source, place, video, None)
    writer.begin_segments(log, folder)
    return writer


def check_layers(place: Path, overwrite: bool) -> None:
    """Raises an error, before any work, where layers cannot be written to `place`."""
    name = sequence_name(place)
    if name is None and place.suffix.lower() != ".mov":
        raise UsageError(
            f"Layers are numbered .png or .exr, as {place.parent / 'face.%04d.exr'}, or a .mov in "
            f"ProRes 4444: {place} is neither."
        )
    if name is not None and name.suffix not in _KINDS:
        raise UsageError(f"Layers are written as .png, .exr or .mov, not as {name.suffix}.")
    if name is not None and name.head in (MASK_HEAD, _UV_HEAD):
        raise UsageError(f"The name {name.head} belongs to another layer; call the face otherwise.")
    if name is not None and name.suffix == ".exr":
        require_exr()
    if not overwrite and place.parent.is_dir():
        digits = name.digits if name else _USUAL_DIGITS
        masks = SequenceName(place.parent, MASK_HEAD, digits, ".png")
        if masks.numbers() or (name is not None and name.numbers()) or place.exists():
            raise OutputError(
                f"There are layers in {place.parent} already; give another folder, or --overwrite."
            )
    if name is None and place.parent.is_dir():
        check_output(place, overwrite=overwrite)


def _layer_source(source: VideoSource) -> PictureSource:
    """What a writer has to know of layers with transparency, with the clock of the plates."""
    width, height = source.info.width, source.info.height
    base = source.first.time_base
    blank = Photo(np.zeros((height, width, 3), np.uint16), np.zeros((height, width), np.uint16))
    first = native_picture(blank, source.first.pts, base, 0)
    return PictureSource(
        path=source.path,
        info=replace(source.info, container="sequence", codec="png", sample_aspect=Fraction(1)),
        stream_index=0,
        span_s=source.span_s,
        origin=source.origin,
        first_time=source.first_time,
        first=first,
        orientation=Orientation(),
        display_matrix=None,
        native_format=first.format.name,
        profile=None,
        converter=Converter(Colors.of(first, "")),
    )


def _deep(values: FloatArray) -> NDArray[np.uint16]:
    return np.asarray(np.rint(np.clip(values, 0, 1) * _DEEP), np.uint16)


def _rounded(values: FloatArray) -> Any:
    return np.round(values.astype(np.float64), 2).tolist()
