"""What others may have written: names, JSON, archives and arrays."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sosie import foreign
from sosie.errors import InputError


@given(st.text(max_size=30) | st.from_regex(r"([a.]{0,3}[/\\:]){0,4}[a.]{0,3}", fullmatch=True))
def test_a_joined_name_stays_inside(tmp_path_factory, name):
    root = tmp_path_factory.getbasetemp()
    try:
        path = foreign.inside(root, name, "A test")
    except InputError:
        return
    assert path.resolve().is_relative_to(root.resolve())
    assert path.resolve() != root.resolve()


def test_a_root_may_be_a_link_and_nothing_below_it(tmp_path):
    (tmp_path / "real" / "inner").mkdir(parents=True)
    (tmp_path / "root").symlink_to(tmp_path / "real")
    assert foreign.inside(tmp_path / "root", "inner/new.png", "A test").parent.is_dir()
    (tmp_path / "real" / "link").symlink_to(tmp_path / "real" / "inner")
    for name in ("link", "link/new.png"):
        with pytest.raises(InputError, match="symbolic link"):
            foreign.inside(tmp_path / "root", name, "A test")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
FORMS = (
    str, int, float, bool, dict, list, None, [int], {str: (float, None)}, [{"a": str, "b?": [int]}],
    {"a": foreign.folder_name}, ([str], {"x": object}),
)  # fmt: skip


@given(json_values, st.sampled_from(FORMS))
def test_a_check_says_what_is_wrong_and_nothing_else(value, form):
    try:
        foreign.check(value, form)
    except ValueError as error:
        assert 5 < len(str(error)) < 400


def test_forms():
    form = {"a": [int], "b?": (str, None), "c?": {str: float}}
    foreign.check({"a": [1], "more": {}}, form)
    foreign.check({"a": [], "b": None, "c": {"x": 1, "y": 0.5}}, form)
    for value, words in (
        ([], "it should be a JSON object"),
        ({}, "it has no a"),
        ({"a": [1, True]}, r"a\[1\] should be a whole number, not True"),
        ({"a": [10**30]}, "whole number"),
        ({"a": [], "b": 5}, "b should be null, not 5"),
        ({"a": [], "c": {"x": "1"}}, r"c\.x should be a number"),
        ({"a": [], "c": {"x": 10**400}}, r"c\.x should be a number"),
    ):
        with pytest.raises(ValueError, match=words):
            foreign.check(value, form)


def saved(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def test_arrays_are_read_as_they_were():
    before = {"a": np.arange(6.0).reshape(2, 3), "b": np.array(["x", "yz"]), "c": np.array(5),
              "d": np.asfortranarray(np.eye(3)), "e": np.zeros((0, 4), np.uint8)}  # fmt: skip
    after = foreign.parse_arrays(saved(**before))
    assert list(after) == list(before)
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values)
        assert after[name].dtype == values.dtype


def with_head(head: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        size = len(head).to_bytes(2, "little")
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + size + head)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"", b"PK", saved(a=np.array([{}])), saved(a=np.zeros(3))[:-40],
        with_head(b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }\n"),
        with_head(b"{'descr': '<U0', 'fortran_order': False, 'shape': (1000000000000,), }\n"),
        with_head(b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }\n"),
        with_head(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n"),
        with_head(b"(" * 9000),
    ],
)  # fmt: skip
def test_arrays_that_are_none_take_no_memory_and_run_nothing(content):
    with pytest.raises(ValueError, match="no saved arrays"):
        foreign.parse_arrays(content)


def test_members_are_bounded(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(100 << 20))
        archive.writestr("large", np.random.default_rng(0).bytes(3000))
        archive.writestr("fine", bytes(3000))
    with foreign.open_zip(path) as archive:
        assert foreign.read_member(archive, "fine") == bytes(3000)
        for name, words in (("bomb", "too much"), ("large", "too much"), ("none", "holds no none")):
            with pytest.raises(InputError, match=words):
                foreign.read_member(archive, name, 2000 if name == "large" else 1 << 30)
    content = bytearray(path.read_bytes())
    content[content.index(b"large") + 100] ^= 255
    path.write_bytes(content)
    with foreign.open_zip(path) as archive, pytest.raises(InputError, match="damaged"):
        foreign.read_member(archive, "large")
