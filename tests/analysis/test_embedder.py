"""What the recognizer makes of its network's answers."""

from __future__ import annotations

import numpy as np
import pytest

from sosie.analysis.embedder import NUMBERS, SIDE_PX, Embedder
from sosie.errors import InputError


class ColumnsSession:
    """A network whose numbers are the brightness of columns, so that left and right differ."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, inputs):
        pixels = inputs["pixels"]
        assert pixels.dtype == np.uint8
        self.batches.append(len(pixels))
        columns = pixels.mean((1, 3)).astype(np.float32)
        numbers = np.zeros((len(pixels), NUMBERS), np.float32)
        numbers[:, :SIDE_PX] = columns
        return {"identity": numbers / np.linalg.norm(numbers, axis=1, keepdims=True)}


def faces(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, SIDE_PX, SIDE_PX, 3), np.uint8)


def test_numbers_have_unit_length():
    numbers = Embedder(ColumnsSession()).embed(faces(3))
    assert numbers.shape == (3, NUMBERS)
    assert numbers.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(numbers, axis=1), 1, atol=1e-5)


def test_a_face_and_its_mirror_image_are_the_same_person():
    pictures = faces(2)
    embedder = Embedder(ColumnsSession())
    plain = embedder.embed(pictures)
    np.testing.assert_allclose(embedder.embed(pictures[:, :, ::-1]), plain, atol=1e-6)
    assert np.abs(plain[0] - plain[1]).max() > 1e-3


def test_all_faces_go_through_the_network_at_once():
    session = ColumnsSession()
    Embedder(session).embed(faces(5))
    assert session.batches == [10]


def test_no_faces_give_no_numbers():
    session = ColumnsSession()
    assert Embedder(session).embed(faces(0)).shape == (0, NUMBERS)
    assert session.batches == []


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((1, 128, 128, 3), np.uint8),
        np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8),
        np.zeros((1, SIDE_PX, SIDE_PX, 3), np.float32),
    ],
)
def test_other_pictures_are_refused_with_what_to_do(wrong):
    with pytest.raises(InputError, match="cut them by the template 'arcface'"):
        Embedder(ColumnsSession()).embed(wrong)
