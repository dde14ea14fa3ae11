"""Networks of two people on the command line: trained of two places, swapped without a source."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", exc_type=ImportError)


@pytest.fixture(scope="module", params=["deepfacelab", "deepfakes"])
def method(request, untrained):
    """The words of a swap by a tiny network of two people."""
    return ["--method", request.param, "--weights", untrained(request.param)]


def pixels(path):
    with Image.open(path) as picture:
        return np.array(picture)


def test_a_photo_is_swapped_without_a_source(sosie, method, small_path, tmp_path):
    output = tmp_path / "out.png"
    result = sosie("swap", *method, "-t", small_path, "-o", output, "--json")
    assert result.code == 0, result.err
    (face,) = result.json["faces"]
    assert face["source_photo"] == str(method[-1])
    assert (pixels(output) != pixels(small_path)).any(-1).sum() > 1500


def test_both_directions_are_other_faces(sosie, method, small_path, tmp_path):
    made = []
    for direction in ("forward", "back"):
        output = tmp_path / f"{direction}.png"
        result = sosie(*("swap", *method, "-t", small_path, "-o", output, "--direction", direction))
        assert result.code == 0, result.err
        made.append(pixels(output))
    assert (made[0] != made[1]).any()


def test_a_source_that_counts_for_nothing_is_told(sosie, method, small_path, hopper_path, tmp_path):
    plain, given = tmp_path / "plain.png", tmp_path / "given.png"
    sosie("swap", *method, "-t", small_path, "-o", plain)
    result = sosie("swap", *method, "-s", hopper_path, "-t", small_path, "-o", given)
    assert "photos of a source do not count" in result.out
    assert np.array_equal(pixels(plain), pixels(given))


def test_a_reference_says_whom_to_swap(sosie, method, small_path, hopper_path, tmp_path):
    common = ("swap", *method, "-t", small_path)
    result = sosie(*common, "--reference", small_path, "-o", tmp_path / "a.png")
    assert result.code == 0, result.err
    result = sosie(*common, "--reference", hopper_path, "-o", tmp_path / "b.png")
    assert (result.code, (tmp_path / "b.png").exists()) == (3, False)


def test_a_preview_has_no_photo_of_a_source_to_show(sosie, method, small_path, tmp_path):
    for crop in ("face", "frame"):
        sheet = tmp_path / f"{crop}.png"
        result = sosie("preview", *method, "-t", small_path, "-o", sheet, "--crop", crop)
        assert result.code == 0, result.err
        assert sheet.is_file()


def test_a_video_is_swapped_and_its_command_kept_without_a_source(
    sosie, method, video_path, tmp_path
):
    output = tmp_path / "out.mp4"
    result = sosie("swap", *method, "-t", video_path, "-o", output, "--json")
    assert result.code == 0, result.err
    assert result.json["swapped_frames"] == result.json["frames"]


def test_a_job_needs_no_source_either(sosie, method, small_path, tmp_path):
    common = ("--file", tmp_path / "jobs.sqlite")
    output = tmp_path / "{target}.out.png"
    result = sosie("jobs", "add", *method, "-t", small_path, "-o", output, *common)
    assert result.code == 0, result.err
    result = sosie("jobs", "run", *common)
    assert result.code == 0, result.err
    assert (tmp_path / f"{small_path.stem}.out.png").is_file()


# What is refused.


def test_others_still_need_a_source(sosie, small_path, tmp_path):
    result = sosie("swap", "-t", small_path, "-o", tmp_path / "out.png")
    assert result.code == 2
    assert "No source was given" in result.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--direction", "back"], "direction belongs to the methods deepfacelab and deepfakes"),
        (["--method", "deepfacelab"], "train some of two people with `sosie train deepfacelab"),
        (["--method", "deepfakes", "--encoder", "a.onnx"], "encoder belongs to the method onnx"),
    ],
)
def test_words_that_belong_elsewhere_are_told(sosie, small_path, tmp_path, words, told):
    source = [] if "--method" in words else ["-s", small_path]
    result = sosie("swap", *source, *words, "-t", small_path, "-o", tmp_path / "out.png")
    assert result.code == 2
    assert told in result.err


def test_the_weights_of_one_are_not_those_of_the_other(sosie, untrained, small_path, tmp_path):
    weights = untrained("deepfakes")
    output = tmp_path / "out.png"
    common = ("-t", small_path, "-o", output, "--weights", weights)
    result = sosie("swap", "--method", "deepfacelab", *common)
    assert result.code == 1
    assert "is a deepfakes, not a deepfacelab" in result.err
    weights.with_name("snapshot_back.onnx").unlink()
    result = sosie("swap", "--method", "deepfakes", "--direction", "back", *common)
    assert result.code == 1
    assert "There is no snapshot_back.onnx" in result.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "name them with --data, or with --source and --target"),
        (["--source", "{a}"], "name the other one with --target"),
        (["--source", "{a}", "--target", "{a}"], "is both source and target"),
        (["--source", "{a}", "--target", "{b}/none"], "There is no"),
        (["--source", "{a}", "--target", "{b}", "--data", "{a}"], "give either"),
        (["--data", "{a}"], "--source and --target, or pretrain"),
    ],
)
def test_two_places_are_asked_for(sosie, tmp_path, words, told):
    for name in "ab":
        (tmp_path / name).mkdir()
    given = [word.format(a=tmp_path / "a", b=tmp_path / "b") for word in words]
    run = tmp_path / "run"
    result = sosie("train", "deepfacelab", *given, "--run", run, "--workers", 0)
    assert result.code in (1, 2)
    assert told in result.err
    assert not (run / "state.safetensors").exists()


def test_one_place_is_not_two(sosie, tmp_path):
    (tmp_path / "a").mkdir()
    both = ("--source", tmp_path / "a", "--target", tmp_path / "a")
    result = sosie("train", "simswap", *both, "--run", tmp_path / "run")
    assert result.code == 2
    assert "name it with --data" in result.err


def test_the_file_says_how_it_is_to_be_called(untrained):
    from sosie.methods.imported import card_in
    from sosie.models.session import create_session

    card = card_in(create_session(untrained("deepfacelab"), threads=1))
    assert (card["method"], card["face_type"], card["direction"]) == (
        *("deepfacelab", "full", "forward"),
    )
    assert json.dumps(card)
