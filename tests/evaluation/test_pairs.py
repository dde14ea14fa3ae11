"""pairs.json: what is read from it, and what is said of one that is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sosie.errors import InputError, OutputError
from sosie.evaluation.pairs import Pair, PairList, read_pairs, write_pairs
from sosie.foreign import is_inside

GOOD = {"id": "0001", "source": "a.png", "target": "b.png"}


def written(folder: Path, entries: Any) -> Path:
    file = folder / "pairs.json"
    file.write_text(entries if isinstance(entries, str) else json.dumps(entries), "utf-8")
    return file


def listed(folder: Path, *entries: Any, **keys: Any) -> PairList:
    return read_pairs(written(folder, {"format": 1, "pairs": list(entries), **keys}))


def test_little_is_needed(tmp_path):
    found = listed(tmp_path, GOOD)
    assert found.pairs == (Pair("0001", ("a.png",), "b.png"),)
    assert (found.name, found.root, found.bad, found.seed) == ("pairs", tmp_path / ".", (), None)
    assert len(found.digest) == 64


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
names = texts.filter(is_inside)
ids = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,9}", fullmatch=True)


@given(
    st.lists(
        st.builds(
            Pair,
            ids,
            st.lists(names, min_size=1, max_size=3).map(tuple),
            names,
            texts,
            texts,
            st.none() | names,
        ),
        min_size=1,
        max_size=4,
        unique_by=lambda pair: pair.id.lower(),
    ),
    st.none() | st.integers(),
)
def test_what_is_written_is_read(tmp_path_factory, pairs, seed):
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "data").mkdir()
    before = PairList("some", folder / "data", tuple(pairs), (), seed, {"a": 1}, {"x.png": "00"})
    file = folder / "lists" / "some.json"
    file.parent.mkdir()
    write_pairs(before, file)
    after = read_pairs(file)
    assert (after.pairs, after.bad, after.seed) == (before.pairs, (), seed)
    assert (after.name, after.protocol, after.sha256) == ("some", {"a": 1}, {"x.png": "00"})
    assert after.root.resolve() == before.root
    assert json.loads(file.read_text("utf-8"))["root"] == "../data"


def test_a_list_is_not_overwritten_unasked(tmp_path):
    before = PairList("some", tmp_path, (Pair("1", ("a",), "b"),))
    write_pairs(before, tmp_path / "p.json")
    with pytest.raises(OutputError):
        write_pairs(before, tmp_path / "p.json")
    write_pairs(before, tmp_path / "p.json", overwrite=True)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ("{", "is not valid JSON"),
        ([GOOD], "it should be a JSON object"),
        ({"pairs": [GOOD]}, "its format is None, and 1 is read"),
        ({"format": 1, "pairs": []}, "a list of at least one"),
        ({"format": 1, "pairs": {}}, "a list of at least one"),
        ({"format": 1, "pairs": [GOOD], "sed": 1}, "the unknown keys sed"),
        ({"format": 1, "pairs": [GOOD], "seed": "1"}, "its seed should be a number"),
        ({"format": 1, "pairs": [GOOD], "root": 1}, "its root should be text"),
        ({"format": 1, "pairs": [GOOD], "sha256": []}, "its sha256 should be a JSON object"),
    ],
)
def test_what_is_no_list(tmp_path, entries, words):
    with pytest.raises(InputError, match=r"\.$") as raised:
        read_pairs(written(tmp_path, entries))
    assert words in str(raised.value)


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="draw one with `sosie eval protocol`"):
        read_pairs(tmp_path / "gone.json")
    with pytest.raises(InputError, match="is a folder and not a file"):
        read_pairs(tmp_path)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("a.png", "it should be a JSON object"),
        ({**GOOD, "id": "2", "target": ""}, "it has no target"),
        ({"id": "2"}, "it has no source and no target"),
        ({**GOOD, "id": "../2"}, "is no name for a file"),
        ({**GOOD, "id": 2}, "is no name for a file"),
        ({**GOOD, "id": "2", "source": [""]}, "a path, or a list of paths"),
        ({**GOOD, "id": "2", "source": {"a": 1}}, "a path, or a list of paths"),
        ({**GOOD, "id": "2", "other_source": 1}, "its other_source should be text"),
        ({**GOOD, "id": "2", "source": "../a.jpg"}, "'../a.jpg' leads out of the root"),
        ({**GOOD, "id": "2", "target": "/etc/a.jpg"}, "leads out of the root"),
        ({**GOOD, "id": "2", "other_source": "a\\..\\b.jpg"}, "leads out of the root"),
        ({**GOOD, "id": "2", "source": ["a.jpg", "C:/b.jpg"]}, "leads out of the root"),
        (GOOD, "its id 0001 is that of entry 1"),
    ],
)
def test_an_entry_that_is_no_pair_is_listed_and_the_others_are_read(tmp_path, entry, words):
    found = listed(tmp_path, GOOD, entry, {**GOOD, "id": "3"})
    assert [pair.id for pair in found.pairs] == ["0001", "3"]
    (bad,) = found.bad
    assert words in bad.reason
    assert bad.reason.startswith("Entry 2 ")
    assert bad.id.endswith(" (entry 2)")


def test_names_that_some_systems_take_for_the_same_are(tmp_path):
    found = listed(tmp_path, {**GOOD, "id": "Ann"}, {**GOOD, "id": "ann"})
    assert [pair.id for pair in found.pairs] == ["Ann"]
    assert "that of entry 1" in found.bad[0].reason
