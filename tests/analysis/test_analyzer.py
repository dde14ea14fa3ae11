"""Faces in photos: where they are, at every tilt and size, and nowhere else."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from sosie.analysis.analyzer import Analyzer, create_analyzer, without_doubles
from sosie.errors import InputError
from sosie.geometry.alignment import transform_points
from sosie.geometry.head_pose import MIRROR, Region, five_points, region_of, turned_deg
from sosie.models import cards
from sosie.types import Face


def turned(pixels: np.ndarray, angle_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """The picture turned clockwise as seen, on a canvas that holds all of it, and the transform."""
    height, width = pixels.shape[:2]
    side = int(np.hypot(height, width)) + 1
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -angle_deg, 1)
    matrix[:, 2] += (side - width) / 2, (side - height) / 2
    return cv2.warpAffine(pixels, matrix, (side, side), flags=cv2.INTER_CUBIC), matrix


def test_landmarks_lie_where_an_eye_sees_them(astronaut_face: Face, hopper_face: Face) -> None:
    # Irises, mouth corners and chin, read off enlargements of the pictures.
    for face, points, within_px in (
        (
            astronaut_face,
            {
                468: (203, 100.5),
                473: (246.5, 103),
                61: (201, 139),
                291: (245, 140),
                152: (220, 178),
            },
            2.5,
        ),
        (
            hopper_face,
            {468: (221, 190), 473: (305, 187), 61: (232, 280), 291: (301, 276), 152: (271, 335)},
            4.0,
        ),
    ):
        for index, expected in points.items():
            assert np.hypot(*(face.landmarks[index, :2] - expected)) < within_px


def test_a_face_record_is_whole(astronaut_face: Face) -> None:
    face = astronaut_face
    assert face.landmarks.shape == (478, 3)
    assert face.landmarks.dtype == face.points5.dtype == face.box.dtype == np.float32
    assert np.allclose(face.box[:2], face.landmarks[:, :2].min(0))
    assert np.allclose(face.box[2:], face.landmarks[:, :2].max(0))
    assert 0.7 < face.score <= 1
    # Image left first: eyes, then the nose between and below, then the mouth.
    right, left, nose, mouth_right, mouth_left = face.points5
    assert right[0] < nose[0] < left[0]
    assert mouth_right[0] < nose[0] < mouth_left[0]
    assert right[1] < nose[1] < mouth_right[1]
    # Depth in pixels: the nose nearest, the ears half a face's width behind it.
    assert face.landmarks[1, 2] < face.landmarks[234, 2]
    depth = face.landmarks[[234, 454], 2].mean() - face.landmarks[1, 2]
    assert 0.3 < depth / (face.box[2] - face.box[0]) < 0.9


@pytest.mark.parametrize("angle", range(0, 360, 30))
def test_heads_at_every_tilt(
    analyzer: Analyzer,
    astronaut: np.ndarray,
    astronaut_face: Face,
    hopper: np.ndarray,
    hopper_face: Face,
    angle: int,
    landmarks_error_px: Callable[..., float],
) -> None:
    for pixels, upright in ((astronaut, astronaut_face), (hopper, hopper_face)):
        picture, matrix = turned(pixels, angle)
        (face,) = analyzer.analyze(picture)
        assert landmarks_error_px(face, upright, matrix) < 0.015 * upright.size_px
        assert abs(turned_deg(upright.pose.roll + angle, face.pose.roll)) < 3
        assert abs(face.pose.yaw - upright.pose.yaw) < 3
        assert abs(face.pose.pitch - upright.pose.pitch) < 3
        depths = face.landmarks[:, 2] - upright.landmarks[:, 2]
        assert np.abs(depths).mean() < 0.03 * upright.size_px


def test_mirror_image_turns_yaw_and_roll_round(
    analyzer: Analyzer, astronaut: np.ndarray, astronaut_face: Face
) -> None:
    (face,) = analyzer.analyze(np.ascontiguousarray(astronaut[:, ::-1]))
    assert face.pose.yaw == pytest.approx(-astronaut_face.pose.yaw, abs=1.5)
    assert face.pose.roll == pytest.approx(-astronaut_face.pose.roll, abs=1)
    mirrored = face.landmarks[MIRROR, :2] * (-1, 1) + (astronaut.shape[1] - 1, 0)
    # Half a pixel of a crop's convention would show here.
    assert abs((mirrored - astronaut_face.landmarks[:, :2])[:, 0].mean()) < 0.25


def test_yaw_follows_a_head_that_turns(analyzer: Analyzer, astronaut_face: Face) -> None:
    """A turn in space of the landmarks themselves, seen from straight ahead."""
    from sosie.geometry.head_pose import head_pose

    points = astronaut_face.landmarks - astronaut_face.landmarks.mean(0)
    base = head_pose(points)
    angle = np.radians(20)
    # To the image's right: what is near (negative z) moves to larger x.
    to_right = np.array(
        [[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]]
    )
    pose = head_pose((points @ to_right.T).astype(np.float32))
    assert pose.yaw - base.yaw == pytest.approx(20, abs=3)
    # Looking down: what is near moves to larger y.
    down = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    pose = head_pose((points @ down.T).astype(np.float32))
    assert pose.pitch - base.pitch == pytest.approx(20, abs=3)


def test_small_faces_in_a_large_frame(
    analyzer: Analyzer,
    astronaut: np.ndarray,
    astronaut_face: Face,
    hopper: np.ndarray,
    hopper_face: Face,
    backdrop: Callable[..., np.ndarray],
    put: Callable[..., np.ndarray],
    landmarks_error_px: Callable[..., float],
) -> None:
    frame = backdrop(1920, 1080)
    # 48 px high: 40 px wide. On the borders of tiles too, one of them upside down.
    placed = [
        (astronaut_face, put(frame, astronaut, astronaut_face, 300, 240, 48)),
        (hopper_face, put(frame, hopper, hopper_face, 720, 480, 48)),
        (astronaut_face, put(frame, astronaut, astronaut_face, 1250, 700, 48, 180)),
        (hopper_face, put(frame, hopper, hopper_face, 1880, 1030, 52)),
    ]
    faces = analyzer.analyze(frame)
    assert len(faces) == 4
    for face, (original, matrix) in zip(faces, placed, strict=True):
        assert landmarks_error_px(face, original, matrix) < 1.5


def test_several_faces_come_from_left_to_right_each_once(
    analyzer: Analyzer,
    astronaut: np.ndarray,
    astronaut_face: Face,
    hopper: np.ndarray,
    hopper_face: Face,
    backdrop: Callable[..., np.ndarray],
    put: Callable[..., np.ndarray],
) -> None:
    frame = backdrop(1280, 720, seed=3)
    put(frame, hopper, hopper_face, 1050, 300, 160)
    put(frame, astronaut, astronaut_face, 640, 400, 220)
    put(frame, hopper, hopper_face, 200, 300, 90, 40)
    faces = analyzer.analyze(frame)
    assert np.allclose([face.center[0] for face in faces], [200, 640, 1050], atol=12)
    right_half = analyzer.analyze(frame, roi=(500, 0, 1280, 720))
    assert np.allclose([face.center[0] for face in right_half], [640, 1050], atol=12)


def test_face_that_fills_the_picture(
    analyzer: Analyzer, astronaut: np.ndarray, astronaut_face: Face
) -> None:
    x0, y0, x1, y1 = astronaut_face.box.astype(int)
    (face,) = analyzer.analyze(np.ascontiguousarray(astronaut[y0 - 8 : y1 + 8, x0 - 8 : x1 + 8]))
    moved = astronaut_face.landmarks[:, :2] - (x0 - 8, y0 - 8)
    assert np.linalg.norm(face.landmarks[:, :2] - moved, axis=1).mean() < 3


@pytest.mark.parametrize(
    "name",
    [
        "coffee",
        "rocket",
        "chelsea",
        "brick",
        "grass",
        "gravel",
        "clock",
        "text",
        "cell",
        "coins",
        "hubble_deep_field",
        "checkerboard",
        "immunohistochemistry",
        "colorwheel",
    ],
)
def test_no_faces_where_there_are_none(analyzer: Analyzer, name: str) -> None:
    pixels = getattr(data, name)()
    if pixels.ndim == 2:
        pixels = np.dstack([pixels] * 3)
    assert analyzer.analyze(np.ascontiguousarray(pixels[..., :3])) == []


@pytest.mark.parametrize("seed", range(12))
def test_no_faces_in_coins_that_are_moved_a_little(analyzer: Analyzer, seed: int) -> None:
    """Reliefs of heads, worn and lit from the side: whatever part of a pixel they lie at, however
    they are lit and stored, no one of them may pass for a face now and then."""
    rng = np.random.default_rng(seed)
    matrix = np.column_stack([np.eye(2), rng.uniform(-1, 1, 2)])
    coins = np.dstack([data.coins()] * 3)
    size = (coins.shape[1], coins.shape[0])
    moved = cv2.warpAffine(
        coins, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    if seed % 3 == 1:
        lit = moved * rng.uniform(0.8, 1.2) + rng.normal(0, 2, moved.shape)
        moved = np.clip(lit, 0, 255).astype(np.uint8)
    if seed % 3 == 2:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.uniform(70, 95))]
        moved = cv2.imdecode(cv2.imencode(".jpg", moved, quality)[1], cv2.IMREAD_COLOR)
    assert analyzer.analyze(moved) == []


def test_no_faces_in_noise_or_nothing(analyzer: Analyzer) -> None:
    rng = np.random.default_rng(1)
    for pixels in (
        rng.integers(0, 256, (300, 400, 3), dtype=np.uint8),
        np.zeros((200, 200, 3), np.uint8),
        np.full((1, 1, 3), 128, np.uint8),
        np.full((3, 500, 3), 200, np.uint8),
    ):
        assert analyzer.analyze(pixels) == []


def test_16_bit_pixels_give_the_same_faces(
    analyzer: Analyzer, astronaut: np.ndarray, astronaut_face: Face
) -> None:
    deep = astronaut.astype(np.uint16) * 256 + 77
    (face,) = analyzer.analyze(deep)
    assert np.array_equal(face.landmarks, astronaut_face.landmarks)
    again = analyzer.landmarks(deep, region_of(astronaut_face.landmarks))
    assert again is not None
    assert np.abs(again.landmarks - astronaut_face.landmarks).mean() < 0.5


def test_landmarks_of_a_region(
    analyzer: Analyzer, astronaut: np.ndarray, astronaut_face: Face
) -> None:
    assert analyzer.landmarks(astronaut, Region(400, 60, 100, 0)) is None
    rough = region_of(astronaut_face.landmarks)
    rough = Region(rough.x + 8, rough.y - 6, rough.size_px * 1.1, rough.roll_deg + 10)
    face = analyzer.landmarks(astronaut, rough)
    assert face is not None
    assert np.linalg.norm((face.landmarks - astronaut_face.landmarks)[:, :2], axis=1).mean() < 2.5
    confirmed = analyzer.confirm(astronaut, rough)
    assert confirmed is not None
    assert analyzer.confirm(astronaut, Region(400, 60, 100, 0)) is None


def test_detections_are_oriented(analyzer: Analyzer, astronaut: np.ndarray) -> None:
    picture, matrix = turned(astronaut, 90)
    best = analyzer.detect(picture)[0]
    x, y = transform_points([[223, 125]], matrix)[0]
    assert np.hypot(best.region.x - x, best.region.y - y) < 25
    assert abs(turned_deg(90, best.region.roll_deg)) < 30
    assert 70 < best.region.size_px < 140


def test_region_turns_with_the_face(astronaut_face: Face) -> None:
    region = region_of(astronaut_face.landmarks)
    angle = np.radians(130)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]])
    points = astronaut_face.landmarks.copy()
    points[:, :2] = points[:, :2] @ turn[:, :2].T
    again = region_of(points)
    assert turned_deg(region.roll_deg, again.roll_deg) == pytest.approx(130, abs=0.1)
    assert again.size_px == pytest.approx(region.size_px, rel=1e-3)
    assert np.allclose((again.x, again.y), turn[:, :2] @ (region.x, region.y), atol=0.1)
    assert np.allclose(five_points(points), astronaut_face.points5 @ turn[:, :2].T, atol=0.1)


def test_the_better_of_two_faces_in_one_place_stays(astronaut_face: Face) -> None:

    weaker = replace(astronaut_face, score=0.6, box=astronaut_face.box + 5)
    elsewhere = replace(astronaut_face, score=0.6, box=astronaut_face.box + 300)
    kept = without_doubles([weaker, astronaut_face, elsewhere])
    assert kept == [astronaut_face, elsewhere]


@pytest.mark.parametrize("name", ["detector", "landmarks"])
def test_a_damaged_network_is_refused_by_its_hash(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, astronaut: np.ndarray, name: str
) -> None:
    models = tmp_path / "models"
    shutil.copytree(cards._FOLDER, models)
    file = models / f"{name}.onnx"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    monkeypatch.setattr(cards, "_FOLDER", models)
    with pytest.raises(InputError, match=f"{name}.onnx.*damaged.*install Sosie again"):
        create_analyzer(1).analyze(astronaut)


def test_start_is_quiet_and_light(run_python: Callable[[str], str]) -> None:
    printed = run_python(
        "import os, sys, tempfile\n"
        "log = tempfile.TemporaryFile()\n"
        "os.dup2(log.fileno(), 2)\n"
        "from skimage import data\n"
        "from sosie.analysis.analyzer import create_analyzer\n"
        "print(len(create_analyzer(1).analyze(data.astronaut())))\n"
        "print('torch' in sys.modules, 'matplotlib' in sys.modules)\n"
        "sys.stderr.flush(); log.seek(0); print(repr(log.read()))\n"
    )
    assert printed.split("\n")[:3] == ["1", "False False", "b''"]


def test_threads_agree(astronaut: np.ndarray, astronaut_face: Face) -> None:
    (face,) = create_analyzer(1).analyze(astronaut)
    assert np.allclose(face.landmarks, astronaut_face.landmarks, atol=0.05)


@pytest.mark.parametrize("side_px", [224, 512, 1024, 1800])
@pytest.mark.parametrize("thorough", [True, False])
def test_a_face_that_fills_the_picture_at_any_size(
    analyzer: Analyzer, hopper: NDArray[np.uint8], hopper_face: Face, side_px: int, thorough: bool
) -> None:
    for share in (1.0, 1.3):
        reach = hopper_face.size_px * share / 2
        x0, y0 = np.round(np.subtract(hopper_face.center, reach)).astype(int)
        x1, y1 = np.round(np.add(hopper_face.center, reach)).astype(int)
        close = cv2.resize(hopper[y0:y1, x0:x1], (side_px, side_px), interpolation=cv2.INTER_CUBIC)
        (face,) = analyzer.analyze(close, thorough=thorough)
        assert face.size_px > 0.6 * side_px


@pytest.mark.parametrize("upright", [True, False])
def test_a_small_face_in_a_panorama(
    analyzer: Analyzer, astronaut, astronaut_face: Face, backdrop, put, upright: bool
) -> None:
    """Searched as one frame it would have 8 px."""
    canvas = backdrop(6000, 450) if not upright else backdrop(450, 6000)
    x, y = (300, 4100) if upright else (4100, 260)
    put(canvas, astronaut, astronaut_face, x, y, 75)
    (face,) = analyzer.analyze(canvas, thorough=False)
    assert np.hypot(face.center[0] - x, face.center[1] - y) < 15


@pytest.mark.parametrize("shape", [(16, 40_000), (40_000, 16)])
def test_a_very_long_picture_takes_little_memory(run_python, shape: tuple[int, int]) -> None:
    peak_mb = run_python(
        "import numpy as np;"
        "from sosie.analysis.analyzer import create_analyzer;"
        f"print(len(create_analyzer(1).analyze(np.zeros(({shape[0]}, {shape[1]}, 3), np.uint8))));"
        "rows = open('/proc/self/status').read().split();"
        "print(int(rows[rows.index('VmHWM:') + 1]) // 1024)"
    ).split()
    assert peak_mb[0] == "0"
    assert int(peak_mb[1]) < 700
