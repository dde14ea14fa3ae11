"""What was computed before is found by its exact inputs, and by nothing else."""

from __future__ import annotations

from threading import Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sosie.evaluation import cache as module
from sosie.evaluation.cache import Cache, key_of, pack_vectors, unpack_vectors


def equal(one, other) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


@pytest.mark.parametrize("on_disk", [False, True])
def test_what_is_put_is_got(tmp_path, on_disk):
    cache = Cache(tmp_path / "cache" if on_disk else None)
    arrays = {"a:b": np.arange(6.0).reshape(2, 3), "c": np.array(1)}
    assert cache.get("faces", "k" * 8) is None
    cache.put("faces", "k" * 8, arrays)
    assert equal(cache.get("faces", "k" * 8), arrays)
    assert cache.get("scores", "k" * 8) is None
    later = Cache(tmp_path / "cache").get("faces", "k" * 8)
    assert equal(later, arrays) if on_disk else later is None


def test_a_damaged_file_is_computed_anew(tmp_path):
    Cache(tmp_path).put("faces", "key", {"a": np.arange(3)})
    (file,) = tmp_path.rglob("*.npz")
    for content in (b"", b"PK", file.read_bytes()[:60]):
        file.write_bytes(content)
        assert Cache(tmp_path).get("faces", "key") is None


def test_a_folder_that_cannot_be_written_to_is_done_without(tmp_path):
    (tmp_path / "file").touch()
    cache = Cache(tmp_path / "file")
    cache.put("faces", "key", {"a": np.arange(3)})
    assert cache.get("faces", "key") is not None


def test_memory_is_bounded_and_threads_may_share_it(monkeypatch):
    monkeypatch.setattr(module, "_IN_MEMORY", 4)
    cache = Cache()

    def use(start: int) -> None:
        for number in range(200):
            cache.put("faces", str(number), {"a": np.array(number)})
            found = cache.get("faces", str((number + start) % 7))
            assert found is None or found["a"] < 200

    threads = [Thread(target=use, args=(start,)) for start in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cache._recent) == 4


parts = st.one_of(st.integers(), st.text(max_size=3), st.none(), st.tuples(st.integers()))


@given(st.lists(parts, max_size=3), st.lists(parts, max_size=3))
def test_keys_are_equal_where_everything_is(one, other):
    same = list(map(repr, one)) == list(map(repr, other))
    assert (key_of(*one) == key_of(*other)) == same


def test_keys_of_arrays_follow_values_shape_and_type():
    array = np.arange(6, dtype=np.uint8)
    keys = {
        key_of(array),
        key_of(array.reshape(2, 3)),
        key_of(array.astype(np.int16)),
        key_of(array + 1),
        key_of(array[::-1]),
    }
    assert len(keys) == 5
    assert key_of(array.reshape(2, 3)[:, ::-1]) == key_of(array.reshape(2, 3)[:, ::-1].copy())


def test_vectors_are_told_from_other_arrays():
    vectors = {"result.a": np.arange(3), "vector:": np.arange(2)}
    assert equal(unpack_vectors({"text": np.zeros(1), **pack_vectors(vectors)}), vectors)
