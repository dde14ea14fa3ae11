"""What a file is, told by its content and only then by its name."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from sosie.app.input_kinds import expand, files_in
from sosie.errors import InputError
from sosie.media.kinds import kind_of, require_kind


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """A photo, a video, a sound file and a text, each under a name that says something else."""
    folder = tmp_path_factory.mktemp("samples")
    Image.new("RGB", (32, 32)).save(folder / "photo.txt", "PNG")
    with av.open(str(folder / "video.jpg"), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(3):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(folder / "sound"), "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.sample_rate, sound.time_base = 8000, Fraction(1, 8000)
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    (folder / "notes.doc").write_text("a text that FFmpeg takes for a screen\n" * 20)
    (folder / "empty").write_bytes(b"")
    return folder


@pytest.mark.parametrize(
    ("name", "kind"),
    [("photo.txt", "photo"), ("sound", None), ("notes.doc", None), ("empty", None)],
)
def test_content_decides(samples, name, kind):
    assert kind_of(samples / name) == kind


def test_a_video_is_known_by_its_content(samples, tmp_path):
    video = tmp_path / "recording"
    video.write_bytes((samples / "video.jpg").read_bytes())
    assert kind_of(video) == "video"


@pytest.mark.parametrize(("name", "kind"), [("broken.JPG", "photo"), ("broken.mkv", "video")])
def test_a_broken_file_is_what_its_name_says(tmp_path, name, kind):
    path = tmp_path / name
    path.write_bytes(b"\x00" * 100)
    assert kind_of(path) == kind


def test_other_files_are_refused_with_what_would_do(samples):
    with pytest.raises(InputError, match=r"neither a photo nor a video .*; give a picture"):
        require_kind(samples / "notes.doc")
    with pytest.raises(InputError, match=r"absent\.png does not exist"):
        require_kind(samples / "absent.png")


def test_files_of_a_folder_are_sorted_without_hidden_ones_and_folders(tmp_path):
    for name in ("b.png", "a.mp4", ".hidden"):
        (tmp_path / name).touch()
    (tmp_path / "inner.png").mkdir()
    assert [path.name for path in files_in(tmp_path)] == ["a.mp4", "b.png"]


def test_patterns_are_expanded_and_names_that_exist_are_not(tmp_path):
    for name in ("b1", "b2", "a[1]", "in/b3"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = expand([tmp_path / "a[1]", tmp_path / "b?", tmp_path / "new.jpg", tmp_path / "**/b3"])
    names = ["a[1]", "b1", "b2", "new.jpg", "in/b3"]
    assert found == [tmp_path / name for name in names]
    with pytest.raises(InputError, match=r"No file fits .*c\*; check the pattern"):
        expand([tmp_path / "c*"])
