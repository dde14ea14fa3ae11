"""`sosie preview`: the sheet of a swap before the work."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

import sosie as package

PLAIN = ["--color", "none"]


@pytest.fixture(scope="module")
def moved_path(small, make_video, tmp_path_factory):
    """Five frames without a face, then fifteen with one."""
    empty = np.full((256, 256, 3), 120, np.uint8)
    frames = [empty] * 5 + [small[k : k + 256, k : k + 256] for k in range(15)]
    return make_video(tmp_path_factory.mktemp("moved") / "clip.mp4", frames)


def pixels(path):
    with Image.open(path) as picture:
        return np.array(picture.convert("RGB"))


def test_one_frame_with_a_face_is_found_and_shown(sosie, hopper_path, moved_path, tmp_path):
    sheet = tmp_path / "sheet.png"
    result = sosie("preview", "-s", hopper_path, "-t", moved_path, "-o", sheet, "--json")
    assert result.code == 0, result.err
    (frame,) = result.json["frames"]
    assert (frame["faces"], frame["note"]) == (1, None)
    assert frame["time_s"] == pytest.approx(0.4, abs=0.041)
    height, width = pixels(sheet).shape[:2]
    assert width > 4 * 500
    assert 500 < height < 700
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]


def test_the_result_is_that_of_a_swap_of_this_frame(hopper_path, moved_path, tmp_path):
    """Target, result and mask: nothing changes where the mask is black."""
    shown = package.preview(hopper_path, moved_path, at_s=[0.5], blend="alpha")
    (frame,) = shown.frames
    as_photo = package.swap_image(hopper_path, frame.target, blend="alpha")
    np.testing.assert_array_equal(frame.result, as_photo.image)
    changed = (frame.result != frame.target).any(axis=2)
    assert changed.sum() > 1000
    assert not changed[frame.mask == 0].any()
    assert frame.mask.max() == 1
    assert len(frame.faces) == len(frame.sources) == 1
    assert shown.sheet.dtype == np.uint8


def test_times_and_frames_without_a_face(sosie, hopper_path, moved_path, tmp_path):
    common = ("preview", "-s", hopper_path, "-t", moved_path, "-o", tmp_path / "sheet.jpg")
    result = sosie(*common, "--at", "0:00.56", "--at", "0.08")
    assert result.code == 0, result.err
    assert "2 frames, 1 face swapped" in result.out
    assert "at 0.080 s: No face was found" in result.out
    result = sosie(*common, "--frames", "4", "--overwrite", "--json")
    assert [one["faces"] for one in result.json["frames"]] == [0, 1, 1, 1]
    times = [one["time_s"] for one in result.json["frames"]]
    assert times == sorted(times)


def test_options_of_the_swap_are_those_of_the_preview(hopper_path, moved_path):
    results = [
        package.preview(hopper_path, moved_path, at_s=[0.5], **options).frames[0].result
        for options in ({}, {"color": "none"}, {"shape": 0.0})
    ]
    assert (results[0] != results[1]).any()
    assert (results[0] != results[2]).any()


def test_every_flag_of_swap_is_one_of_preview(sosie):
    import re

    flags = [
        set(re.findall(r"--[a-z][a-z-]+", sosie(command, "--help").out))
        for command in ("swap", "preview")
    ]
    assert flags[0] - flags[1] == set()


def test_a_photo_and_the_name_beside_it(sosie, hopper_path, small_path, tmp_path):
    target = tmp_path / "me.png"
    target.write_bytes(small_path.read_bytes())
    result = sosie("preview", "-s", hopper_path, "-t", target, "--crop", "frame")
    assert result.code == 0, result.err
    assert pixels(tmp_path / "me.preview.jpg").shape[1] > 4 * 500
    again = sosie("preview", "-s", hopper_path, "-t", target)
    assert again.code == 1
    assert "--overwrite" in again.err


def test_a_map_gives_each_person_their_face(by_look, hopper, astronaut, tmp_path):
    """The astronaut becomes green and the admiral blue, each on a row of its own."""
    assert by_look is not None
    picture = np.full((220, 400, 3), (130, 140, 150), np.uint8)
    picture[:, :200] = astronaut[20:240, 130:330]
    picture[10:210, 210:390] = cv2.resize(hopper[40:440, 80:440], (180, 200))
    dyed = [
        np.rint(hopper * np.array(dye)).astype(np.uint8)
        for dye in ((0.4, 1.0, 0.4), (0.4, 0.4, 1.0))
    ]
    people = [(astronaut, dyed[0]), (hopper, dyed[1])]
    shown = package.preview(None, picture, people=people, color="none")
    (frame,) = shown.frames
    assert len(frame.faces) == 2
    change = frame.result.astype(int) - frame.target
    assert np.argmax(change[:, :200].mean((0, 1))) == 1
    assert np.argmax(change[:, 200:].mean((0, 1))) == 2
    assert shown.sheet.shape[0] > 2 * 500
    whole = package.preview(None, picture, people=people, crop="frame")
    assert whole.sheet.shape[0] < 700


def test_masks_that_were_drawn_are_looked_up_by_the_frames_number(
    hopper_path, moved_path, tmp_path
):
    """The mask of the thirteenth frame alone is black: there nothing changes."""
    for number in range(1, 21):
        level = 0 if number == 13 else 255
        Image.fromarray(np.full((256, 256), level, np.uint8)).save(
            tmp_path / f"mask.{number:06}.png"
        )
    shown = package.preview(
        hopper_path, moved_path, at_s=[0.48, 0.52], masks=str(tmp_path), color="none"
    )
    changed = [(frame.result != frame.target).any() for frame in shown.frames]
    assert changed == [False, True]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--at", "99"], 2, "ends at"),
        (["--at", "soon"], 2, "is no time"),
        (["--at", "0.5", "--frames", "2"], 2, "not both"),
        (["--frames", "0"], 2, "between 1 and 64"),
        (["--crop", "faces"], 2, "did you mean 'face'"),
        (["--at", "0.08"], 3, "No face was found"),
        (["--at", "0.5", "--faces", "3"], 3, "Position 3"),
        (["--start", "0.4", "--at", "0.1"], 2, "not in the part"),
        (["-o", "sheet.gif"], 2, "no extension of a picture"),
        (["-o", "absent/sheet.png"], 1, "does not exist"),
    ],
)
def test_what_cannot_be_shown_is_told_in_a_sentence(
    refused, hopper_path, moved_path, tmp_path, arguments, code, words
):
    given = [tmp_path / one if one.startswith(("sheet.", "absent/")) else one for one in arguments]
    where = [] if "-o" in arguments else ["-o", tmp_path / "sheet.png"]
    assert words in refused(code, "preview", "-s", hopper_path, "-t", moved_path, *where, *given)


def test_a_photo_has_no_times_and_a_folder_no_frame(refused, hopper_path, small_path, tmp_path):
    common = ("preview", "-s", hopper_path, "-o", tmp_path / "sheet.png", "-t")
    assert "has no times" in refused(2, *common, small_path, "--at", "1")
    assert "--sequence" in refused(2, *common, small_path.parent)


def test_the_sheet_never_replaces_its_target(refused, hopper_path, small_path, tmp_path):
    target = tmp_path / "me.png"
    target.write_bytes(small_path.read_bytes())
    words = refused(2, "preview", "-s", hopper_path, "-t", target, "-o", target, "--overwrite")
    assert "also an input" in words
