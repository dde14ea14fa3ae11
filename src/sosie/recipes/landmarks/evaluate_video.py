"""Jitter: how far points wander on a clip in which nothing moves.

A still clip is a photo repeated with what a camera on a tripod adds: the noise of the sensor,
shifts of less than a pixel, compression. The shifts are known and taken out of the points; the
jitter is the root mean square distance of the points from their mean over the clip, in eye
distances.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.landmarker import cut_square
from sosie.geometry import alignment
from sosie.geometry.head_pose import region_of
from sosie.recipes.landmarks.measures import Reader, eye_distances
from sosie.recipes.landmarks.samples import LabeledFace
from sosie.recipes.teachers import LandmarkTeacher
from sosie.types import FloatArray

_FRAMES, _FPS = 30, 30
_NOISE, _SHIFT_PX, _QUALITY = 3.0, 0.5, 80


def still_jitter(read: Reader, faces: Sequence[LabeledFace]) -> float:
    """Mean jitter over still clips of these faces, each frame's square laid by the landmarks of the
    frame before, the first one's by the label."""
    return float(
        np.mean([_jitter(*_followed(read, face, seed)) for seed, face in enumerate(faces)])
    )


def teacher_jitter(teachers: Path, faces: Sequence[LabeledFace]) -> float:
    """The same for the landmark teacher, which follows a face in its own way and smooths in time.

    Clips in which it loses the face do not count. NaN where it loses all.
    """
    found = []
    for seed, face in enumerate(faces):
        frames, shifts = still_clip(face.crop, seed)
        teacher = LandmarkTeacher(teachers, video_fps=_FPS)
        readings = [teacher.look(frame) for frame in frames]
        teacher.close()
        seen = [reading.landmarks for reading in readings if reading is not None]
        if len(seen) == len(frames):
            found.append(_jitter(np.stack(seen), shifts))
    return float(np.mean(found)) if found else float("nan")


def still_clip(
    picture: NDArray[np.uint8], seed: int
) -> tuple[list[NDArray[np.uint8]], NDArray[np.float64]]:
    """Frames of a photo (uint8, H x W x 3, RGB) and by how much each is shifted, N x 2, pixels."""
    rng = np.random.default_rng(seed)
    shifts = rng.uniform(-_SHIFT_PX, _SHIFT_PX, (_FRAMES, 2))
    height, width = picture.shape[:2]
    frames = []
    for x, y in shifts:
        moved = cv2.warpAffine(
            picture,
            np.array([[1, 0, x], [0, 1, y]]),
            (width, height),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        )
        noisy = np.clip(moved + rng.normal(0, _NOISE, moved.shape), 0, 255).astype(np.uint8)
        _, encoded = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        frames.append(np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8))
    return frames, shifts


def _followed(read: Reader, face: LabeledFace, seed: int) -> tuple[FloatArray, NDArray[np.float64]]:
    """Points on each frame of a face's still clip, N x 478 x 3, and the frames' shifts."""
    frames, shifts = still_clip(face.crop, seed)
    points, found = face.landmarks, []
    for frame in frames:
        square, matrix = cut_square(frame, region_of(points))
        answer = read(square[None]).points[0]
        points = alignment.transform_points(answer, alignment.invert(matrix))
        found.append(points)
    return np.stack(found), shifts


def _jitter(points: FloatArray, shifts: NDArray[np.float64]) -> float:
    still = points[..., :2] - shifts[:, None]
    wandered = np.sqrt(((still - still.mean(0)) ** 2).sum(2).mean())
    return float(wandered / eye_distances(points[:1])[0])
