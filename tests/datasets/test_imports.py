"""What other tools' files say is read as data, whatever stands in them."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sosie.datasets import hints
from sosie.datasets.imports import containers, pickled
from sosie.errors import InputError
from sosie.geometry import mesh

POINTS = np.random.default_rng(0).uniform(0, 255, (68, 2))
ARRAYS = [
    POINTS,
    POINTS.astype(np.float32),
    POINTS.astype(">f8"),
    np.asfortranarray(POINTS),
    POINTS.astype(np.int16),
    POINTS.tolist(),
    tuple(map(tuple, POINTS.tolist())),
    list(POINTS),
]


def read(content: bytes, key: str = "landmarks") -> Any:
    return pickled.entry(pickled.parse(content, "a.jpg", "do it anew"), key)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("number", range(len(ARRAYS)))
def test_arrays_come_out_as_they_were_in_every_protocol(number: int, protocol: int) -> None:
    content = pickle.dumps({"landmarks": ARRAYS[number]}, protocol)
    found = pickled.numbers(read(content), (68, 2))
    assert found is not None
    assert np.array_equal(found, np.asarray(ARRAYS[number], np.float64))


@pytest.mark.parametrize(
    "value",
    [
        None,
        3,
        "68",
        POINTS[:67],
        POINTS.T,
        POINTS.astype(object),
        POINTS.astype(complex),
        np.full((68, 2), np.inf),
        [[1.0, "2"]] * 68,
        [[True, False]] * 68,
        [[10**400, 1]] * 68,
        {"a": POINTS},
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_are_no_landmarks_are_none(value: Any) -> None:
    assert pickled.numbers(read(pickle.dumps({"landmarks": value})), (68, 2)) is None


def test_the_last_of_equal_keys_counts_and_texts_can_be_written() -> None:
    content = (
        b"\x80\x02}(X\x01\x00\x00\x00aX\x01\x00\x00\x00xX\x01\x00\x00\x00aX\x01\x00\x00\x00yu."
    )
    assert pickle.loads(content) == {"a": "y"}
    assert read(content, "a") == "y"
    assert pickled.text(read(pickle.dumps({"a": "f.png"}), "a")) == "f.png"
    assert pickled.text("a\ud800b").encode() == b"a?b"
    assert pickled.text("x" * 1000 + "f.png") == "x" * 250 + "f.png"
    assert pickled.text(3) == ""


def test_ordered_dictionaries_are_dictionaries_too() -> None:
    assert read(pickle.dumps(OrderedDict(landmarks=5))) == 5


@given(st.data())
def test_a_damaged_pickle_gives_a_value_or_an_input_error(data: Any) -> None:
    protocol = data.draw(st.integers(0, 5))
    content = bytearray(pickle.dumps({"landmarks": POINTS[:4], "a": [1.5, "x", None]}, protocol))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(1, len(content))) :]
    try:
        value = pickled.parse(bytes(content), "a.jpg", "do it anew")
    except InputError as error:
        assert str(error).startswith("a.jpg ")
    else:
        pickled.numbers(pickled.entry(value, "landmarks"), (4, 2))
        pickled.text(pickled.entry(value, "a"))


@given(st.binary(max_size=300))
def test_segments_and_chunks_of_anything_end(content: bytes) -> None:
    for start, read_parts in (
        (b"\xff\xd8", containers.jpeg_segments),
        (containers.PNG, containers.png_chunks),
    ):
        parts = list(read_parts(start + content))
        assert sum(len(data) for _, data in parts) <= len(content)


@pytest.mark.parametrize("pose", [(0, 0, 0), (35, 0, 0), (-60, 10, 0), (0, 0, 150)])
def test_a_face_is_looked_for_where_its_points_say(model_face, pose) -> None:
    face = model_face(*pose, unit_px=40, center=(120, 130))
    points = face.landmarks[list(mesh.ANNOTATED), :2].astype(np.float64)
    region = hints.region_of(points)
    low, high = face.landmarks[:, :2].min(0), face.landmarks[:, :2].max(0)
    middle, size = (low + high) / 2, (high - low).max()
    assert np.linalg.norm(np.array([region.x, region.y]) - middle) < 0.2 * size
    assert 0.75 < region.size_px / size < 1.35
    assert hints.agrees(face, points)
    assert not hints.agrees(face, points + 0.6 * size)
