"""`sosie swap --watch`: a small picture that is renewed while a video is swapped."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from sosie.media import watch_file
from sosie.media.watch_file import WatchFile
from sosie.pipeline import FaceSwapper


def test_it_is_there_and_the_result_is_what_it_is_without(
    sosie, hopper_path, video_path, tmp_path, monkeypatch
):
    monkeypatch.setattr(watch_file, "_EVERY_S", 0.0)
    plain, watched = tmp_path / "plain.mp4", tmp_path / "watched.mp4"
    picture = tmp_path / "now.jpg"
    assert sosie("swap", "-s", hopper_path, "-t", video_path, "-o", plain).code == 0
    command = ("swap", "-s", hopper_path, "-t", video_path, "-o", watched, "--watch", picture)
    result = sosie(*command)
    assert result.code == 0, result.err
    assert watched.read_bytes() == plain.read_bytes()
    with Image.open(picture) as shown:
        assert shown.format == "JPEG"
        assert shown.size == (256, 256)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"plain.mp4", "watched.mp4", "now.jpg"}
    # What an earlier run has left is in nobody's way.
    watched.unlink()
    assert sosie(*command).code == 0


def test_it_is_renewed_no_more_often_than_it_says(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(watch_file.time, "monotonic", lambda: now[0])
    watched = WatchFile(tmp_path / "now.jpg")
    assert watched.is_due
    watched.show(np.full((40, 60, 3), 200, np.uint8))
    watched.close()
    assert not watched.is_due
    now[0] = 101.9
    assert not watched.is_due
    now[0] = 102.1
    assert watched.is_due


def test_who_looks_never_sees_half_a_picture(tmp_path, monkeypatch):
    """At each step of writing, the name belongs to a whole picture."""
    picture = tmp_path / "now.jpg"
    watched = WatchFile(picture)
    watched.show(np.full((1080, 1920, 3), 40, np.uint8))
    watched.close()
    seen = []
    replace = watch_file.Path.replace

    def looked(path, target):
        with Image.open(picture) as before:
            seen.append(np.asarray(before).mean())
        return replace(path, target)

    monkeypatch.setattr(watch_file.Path, "replace", looked)
    watched.show(np.full((1080, 1920, 3), 2**16 - 1, np.uint16))
    watched.close()
    assert seen == [pytest.approx(40, abs=2)]
    with Image.open(picture) as after:
        assert after.size == (960, 540)
        assert np.asarray(after).mean() > 250


def test_a_picture_that_cannot_be_written_does_not_end_the_work(
    hopper_path, video_path, tmp_path, monkeypatch
):
    folder = tmp_path / "gone"
    folder.mkdir()
    swapper = FaceSwapper(hopper_path, watch=str(folder / "now.jpg"))
    monkeypatch.setattr("sosie.pipeline.check_video", lambda _target, output, *_: output)
    folder.rmdir()
    report = swapper.video(video_path, tmp_path / "out.mp4")
    assert report.swapped_frames == 12
    assert any("picture to watch was not renewed" in note for note in report.notes)


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("now.png", 2, "name it now.jpg"),
        ("now", 2, "is a JPEG"),
        ("absent/now.jpg", 1, "does not exist"),
        ("mine.jpg", 1, "exists already"),
    ],
)
def test_a_name_that_cannot_be(refused, hopper_path, video_path, tmp_path, name, code, words):
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / "mine.jpg")
    command = ("swap", "-s", hopper_path, "-t", video_path, "-o", tmp_path / "out.mp4")
    assert words in refused(code, *command, "--watch", tmp_path / name)


def test_it_is_none_of_the_inputs(refused, hopper_path, video_path, tmp_path):
    source = tmp_path / "me.jpg"
    source.write_bytes(hopper_path.read_bytes())
    command = ("swap", "-s", source, "-t", video_path, "-o", tmp_path / "out.mp4", "--overwrite")
    assert "also an input" in refused(2, *command, "--watch", source)
