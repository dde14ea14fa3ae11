"""Files of Keras as arrays, and what is refused of them."""

from __future__ import annotations

import numpy as np
import pytest
from tests.fixtures.hdf5 import write_hdf5

pytest.importorskip("torch", exc_type=ImportError)

from sosie.errors import InputError
from sosie.training.checkpoint_file import read_checkpoint

RNG = np.random.default_rng(0)
KERNEL, BIAS = RNG.random((3, 3, 2, 4), np.float32), RNG.random(4, np.float32)
TREE = {"model_weights": {"conv2d": {"conv2d": {"kernel:0": KERNEL, "bias:0": BIAS}}}}


@pytest.fixture
def file(tmp_path):
    write_hdf5(tmp_path / "model.h5", TREE)
    return tmp_path / "model.h5"


def test_arrays_are_read_by_their_paths(file):
    found = read_checkpoint(file)[""]
    assert set(found) == {f"model_weights/conv2d/conv2d/{n}:0" for n in ("kernel", "bias")}
    assert np.array_equal(found["model_weights/conv2d/conv2d/kernel:0"], KERNEL)
    assert np.array_equal(found["model_weights/conv2d/conv2d/bias:0"], BIAS)


def test_a_file_that_is_cut_short_is_damaged(file):
    whole = file.read_bytes()
    for length in range(8, len(whole), 37):
        file.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"model.h5.*: (get it again|load it with Keras)"):
            read_checkpoint(file)


def test_changed_bytes_give_arrays_or_a_sentence(file):
    whole = file.read_bytes()
    for place in range(8, len(whole)):
        changed = bytearray(whole)
        changed[place] ^= int(RNG.integers(1, 256))
        file.write_bytes(bytes(changed))
        try:
            read_checkpoint(file)
        except InputError as error:
            assert "model.h5" in str(error)


def test_arrays_that_lie_over_one_another_are_refused(tmp_path):
    """A small file could else fill the memory."""
    large = np.zeros(200_000, np.float32)
    write_hdf5(tmp_path / "bomb.h5", {f"array{number}": large for number in range(40)})
    with pytest.raises(InputError, match="lie over one another"):
        read_checkpoint(tmp_path / "bomb.h5")


def test_a_newer_form_is_told_as_such(file):
    content = bytearray(file.read_bytes())
    content[8] = 2
    file.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"newer form\): load it with Keras 2 and save"):
        read_checkpoint(file)


def test_a_group_within_itself_ends(file):
    content = file.read_bytes()
    inner = content.index(b"SNOD")
    # The first symbol's object becomes the node's own place: no header of an object.
    changed = bytearray(content)
    changed[inner + 16 : inner + 24] = content[64:72]
    file.write_bytes(bytes(changed))
    with pytest.raises(InputError, match=r"get it again|newer form"):
        read_checkpoint(file)
