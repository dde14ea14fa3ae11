"""What a shell offers after a flag: the values that the command takes."""

from __future__ import annotations

import pytest

from sosie.app.cli.entry import main
from sosie.media.deliveries import PRESET_NAMES
from sosie.methods import TABLE
from sosie.options import BLENDS, COLORS


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("swap --method ", list(TABLE)),
        ("swap -s a.jpg b.jpg -t c.mp4 --blend ", list(BLENDS)),
        ("swap --color ", list(COLORS)),
        ("swap --preset ver", ["veryfast", "veryslow"]),
        ("swap --preset ", list(PRESET_NAMES)),
        ("swap --codec libx26", ["libx264", "libx264rgb", "libx265"]),
        ("swap --provider cp", ["cpu"]),
        ("swap --interface inswapper_1", ["inswapper_128"]),
        ("swap --processor sh", ["sharpen"]),
        ("swap --faces ", ["largest", "all"]),
        ("eval run -m pas", ["paste"]),
        ("train sim", ["simswap"]),
        ("weights verify iden", ["identity"]),
        ("eval analysis --only co", ["cost"]),
    ],
)
def test_values_are_offered(capsys, monkeypatch, line, offered):
    words = f"sosie {line}"
    monkeypatch.setenv("_SOSIE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    with pytest.raises(SystemExit):
        main([])
    assert capsys.readouterr().out.split() == offered
