"""Arrays on disk are whole or absent."""

from __future__ import annotations

import numpy as np
import pytest

from sosie.datasets.array_files import in_processes, new_bytes, open_cache, save_arrays


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


def write_part(file, first, count):
    """A part of `count` rows; one without rows does not know their shape."""
    rows = np.arange(first, first + count)
    pictures = np.stack([np.full((2, 3), row, np.uint8) for row in rows]) if count else np.array([])
    save_arrays(
        file,
        {
            "pictures": pictures,
            "names": np.array([f"n{row}" for row in rows]),
            "left_out": np.array(first),
            "axes": np.array(["x", "y"]),
        },
    )


def doubled(number):
    return 2 * number


@pytest.mark.parametrize("workers", [0, 2])
def test_jobs_are_done_wherever_they_are(workers):
    found = dict(in_processes(doubled, [(3,), (4,), (5,)], workers))
    assert found == {0: 6, 1: 8, 2: 10}


def test_parts_that_are_there_are_kept_and_all_become_one(tmp_path):
    def opened(first=write_part):
        return open_cache(
            tmp_path,
            "table.npz",
            ("pictures",),
            first,
            lambda: [((0, 2), 2), ((2, 0), 0), ((2, 3), 3)],
            workers=0,
            common=("axes",),
            finish=lambda columns: {**columns, "rows": np.arange(len(columns["names"]))},
        )

    def stopped(file, first, count):
        if first:
            raise KeyboardInterrupt
        write_part(file, first, count)

    def others(file, first, count):
        assert first, "the first part was there"
        write_part(file, first, count)

    with pytest.raises(KeyboardInterrupt):
        opened(stopped)
    opened(others)
    found = opened(lambda *_: pytest.fail("made again"))
    assert found["names"].tolist() == ["n0", "n1", "n2", "n3", "n4"]
    assert found["rows"].tolist() == [0, 1, 2, 3, 4]
    assert found["axes"].tolist() == ["x", "y"]
    assert int(found["left_out"]) == 4
    assert found["pictures"][:, 1, 2].tolist() == [0, 1, 2, 3, 4]
    assert listed(tmp_path) == ["pictures.npy", "table.npz"]


def test_parts_without_any_rows_become_an_empty_cache(tmp_path):
    parts = [((0, 0), 0)]
    found = open_cache(tmp_path, "t.npz", ("pictures",), write_part, lambda: parts, workers=0)
    assert len(found["names"]) == len(found["pictures"]) == 0
