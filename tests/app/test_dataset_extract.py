from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sosie.datasets.store import FaceStore

SMALL = ("--size", 112, "--min-face", 40, "--every", 3, "--per-second", "off", "--min-distance", 0)


@pytest.fixture
def photos(tmp_path, small_path):
    """A folder with a portrait, one more in a folder inside, and a text."""
    folder = tmp_path / "photos"
    (folder / "inner").mkdir(parents=True)
    shutil.copy(small_path, folder / "a.png")
    with Image.open(small_path) as picture:
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "inner" / "b.jpg")
    (folder / "note.txt").write_text("nothing")
    (folder / ".hidden.png").write_text("nothing")
    return folder


def test_videos_and_photos_into_a_set(sosie, video_path, photos, tmp_path):
    out = tmp_path / "faces"
    result = sosie("dataset", "extract", video_path, photos, "--out", out, *SMALL)
    assert result.code == 0, result
    assert "6 faces added, 0 of them rejected, 6 in the set" in result.out
    assert "files ignored, neither video nor photo: 1" in result.out
    read = FaceStore.open(out).read(["file", "template", "size_px"])
    assert sorted({file.split("/")[1] for file in read["file"]}) == ["astronaut", "inner", "photos"]
    assert set(read["template"]) == {"ffhq"}
    again = sosie("dataset", "extract", video_path, photos, "--out", out, *SMALL, "--json")
    assert again.code == 0
    assert (again.json["faces"], again.json["skipped"], again.json["total"]) == (0, 3, 6)


def test_the_set_is_not_read_as_its_own_input(sosie, photos):
    for total in (2, 2):
        result = sosie("dataset", "extract", photos, "--out", photos / "set", *SMALL, "--json")
        assert result.code == 0
        assert result.json["total"] == total


def test_a_folder_that_is_the_set_itself_is_no_input(sosie, photos, tmp_path, refused):
    assert "is where the set is to be" in refused(1, "dataset", "extract", photos, "-o", photos)
    out = tmp_path / "faces"
    assert sosie("dataset", "extract", photos, "--out", out, *SMALL).code == 0
    told = refused(1, "dataset", "extract", out, "--out", tmp_path / "other")
    assert "is a set of faces already; `sosie dataset merge` joins sets" in told


def test_options_reach_the_set(sosie, small_path, tmp_path):
    out = tmp_path / "faces"
    flags = ("--align", "dfl-whole-face", "--format", "jpg", "--max-blur", "off", "--fps", "2")
    flags += ("--min-face", "50%", "--enlarge", "--size", "256")
    assert sosie("dataset", "extract", small_path, "--out", out, *flags).code == 0
    settings = json.loads((out / "set.json").read_text())
    assert (settings["align"], settings["picture"], settings["size_px"]) == (
        "dfl_whole_face",
        "jpg",
        256,
    )
    chosen = settings["options"][0]
    assert (chosen["max_blur_px"], chosen["fps"], chosen["min_face"]) == (None, 2.0, 0.5)


def test_what_cannot_be_read_is_said_and_the_rest_done(sosie, small_path, tmp_path):
    bad, text = tmp_path / "bad.mp4", tmp_path / "thesis.txt"
    bad.write_bytes(b"no film")
    text.write_text("mine")
    large = tmp_path / "large.png"
    Image.fromarray(np.zeros((10, 10), np.uint8)).resize((10_001, 10_000)).save(large)
    inputs = (bad, text, tmp_path / "absent.mkv", large, small_path)
    result = sosie("dataset", "extract", *inputs, "--out", tmp_path / "faces", *SMALL, "--json")
    assert result.code == 1
    assert result.json["total"] == 1
    told = {Path(failure["path"]).name: failure["error"] for failure in result.json["failures"]}
    assert told.keys() == {"bad.mp4", "thesis.txt", "absent.mkv", "large.png"}
    assert "100 megapixels" in told["large.png"]
    assert "neither a video nor a photo" in told["thesis.txt"]
    assert "does not exist" in told["absent.mkv"]
    for error in told.values():
        assert f"sosie: {error}\n" in result.err


def test_wrong_words_are_refused_before_anything_is_written(refused, small_path, tmp_path):
    start = ("dataset", "extract", small_path, "--out", tmp_path / "faces")
    assert "not both" in refused(2, *start, "--every", 2, "--fps", 3)
    assert "takes a number or 'off'" in refused(2, *start, "--max-tilt", "much")
    assert "takes pixels" in refused(2, *start, "--min-face", "big")
    assert "did you mean 'ffhq'" in refused(2, *start, "--align", "fhq")
    assert "between 112 and 1024" in refused(2, *start, "--size", 4096)


def test_nothing_to_read_is_refused(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    out = tmp_path / "faces"
    assert "no video and no photo" in refused(
        1, "dataset", "extract", tmp_path / "empty", "-o", out
    )
    assert "does not exist" in refused(1, "dataset", "extract", tmp_path / "absent", "-o", out)


def test_no_face_is_an_answer_of_its_own(refused, scenery, tmp_path):
    Image.fromarray(scenery).save(tmp_path / "hills.png")
    words = refused(3, "dataset", "extract", tmp_path / "hills.png", "-o", tmp_path / "faces")
    assert "No face of at least 80 pixels was found" in words


def test_an_output_that_is_no_set_is_left_alone(refused, small_path, tmp_path):
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    start = ("dataset", "extract", small_path, "--out")
    assert "is no set of faces" in refused(1, *start, out)
    assert "cannot be created" in refused(1, *start, out / "thesis.txt")


def test_a_read_only_folder_is_said(refused, small_path, tmp_path, monkeypatch):
    out = tmp_path / "locked" / "faces"

    def denied(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", denied)
    words = refused(1, "dataset", "extract", small_path, "--out", out)
    assert "cannot be created or read (Permission denied)" in words


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_was_killed_goes_on(sosie, make_video, small, tmp_path, kind):
    """Compared with a run that was left alone: the same pictures and the same table."""
    frames = [small[k // 6 : 256 + k // 6, k // 8 : 256 + k // 8] for k in range(120)]
    video = make_video(tmp_path / "video.mp4", frames)
    out, whole = tmp_path / "faces", tmp_path / "whole"
    command = ["dataset", "extract", video, "--out", out, *SMALL, "--threads", 1]
    program = (
        "import sys; from sosie.datasets.extract import videos; videos.COMMIT_S = 0.0; "
        "from sosie.app.cli.entry import main; main(sys.argv[1:])"
    )
    source = Path(__file__).resolve().parents[2] / "src"
    process = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, command)],
        env={**os.environ, "PYTHONPATH": str(source)},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    try:
        due = time.monotonic() + 120
        while not list(out.glob(".journal/0000000[5-9].parquet")) and time.monotonic() < due:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(kind)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == (4 if kind is signal.SIGINT else -signal.SIGKILL)
    if kind is signal.SIGINT:
        assert b"run the same command to go on" in err
    result = sosie(*command, "--json")
    assert result.code == 0
    assert 0 < result.json["faces"] < 40
    assert sosie("dataset", "extract", video, "--out", whole, *SMALL).code == 0
    assert pictures(out) == pictures(whole)
    assert (out / "faces.parquet").read_bytes() == (whole / "faces.parquet").read_bytes()


def pictures(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*.png")}
