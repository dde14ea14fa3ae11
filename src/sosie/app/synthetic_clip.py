"""A generated video of a moving portrait: the material of `sosie bench`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.types import Face, Pixels

FPS = 25
WIDTH, HEIGHT = 1920, 1080
_SWING_PX = 120
_TILT_DEG = 6.0
_PERIOD_S = 4.0


def scene_frame(portrait: Pixels, face: Face, face_px: float, time_s: float) -> NDArray[np.uint8]:
    """One frame of 1080p, RGB uint8: the portrait before a generated background.

    face: where the face is in the portrait; it becomes `face_px` large and swings about the middle.
    """
    phase = 2 * math.pi * time_s / _PERIOD_S
    x, y = face.center
    matrix = cv2.getRotationMatrix2D((x, y), _TILT_DEG * math.sin(phase), face_px / face.size_px)
    matrix[0, 2] += WIDTH / 2 - x + _SWING_PX * math.sin(phase)
    matrix[1, 2] += HEIGHT / 2 - y + _SWING_PX / 3 * math.cos(phase)
    frame = _background().copy()
    cv2.warpAffine(
        portrait, matrix, (WIDTH, HEIGHT), frame, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT
    )
    return frame


def write_scene(path: Path, portrait: Pixels, face: Face, face_px: float, duration_s: float) -> int:
    """Write the scene as a video (H.264, veryfast, 25 frames a second) and return its frames."""
    count = round(duration_s * FPS)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "20"}
        for frame in _frames(portrait, face, face_px, count):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return count


def _frames(portrait: Pixels, face: Face, face_px: float, count: int) -> Iterator[av.VideoFrame]:
    for number in range(count):
        pixels = scene_frame(portrait, face, face_px, number / FPS)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts = number
        yield frame


@cache
def _background() -> NDArray[np.uint8]:
    """A gradient with soft blobs: neither flat, which encoders get for nothing, nor noise."""
    random = np.random.default_rng(7)
    blobs = random.uniform(-40, 40, (9, 16, 3)).astype(np.float32)
    texture = cv2.resize(blobs, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    ramp = np.linspace(60, 170, HEIGHT, dtype=np.float32)[:, None, None]
    return np.clip(ramp + texture, 0, 255).astype(np.uint8)
