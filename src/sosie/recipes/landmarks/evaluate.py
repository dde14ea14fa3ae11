"""The landmark network beside its teacher, on people that training never saw.

Points: the mean distance to the teacher's (the mean of its readings of a picture and of the mirror
image), in per cent of the distance of the eyes' centers; beside it stands how far the teacher's
single readings are from that. Every face is looked at twice, first in a square with the errors of a
detector. The same faces are also cut off by the edge of a frame, by a quarter to a half, and all
their points are asked for. Annotated points: YouTube Faces' 68, each taken for the mesh point that
lies nearest to it over the training people's frames. Pose: from the points alone, against the
rotation that the teacher fits with a metric head.

Jitter: how far points wander on a clip in which nothing moves, a photo repeated with what a camera
on a tripod adds: the noise of the sensor, shifts of less than a pixel, compression. The shifts are
known and taken out of the points; the jitter is the root mean square distance of the points from
their mean over the clip, in eye distances.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.landmarker import Landmarker, cut_square
from sosie.errors import InputError
from sosie.geometry import alignment
from sosie.geometry.head_pose import head_pose, region_of
from sosie.geometry.mesh import ANNOTATED
from sosie.models.cards import read_embedded
from sosie.models.session import create_session
from sosie.recipes.augmentation import compressed
from sosie.recipes.evaluate import Row
from sosie.recipes.face_cache import ARCHIVES, FaceSet, open_faces
from sosie.recipes.landmarks.measures import (
    GAZE,
    LIDS,
    LIPS,
    Looks,
    Reader,
    cut_by_a_frame,
    eye_distances,
    look_twice,
    opening_errors,
    point_errors,
)
from sosie.recipes.landmarks.samples import LabeledFace
from sosie.recipes.teachers import LandmarkTeacher
from sosie.training.recipe import Materials
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
        frames.append(compressed(noisy, _QUALITY))
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


# The annotations count pixels from one: over all points they lie that much right of and below the
# teacher's.
_FIRST_PIXEL = 1.0
_MAX_ERROR, _WORSE = 2.0, 1.1
_STILL_CLIPS = 12
# Faces of which the teacher's two readings are no further than this, in per cent of the eye
# distance, from their mean: of the others its labels are in doubt.
_SURE = 2.0


def measure(materials: Materials, limit: int | None) -> list[Row]:
    """Rows of the table. limit: faces of each kind to look at, at most.

    Raises InputError where data, teacher or the network's file are absent.
    """
    landmarker = Landmarker(create_session(read_embedded("landmarks"), threads=1))
    faces = open_faces(materials)
    rows = np.random.default_rng(0).permutation(np.flatnonzero(faces.test))[:limit]
    return [
        *_reading_rows(landmarker, faces, rows),
        *_annotation_rows(landmarker, faces, materials.data, limit),
        *_jitter_rows(landmarker, faces, rows, materials.teachers, limit),
    ]


def pose_errors_deg(landmarks: FloatArray, rotations: FloatArray) -> NDArray[np.float64]:
    """Mean error of yaw, pitch and roll by the points (N x 478 x 3): degrees, 3.

    rotations: the teacher's, N x 3 x 3 (see `TeacherReading`). Each angle is compared about its
    median difference: the two take slightly different heads for upright.
    """
    own = np.array([(p.yaw, p.pitch, p.roll) for p in map(head_pose, landmarks)])
    # MediaPipe's y points up and its z to the viewer.
    turn = rotations.astype(np.float64) * np.outer([1, -1, -1], [1, -1, -1])
    across, down = turn[:, :, 0], turn[:, :, 1]
    inward = np.cross(across, down)
    theirs = np.stack(
        [
            np.arcsin(np.clip(across[:, 2], -1, 1)),
            np.arctan2(down[:, 2], inward[:, 2]),
            np.arctan2(across[:, 1], across[:, 0]),
        ],
        axis=1,
    )
    apart = (own - np.degrees(theirs) + 180) % 360 - 180
    return np.asarray(np.abs(apart - np.median(apart, axis=0)).mean(0))


def annotation_error(landmarks: FloatArray, annotated: FloatArray) -> float:
    """Mean distance of the ANNOTATED points from annotations, in the annotated eyes' distances.

    landmarks: N x 478 x 2 or 3; annotated: N x 68 x 2; both in pixels of the picture.
    """
    eyes = annotated[:, 36:42].mean(1) - annotated[:, 42:48].mean(1)
    apart = np.linalg.norm(landmarks[:, list(ANNOTATED), :2] - annotated, axis=2).mean(1)
    return float((apart / np.linalg.norm(eyes, axis=1)).mean())


def read_annotations(data: Path) -> dict[str, FloatArray]:
    """The 68 points of each picture of YouTube Faces, 68 x 2, pixels counted from 0, by file name.

    Raises InputError where the archive lacks them.
    """
    archive = data / ARCHIVES["youtube"]
    try:
        with zipfile.ZipFile(archive) as opened:
            table = csv.reader(io.StringIO(opened.read("landmarks.csv").decode()))
            next(table)
            return {
                name: np.array(values, np.float32).reshape(68, 2) - np.float32(_FIRST_PIXEL)
                for name, *values in table
            }
    except (OSError, KeyError, ValueError, StopIteration, zipfile.BadZipFile) as error:
        raise InputError(
            f"The annotations landmarks.csv in {archive} cannot be read ({error}): give the folder "
            f"of the data."
        ) from error


def _reading_rows(landmarker: Landmarker, faces: FaceSet, rows: NDArray[np.intp]) -> list[Row]:
    looks = look_twice(landmarker.read, labeled(faces, rows))
    truth, labels = faces.landmarks[rows], faces.expression[rows]
    errors = 100 * point_errors(looks.second, truth)
    first = 100 * float(point_errors(looks.first, truth).mean())
    # The label lies midway between the two readings that it is the mean of.
    own = 50 * faces.agreement[rows]
    sure = own < _SURE
    eyes = "% of the eye distance"
    found = [
        _row("mean error of 478 points", errors.mean(), float(own.mean()), _MAX_ERROR, eyes),
        _row("its 95th percentile", float(np.percentile(errors, 95)),
             float(np.percentile(own, 95)), None, eyes),
        _row(f"mean error where the teacher's is below {_SURE:g}", _mean(errors[sure]),
             _mean(own[sure]), None, eyes),
        _row("mean error at the first look", first, None, None, eyes),
    ]  # fmt: skip
    for name, pairs in (("lids", LIDS), ("lips", LIPS), ("gaze", GAZE)):
        error = 100 * float(opening_errors(looks.second, truth, pairs).mean())
        found.append(_row(f"error of the vectors of {name}", error, None, None, eyes))
    cut = look_twice(landmarker.read, cut_by_a_frame(labeled(faces, rows)))
    error, missed = 100 * point_errors(cut.second, truth).mean(), _share(cut.presence < 0.5)
    return [
        *found,
        *_other_reading_rows(looks, labels, truth, faces.rotation[rows]),
        _row("mean error where the frame cuts the face off", error, None, None, eyes),
        _row("faces that the frame cuts off, not recognized", missed, None, None, "%"),
    ]


def _other_reading_rows(
    looks: Looks, labels: FloatArray, truth: FloatArray, rotations: FloatArray
) -> list[Row]:
    """Expression, presence and pose."""
    apart = float(np.nanmean(np.abs(looks.expression - labels)))
    ours, theirs = (pose_errors_deg(points, rotations) for points in (looks.second, truth))
    rows = [
        _row("mean error of 52 expression weights", apart, None, None, ""),
        _row("faces not recognized as such", _share(looks.presence < 0.5), None, None, "%"),
        _row("squares without a face taken for one", _share(looks.presence_without > 0.5), None,
             None, "%"),
    ]  # fmt: skip
    for name, our, their in zip(("yaw", "pitch", "roll"), ours, theirs, strict=True):
        rows.append(_row(f"mean error of {name} by the points", our, their, None, "degrees"))
    return rows


def _annotation_rows(
    landmarker: Landmarker, faces: FaceSet, data: Path, limit: int | None
) -> list[Row]:
    annotations = read_annotations(data)
    rows = np.flatnonzero(faces.test & (faces.groups == "youtube"))
    rows = rows[[str(faces.names[row]) in annotations for row in rows]][:limit]
    truth = np.stack([annotations[str(faces.names[row])] for row in rows])
    ours = look_twice(landmarker.read, labeled(faces, rows)).second
    to_picture = [alignment.invert(matrix) for matrix in faces.matrices[rows]]

    def error(points: FloatArray) -> float:
        pairs = zip(points, to_picture, strict=True)
        return 100 * annotation_error(
            np.stack([alignment.transform_points(p, matrix) for p, matrix in pairs]), truth
        )

    theirs = error(faces.landmarks[rows])
    return [
        _row("error on 68 annotated points", error(ours), theirs, _WORSE * theirs,
             "% of the eye distance")
    ]  # fmt: skip


def _jitter_rows(
    landmarker: Landmarker,
    faces: FaceSet,
    rows: NDArray[np.intp],
    teachers: Path,
    limit: int | None,
) -> list[Row]:
    chosen = rows[: min(_STILL_CLIPS, limit or _STILL_CLIPS)]
    shown = labeled(faces, chosen)
    ours = 100 * still_jitter(landmarker.read, shown)
    theirs = 100 * teacher_jitter(teachers, shown)
    return [_row("jitter on a still clip", ours, theirs, theirs, "% of the eye distance")]


def labeled(faces: FaceSet, rows: NDArray[np.intp]) -> list[LabeledFace]:
    """Some faces of the cache."""
    return [
        LabeledFace(faces.crops[row], faces.landmarks[row], faces.expression[row]) for row in rows
    ]


def _row(figure: str, value: float, teacher: float | None, bound: float | None, unit: str) -> Row:
    return Row("landmarks", figure, float(value), teacher, bound, "<=", unit)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _share(wrong: NDArray[np.bool_]) -> float:
    return 100 * float(wrong.mean())
