"""Several photos after one `-s`, maps of people, and times as people write them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sosie.app.cli.arguments import parse_map, parse_time, spread_values
from sosie.errors import UsageError


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("swap -s a.jpg -t f.mp4", "swap -s a.jpg -t f.mp4"),
        ("swap -s a.jpg b.jpg -t f.mp4", "swap -s a.jpg -s b.jpg -t f.mp4"),
        ("swap -t f.mp4 --source a b c", "swap -t f.mp4 --source a --source b --source c"),
        ("swap -s a b -s c d -o o", "swap -s a -s b -s c -s d -o o"),
        ("swap --source=a b -t f", "swap --source=a --source b -t f"),
        ("swap -sa b -t f", "swap -sa --source b -t f"),
        ("swap -s a --json b", "swap -s a --json b"),
        ("swap -s a -- b", "swap -s a -- b"),
        ("swap -s -a.jpg ./-b.jpg -t f", "swap -s -a.jpg -s ./-b.jpg -t f"),
        ("swap -s -s -t f", "swap -s -s -t f"),
        ("swap --start 5 6", "swap --start 5 6"),
        ("swap -t a b -s c -o o", "swap -t a -t b -s c -o o"),
        ("swap -s a b --target=c d -o o", "swap -s a -s b --target=c --target d -o o"),
        ("swap -s a -t=b c", "swap -s a -t=b --target c"),
        ("swap -s a --start 5 -t f", "swap -s a --start 5 -t f"),
        ("swap --map p=a,b --map q=c -t f", "swap --map p=a,b --map q=c -t f"),
        ("swap -s a b --reference p -t f", "swap -s a -s b --reference p -t f"),
        ("inspect -s a b", "inspect -s a b"),
        ("", ""),
    ],
)
def test_the_flag_is_repeated_before_each_source(given, expected):
    assert spread_values(given.split()) == expected.split()


@given(st.lists(st.text(min_size=1).filter(lambda s: s[0] != "-"), min_size=1))
def test_no_name_is_lost_or_changed(names):
    spread = spread_values(["swap", "-s", *names, "-t", "video.mp4"])
    assert spread[2:-2:2] == names
    assert spread[1:-2:2] == ["-s"] * len(names)


@pytest.mark.parametrize(
    ("text", "reference", "sources"),
    [
        ("anna.jpg=me.jpg", "anna.jpg", ["me.jpg"]),
        ("a/anna.jpg=b/me1.jpg,../me2.jpg", "a/anna.jpg", ["b/me1.jpg", "../me2.jpg"]),
        ("anna.jpg = me1.jpg, me 2.jpg", "anna.jpg", ["me1.jpg", "me 2.jpg"]),
        ("anna.jpg=me=1.jpg", "anna.jpg", ["me=1.jpg"]),
        (r"an\=na.jpg=me\,1.jpg,2.jpg", "an=na.jpg", ["me,1.jpg", "2.jpg"]),
        (r"c:\me\anna.jpg=d:\you.jpg", r"c:\me\anna.jpg", [r"d:\you.jpg"]),
        (r"a\\=b.jpg", "a\\", ["b.jpg"]),
    ],
)
def test_a_map_is_a_reference_and_its_sources(text, reference, sources):
    assert parse_map(text) == (Path(reference), [Path(source) for source in sources])


@given(st.lists(st.text(st.characters(exclude_characters="\0"), min_size=1), min_size=2))
def test_any_name_can_stand_in_a_map(names):
    escaped = [re.sub(r"(\\*)([=, ]|$)", _escape, name) for name in names]
    person, sources = parse_map(f"{escaped[0]}={','.join(escaped[1:])}")
    assert (person, sources) == (Path(names[0]), [Path(name) for name in names[1:]])


def _escape(match: re.Match[str]) -> str:
    return match[1] * 2 + (f"\\{match[2]}" if match[2] else "")


@pytest.mark.parametrize("text", ["", "=", "a.jpg", "a.jpg=", "=b.jpg", "a=b,", "a=,b", "a=b,,c"])
def test_what_maps_nobody_is_refused_with_examples(text):
    with pytest.raises(UsageError, match=r"maps no person.*person\.jpg=a\.jpg,b\.jpg") as caught:
        parse_map(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90.0),
        ("90.5", 90.5),
        (".5", 0.5),
        ("1:30", 90.0),
        ("1:02:03.25", 3723.25),
        ("00:01:30.5", 90.5),
        ("100:00:00", 360000.0),
        (" 7 ", 7.0),
    ],
)
def test_times(text, seconds):
    assert parse_time(text) == seconds


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59))
def test_a_timecode_is_its_parts(hours, minutes, seconds):
    assert parse_time(f"{hours}:{minutes:02}:{seconds:02}") == hours * 3600 + minutes * 60 + seconds


@pytest.mark.parametrize(
    "text", ["", "soon", "1:60", "1:60:00", "-5", "1:2:3:4", "5s", "nan", "1,5"]
)
def test_what_is_no_time_is_refused_with_examples(text):
    with pytest.raises(UsageError, match=r"is no time; give seconds such as 90\.5"):
        parse_time(text)
