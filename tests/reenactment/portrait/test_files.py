"""Files of several origins run alike, and a folder that lacks some is told what it has."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from tests.fixtures.portrait import EXPRESSION, KEYPOINTS, YAW_DEG

from sosie.errors import InputError
from sosie.reenactment.portrait.files import PortraitFiles, seen
from sosie.reenactment.portrait.motion import rotation

FORMS = ("circulating", "imported", "bins")
ALSO = ("stitching", "lip", "eye")


@pytest.fixture(scope="module", params=FORMS)
def files(request, portrait_files):
    return PortraitFiles(portrait_files(request.param), threads=1, also=ALSO)


@pytest.fixture(scope="module")
def picture():
    across = np.linspace(40, 200, 512, dtype=np.float32)
    red, green = np.meshgrid(across, across)
    return np.dstack([red, green, np.full_like(red, 90)]).astype(np.uint8)


def test_what_is_read_of_a_face_is_the_same_in_each_form(files, picture):
    face = seen(picture)
    assert (face.shape, face.dtype) == ((1, 3, 256, 256), np.float32)
    told = files.motion(face)
    red, green = face[0, 0].mean(), face[0, 1].mean()
    assert np.allclose(told.expression, EXPRESSION * red, atol=1e-5)
    assert np.allclose(told.rotation, rotation(0, YAW_DEG * green, 0), atol=1e-3)
    assert np.allclose(told.points, KEYPOINTS)
    assert told.scale == 1
    assert np.array_equal(told.shift, [0, 0, 0])


def test_the_driving_points_are_given_as_such(files, picture):
    """In the files that circulate, `source` takes the driving points."""
    volume = files.appearance(seen(picture))
    own = KEYPOINTS
    still = files.painted(volume, own, own)
    assert (still.shape, still.dtype) == ((512, 512, 3), np.float32)
    assert np.abs(still - picture / 255)[8:-8, 8:-8].max() < 0.01
    lighter = files.painted(volume, own + np.float32(0.1), own)
    assert np.allclose((lighter - still)[still < 0.85], 0.1, atol=1e-4)


def test_points_are_stitched_and_retargeted(files):
    driving = KEYPOINTS + np.float32(0.3)
    assert np.allclose(files.stitched(KEYPOINTS, driving) - driving, [0.05, 0.05, 0.02], atol=1e-5)
    assert np.allclose(files.lips(KEYPOINTS, 0.1, 0.4), 0.3, atol=1e-6)
    assert np.allclose(files.eyes(KEYPOINTS, np.float32([0.1, 0.3]), 0.25), 0.05, atol=1e-6)


def test_only_what_is_used_is_told(portrait_files):
    files = PortraitFiles(portrait_files("circulating"), threads=1)
    assert set(files.providers) == {"appearance.onnx", "motion.onnx", "generator.onnx"}
    assert set(files.providers.values()) == {"cpu"}


def test_what_lacks_is_told_with_what_is_there(tmp_path, portrait_files, imported):
    with pytest.raises(InputError, match=r"gone is no folder: name the one that holds"):
        PortraitFiles(tmp_path / "gone")
    with pytest.raises(InputError, match=r"appearance .* and motion .*: it has no \.onnx files"):
        PortraitFiles(tmp_path)
    shutil.copy(portrait_files("circulating") / "motion.onnx", tmp_path / "m.onnx")
    shutil.copy(portrait_files("imported") / "warping.onnx", tmp_path)
    shutil.copy(imported("blendswap")["weights"], tmp_path / "other.onnx")
    (tmp_path / "half.onnx").write_bytes(b"not a network")
    with pytest.raises(InputError) as told:
        PortraitFiles(tmp_path, threads=1, also=ALSO)
    message = str(told.value)
    assert "lacks LivePortrait's appearance feature extractor and SPADE generator and" in message
    assert "it has motion extractor (m.onnx), warping module (warping.onnx)" in message
    assert "other.onnx (takes target, identity, gives result)" in message
    assert "half.onnx cannot be read" in message


def test_a_network_twice_is_not_guessed(tmp_path, portrait_files):
    for name in ("a", "b"):
        shutil.copy(portrait_files("circulating") / "motion.onnx", tmp_path / f"{name}.onnx")
    with pytest.raises(InputError, match=r"two files for .* motion extractor: a\.onnx and b\.onnx"):
        PortraitFiles(tmp_path, threads=1)
