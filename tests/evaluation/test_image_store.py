"""Pictures of a list: out of folders, archives and videos."""

from __future__ import annotations

import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from sosie.errors import InputError
from sosie.evaluation.image_store import Album, digest


@pytest.fixture
def root(tmp_path) -> Path:
    root = tmp_path / "data"
    (root / "ann").mkdir(parents=True)
    (root / "ann" / "1.png").write_bytes(b"one")
    with zipfile.ZipFile(root / "faces.zip", "w") as archive:
        archive.writestr("ben/2.png", b"two")
    return root


def test_a_plain_file_stays_where_it_is(root, tmp_path):
    with Album(root, tmp_path / "out") as album:
        assert album.file("ann/1.png") == root / "ann" / "1.png"
        assert album.content("ann/1.png") == b"one"
    assert not (tmp_path / "out").exists()


def test_a_picture_of_an_archive_is_taken_out_once(root, tmp_path):
    with Album(root, tmp_path / "out") as album:
        taken = album.file("faces.zip/ben/2.png")
        assert taken == tmp_path / "out" / "faces.zip" / "ben" / "2.png"
        assert taken.read_bytes() == b"two"
        assert album.content("faces.zip/ben/2.png") == b"two"
        taken.write_bytes(b"kept")
        assert album.file("faces.zip/ben/2.png").read_bytes() == b"kept"
    assert sorted(path.name for path in taken.parent.iterdir()) == ["2.png"]


def test_no_name_leads_out_of_the_root(root, tmp_path):
    (root / "ann" / "link.png").symlink_to(root / "ann" / "1.png")
    (root / "ann" / "up").symlink_to(root)
    names = ["../faces.zip/ben/2.png", str(root / "faces.zip" / "ben" / "2.png"), "a\\..\\1.png",
             "C:/1.png", "a\0.png", "up/faces.zip/ben/2.png", "link.png", "x" * 300]  # fmt: skip
    with Album(root / "ann", tmp_path / "out", names) as album:
        for name in names:
            for read in (album.file, album.content):
                with pytest.raises(InputError, match=r"no name of a file within|symbolic link"):
                    read(name)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ann/9.png", "does not exist; check the list of pairs and its root"),
        ("faces.zip/ben/9.png", r"holds no ben/9\.png"),
        ("ann/1.png/9.png", "does not exist"),
        ("gone.mp4#3", "does not exist"),
        ("bad.zip/a.png", r"bad\.zip cannot be read"),
    ],
)
def test_what_is_not_there(root, tmp_path, name, words):
    (root / "bad.zip").write_bytes(b"no archive")
    with Album(root, tmp_path / "out") as album, pytest.raises(InputError, match=words):
        album.file(name)


def test_another_picture_is_noticed(root, tmp_path):
    names = {"ann/1.png": digest(b"one"), "faces.zip/ben/2.png": digest(b"else")}
    with Album(root, tmp_path / "out", sha256=names) as album:
        album.file("ann/1.png")
        with pytest.raises(InputError, match="SHA-256 differs; get that one, or draw"):
            album.file("faces.zip/ben/2.png")


def test_frames_of_a_video_are_those_with_their_numbers(root, tmp_path, monkeypatch):
    with av.open(str(root / "video.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width = stream.height = 32
        stream.pix_fmt = "bgr0"
        for number in range(9):
            picture = np.full((32, 32, 3), number * 20, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    names = ["video.mkv#7", "video.mkv#2"]
    with Album(root, tmp_path / "out", names) as album:
        first = album.file(names[0])
        # Both were taken in one pass.
        monkeypatch.setattr("sosie.evaluation.image_store.open_video", None)
        for path, number in ((first, 7), (album.file(names[1]), 2)):
            assert np.unique(np.asarray(Image.open(path))).tolist() == [number * 20]
        assert album.content(names[0]) is None
        monkeypatch.undo()
        with pytest.raises(InputError, match="has no frame 99"):
            album.file("video.mkv#99")
