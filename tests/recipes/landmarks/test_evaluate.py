"""The landmark rows of the table, on material whose figures are known."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from sosie.analysis.landmarker import EXPRESSIONS, Readings
from sosie.errors import InputError
from sosie.geometry import alignment
from sosie.geometry.head_pose import MIRROR
from sosie.recipes.face_cache import FaceSet
from sosie.recipes.landmarks import evaluate, evaluate_video
from sosie.recipes.landmarks.evaluate_video import still_clip, still_jitter
from sosie.recipes.landmarks.samples import LabeledFace
from sosie.training.recipe import Materials

TO_MEDIAPIPE = np.diag([1.0, -1.0, -1.0])
"""Image axes (y down, z away) -> MediaPipe's (y up, z to the viewer)."""


def turned(model_face, poses) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks of the mean face at these poses, and MediaPipe's rotations of them."""
    points, rotations = [], []
    for pose in poses:
        points.append(model_face(*pose).landmarks)
        # Three points of a rigid head tell its rotation: the fit is exact.
        upright = model_face().landmarks
        own, other = (p - p.mean(0) for p in (upright, points[-1]))
        u, _, vt = np.linalg.svd(own.T @ other)
        rotations.append(TO_MEDIAPIPE @ (u @ vt).T @ TO_MEDIAPIPE)
    return np.stack(points), np.stack(rotations)


POSES = [(0, 0, 0), (30, 0, 0), (-25, 5, 10), (0, 20, -30), (10, -15, 60), (-5, 8, -12)]


def test_pose_by_the_points_agrees_with_a_rotation_that_is_right(model_face):
    points, rotations = turned(model_face, POSES)
    assert evaluate.pose_errors_deg(points, rotations).max() < 4


@pytest.mark.parametrize("axis", range(3))
def test_a_wrong_rotation_shows_in_its_angle(model_face, axis):
    points, rotations = turned(model_face, POSES)
    right = evaluate.pose_errors_deg(points, rotations)
    wrong = [tuple(-v if i == axis else v for i, v in enumerate(pose)) for pose in POSES]
    errors = evaluate.pose_errors_deg(turned(model_face, wrong)[0], rotations)
    assert errors[axis] > right[axis] + 8


def test_annotated_points_mirror_one_another():
    """The 68 annotated points are symmetric, and so must be the mesh points that stand for them."""
    chosen = np.array(evaluate.ANNOTATED)
    assert len(set(chosen)) == 68
    pairs = [*((i, 16 - i) for i in range(9)), *((17 + i, 26 - i) for i in range(5))]
    pairs += [(36, 45), (37, 44), (39, 42), (41, 46), (48, 54), (51, 51), (60, 64), (30, 30)]
    assert all(MIRROR[chosen[a]] == chosen[b] for a, b in pairs)


def test_the_error_on_annotations(model_face):
    points = np.stack([model_face(yaw=yaw).landmarks for yaw in (0, 20)])
    annotated = points[:, list(evaluate.ANNOTATED), :2]
    assert evaluate.annotation_error(points, annotated) == 0
    eyes = annotated[:, 36:42].mean(1) - annotated[:, 42:48].mean(1)
    expected = float((5 / np.linalg.norm(eyes, axis=1)).mean())
    moved = points + np.array([3, 4, 0])
    assert evaluate.annotation_error(moved, annotated) == pytest.approx(expected, rel=1e-4)


def archive_of(folder: Path, text: str) -> None:
    with zipfile.ZipFile(folder / "youtube_faces_68.zip", "w") as opened:
        opened.writestr("landmarks.csv", text)


def test_annotations_are_read_and_counted_from_zero(tmp_path):
    names = ",".join(f"x{i},y{i}" for i in range(68))
    values = ",".join(f"{i + 1}.0,{2 * i + 1}.0" for i in range(68))
    archive_of(tmp_path, f"file,{names}\nA_1.webp,{values}\n")
    (name, points), *others = evaluate.read_annotations(tmp_path).items()
    assert name == "A_1.webp"
    assert not others
    assert np.array_equal(points, [(i, 2 * i) for i in range(68)])


@pytest.mark.parametrize("text", ["", "file,x0\nA_1.webp,1,2,3\n", "file,x0\nA_1.webp,one,two\n"])
def test_unreadable_annotations_are_refused(tmp_path, text):
    archive_of(tmp_path, text)
    with pytest.raises(InputError, match=r"landmarks\.csv"):
        evaluate.read_annotations(tmp_path)


def test_missing_annotations_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"landmarks\.csv"):
        evaluate.read_annotations(tmp_path)


@pytest.fixture
def shown(model_face, astronaut) -> LabeledFace:
    points = model_face(unit_px=32, center=(112, 112)).landmarks
    picture = cv2.resize(astronaut[40:240, 120:320], (224, 224), interpolation=cv2.INTER_AREA)
    return LabeledFace(picture, points, np.zeros(len(EXPRESSIONS), np.float32))


def test_a_still_clip_moves_as_it_says(shown):
    frames, shifts = still_clip(shown.crop, seed=1)
    assert len(frames) == len(shifts) >= 20
    assert np.abs(shifts).max() <= 0.5
    assert np.ptp(shifts, axis=0).min() > 0.6
    window = cv2.createHanningWindow((224, 224), cv2.CV_64F)
    still = cv2.cvtColor(shown.crop, cv2.COLOR_RGB2GRAY).astype(np.float64)
    no_shift = np.array(cv2.phaseCorrelate(still, still, window)[0])  # it has a bias of its own
    for frame, shift in zip(frames, shifts, strict=True):
        assert not np.array_equal(frame, shown.crop)
        gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float64)
        found = cv2.phaseCorrelate(still, gray, window)[0] - no_shift
        assert np.allclose(found, shift, atol=0.15)


def test_jitter_of_a_reader_that_keeps_its_place_in_the_square(shown):
    """It answers the same in every square, so the face wanders only by its square's placing: not
    at all, and the known shifts of the frames are all that is left."""
    first = None

    def read(squares: np.ndarray) -> Readings:
        nonlocal first
        if first is None:
            matrix = evaluate_video.cut_square(
                shown.crop, evaluate_video.region_of(shown.landmarks)
            )[1]
            first = alignment.transform_points(shown.landmarks, matrix)
        return Readings(first[None], np.ones(1, np.float32), np.zeros((1, 52), np.float32))

    shifts = still_clip(shown.crop, 0)[1]
    eyes = evaluate_video.eye_distances(shown.landmarks[None])[0]
    expected = np.sqrt(((shifts - shifts.mean(0)) ** 2).sum(1).mean()) / eyes
    assert still_jitter(read, [shown]) == pytest.approx(expected, rel=0.02)


def test_rows_of_the_table(shown, face_set, tmp_path, monkeypatch):
    """Every figure of the issue has a row, with the teacher's and the bound where it has one."""
    count = 6
    faces = face_set(
        [shown.crop] * count,
        [shown.landmarks] * count,
        agreement=np.full(count, 0.03, np.float32),
        groups=np.full(count, "youtube"),
    )
    annotated = shown.landmarks[list(evaluate.ANNOTATED), :2] + 1
    values = ",".join(f"{v:.4f}" for v in annotated.ravel())
    lines = [f"{n}.webp,{values}" for n in range(count)]
    archive_of(tmp_path, "\n".join(["file," + ",".join("xy" * 68), *lines]))

    class Still:
        """A network that always answers with the same points, 2 px beside the right ones."""

        def __init__(self, session: object) -> None:
            matrix = evaluate_video.cut_square(
                shown.crop, evaluate_video.region_of(shown.landmarks)
            )[1]
            self._points = alignment.transform_points(shown.landmarks, matrix)

        def read(self, squares: np.ndarray) -> Readings:
            given = len(squares)
            return Readings(
                np.repeat(self._points[None], given, 0),
                np.full(given, 0.9, np.float32),
                np.full((given, 52), 0.1, np.float32),
            )

    monkeypatch.setattr(evaluate, "Landmarker", Still)
    monkeypatch.setattr(evaluate, "create_session", lambda content, threads: None)
    monkeypatch.setattr(evaluate, "read_embedded", lambda name: b"")
    monkeypatch.setattr(evaluate, "open_faces", lambda materials: faces)
    monkeypatch.setattr(FaceSet, "test", np.ones(count, bool))
    monkeypatch.setattr(evaluate, "teacher_jitter", lambda teachers, shown: 0.01)
    rows = {
        row.figure: row
        for row in evaluate.measure(Materials(tmp_path, tmp_path, tmp_path, 0), limit=3)
    }
    assert {row.model for row in rows.values()} == {"landmarks"}
    points = rows["mean error of 478 points"]
    assert points.bound == 2
    assert points.teacher == pytest.approx(1.5)  # two readings 3 % apart
    assert rows["mean error where the teacher's is below 2"].value == points.value
    assert rows["faces not recognized as such"].value == 0
    assert rows["squares without a face taken for one"].value == 100
    # This network does not look at all, so an edge does not disturb it.
    cut = rows["mean error where the frame cuts the face off"]
    assert cut.value == pytest.approx(points.value, rel=1e-3)
    assert rows["faces that the frame cuts off, not recognized"].value == 0
    assert rows["mean error of 52 expression weights"].value == pytest.approx(0.1)
    annotations = rows["error on 68 annotated points"]
    assert annotations.teacher == pytest.approx(0, abs=1e-3)
    assert annotations.bound == pytest.approx(1.1 * annotations.teacher)
    assert annotations.value > 1
    jitter = rows["jitter on a still clip"]
    assert jitter.teacher == jitter.bound == 1
    assert not annotations.hit
