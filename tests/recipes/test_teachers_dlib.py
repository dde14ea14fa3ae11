"""dlib's descriptor in torch gives dlib's own numbers."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the training packages", exc_type=ImportError)

from sosie.errors import InputError, UnavailableError  # noqa: E402
from sosie.geometry.alignment import TEMPLATES, transform_points  # noqa: E402
from sosie.recipes.teachers_dlib import CHIP_PX, DlibModule, chip_matrix, find_dlib_file  # noqa: E402


def number(value: int) -> bytes:
    length = max(1, (value.bit_length() + 7) // 8)
    return bytes([length]) + value.to_bytes(length, "little")


def tensor(values: np.ndarray) -> bytes:
    sizes = [2, values.size, 1, 1, 1]
    return b"".join(map(number, sizes)) + values.astype("<f4").tobytes()


def dlib_file(tmp_path):
    """A file laid out as dlib's: the right layers with small random weights."""
    rng, content = np.random.default_rng(0), b"\x01\x01loss_metric_2"
    channels = [32] * 7 + [64] * 8 + [128] * 6 + [256] * 8
    before, kernel = 3, 7
    for count in channels:
        weights = rng.normal(0, (1.4 / (before * kernel**2)) ** 0.5, count * before * kernel**2)
        content += b"\x05con_4" + tensor(np.append(weights, rng.normal(0, 0.1, count)))
        factors = np.append(rng.uniform(0.9, 1.1, count), rng.normal(0, 0.1, count))
        content += b"\x07affine_" + tensor(factors)
        before, kernel = count, 3
    content += b"\x04fc_2" + number(128) + number(256) + tensor(rng.normal(0, 0.05, 256 * 128))
    file = tmp_path / "small.dat"
    file.write_bytes(content)
    return file


def test_a_file_of_that_layout_is_read(tmp_path):
    chips = torch.full((2, 3, CHIP_PX, CHIP_PX), 120.0)
    chips[1, :, :75] = 10
    found = DlibModule(dlib_file(tmp_path))(chips)
    assert found.shape == (2, 128)
    assert torch.isfinite(found).all()
    assert not torch.allclose(found[0], found[1])


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_truncated_file_is_refused(tmp_path, share):
    file = dlib_file(tmp_path)
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"small\.dat is not dlib's face descriptor"):
        DlibModule(file)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.dat cannot be read"):
        DlibModule(tmp_path / "absent.dat")


def test_an_absent_package_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match="pip install face_recognition_models"):
        find_dlib_file()


def test_a_chip_is_upright_and_holds_the_face():
    points = transform_points(TEMPLATES["arcface"] * 112, chip_matrix())
    eyes, mouth = points[:2], points[3:]
    assert abs(eyes[0, 1] - eyes[1, 1]) < 1
    assert eyes[0, 0] < CHIP_PX / 2 < eyes[1, 0]
    assert 35 < eyes[:, 1].mean() < 60
    assert 90 < mouth[:, 1].mean() < 120


def test_its_numbers_are_dlibs_own():
    dlib = pytest.importorskip("dlib", reason="needs dlib-bin")
    try:
        file = find_dlib_file()
    except UnavailableError as error:
        pytest.skip(str(error))
    chips = np.random.default_rng(0).integers(0, 256, (2, CHIP_PX, CHIP_PX, 3), np.uint8)
    own = dlib.face_recognition_model_v1(str(file))
    expected = np.array([np.array(own.compute_face_descriptor(chip)) for chip in chips])
    with torch.no_grad():
        found = DlibModule(file)(torch.from_numpy(chips).permute(0, 3, 1, 2).float())
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)
