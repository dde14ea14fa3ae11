"""`sosie reenact`, as a user runs it."""

from __future__ import annotations

import threading

import av
import numpy as np
import pytest
from PIL import Image
from tests.swapping.video.conftest import write

from sosie.errors import InterruptedSwapError
from sosie.reenactment import job
from sosie.reenactment.options import ReenactOptions


def frames_of(path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def driver(tmp_path_factory, astronaut):
    """The astronaut's head going down and to the right, 9 frames of 320 x 240, with sound."""
    head = astronaut[10:250, 60:380]
    rolled = [np.roll(head, (2 * n, 3 * n), (0, 1)) for n in range(9)]
    path = tmp_path_factory.mktemp("driver") / "driver.mkv"
    return write(path, rolled, codec="libx264", pix_fmt="yuv420p", sound_s=0.36)


def test_a_photo_moves_as_a_video(sosie, hopper_path, driver, tmp_path):
    out = tmp_path / "out.mp4"
    result = sosie("reenact", "-s", hopper_path, "-d", driver, "-o", out, "--json")
    assert result.code == 0, result
    assert (result.json["frames"], result.json["moved"]) == (9, 9)
    assert (result.json["width"], result.json["height"]) == (512, 600)
    assert "detector" in result.json["networks"]
    with av.open(str(out)) as container:
        assert [s.type for s in container.streams] == ["video", "audio"]
    made = frames_of(out)
    assert {one.shape for one in made} == {(600, 512, 3)}
    photo = np.asarray(Image.open(hopper_path).convert("RGB")).astype(int)
    moved = [np.abs(one.astype(int) - photo)[150:450, 150:400].mean() for one in made]
    assert moved[0] < 6
    assert moved[-1] > moved[0] + 4


def test_frames_without_a_face_hold_the_photo(sosie, hopper_path, driver, scenery, tmp_path):
    frames = [*frames_of(driver), *[scenery[:240, :288]] * 0]
    empty = np.full((240, 320, 3), 120, np.uint8)
    mixed = write(tmp_path / "mixed.mkv", [empty] * 12 + frames)
    out = tmp_path / "out.mkv"
    result = sosie("reenact", "-s", hopper_path, "-d", mixed, "-o", out, "--json")
    assert result.code == 0, result
    assert result.json["frames"] == 21
    assert 8 <= result.json["moved"] <= 11
    made = frames_of(out)
    photo = np.asarray(Image.open(hopper_path).convert("RGB")).astype(int)
    assert np.abs(made[3].astype(int) - photo).mean() < 2


def test_a_large_photo_is_made_smaller(sosie, hopper_path, driver, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "MOST_PX", 301)
    out = tmp_path / "out.mp4"
    result = sosie("reenact", "-s", hopper_path, "-d", driver, "-o", out)
    assert result.code == 0, result
    assert "The photo, 512 x 600, was made smaller for a video: 256 x 300." in result.out
    assert frames_of(out)[0].shape == (300, 256, 3)


def test_an_animation(sosie, hopper_path, driver, tmp_path):
    out = tmp_path / "out.gif"
    result = sosie("reenact", "-s", hopper_path, "-d", driver, "-o", out)
    assert result.code == 0, result
    with Image.open(out) as picture:
        assert (picture.n_frames, picture.size) == (9, (512, 600))


def test_numbered_frames(sosie, hopper_path, driver, tmp_path):
    """Their folder is made."""
    out = tmp_path / "made" / "%03d.png"
    result = sosie("reenact", "-s", hopper_path, "-d", driver, "-o", out)
    assert result.code == 0, result
    assert len(list((tmp_path / "made").glob("*.png"))) == 9


def test_a_photo_takes_the_pose_of_a_photo(sosie, hopper_path, astronaut_path, tmp_path):
    out = tmp_path / "out.png"
    command = ("reenact", "-s", hopper_path, "-d", astronaut_path, "-o", out)
    result = sosie(*command, "--motion", "absolute")
    assert result.code == 0, result
    with Image.open(out) as made, Image.open(hopper_path) as photo:
        assert made.size == photo.size
        apart = np.abs(np.asarray(made).astype(int) - np.asarray(photo.convert("RGB")))
    assert apart.mean() > 1


def test_a_photo_is_moved_by_files_of_the_user(
    sosie, hopper_path, astronaut_path, portrait_files, tmp_path
):
    """Only where the face is; what painted it, and under which license, is told."""
    out = tmp_path / "out.png"
    given = ("--method", "portrait", "--weights", portrait_files(), "--retarget", "eyes,lips")
    paths = ("-s", hopper_path, "-d", astronaut_path, "-o", out)
    result = sosie("reenact", *paths, *given, "--motion", "absolute", "--json")
    assert result.code == 0, result
    assert {"generator.onnx", "stitching.onnx", "eye.onnx"} <= set(result.json["networks"])
    assert "MIT" in result.json["license"]
    with Image.open(out) as made, Image.open(hopper_path) as photo:
        apart = np.abs(np.asarray(made).astype(int) - np.asarray(photo.convert("RGB")))
    assert apart[200:300, 200:300].mean() > 1
    assert not apart[-60:].any()


@pytest.mark.parametrize(
    ("code", "change", "message"),
    [
        (2, ("--motion", "same"), "Unknown motion 'same': choose one of relative, absolute"),
        (2, ("--expression", "2"), "expression must be from 0 to 1.5, not 2.0"),
        (2, ("--pose", "nan"), "pose must be from 0 to 1.5"),
        (2, ("--faces", "all"), "faces is `largest` or a position"),
        (2, ("--method", "meshes"), "did you mean 'mesh'"),
        (2, ("--weights", "a.onnx"), "has no weights"),
        (2, ("--retarget", "eyes"), "leave --retarget out, or choose --method portrait"),
        (2, ("--retarget", "lips,eye"), "Unknown part 'eye' to retarget: choose one of eyes, lips"),
        (2, ("--method", "portrait"), "add --weights FOLDER"),
        (2, ("-o", "out.xyz"), "has no extension of a video"),
        (1, ("-d", "none.mp4"), "none.mp4"),
        (1, ("-s", "none.jpg"), "none.jpg"),
    ],
)
def test_what_cannot_be_meant(
    refused, hopper_path, driver, tmp_path, monkeypatch, code, change, message
):
    monkeypatch.chdir(tmp_path)
    given = {"-s": hopper_path, "-d": driver, "-o": "out.mp4", **dict([change])}
    words = [word for pair in given.items() for word in pair]
    assert message in refused(code, "reenact", *words)


def test_a_photo_has_no_motion(refused, hopper_path, astronaut_path, tmp_path):
    out = tmp_path / "out.png"
    said = refused(2, "reenact", "-s", hopper_path, "-d", astronaut_path, "-o", out)
    assert "is a photo: it has no motion" in said


def test_nobody_in_it(
    refused, hopper_path, driver, scenery, make_video, tmp_path_factory, tmp_path
):
    there = tmp_path_factory.mktemp("nobody")
    Image.fromarray(scenery).save(there / "empty.png")
    empty = make_video(there / "empty.mp4", [scenery] * 3)
    out = tmp_path / "out.mp4"
    said = refused(3, "reenact", "-s", hopper_path, "-d", empty, "-o", out)
    assert "no face was found in it that could move the photo" in said
    said = refused(3, "reenact", "-s", there / "empty.png", "-d", driver, "-o", out)
    assert "No face was found" in said


def test_what_was_done_before_a_stop_is_kept(hopper_path, driver, tmp_path):
    out, cancel = tmp_path / "out.mp4", threading.Event()

    def stop(progress) -> None:
        if progress.done == 4:
            cancel.set()

    with pytest.raises(InterruptedSwapError) as caught:
        job.reenact(hopper_path, driver, out, ReenactOptions(), on_progress=stop, cancel=cancel)
    assert not out.exists()
    partial = tmp_path / "out.partial.mp4"
    assert str(partial) == caught.value.partial
    assert 4 <= len(frames_of(partial)) < 9
