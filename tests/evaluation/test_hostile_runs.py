"""Folders of runs as others may have made them."""

from __future__ import annotations

import json

import pytest

from sosie.errors import InputError
from sosie.evaluation.results import PICTURES, RESULTS, TRAITS, RunFolder
from sosie.evaluation.video_record import read_video_record

CONFIG = {
    "method": "graft", "swap": {}, "pairs": {"sha256": "a"}, "score": {}, "weights": {},
    "versions": {},
}  # fmt: skip
FRAME = {"frame": 0, "time_s": 0.0, "track": 1, "judged": True, "flicker": 0.5}
MOMENT = {"why": "evenly", "track": 1, "frame": 0, "time_s": 0.0, "value": None, "file": "a.jpg"}


@pytest.fixture
def mine(tmp_path):
    """A user's folder with a file."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "0.png").write_bytes(b"mine")
    return tmp_path / "mine"


@pytest.mark.parametrize("name", [RESULTS, TRAITS, PICTURES, "report.html"])
def test_a_run_is_not_written_through_a_link(tmp_path, mine, name):
    folder = tmp_path / "run"
    RunFolder(folder).begin(CONFIG, overwrite=False)
    if (folder / name).is_dir():
        (folder / name).rmdir()
    (folder / name).symlink_to(mine)
    with pytest.raises(InputError, match="symbolic link"):
        RunFolder(folder).begin(CONFIG, overwrite=False)
    RunFolder(folder).begin(CONFIG, overwrite=True)
    assert not (folder / name).is_symlink()
    assert (mine / "0.png").read_bytes() == b"mine"


def test_what_a_run_calls_a_pair_is_no_path(tmp_path, mine):
    folder = tmp_path / "run"
    RunFolder(folder).begin(CONFIG, overwrite=False)
    line = {"pair": "../../mine/0", "method": "graft"}
    (folder / "results.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(InputError, match="no name of a file within"):
        RunFolder(folder).begin(CONFIG, overwrite=False)


@pytest.mark.parametrize(
    ("frame", "moment", "words"),
    [
        ({"time_s": "0"}, {}, r"frames\.jsonl"),
        ({"flicker": [1]}, {}, r"frames\.jsonl"),
        ({"judged": None}, {}, r"frames\.jsonl"),
        ({}, {"file": "../mine/0.png"}, r"moments\.json"),
        ({}, {"value": "x"}, r"moments\.json"),
        ({}, {"time_s": 10**400}, r"moments\.json"),
    ],
)
def test_a_tampered_record_of_a_video_is_said(tmp_path, frame, moment, words):
    (tmp_path / "frames.jsonl").write_text(json.dumps({**FRAME, **frame}) + "\n")
    (tmp_path / "moments.json").write_text(json.dumps([{**MOMENT, **moment}]))
    with pytest.raises(InputError, match=words):
        read_video_record(tmp_path)


def test_a_good_record_of_a_video_is_read(tmp_path):
    (tmp_path / "frames.jsonl").write_text(json.dumps(FRAME) + "\n")
    (tmp_path / "moments.json").write_text(json.dumps([MOMENT]))
    found = read_video_record(tmp_path)
    assert found.curves[0].values == {"flicker": (0.5,)}
    assert found.moments[0].file == tmp_path / "moments" / "a.jpg"
