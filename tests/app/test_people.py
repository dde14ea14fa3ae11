"""`sosie swap --reference` and `--map`: whom they change in photos, videos and folders, what they
report, and what they refuse."""

from __future__ import annotations

import av
import numpy as np
import pytest
from PIL import Image

LEFT, RIGHT = np.s_[:, :200], np.s_[:, 200:]


@pytest.fixture(autouse=True)
def _told_apart(by_look):
    """The portraits, whatever the recognition network thinks of them."""


@pytest.fixture
def pair_path(pair, tmp_path):
    Image.fromarray(pair).save(tmp_path / "pair.png")
    return tmp_path / "pair.png"


@pytest.fixture
def dyed_paths(hopper, tmp_path):
    """The admiral in green and in blue."""
    paths = {}
    for name, dye in (("green", (0.4, 1.0, 0.4)), ("blue", (0.4, 0.4, 1.0))):
        paths[name] = tmp_path / f"{name}.png"
        Image.fromarray(np.rint(hopper * np.array(dye)).astype(np.uint8)).save(paths[name])
    return paths


def pixels(path):
    with Image.open(path) as picture:
        return np.array(picture)


def tint(before, after):
    """Which color the change leans to; `none` where nothing has changed by more than a video's
    compression does."""
    change = after.astype(int) - before.astype(int)
    different = np.abs(change).max(-1) > 20
    if different.sum() < 200:
        return "none"
    return ("red", "green", "blue")[int(np.argmax(change[different].mean(0)))]


PLAIN = ["--color", "none"]


def test_a_reference_changes_that_person_alone(
    sosie, pair, pair_path, dyed_paths, hopper_path, tmp_path
):
    output = tmp_path / "out.png"
    result = sosie(
        "swap",
        "-s",
        dyed_paths["green"],
        "--reference",
        hopper_path,
        "-t",
        pair_path,
        "-o",
        output,
        *PLAIN,
    )
    assert result.code == 0, result.err
    assert np.array_equal(pixels(output)[LEFT], pair[LEFT])
    assert tint(pair[RIGHT], pixels(output)[RIGHT]) == "green"
    first, second = result.out.splitlines()
    assert first.startswith(f"{output}: 1 face swapped in ")
    assert second.startswith(f"  {hopper_path}: {dyed_paths['green']} in 1 face, similarity ")


def test_maps_change_each_person_by_their_own_source(
    sosie, pair, pair_path, dyed_paths, astronaut_path, hopper_path, tmp_path
):
    output = tmp_path / "out.png"
    green, blue = dyed_paths["green"], dyed_paths["blue"]
    result = sosie(
        "swap",
        "--map",
        f"{hopper_path}={green},{green}",
        "--map",
        f"{astronaut_path}={blue}",
        "-t",
        pair_path,
        "-o",
        output,
        "--json",
        *PLAIN,
    )
    assert result.code == 0, result.err
    assert tint(pair[LEFT], pixels(output)[LEFT]) == "blue"
    assert tint(pair[RIGHT], pixels(output)[RIGHT]) == "green"
    told = [(face["reference"], face["source_photo"]) for face in result.json["faces"]]
    assert told == [(str(astronaut_path), str(blue)), (str(hopper_path), str(green))]
    people = {person["reference"]: person for person in result.json["people"]}
    assert people[str(hopper_path)]["source_photos"] == [str(green), str(green)]
    assert people[str(astronaut_path)]["face_count"] == 1
    assert all(person["similarity"] > 0.9 for person in people.values())


def test_maps_in_a_video(
    sosie, pair, dyed_paths, make_video, astronaut_path, hopper_path, video_frames, tmp_path
):
    video = make_video(tmp_path / "pair.mp4", [pair] * 8)
    output = tmp_path / "out.mp4"
    result = sosie(
        "swap",
        "--map",
        f"{hopper_path}={dyed_paths['green']}",
        "--map",
        f"{astronaut_path}={dyed_paths['blue']}",
        "-t",
        video,
        "-o",
        output,
        "--json",
        *PLAIN,
    )
    assert result.code == 0, result.err
    for frame in video_frames(output):
        assert tint(pair[LEFT], frame[LEFT]) == "blue"
        assert tint(pair[RIGHT], frame[RIGHT]) == "green"
    followed = {track["reference"]: track for track in result.json["followed"]}
    assert followed[str(hopper_path)]["frames"] == 8
    assert followed[str(hopper_path)]["source_photos"] == [str(dyed_paths["green"])]
    assert followed[str(astronaut_path)]["last_s"] == pytest.approx(7 / 25, abs=0.002)


@pytest.fixture
def video_frames():
    def read(path):
        with av.open(str(path)) as container:
            return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]

    return read


def test_a_folder_where_some_do_not_show_the_person(
    sosie, pair_path, dyed_paths, small_path, hopper_path, tmp_path
):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "alone.png").write_bytes(small_path.read_bytes())
    (folder / "both.png").write_bytes(pair_path.read_bytes())
    arguments = ["-s", dyed_paths["green"], "--reference", hopper_path]
    result = sosie("swap", *arguments, "-t", folder, "-o", tmp_path / "out", "--json")
    assert result.code == 3
    (swapped,) = result.json["swapped"]
    assert swapped["faces"][0]["reference"] == str(hopper_path)
    (failed,) = result.json["failed"]
    assert failed["exit_code"] == 3
    assert f"alone.png: Nobody like {hopper_path} was found" in failed["error"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["both.png"]


def test_python_takes_what_the_command_line_takes(
    sosie, pair_path, dyed_paths, hopper_path, tmp_path
):
    import sosie as package

    output, source = tmp_path / "out.png", dyed_paths["blue"]
    mapped = ["--map", f"{hopper_path}={source}"]
    assert sosie("swap", *mapped, "-t", pair_path, "-o", output).code == 0
    result = package.swap_image(None, pair_path, people={hopper_path: source})
    np.testing.assert_array_equal(result.image, pixels(output))


# Refusals: one sentence, the exit code, nothing written.


@pytest.fixture
def people_refused(refused, pair_path, tmp_path):
    def call(code, *arguments):
        return refused(code, "swap", *arguments, "-t", pair_path, "-o", tmp_path / "out.png")

    return call


def test_neither_source_nor_map(people_refused, hopper_path):
    assert "No source was given" in people_refused(2)
    assert "No source was given" in people_refused(2, "--reference", hopper_path)


def test_source_and_map_together(people_refused, hopper_path, small_path):
    mapped = f"{small_path}={hopper_path}"
    assert "either a map or a source" in people_refused(2, "-s", hopper_path, "--map", mapped)
    message = people_refused(2, "--map", mapped, "--reference", small_path)
    assert "write the reference into it" in message


@pytest.mark.parametrize("faces", ["all", "1"])
def test_faces_beside_a_reference(people_refused, hopper_path, small_path, faces):
    for selection in (
        ["-s", hopper_path, "--reference", small_path],
        ["--map", f"{small_path}={hopper_path}"],
    ):
        message = people_refused(2, *selection, "--faces", faces)
        assert "by identity which faces" in message


def test_the_default_of_faces_may_be_written_out(
    sosie, pair_path, hopper_path, small_path, tmp_path
):
    arguments = ["-s", hopper_path, "--reference", small_path, "--faces", "largest"]
    assert sosie("swap", *arguments, "-t", pair_path, "-o", tmp_path / "out.png").code == 0


def test_malformed_maps(people_refused):
    for text in ("person.jpg", "person.jpg=", "=source.jpg", "person.jpg=a.jpg,"):
        assert repr(text) in people_refused(2, "--map", text)


def test_references_that_cannot_be_used(people_refused, hopper_path, small_path, scenery, tmp_path):
    Image.fromarray(scenery).save(tmp_path / "hill.png")
    absent = tmp_path / "absent.png"
    assert "absent.png does not exist" in people_refused(
        1, "-s", hopper_path, "--reference", absent
    )
    assert "absent.png does not exist" in people_refused(1, "--map", f"{small_path}={absent}")
    assert "hill.png: No face" in people_refused(
        3, "-s", hopper_path, "--reference", tmp_path / "hill.png"
    )


def test_one_person_named_twice(people_refused, hopper_path, small_path, astronaut_path):
    message = people_refused(
        2, "--map", f"{small_path}={hopper_path}", "--map", f"{astronaut_path}={hopper_path}"
    )
    assert f"{small_path} and {astronaut_path} show the same person" in message


def test_nobody_alike(refused, small_path, hopper_path, tmp_path):
    arguments = ["-s", small_path, "--reference", hopper_path, "-t", small_path]
    message = refused(3, "swap", *arguments, "-o", tmp_path / "out.png")
    assert f"Nobody like {hopper_path} was found" in message
    assert "similarity of 0." in message
