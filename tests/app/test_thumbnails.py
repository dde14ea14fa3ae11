"""`sosie inspect --thumbnails`: pictures of the people, which a swap takes as references."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from sosie.analysis.analyzer import create_analyzer


@pytest.fixture
def dyed_paths(hopper, tmp_path):
    """The admiral in green and in blue."""
    paths = []
    for name, dye in (("green", (0.4, 1.0, 0.4)), ("blue", (0.4, 0.4, 1.0))):
        paths.append(tmp_path / f"{name}.png")
        Image.fromarray(np.rint(hopper * np.array(dye)).astype(np.uint8)).save(paths[-1])
    return paths


def tint(before, after):
    return ("red", "green", "blue")[int(np.argmax((after.astype(int) - before).mean((0, 1))))]


def test_thumbnails_of_a_photo_tell_a_swap_who_is_who(sosie, pair, dyed_paths, tmp_path):
    target, people, output = (tmp_path / name for name in ("pair.png", "people", "out.png"))
    Image.fromarray(pair).save(target)
    found = sosie("inspect", target, "--thumbnails", people, "--json")
    assert found.code == 0, found.err
    told = found.json["people"]
    assert [one["faces"] for one in told] == [[0], [1]]
    assert all(one["is_reference"] for one in told)
    left, right = (one["thumbnail"] for one in told)
    assert [left, right] == [str(people / f"person-{number}.png") for number in (0, 1)]
    result = sosie(
        *("swap", "--map", f"{left}={dyed_paths[0]}", "--map", f"{right}={dyed_paths[1]}"),
        *("-t", target, "-o", output, "--color", "none"),
    )
    assert result.code == 0, result.err
    swapped = np.asarray(Image.open(output))
    assert tint(pair[:, :200], swapped[:, :200]) == "green"
    assert tint(pair[:, 200:], swapped[:, 200:]) == "blue"


def test_a_person_of_several_scenes_has_one(sosie, pair, make_video, dyed_paths, tmp_path):
    """The pair, then the astronaut alone and mirrored, on another ground."""
    alone = np.full((220, 400, 3), (60, 20, 90), np.uint8)
    alone[:, 100:300] = pair[:, :200]
    video = make_video(tmp_path / "cut.mp4", [pair] * 12 + [alone] * 12)
    people = tmp_path / "people"
    result = sosie("inspect", video, "--thumbnails", people)
    assert result.code == 0, result.err
    assert "3 faces" not in result.out
    assert f"person 0: faces 0, 2, {people / 'person-0.png'}\n" in result.out
    assert f"person 1: face 1, {people / 'person-1.png'}\n" in result.out
    assert sorted(path.name for path in people.iterdir()) == ["person-0.png", "person-1.png"]
    swapped = sosie(
        *("swap", "-s", dyed_paths[0], "--reference", people / "person-1.png", "-t", video),
        *("-o", tmp_path / "out.mp4", "--json"),
    )
    assert swapped.json["swapped_frames"] == 12


def test_each_shows_one_face(sosie, pair, tmp_path):
    Image.fromarray(pair).save(tmp_path / "pair.png")
    sosie("inspect", tmp_path / "pair.png", "--thumbnails", tmp_path / "people")
    for path in sorted((tmp_path / "people").iterdir()):
        pixels = np.asarray(Image.open(path))
        assert 150 < max(pixels.shape) <= 512
        assert len(create_analyzer(2).analyze(pixels)) == 1


def test_pictures_that_are_there_stay(sosie, small_path, scenery, tmp_path):
    people = tmp_path / "people"
    assert sosie("inspect", small_path, "--thumbnails", people).code == 0
    before = (people / "person-0.png").read_bytes()
    again = sosie("inspect", small_path, "--thumbnails", people)
    assert again.code == 1
    assert "--overwrite" in again.err
    assert (people / "person-0.png").read_bytes() == before
    assert sosie("inspect", small_path, "--thumbnails", people, "--overwrite").code == 0


def test_without_a_face_there_is_no_folder(sosie, scenery, tmp_path):
    Image.fromarray(scenery).save(tmp_path / "hill.png")
    result = sosie("inspect", tmp_path / "hill.png", "--thumbnails", tmp_path / "people", "--json")
    assert result.code == 3
    assert result.json["people"] == []
    assert not (tmp_path / "people").exists()


def test_a_folder_that_cannot_be(refused, small_path, tmp_path):
    (tmp_path / "file").write_text("mine")
    words = refused(1, "inspect", small_path, "--thumbnails", tmp_path / "file")
    assert "is not a folder" in words
