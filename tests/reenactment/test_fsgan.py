"""A photo moved by FSGAN: what its networks are asked, and where their picture is laid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sosie.analysis.analyzer import create_analyzer
from sosie.errors import InputError, UsageError
from sosie.geometry.face_types import box_matrix
from sosie.reenactment import fsgan
from sosie.reenactment.base import DrivingFrame
from sosie.reenactment.mesh import MeshReenactor
from sosie.reenactment.options import ReenactOptions
from sosie.swapping.face import source_of

SIZE = 64


class Known:
    """Networks that paint a green face in the middle of a black crop."""

    size_px = SIZE

    def __init__(self) -> None:
        self.points: list[np.ndarray] = []
        self.sessions: dict[str, Any] = {}

    def reenact(self, views: Any, points: np.ndarray) -> list[np.ndarray]:
        self.points.append(points)
        painted = np.full((3, SIZE, SIZE), -1, np.float32)
        painted[1, 16:48, 16:48] = 1
        return [painted for _ in views]

    def face(self, picture: np.ndarray) -> np.ndarray:
        return picture[1] > 0


@pytest.fixture
def known(monkeypatch) -> Known:
    networks = Known()
    monkeypatch.setattr(fsgan, "Networks", lambda *_: networks)
    return networks


@pytest.fixture(scope="module")
def frames(hopper, astronaut):
    analyzer = create_analyzer(threads=1)
    photo = source_of(hopper, analyzer.analyze(hopper)[0], analyzer)
    return photo, DrivingFrame(astronaut, analyzer.analyze(astronaut)[0])


@pytest.mark.parametrize("deep", [False, True], ids=["8 bits", "16 bits"])
def test_the_painted_face_lies_where_geometry_moves_it(known, frames, deep, source_of):
    photo, driver = frames
    pixels = photo.pixels.astype(np.uint16) * 257 if deep else photo.pixels
    photo = source_of(pixels, photo.face, photo.visible)
    options = ReenactOptions(method="fsgan", weights="folder", motion="absolute")
    made = fsgan.FsganReenactor(options)
    moved = made.move(made.start(photo, driver), driver)
    assert (moved.shape, moved.dtype) == (pixels.shape, pixels.dtype)
    mesh = MeshReenactor(ReenactOptions(motion="absolute"))
    under, there = mesh.moved(mesh.start(photo, driver), driver)
    # The networks are shown the landmarks in the crop about where the face goes.
    (points,) = known.points
    assert points.shape == (98, 2)
    assert 0 < points.min() < points.max() < SIZE
    x, y = there.points[:, :2].min(0) / 2 + there.points[:, :2].max(0) / 2
    unit = 257 if deep else 1
    middle = moved[int(y) - 4 : int(y) + 4, int(x) - 4 : int(x) + 4].astype(int) // unit
    assert np.abs(middle - [0, 255, 0]).max() <= 2
    # And what is not painted is as geometry makes it.
    scale = box_matrix(there.points, SIZE)[0, 0]
    beyond = np.ones(moved.shape[:2], bool)
    reach = int(26 / scale)
    beyond[max(0, int(y) - reach) : int(y) + reach, max(0, int(x) - reach) : int(x) + reach] = False
    np.testing.assert_array_equal(moved[beyond], under[beyond])


def test_what_it_needs(tmp_path):
    with pytest.raises(UsageError, match="add --weights FOLDER"):
        fsgan.FsganReenactor(ReenactOptions(method="fsgan"))
    with pytest.raises(UsageError, match="leave --retarget out"):
        fsgan.FsganReenactor(ReenactOptions(method="fsgan", weights="a", retarget="eyes"))
    with pytest.raises(InputError, match=r"There is no fsgan_reenactment\.onnx"):
        fsgan.FsganReenactor(ReenactOptions(method="fsgan", weights=str(tmp_path)))
    with pytest.raises(InputError, match="is no folder"):
        fsgan.FsganReenactor(ReenactOptions(method="fsgan", weights=str(tmp_path / "none")))
