"""Material and settings that all tests share."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray
from PIL import Image

from sosie.analysis.analyzer import Analyzer, create_analyzer, make_face
from sosie.app.samples import sample_portraits
from sosie.geometry import alignment
from sosie.geometry.face_types import face_matrix
from sosie.geometry.morphable_model import face_shape
from sosie.methods.base import Card, Source
from sosie.stops import STOP_SIGNALS
from sosie.types import Crop, Face

# A shell without job control starts what it puts in the background with Ctrl-C ignored, and so
# would be every process that a test starts and stops.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]

pytest_plugins = [
    "tests.fixtures.dfm",
    "tests.fixtures.portrait",
    "tests.fixtures.published",
    "tests.fixtures.training",
]


@pytest.fixture(autouse=True)
def _same_answers_to_signals() -> Iterator[None]:
    """What a test of the command line did to the answers to Ctrl-C and the like ends with it."""
    usual = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    hook = sys.unraisablehook
    yield
    for number, handler in usual.items():
        signal.signal(number, handler)
    sys.unraisablehook = hook


settings.register_profile("ci", derandomize=True, deadline=None, max_examples=50, database=None)
settings.register_profile("explore", deadline=None, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def astronaut_path() -> Path:
    """A portrait of Eileen Collins, 512 x 512, from the installed scikit-image."""
    return sample_portraits()["astronaut"]


@pytest.fixture(scope="session")
def hopper_path() -> Path:
    """A portrait of Grace Hopper, 512 x 606, from the installed matplotlib."""
    return sample_portraits()["hopper"]


@pytest.fixture(scope="session")
def astronaut(astronaut_path: Path) -> NDArray[np.uint8]:
    """RGB, 512 x 512 x 3, not writable."""
    return _pixels(astronaut_path)


@pytest.fixture(scope="session")
def hopper(hopper_path: Path) -> NDArray[np.uint8]:
    """RGB, 606 x 512 x 3, not writable."""
    return _pixels(hopper_path)


@pytest.fixture(scope="session")
def bearded() -> NDArray[np.uint8]:
    """A generated man with a beard, RGB, 288 x 288 x 3, not writable. Public domain (CC0)."""
    return _pixels(Path(__file__).parent / "fixtures" / "bearded.webp")


def _pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        pixels = np.array(picture.convert("RGB"))
    pixels.setflags(write=False)
    return pixels


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of test photos and clips that are not part of the repository, or a skip."""
    return _shared("data", "the test data")


@pytest.fixture(scope="session")
def shared_parity() -> Path:
    """The folder of what published networks compute, or a skip."""
    return _shared("parity", "the parity kit")


def _shared(folder: str, what: str) -> Path:
    named = os.environ.get("SOSIE_SHARED")
    shared = Path(named) if named else ROOT.parent / "shared"
    if not (shared / folder).is_dir():
        pytest.skip(f"needs {what}: set SOSIE_SHARED to its folder ({shared} has no {folder}/)")
    return shared / folder


@pytest.fixture(scope="session")
def paint() -> Callable[..., NDArray[np.uint8]]:
    """A picture of a face, RGB uint8: each triangle in the mean color of its points, the nearer
    over the farther; holes (eyes, mouth) and surroundings in `background`."""

    def draw(
        face: Face,
        colors: NDArray[np.floating] | tuple[int, int, int],
        background: tuple[int, int, int] = (90, 90, 90),
        side_px: int = 256,
    ) -> NDArray[np.uint8]:
        colors = np.broadcast_to(np.asarray(colors, float), (478, 3))
        picture = np.full((side_px, side_px, 3), background, np.uint8)
        triangles = face_shape().triangles
        depth = face.landmarks[triangles, 2].mean(1)
        for triangle in triangles[np.argsort(-depth)]:
            corners = np.round(face.landmarks[triangle, :2] * 16).astype(np.int32)
            a, b, c = corners.astype(int)
            if (b - a)[0] * (c - a)[1] - (b - a)[1] * (c - a)[0] <= 0:
                continue
            color = tuple(int(value) for value in np.rint(colors[triangle].mean(0)))
            cv2.fillConvexPoly(picture, corners, color, cv2.LINE_8, 4)
        return picture

    return draw


@pytest.fixture(scope="session")
def source_of() -> Callable[..., Source]:
    """A source photo; all of its face is visible unless `visible` says otherwise."""

    def make(
        pixels: NDArray[np.generic], face: Face, visible: NDArray[np.float32] | None = None
    ) -> Source:
        if visible is None:
            visible = np.ones(pixels.shape[:2], np.float32)
        return Source(pixels, face, visible)

    return make


def turn(yaw_deg: float, pitch_deg: float, roll_deg: float) -> NDArray[np.float64]:
    """The rotation of a head with the signs of `sosie.types.Pose`: 3 x 3, `points @ turn`."""
    yaw, pitch, roll = np.radians([yaw_deg, pitch_deg, roll_deg])
    about_x = [[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]]
    about_y = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    about_z = [[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0], [0, 0, 1]]
    return np.array(about_x) @ np.array(about_y) @ np.array(about_z)


@pytest.fixture(scope="session")
def model_face() -> Callable[..., Face]:
    """A face without a picture: the mean face's landmarks, turned, sized and placed.

    unit_px: pixels a canonical unit; the mean face is about 2.7 units wide and 3.2 high.
    change: canonical displacements, 478 x 3, made before the face is turned.
    """

    def make(
        yaw: float = 0,
        pitch: float = 0,
        roll: float = 0,
        unit_px: float = 60,
        center: tuple[float, float] = (128, 128),
        change: NDArray[np.float64] | float = 0.0,
    ) -> Face:
        points = (face_shape().mean + change) @ turn(yaw, pitch, roll) * unit_px
        place = np.array([*center, 0])
        return make_face((points + place).astype(np.float32), 0.9)

    return make


@pytest.fixture(scope="session")
def crop_for() -> Callable[..., Crop]:
    """What a method sees of a face in a frame: as its card asks, or a window of the frame."""

    def make(
        frame: NDArray[np.generic],
        face: Face,
        card: Card | None = None,
        source: int | None = None,
    ) -> Crop:
        if card is None or card.template is None or card.size_px is None:
            matrix, pixels = np.eye(2, 3), frame
        else:
            matrix = face_matrix(face, card.template, card.size_px)
            pixels = alignment.warp(frame, matrix, card.size_px, card.size_px)
        landmarks = alignment.transform_points(face.landmarks, matrix)
        visible = np.ones(pixels.shape[:2], np.float32)
        return Crop(pixels, matrix, landmarks, landmarks, visible, face, source)

    return make


class ByLook:
    """An analyzer that tells the two portraits apart by what they look like, whatever the
    recognition network may think of them: 1.0 for the same one in any size, 0.15 for the other."""

    def __init__(self, analyzer: Analyzer) -> None:
        self._analyzer = analyzer
        self.identified = 0

    def identify(self, pixels: NDArray[Any], face: Face) -> NDArray[np.float32]:
        self.identified += 1
        if pixels.dtype == np.uint16:
            pixels = (pixels >> 8).astype(np.uint8)
        aligned = alignment.crop(pixels, alignment.align_matrix(face.points5, "arcface", 64), 64)
        gray = aligned.mean(2).astype(np.float32)
        detail = cv2.GaussianBlur(gray, (0, 0), 1.5) - cv2.GaussianBlur(gray, (0, 0), 6)
        small = cv2.resize(detail[14:62, 8:56], (16, 32), interpolation=cv2.INTER_AREA).ravel()
        return small / max(float(np.linalg.norm(small)), 1e-6)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._analyzer, name)


@pytest.fixture
def by_look(monkeypatch: pytest.MonkeyPatch) -> ByLook:
    """Swaps tell people apart as `ByLook` does; the analyzer that they get."""
    analyzer = ByLook(create_analyzer(2))
    monkeypatch.setattr("sosie.pipeline.create_analyzer", lambda *_: analyzer)
    return analyzer


@pytest.fixture(scope="session")
def run_python() -> Callable[[str], str]:
    """Run code in a fresh interpreter that sees this checkout, and return what it prints."""

    def run(code: str) -> str:
        result = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        )
        assert result.returncode == 0, result.stderr
        return result.stdout

    return run


@pytest.fixture
def as_nobody() -> Iterator[None]:
    """Gives up the rights of root, to whom no folder is closed, for the time of a test."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """`other_package(code, entry_points)`: an installed package of one module, `brought`, with
    these entry points: two files."""

    def install(code: str, points: str) -> None:
        folder = tmp_path / "site"
        facts = folder / "brought-1.0.dist-info"
        facts.mkdir(parents=True)
        (folder / "brought.py").write_text(code)
        (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: brought\nVersion: 1.0\n")
        (facts / "entry_points.txt").write_text(points)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, "brought", raising=False)

    return install
