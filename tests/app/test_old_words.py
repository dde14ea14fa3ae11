"""Words that the command line and the library once had answer with the ones that took their
place."""

from __future__ import annotations

import pytest

from sosie.errors import UsageError
from sosie.options import SwapOptions


@pytest.mark.parametrize(
    ("words", "old", "new"),
    [
        (("swap", "--colour", "match", "-s", "a", "-t", "b", "-o", "c"), "--colour", "--color"),
        (("swap", "--colour=match", "-s", "a", "-t", "b", "-o", "c"), "--colour", "--color"),
        (("bench", "--film-s", "1"), "--film-s", "--video-s"),
        (("eval", "protocol", "--films", "folder"), "--films", "--videos"),
        (("eval", "film", "a.mp4", "b.mp4"), "sosie eval film", "sosie eval video"),
    ],
)
def test_an_old_word_names_the_new_one(sosie, words, old, new):
    result = sosie(*words)
    assert result.code == UsageError.exit_code
    assert old in result.err
    assert f"{new}` now" in result.err or f"{new} now" in result.err


def test_an_old_option_of_the_library_names_the_new_one():
    with pytest.raises(UsageError, match="'colour' is called 'color' now"):
        SwapOptions.from_dict({"colour": "match"})
