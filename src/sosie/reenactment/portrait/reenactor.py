"""Reenactment in the manner of LivePortrait, with files that the user brings.

Source: Guo et al. 2024, "LivePortrait: Efficient Portrait Animation with Stitching and Retargeting
Control", section 3.4 and algorithm 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.blending.paste import as_patch, paste, to_window, window
from sosie.errors import UsageError
from sosie.geometry.alignment import Matrix, crop, transform_points
from sosie.methods.base import Source, soft_edge
from sosie.reenactment.base import Card, DrivingFrame
from sosie.reenactment.options import ReenactOptions
from sosie.reenactment.portrait.crop import portrait_matrix
from sosie.reenactment.portrait.files import SIZE_PX, PortraitFiles, seen
from sosie.reenactment.portrait.motion import (
    EYES,
    LIPS,
    FaceMotion,
    absolute,
    eye_ratios,
    lip_ratio,
    relative,
    with_own,
)
from sosie.types import Crop, FloatArray, Pixels

# Towards the crop's edge what was painted gives way to the photo over this share of the side.
_EDGE = 0.12

PAPER = (
    "Guo et al. 2024, LivePortrait: Efficient Portrait Animation with Stitching and Retargeting "
    "Control"
)
LICENSE = "MIT, as LivePortrait's weights were published"


@dataclass(frozen=True)
class Started:
    """A photo about to move: what is known of it, and of the driver's first frame.

    crop: the photo's. box: x0, y0, x1, y1 of it in the photo. matte: how much of that window is
    painted. volume: the face as features. own, points: its motion, and its keypoints, 21 x 3. eyes,
    lips: how far they are open. first, cut: the driver's motion, and frame -> crop for all frames.
    """

    photo: Pixels
    crop: Crop
    box: tuple[int, int, int, int]
    matte: FloatArray
    volume: NDArray[Any]
    own: FaceMotion
    points: FloatArray
    eyes: FloatArray
    lips: float
    first: FaceMotion
    cut: Matrix


class PortraitReenactor:
    """A photo's face moved by LivePortrait's networks.

    Of the options it uses `weights`, the folder where their ONNX files lie, `motion`, `expression`,
    `pose`, `retarget`, `stitch`, `provider` and `threads`. Eyes and lips that are retargeted are
    moved by that alone. Raises UsageError where no folder is named, InputError where files lack,
    UnavailableError where the provider does not start.
    """

    card = Card(
        name="portrait",
        summary="LivePortrait's keypoints move the photo, with its published files",
        license=LICENSE,
        paper=PAPER,
    )

    def __init__(self, options: ReenactOptions) -> None:
        if options.weights is None:
            raise UsageError(
                "The method portrait needs LivePortrait's files: add --weights FOLDER."
            )
        parts = options.retargeted()
        self._eyes, self._lips, self._stitch = "eyes" in parts, "lips" in parts, options.stitch
        asked = {"stitching": self._stitch, "eye": self._eyes, "lip": self._lips}
        also = [role for role, wanted in asked.items() if wanted]
        folder = Path(options.weights)
        self._files = PortraitFiles(folder, options.provider, options.threads, also)
        self._is_relative = options.motion == "relative"
        self._shares = {"expression": options.expression, "pose": options.pose}

    @property
    def providers(self) -> Mapping[str, str]:
        """Of each file, on which provider it runs."""
        return self._files.providers

    def start(self, photo: Source, first: DrivingFrame) -> Started:
        """All that depends on the photo, and on the driver's first frame.

        All frames of the driver are cut where the first one is, so that a head that moves does so
        in its crop too.
        """
        # Where the driver's own pose is taken, both have to be held as their frames are.
        upright = self._is_relative
        face, matrix = photo.face, portrait_matrix(photo.face, upright)
        pixels = crop(photo.pixels, matrix, SIZE_PX)
        landmarks = transform_points(face.landmarks, matrix)
        whole = np.ones(pixels.shape[:2], np.float32)
        placed = Crop(pixels, matrix, landmarks, landmarks, whole, face)
        box = window(placed, photo.pixels.shape)
        given = seen(pixels)
        own = self._files.motion(given)
        cut = portrait_matrix(first.face, upright)
        return Started(
            photo=photo.pixels,
            crop=placed,
            box=box,
            matte=to_window(placed, box, soft_edge(SIZE_PX, _EDGE)),
            volume=self._files.appearance(given),
            own=own,
            points=own.placed(),
            eyes=eye_ratios(face.landmarks),
            lips=lip_ratio(face.landmarks),
            first=self._read(first, cut),
            cut=cut,
        )

    def move(self, state: Started, frame: DrivingFrame) -> Pixels:
        """The whole photo with its face moved as in a frame of the driver."""
        driving = self._driving(state, frame)
        painted = self._files.painted(state.volume, driving, state.points)
        x0, y0, x1, y1 = state.box
        before = state.photo[y0:y1, x0:x1]
        unit = before.astype(np.float32) / np.float32(np.iinfo(before.dtype).max)
        laid = to_window(state.crop, state.box, painted)
        composed = unit + (laid - unit) * state.matte[..., None]
        made = state.photo.copy()
        paste(made, as_patch(state.photo, state.box, composed, state.matte))
        return made

    def _driving(self, state: Started, frame: DrivingFrame) -> FloatArray:
        """Where the photo's keypoints are to be, 21 x 3."""
        now = self._read(frame, state.cut)
        if self._is_relative:
            moved = relative(state.own, state.first, now, **self._shares)
        else:
            moved = absolute(state.own, now, **self._shares)
        for replaced, keypoints in ((self._eyes, EYES), (self._lips, LIPS)):
            if replaced:
                moved = with_own(moved, state.own, keypoints)
        driving = moved.placed()
        landmarks = frame.face.landmarks
        if self._eyes:
            wanted = float(eye_ratios(landmarks).mean())
            driving = driving + self._files.eyes(state.points, state.eyes, wanted)
        if self._lips:
            driving = driving + self._files.lips(state.points, state.lips, lip_ratio(landmarks))
        return self._files.stitched(state.points, driving) if self._stitch else driving

    def _read(self, frame: DrivingFrame, cut: Matrix) -> FaceMotion:
        return self._files.motion(seen(crop(frame.pixels, cut, SIZE_PX)))
