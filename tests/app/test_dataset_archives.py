"""Zip archives as inputs of `sosie dataset extract`."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from sosie.datasets.extract import inputs, job
from sosie.datasets.store import FaceStore

SMALL = ("--size", 112, "--min-face", 40)
GRAY = Image.new("RGB", (64, 64), (90, 90, 90))


@pytest.fixture
def archive(tmp_path: Path, small_path: Path) -> Path:
    """Two people's folders, and a text."""
    mirrored, path = tmp_path / "mirrored.jpg", tmp_path / "people.zip"
    with Image.open(small_path) as picture:
        picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(mirrored)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.write(small_path, "anna/1.png")
        file.write(mirrored, "ben/1.jpg")
        file.writestr("note.txt", "nothing")
        file.writestr("ben/.hidden", "nothing")
    return path


def test_an_archive_is_read_and_known_again(sosie, archive, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))
    (tmp_path / "temp").mkdir()
    out = tmp_path / "faces"
    result = sosie("dataset", "extract", archive, "--out", out, *SMALL, "--json")
    assert result.code == 0, result
    assert (result.json["faces"], result.json["total"]) == (2, 2)
    assert result.json["ignored"] == [str(archive / "note.txt")]
    store = FaceStore.open(out)
    assert sorted(file.split("/")[1] for file in store.read(["file"])["file"]) == ["anna", "ben"]
    assert {entry["path"] for entry in store.settings["inputs"]} == {
        str(archive / "anna" / "1.png"),
        str(archive / "ben" / "1.jpg"),
    }
    again = sosie("dataset", "extract", archive, "--out", out, *SMALL, "--json")
    assert (again.json["faces"], again.json["skipped"], again.json["total"]) == (0, 2, 2)
    assert list((tmp_path / "temp").iterdir()) == []


def test_names_that_lead_out_are_refused_and_the_rest_is_read(sosie, archive, small_path, tmp_path):
    deep = tmp_path / "deep" / "down"
    deep.mkdir(parents=True)
    bad = shutil.move(archive, deep)
    link = zipfile.ZipInfo("link.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(bad, "a") as file:
        file.write(small_path, "../../climbs.png")
        file.write(small_path, "back\\slash.png")
        file.writestr(link, "/etc/passwd")
    before = sorted(path for path in tmp_path.rglob("*.png"))
    result = sosie("dataset", "extract", bad, "--out", tmp_path / "faces", *SMALL, "--json")
    assert result.code == 1
    assert result.json["faces"] == 2
    assert result.err.count("is no plain file within it") == 3
    outside = [path for path in tmp_path.rglob("*.png") if "faces" not in path.parts]
    assert sorted(outside) == before


def test_damaged_empty_and_packed_archives_are_said(sosie, refused, archive, tmp_path):
    empty = tmp_path / "empty.zip"
    with zipfile.ZipFile(empty, "w") as file:
        file.writestr("a.txt", "nothing")
    error = refused(1, "dataset", "extract", empty, "--out", tmp_path / "none", *SMALL)
    assert "holds no video and no photo" in error
    content = bytearray(archive.read_bytes())
    start = content.index(b"anna/1.png") + 200
    content[start : start + 50] = bytes(50)
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(content)
    out = tmp_path / "faces"
    result = sosie("dataset", "extract", damaged, "--out", out, *SMALL, "--json")
    assert result.code == 1
    assert result.json["faces"] == 1
    assert "anna/1.png" in result.err
    packed = tmp_path / "set.zip"
    assert sosie("dataset", "pack", out, "--out", packed).code == 0
    error = refused(1, "dataset", "extract", packed, "--out", tmp_path / "more", *SMALL)
    assert "`sosie dataset unpack` it" in error


def test_members_are_on_disk_one_at_a_time_and_a_killed_run_is_tidied_up(
    sosie, archive, tmp_path, monkeypatch
):
    temp = tmp_path / "temp"
    temp.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temp))
    # A run that was killed a moment ago leaves its lock, which nobody holds.
    (temp / "sosie-unpacked-killed").mkdir(parents=True)
    (temp / "sosie-unpacked-killed" / ".lock").touch()
    for name, age_s in (("sosie-unpacked-old", 7200), ("sosie-unpacked-new", 0)):
        (temp / name).mkdir()
        (temp / name / "video.mp4").write_bytes(b"left")
        then = time.time() - age_s
        os.utime(temp / name, (then, then))
    most = 0
    load = job.load_photo

    def loaded(path):
        nonlocal most
        most = max(most, len([p for p in temp.rglob("*") if p.suffix in (".png", ".jpg")]))
        return load(path)

    monkeypatch.setattr(job, "load_photo", loaded)
    told = sosie("dataset", "extract", archive, "--out", tmp_path / "a", *SMALL, "--threads", 1)
    assert told.code == 0, told
    # The next one may be unpacked while one is looked at.
    assert 1 <= most <= 2
    assert [path.name for path in temp.iterdir()] == ["sosie-unpacked-new"]


def test_videos_of_an_archive_are_read_and_named_by_their_names_there(
    sosie, video_path, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))
    (tmp_path / "temp").mkdir()
    archive = tmp_path / "films.zip"
    content = video_path.read_bytes()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a/whole.mp4", content)
        file.writestr("b/cut.mp4", content[: len(content) // 3])
    out = tmp_path / "faces"
    told = sosie("dataset", "extract", archive, "--out", out, *SMALL, "--every", 4, "--json")
    assert told.code == 1
    assert told.json["faces"] > 0
    (failure,) = told.json["failures"]
    assert failure["path"] == str(archive / "b" / "cut.mp4")
    assert failure["path"] in failure["error"]
    assert "unpacked" not in told.err
    assert list((tmp_path / "temp").iterdir()) == []


def test_an_archive_that_would_fill_the_disk_is_not_unpacked(refused, tmp_path, monkeypatch):
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(3):
            file.writestr(f"{number}.png", bytes(40 << 20))
    error = refused(1, "dataset", "extract", bomb, "--out", tmp_path / "none", *SMALL)
    assert "would unpack to 0.1 GB, many times its size" in error


def test_what_has_no_room_is_said(sosie, archive, tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "_SPARE_BYTES", 1 << 60)
    told = sosie("dataset", "extract", archive, "--out", tmp_path / "none", *SMALL)
    assert told.code == 1
    assert "has no room for it; name another folder for temporary files in TMPDIR" in told.err
