"""Masks of frames that somebody drew or corrected, by the frames' numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sosie.errors import InputError
from sosie.media.image import load_photo
from sosie.media.input_info import VideoSource
from sosie.media.picture_source import PictureSource
from sosie.media.sequence_names import SequenceName, folder_sequence, sequence_name
from sosie.media.video import VideoFrame
from sosie.types import FloatArray

MASK_HEAD = "mask."
"""So begin the names of the masks that are written."""


def frame_number(source: VideoSource, frame: VideoFrame) -> int:
    """That of a sequence's picture; of a video's frames, from 1 on for the first that is read."""
    if isinstance(source, PictureSource) and source.first_number is not None:
        return source.first_number + frame.pts
    return frame.index + 1


class DrawnMasks:
    """The masks of a folder or a pattern. White is the swapped face, black the target."""

    def __init__(self, path: Path) -> None:
        """Raises InputError where there are none."""
        self._name = _masks_of(path)
        self._numbers = set(self._name.numbers())
        if not self._numbers:
            raise InputError(f"No file fits {self._name.pattern}; check the masks.")

    @property
    def paths(self) -> dict[int, Path]:
        """The file of each frame's mask."""
        return {number: self._name.path(number) for number in self._numbers}

    def read(self, number: int, width: int, height: int) -> FloatArray | None:
        """The mask of a frame, float32, height x width, 0..1; None where there is none for it.

        Raises InputError where it has another size.
        """
        if number not in self._numbers:
            return None
        path = self._name.path(number)
        photo = load_photo(path)
        if (photo.width, photo.height) != (width, height):
            raise InputError(
                f"The mask {path} has {photo.width} x {photo.height} pixels, and the frames "
                f"{width} x {height}; give masks of their size."
            )
        gray = photo.pixels.mean(axis=2) / np.iinfo(photo.pixels.dtype).max
        return np.asarray(gray, np.float32)


def _masks_of(path: Path) -> SequenceName:
    if not path.is_dir():
        name = sequence_name(path)
        if name is None:
            raise InputError(
                f"{path} is neither a folder of masks nor a pattern as mask.%04d.png; check it."
            )
        return name
    # A folder of layers holds masks beside other frames.
    numbered = sorted(path.glob(f"{MASK_HEAD}*[0-9].png"))
    if numbered:
        digits = len(numbered[0].stem.removeprefix(MASK_HEAD))
        return SequenceName(path, MASK_HEAD, digits, ".png")
    return folder_sequence(path)
