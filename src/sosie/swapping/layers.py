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
from sosie.errors import NoFaceError, OutputError, UsageError
from sosie.geometry.uv import uv_pass
from sosie.media.exr import require_exr, write_exr
from sosie.media.image_write import save_photo
from sosie.media.input_info import VideoSource
from sosie.media.linear import is_linear, linear_rgb
from sosie.media.masks import MASK_HEAD, frame_number
from sosie.media.output_folder import PendingFolder, atomic_folder
from sosie.media.photo import Photo
from sosie.media.picture_source import PictureSource, native_picture
from sosie.media.pixel_formats import Colors, Converter
from sosie.media.probe import Orientation
from sosie.media.sequence_names import SequenceName, sequence_name
from sosie.media.video import VideoFrame
from sosie.media.video_write import VideoWriter
from sosie.output import check_output
from sosie.swapping.frame import SwappedFrame, matte_of
from sosie.types import FloatArray, Pixels

TRACKS_NAME = "tracks.json"
_VERSION = 1
_KINDS = (".png", ".exr")
_UV_HEAD = "uv."
_ENCODER = "prores_ks"
_DEEP = 65535
_USUAL_DIGITS = 6


class LayerWriter:
    """Writes the layers of each frame. Made by `open_layers`.

    frames: written so far.
    """

    def __init__(self, source: VideoSource, pending: PendingFolder) -> None:
        self.frames = 0
        self._source = source
        self._folder = pending.path.parent
        self._face = sequence_name(pending.path)
        self._digits = self._face.digits if self._face else _USUAL_DIGITS
        info = source.info
        self._size = (info.width, info.height)
        self._video = None if self._face else _open_video(source, pending.path)
        self._tracks = (self._folder / TRACKS_NAME).open("w", encoding="utf-8")
        head = {
            "version": _VERSION,
            "plate": str(source.path),
            "width": info.width,
            "height": info.height,
            "fps": str(info.fps) if info.fps else None,
        }
        self._tracks.write(json.dumps(head)[:-1] + ', "frames": [')

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
                save_photo(layer, self._folder / self._face.path(number).name)
            elif self._video is not None:
                pts, base = frame.pts, frame.time_base
                self._video.write(_Layer(native_picture(layer, pts, base, 0)))
        except OSError as error:
            raise OutputError(f"The layers could not be written ({error.strerror}).") from error
        finally:
            self.frames += 1

    def close(self) -> None:
        """Ends all files."""
        if not self._tracks.closed:
            self._tracks.write("\n]}\n")
            self._tracks.close()
            if self._video is not None:
                self._video.close()

    @property
    def _is_linear(self) -> bool:
        return is_linear(self._source.native_format)

    def _save(self, photo: Photo, head: str, number: int) -> None:
        save_photo(photo, self._folder / f"{head}{number:0{self._digits}d}.png")

    def _write_exr(
        self, number: int, face: FloatArray, alpha: FloatArray, matte: FloatArray, uv: FloatArray
    ) -> None:
        assert self._face is not None
        channels = {name: face[..., k] for k, name in enumerate("RGB")}
        channels |= {"A": alpha, "mask.Y": matte, "uv.U": uv[..., 0], "uv.V": uv[..., 1]}
        halves = {name: channel.astype(np.float16) for name, channel in channels.items()}
        # Half steps are too wide for places in a texture.
        whole = {name: channels[name].astype(np.float32) for name in ("uv.U", "uv.V")}
        write_exr(self._folder / self._face.path(number).name, halves | whole)

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
        self._tracks.write(("," if self.frames else "") + "\n" + json.dumps(entry))


class _Layer:
    """A frame for a writer of videos."""

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
def open_layers(source: VideoSource, place: Path, overwrite: bool) -> Iterator[LayerWriter]:
    """A writer of layers beside `place`, which is the face's: `face.%04d.png`, `face.%04d.exr` or
    `face.mov`. What is done when the work is stopped is kept, with a note on the error."""
    check_layers(place, overwrite)
    with atomic_folder(place) as pending:
        writer = LayerWriter(source, pending)
        try:
            yield writer
            writer.close()
        except NoFaceError:
            writer.close()
            raise
        except BaseException as error:
            writer.close()
            partial = pending.keep_partial() if writer.frames else None
            if partial is not None:
                error.add_note(f"The layers of the first {writer.frames} frames are in {partial}.")
            raise


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


def _open_video(source: VideoSource, path: Path) -> VideoWriter:
    """A writer of ProRes 4444 with transparency, with the clock of the plates."""
    width, height = source.info.width, source.info.height
    base = source.first.time_base
    blank = Photo(np.zeros((height, width, 3), np.uint16), np.zeros((height, width), np.uint16))
    first = native_picture(blank, source.first.pts, base, 0)
    layers = PictureSource(
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
    return VideoWriter(layers, path, _ENCODER, 18, "veryfast", None)


def _deep(values: FloatArray) -> NDArray[np.uint16]:
    return np.asarray(np.rint(np.clip(values, 0, 1) * _DEEP), np.uint16)


def _rounded(values: FloatArray) -> Any:
    return np.round(values.astype(np.float64), 2).tolist()
