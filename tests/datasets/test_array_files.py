"""Arrays on disk are whole or absent."""

from __future__ import annotations

import numpy as np
import pytest

from sosie.datasets.array_files import new_bytes, save_arrays


def listed(folder):
    return sorted(path.name for path in folder.iterdir())


def test_arrays_are_read_as_they_were_written(tmp_path):
    arrays = {
        "numbers": np.arange(6, dtype=np.float32).reshape(2, 3),
        "names": np.array(["a", "été"]),
        "none": np.zeros((0, 4), np.uint8),
    }
    file = tmp_path / "new" / "folder" / "some.npz"
    for _ in range(2):
        save_arrays(file, arrays)
        with np.load(file, allow_pickle=False) as kept:
            assert set(kept.files) == set(arrays)
            for name, values in arrays.items():
                assert kept[name].dtype == values.dtype
                assert np.array_equal(kept[name], values)
    assert listed(file.parent) == ["some.npz"]


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    file = tmp_path / "some.npz"
    save_arrays(file, {"x": np.ones(3)})

    def fail(opened, **arrays):
        opened.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez", fail)
    with pytest.raises(OSError, match="disk full"):
        save_arrays(file, {"x": np.zeros(3)})
    with np.load(file) as kept:
        assert kept["x"].tolist() == [1, 1, 1]


def test_mapped_bytes_appear_when_they_are_filled(tmp_path):
    file = tmp_path / "pixels.npy"
    with new_bytes(file, (3, 2)) as pixels:
        assert pixels.dtype == np.uint8
        for row in range(3):
            pixels[row] = row
        assert not file.exists()
    assert np.load(file, mmap_mode="r").tolist() == [[0, 0], [1, 1], [2, 2]]
    assert listed(tmp_path) == ["pixels.npy"]


def test_mapped_bytes_do_not_appear_half_filled(tmp_path):
    file = tmp_path / "pixels.npy"
    with pytest.raises(KeyboardInterrupt), new_bytes(file, (3,)) as pixels:
        pixels[0] = 1
        raise KeyboardInterrupt
    assert not file.exists()
