"""Faces of one person out of photos, sets and videos, and what is refused."""

from __future__ import annotations

import dataclasses
import logging
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from sosie.datasets.images import find_pictures
from sosie.errors import InputError
from sosie.recipes.two_people import faces
from sosie.recipes.two_people.faces import LEAST, open_mixed, open_person, require_two

GIVEN = ("dfl_full", 64, False)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.ascontiguousarray(pixels[..., ::-1]))


@pytest.fixture(scope="module")
def photos(hopper, astronaut, tmp_path_factory) -> Path:
    """Twelve photos of one person, one of another, one of nobody, and a file that is none."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(LEAST):
        save(folder / f"{number:02}.png", np.roll(hopper, number, 1))
    save(folder / "other.png", astronaut)
    save(folder / "nobody.png", np.full((120, 120, 3), 90, np.uint8))
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="module")
def person(photos, tmp_path_factory):
    return open_person(photos, tmp_path_factory.mktemp("cache"), *GIVEN)


def test_the_person_of_most_photos_is_taken_and_others_are_left_out(person):
    assert person.faces.shape == (LEAST, 64, 64, 3)
    alike = person.identities @ person.identity
    assert float(alike.min()) > 0.8


def test_masks_are_on_the_face_and_features_within_it(person):
    masks, features = person.masks / 255, person.features / 255
    assert masks[:, 24:40, 24:40].mean() > 0.9
    assert masks[:, :3].mean() < 0.1
    assert 0.02 < features.mean() < masks.mean()
    assert (features * masks).sum() > 0.9 * features.sum()


def test_what_is_left_out_is_told(photos, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "sosie"):
        open_person(photos, tmp_path, *GIVEN)
    assert "1 pictures could not be read and 1 show no face" in caplog.text
    assert "1 faces look like somebody else" in caplog.text


def test_faces_are_cut_once(photos, tmp_path, monkeypatch):
    first = open_person(photos, tmp_path, *GIVEN)
    monkeypatch.setattr("sosie.recipes.two_people.faces._analyzer", None)
    again = open_person(photos, tmp_path, *GIVEN)
    assert np.array_equal(first.faces, again.faces)


def test_a_mixed_set_keeps_everybody(photos, tmp_path):
    assert len(open_mixed(photos, tmp_path, *GIVEN).faces) == LEAST + 1


def test_a_video_is_a_place_with_faces(hopper, tmp_path):
    import av

    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        height, width = (side // 2 * 2 for side in hopper.shape[:2])
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(LEAST + 2):
            pixels = np.ascontiguousarray(np.roll(hopper, number, 1)[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    assert len(open_person(path, tmp_path / "cache", *GIVEN).faces) == LEAST + 2
    with pytest.raises(InputError, match="video has no masks"):
        open_person(path, tmp_path / "cache", "dfl_full", 64, True)


def test_masks_of_the_users_own_take_the_place_of_the_parsers(photos, hopper, tmp_path):
    folder = tmp_path / "mine"
    for number in range(LEAST):
        save(folder / f"{number:02}.jpg", hopper)
        white = np.full_like(hopper, 255)
        # Masks may be of another size than their pictures.
        save(folder / "masks" / f"{number:02}.png", white[::2, ::2])
    person = open_person(folder, tmp_path / "cache", "dfl_full", 64, True)
    assert (person.masks[:, 8:-8, 8:-8] == 255).all()
    (folder / "masks" / "03.png").unlink()
    with pytest.raises(InputError, match=r"1 pictures .* have no mask in the folder masks"):
        open_person(folder, tmp_path / "cache", "dfl_full", 64, True)


def test_a_set_without_masks_is_refused_for_a_plan_that_wants_them(photos, tmp_path):
    with pytest.raises(InputError, match=r"have no mask.* leave own_masks out"):
        open_person(photos, tmp_path, "dfl_full", 64, True)


def test_too_few_faces_say_how_many_are_wanted(hopper, astronaut, tmp_path):
    folder = tmp_path / "few"
    for number in range(3):
        save(folder / f"{number}.png", hopper)
    save(folder / "other.png", astronaut)
    with pytest.raises(InputError, match=rf"gives 3 faces \(1 more .* at least {LEAST} are wanted"):
        open_person(folder, tmp_path / "cache", *GIVEN)


def test_two_zips_of_the_same_names_are_two_places(hopper, astronaut, tmp_path):
    found = []
    for name, pixels in (("a", hopper), ("b", astronaut)):
        save(tmp_path / name / "faces" / "0.png", pixels)
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as packed:
            for number in range(LEAST):
                packed.write(tmp_path / name / "faces" / "0.png", f"faces/{number:02}.png")
        found.append(open_person(tmp_path / f"{name}.zip", tmp_path / "cache", *GIVEN))
    assert float(found[0].identity @ found[1].identity) < 0.5


def test_what_is_kept_for_tests_is_not_learned_from(hopper, tmp_path, monkeypatch):
    folder = tmp_path / "photos"
    for number in range(LEAST + 2):
        save(folder / f"{number:02}.png", hopper)
    every = find_pictures(folder)
    split = [dataclasses.replace(one, split="test") for one in every[:2]] + every[2:]
    monkeypatch.setattr(faces, "find_pictures", lambda _: split)
    assert len(open_person(folder, tmp_path / "cache", *GIVEN).faces) == LEAST
    monkeypatch.setattr(faces, "find_pictures", lambda _: split[:2])
    with pytest.raises(InputError, match="has no pictures to learn from"):
        open_person(folder, tmp_path / "cache", *GIVEN)


def test_masks_alone_and_masks_in_a_zip_are_refused(hopper, tmp_path):
    save(tmp_path / "only" / "masks" / "0.png", hopper)
    with pytest.raises(InputError, match="has no pictures to learn from"):
        open_person(tmp_path / "only", tmp_path / "cache", *GIVEN)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.write(tmp_path / "only" / "masks" / "0.png", "0.png")
    with pytest.raises(InputError, match="from a folder alone: unpack"):
        open_person(tmp_path / "a.zip", tmp_path / "cache", "dfl_full", 64, True)


def test_a_single_photo_and_no_place_at_all_are_told_apart(hopper_path, tmp_path):
    with pytest.raises(InputError, match=rf"is one photo, and at least {LEAST} faces"):
        open_person(hopper_path, tmp_path, *GIVEN)
    with pytest.raises(InputError, match="There is no"):
        open_person(tmp_path / "nowhere", tmp_path, *GIVEN)


def test_one_person_in_two_folders_is_found_by_identity(person):
    with pytest.raises(InputError, match="show one person"):
        require_two(person.identity, person.identity)
