"""Published networks that label pictures for training and judge ours. None of them is shipped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.errors import InputError, UnavailableError, install_hint
from sosie.geometry import alignment
from sosie.geometry.head_pose import MIRROR, five_points

LANDMARKER_FILE = "face_landmarker.task"
DETECTOR_FILE = "yunet_n_640_640.onnx"
PARTS_FILE = "bisenetv2_celebamaskhq_448x448_integer_quant.tflite"
HAIR_FILE = "hair_segmentation.tflite"

_MIN_SIDE_PX, _MAX_SIDE_PX = 320, 640
"""YuNet is shown pictures whose longer side is between these."""

_VIEW, _VIEW_PX = 2.0, 320
"""The landmarker sees a square of so many times the face's box, and of this side."""


@dataclass(frozen=True)
class FoundBoxes:
    """Faces of one picture, best first, all in its pixels.

    boxes: float32, N x 4: x0, y0, x1, y1. points5: float32, N x 5 x 2, in the order of
    `Face.points5`. scores: float32, N.
    """

    boxes: NDArray[np.float32]
    points5: NDArray[np.float32]
    scores: NDArray[np.float32]


@dataclass(frozen=True)
class TeacherReading:
    """What the landmarker says of one face.

    landmarks: float32, 478 x 3, pixels of the picture. expression: float32, 52, 0..1.
    rotation: float32, 3 x 3, head to camera, MediaPipe's axes (x right, y up, z to the viewer).
    agreement: mean distance of the points from those of the mirrored picture, in eye distances.
    """

    landmarks: NDArray[np.float32]
    expression: NDArray[np.float32]
    rotation: NDArray[np.float32]
    agreement: float


def teacher_file(folder: Path, name: str) -> Path:
    """The path of a teacher. Raises InputError where it is absent."""
    path = folder / name
    if not path.is_file():
        raise InputError(f"The teacher {name} is not in {folder}: give its folder with --teachers.")
    return path


class YuNet:
    """The teacher of detection. Pictures are RGB uint8."""

    def __init__(self, teachers: Path, min_score: float = 0.6) -> None:
        path = teacher_file(teachers, DETECTOR_FILE)
        self._network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), min_score, 0.3, 5000)

    def detect(self, pixels: NDArray[np.uint8], scale: float | None = None) -> FoundBoxes:
        """All faces. scale: of the picture as the network is shown it; None chooses."""
        height, width = pixels.shape[:2]
        if scale is None:
            longer = max(height, width)
            scale = float(np.clip(longer, _MIN_SIDE_PX, _MAX_SIDE_PX)) / longer
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        size = (max(32, round(width * scale)), max(32, round(height * scale)))
        small = cv2.resize(pixels, size, interpolation=how)
        self._network.setInputSize(size)
        _, rows = self._network.detect(np.ascontiguousarray(small[:, :, ::-1]))
        rows = np.zeros((0, 15), np.float32) if rows is None else rows[np.argsort(-rows[:, 14])]
        boxes = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], 1)
        to_picture = np.array([width / size[0], height / size[1]], np.float32)
        points = (rows[:, 4:14].reshape(-1, 5, 2) + 0.5) * to_picture - 0.5
        boxes = ((boxes.reshape(-1, 2, 2) + 0.5) * to_picture - 0.5).reshape(-1, 4)
        return FoundBoxes(
            boxes.astype(np.float32), points.astype(np.float32), rows[:, 14].astype(np.float32)
        )


class LandmarkTeacher:
    """MediaPipe's face landmarker: 478 points, 52 expression weights, head rotation.

    video_fps: None for pictures that have nothing to do with one another; otherwise the rate of a
    video, whose frames `look` is given in order: the teacher then follows the face and smooths.
    """

    def __init__(
        self, teachers: Path, video_fps: float | None = None, file: str = LANDMARKER_FILE
    ) -> None:
        path = teacher_file(teachers, file)
        try:
            import mediapipe
        except ImportError as error:
            raise UnavailableError(
                f"Training on this teacher needs mediapipe: {install_hint('train')}."
            ) from error
        vision = mediapipe.tasks.vision
        self._mediapipe = mediapipe
        self._video_fps, self._frames = video_fps, 0
        modes = vision.RunningMode
        self._network: Any = vision.FaceLandmarker.create_from_options(
            vision.FaceLandmarkerOptions(
                base_options=mediapipe.tasks.BaseOptions(model_asset_path=str(path)),
                running_mode=modes.IMAGE if video_fps is None else modes.VIDEO,
                output_face_blendshapes=True,
                output_facial_transformation_matrixes=True,
                min_face_detection_confidence=0.3,
                min_face_presence_confidence=0.3,
            )
        )
        self.expression_names: tuple[str, ...] = ()

    def close(self) -> None:
        """Free the network; otherwise it complains at the interpreter's end."""
        self._network.close()

    def look(self, square: NDArray[np.uint8]) -> TeacherReading | None:
        """The one face of a picture, read once as it is; None where it is not seen."""
        image = self._mediapipe.Image(
            image_format=self._mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(square)
        )
        if self._video_fps is None:
            found = self._network.detect(image)
        else:
            time_ms = round(1000 * self._frames / self._video_fps)
            found = self._network.detect_for_video(image, time_ms)
            self._frames += 1
        if not found.face_landmarks:
            return None
        height, width = square.shape[:2]
        scale = np.array([width, height, width], np.float32)
        points = np.array([(p.x, p.y, p.z) for p in found.face_landmarks[0]], np.float32) * scale
        points[:, :2] -= 0.5
        weights = found.face_blendshapes[0]
        self.expression_names = tuple(w.category_name for w in weights)
        u, _, vt = np.linalg.svd(np.asarray(found.facial_transformation_matrixes[0])[:3, :3])
        return TeacherReading(
            points,
            np.array([w.score for w in weights], np.float32),
            np.asarray(u @ vt, np.float32),
            0.0,
        )

    def read(self, pixels: NDArray[np.uint8], box: NDArray[np.float32]) -> TeacherReading | None:
        """The face in a box of a picture: the mean of the readings of it and of its mirror image.

        box: x0, y0, x1, y1 in pixels. None where either is not seen.
        """
        side = float(max(box[2] - box[0], box[3] - box[1])) * _VIEW
        scale = _VIEW_PX / side
        center = (box[:2] + box[2:]) / 2
        matrix = np.column_stack([np.eye(2) * scale, (_VIEW_PX - 1) / 2 - scale * center])
        square = alignment.warp(pixels, matrix, _VIEW_PX, _VIEW_PX)
        plain = self.look(square)
        mirrored = None if plain is None else self.look(square[:, ::-1])
        if plain is None or mirrored is None:
            return None
        other = _unmirrored(mirrored, self.expression_names)
        eyes = five_points(plain.landmarks)[:2]
        apart = np.linalg.norm(plain.landmarks[:, :2] - other.landmarks[:, :2], axis=1).mean()
        u, _, vt = np.linalg.svd(plain.rotation + other.rotation)
        points = (plain.landmarks + other.landmarks) / 2
        points[:, :2] = alignment.transform_points(points[:, :2], alignment.invert(matrix))
        points[:, 2] /= scale
        return TeacherReading(
            points,
            (plain.expression + other.expression) / 2,
            np.asarray(u @ vt, np.float32),
            float(apart / max(float(np.linalg.norm(eyes[1] - eyes[0])), 1.0)),
        )


class PartsTeacher:
    """BiSeNetV2 on CelebAMask-HQ: what each pixel of a square about a face shows.

    The square is upright and 2.1 sizes of the face wide. Its labels are `PARTS`.
    """

    side_px = 448

    def __init__(self, teachers: Path) -> None:
        self._network = _TfliteNetwork(teacher_file(teachers, PARTS_FILE))

    def read(self, square: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """square: RGB, side_px squared -> labels, uint8, side_px squared."""
        (found,) = self._network.run(square.astype(np.float32) / 127.5 - 1)
        return found.reshape(self.side_px, self.side_px).astype(np.uint8)


class HairTeacher:
    """MediaPipe's hair network: how much of each pixel is hair, to the single strand."""

    side_px = 512

    def __init__(self, teachers: Path) -> None:
        self._network = _TfliteNetwork(teacher_file(teachers, HAIR_FILE))

    def read(self, square: NDArray[np.uint8]) -> NDArray[np.float32]:
        """square: RGB, side_px squared -> share of hair, float32, side_px squared, 0..1."""
        before = np.zeros((*square.shape[:2], 1), np.float32)
        (logits,) = self._network.run(np.concatenate([square / np.float32(255), before], 2))
        return np.asarray(1 / (1 + np.exp(logits[0, ..., 0] - logits[0, ..., 1])), np.float32)


PARTS = (
    *("background", "skin", "right brow", "left brow", "right eye", "left eye", "spectacles"),
    *("right ear", "left ear", "earring", "nose", "mouth", "upper lip", "lower lip", "neck"),
    *("necklace", "clothes", "hair", "hat"),
)
"""Names of the labels of `PartsTeacher`, in order."""


class _TfliteNetwork:
    """A network of a tflite file, on one thread. Its interpreter holds the tensors of a run, so
    that threads that share it take turns."""

    def __init__(self, path: Path) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise UnavailableError(
                f"Training on this teacher needs ai-edge-litert: {install_hint('train')}."
            ) from error
        self._interpreter = Interpreter(str(path), num_threads=1)
        self._interpreter.allocate_tensors()
        self._turn = Lock()

    def run(self, value: NDArray[np.float32]) -> list[NDArray[Any]]:
        """The outputs for its one input, without the axis of the batch."""
        network = self._interpreter
        with self._turn:
            network.set_tensor(network.get_input_details()[0]["index"], value[None])
            network.invoke()
            return [network.get_tensor(entry["index"]) for entry in network.get_output_details()]


def mirrored_names(names: tuple[str, ...]) -> NDArray[np.intp]:
    """For each expression weight the position of its counterpart on the other side of the face."""

    def other(name: str) -> str:
        for a, b in (("Left", "Right"), ("Right", "Left")):
            if name.endswith(a):
                return name.removesuffix(a) + b
        return name

    return np.array([names.index(other(name)) for name in names], np.intp)


def _unmirrored(reading: TeacherReading, names: tuple[str, ...]) -> TeacherReading:
    """A reading of a mirrored square of side _VIEW_PX, as one of the square itself."""
    points = reading.landmarks[MIRROR].copy()
    points[:, 0] = _VIEW_PX - 1 - points[:, 0]
    flip = np.diag([-1.0, 1.0, 1.0]).astype(np.float32)
    return TeacherReading(
        points,
        reading.expression[mirrored_names(names)],
        flip @ reading.rotation @ flip,
        reading.agreement,
    )
