"""Several photos after one `-s`, and times as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sosie.app.cli.arguments import parse_time, spread_sources
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
        ("swap -s a --start 5 -t f", "swap -s a --start 5 -t f"),
        ("inspect -s a b", "inspect -s a b"),
        ("", ""),
    ],
)
def test_the_flag_is_repeated_before_each_source(given, expected):
    assert spread_sources(given.split()) == expected.split()


@given(st.lists(st.text(min_size=1).filter(lambda s: s[0] != "-"), min_size=1))
def test_no_name_is_lost_or_changed(names):
    spread = spread_sources(["swap", "-s", *names, "-t", "film.mp4"])
    assert spread[2:-2:2] == names
    assert spread[1:-2:2] == ["-s"] * len(names)


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
