"""`sosie train vae` on two people, and `sosie latent` in what it made, as a user runs them."""

from __future__ import annotations

from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", exc_type=ImportError)

from sosie.app import latent
from sosie.app.cli.entry import run

COUNT = 20
TINY = [word for one in ("samples=8", "batch=4", "validate_every=8", "width=2", "latent=4")
        for word in ("--set", one)]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory, astronaut_path, hopper_path):
    """`anna`, `ben` and, the same as `anna` in another light, `again`: folders of photos."""
    root = tmp_path_factory.mktemp("people")
    for name, path, light in (
        ("anna", astronaut_path, 0.8),
        ("ben", hopper_path, 0.8),
        ("again", astronaut_path, 0.6),
    ):
        (root / name).mkdir()
        photo = Image.open(path).convert("RGB")
        photo.thumbnail((320, 320))
        for number in range(COUNT):
            pixels = np.asarray(photo) * (light + 0.01 * number)
            Image.fromarray(pixels.astype(np.uint8)).save(root / name / f"{number:02}.png")
    return root


def train(folder, source, target, *more):
    given = ("--source", folder / source, "--target", folder / target, "--run", folder / "run")
    words = ("train", "vae", *given, "--preset", "small", "--workers", "0", *TINY, *more)
    return run([str(word) for word in words])


@pytest.fixture(scope="module")
def weights(folder):
    assert train(folder, "anna", "ben") == 0
    return folder / "run" / "snapshot.safetensors"


def test_one_person_twice(folder, capfd):
    """Neither by one place nor by two."""
    assert train(folder, "anna", "anna") == 1
    assert "is both source and target, and a swap takes two people" in capfd.readouterr().err
    assert train(folder, "anna", "again") == 1
    assert "show one person" in capfd.readouterr().err
    (folder / "film.mp4").write_bytes(b"any")
    assert train(folder, "anna", "film.mp4") == 1
    assert "with `sosie dataset extract` first" in capfd.readouterr().err


def test_what_to_learn_from_is_asked_for(folder, capfd):
    place = str(folder / "anna")
    for words, told in (
        (["vae", "--source", place], "name the other one with --target"),
        (["vae"], "vae learns from pictures: name them with --data, or with --source and --target"),
        (["dcgan", "--source", place, "--target", place], "name it with --data"),
        (["vae", "--source", place, "--target", str(folder / "ben"), "--data", place],
         "--data names one set"),
        (["korshunova", "--data", place, "--teachers", place], "--source and --target"),
    ):  # fmt: skip
        assert run(["train", *words, "--run", str(folder / "none")]) == 2
        assert told in capfd.readouterr().err
        assert not (folder / "none" / "state.safetensors").exists()


def test_a_swap_needs_no_photo_of_the_source(sosie, folder, weights, tmp_path):
    target, out = folder / "ben" / "03.png", tmp_path / "out.png"
    told = sosie("swap", "--method", "vae", "--weights", weights, "-t", target, "-o", out, "--json")
    assert told.code == 0, told.err
    assert told.json["face_count"] == 1
    before, after = (np.asarray(Image.open(one)).astype(int) for one in (target, out))
    assert 0.02 < (np.abs(before - after).max(-1) > 2).mean() < 0.6
    other = sosie("swap", "-t", target, "-o", tmp_path / "none.png")
    assert (other.code, "No source was given" in other.err) == (2, True)


def test_a_sheet_of_photos_made_again(sosie, folder, weights, tmp_path):
    photos = [folder / name / "03.png" for name in ("anna", "ben")]
    sheet = tmp_path / "sheet.png"
    told = sosie("latent", "reconstruct", *photos, "--weights", weights, "-o", sheet, "--json")
    assert told.json == {"output": str(sheet), "rows": ["photos", "made again"], "pictures": 4}
    pixels = np.asarray(Image.open(sheet).convert("RGB")).astype(int)
    # Two rows of two pictures: those above are the photos.
    assert pixels[90:170, 30:110].std() > 10
    assert np.abs(pixels[90:170, 30:110] - pixels[90:170, 160:240]).mean() > 10


def test_a_walk_from_a_photo_to_a_person_goes_there_and_back(sosie, folder, weights, tmp_path):
    gif = tmp_path / "walk.gif"
    photo = folder / "anna" / "03.png"
    told = sosie("latent", "walk", photo, "target", "--weights", weights, "-o", gif)
    assert told.code == 0, told.err
    with Image.open(gif) as moving:
        assert (moving.n_frames, moving.info["loop"]) == (70, 0)


def test_a_walk_is_a_straight_line_and_a_direction_goes_both_ways():
    """In a space of colors, whose people are three of them."""
    colors = {"red": [1.0, 0, 0], "green": [0, 1.0, 0], "gray": [0.5, 0.5, 0.5]}
    space = SimpleNamespace(
        people={name: np.float32(color) for name, color in colors.items()},
        directions={"brightness": np.float32([0.1, 0.1, 0.1])},
        decode=lambda latents: latents[:, None, None],
    )
    ways = latent.walk(space, ["red", "green", "gray"], 5)
    first, second = ways.rows
    assert ways.columns == ["0%", "25%", "50%", "75%", "100%"]
    assert (first[0], second[0]) == ("red to green", "green to gray")
    assert np.allclose(first[1][2, 0, 0], [0.5, 0.5, 0])
    assert np.allclose([first[1][-1], second[1][0]], np.float32([0, 1, 0]))
    ways = latent.varied(space, "gray", (), 3)
    ((label, pictures),) = ways.rows
    assert (label, ways.columns) == ("brightness", ["-3.0", "+0.0", "+3.0"])
    assert np.allclose(pictures[:, 0, 0, 0], [0.2, 0.5, 0.8])
    # What moves begins and ends at the place, so that one attribute follows another.
    ((_, pictures),) = latent.varied(space, "gray", (), 2, is_round=True).rows
    assert np.allclose(pictures[:, 0, 0, 0], [0.5, 0.8, 0.5, 0.2])


def test_a_face_is_varied_along_an_attribute_in_a_video(sosie, weights, tmp_path):
    video = tmp_path / "vary.mp4"
    told = sosie(
        "latent", "vary", "source", "--along", "brightness", "--weights", weights, "-o", video
    )
    assert told.code == 0, told.err
    with av.open(str(video)) as opened:
        stream = opened.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (256, 256, 24)
        assert sum(1 for _ in opened.decode(stream)) == 72


def test_what_cannot_be_meant_is_told_and_writes_nothing(sosie, folder, weights, tmp_path):
    out = tmp_path / "out.png"
    photo = folder / "anna" / "03.png"
    blank = tmp_path / "blank.png"
    Image.new("RGB", (200, 200), (90, 120, 90)).save(blank)
    for words, code, told in (
        (("walk", photo), 2, "A walk has two places at least"),
        (("walk", photo, "cleo"), 1, "cleo is neither a photo nor a person"),
        (("walk", photo, blank), 3, "blank.png"),
        (("vary", "source", "--along", "smle"), 2, "Unknown attribute 'smle'"),
    ):
        result = sosie("latent", *words, "--weights", weights, "-o", out)
        assert (result.code, told in result.err) == (code, True), result.err
    moving = sosie("latent", "reconstruct", photo, "--weights", weights, "-o", tmp_path / "a.gif")
    assert (moving.code, "are a sheet" in moving.err) == (2, True)
    other = sosie("latent", "walk", photo, photo, "--weights", weights, "-o", tmp_path / "a.txt")
    assert other.code == 2
    absent = sosie("latent", "walk", photo, photo, "--weights", tmp_path / "no.x", "-o", out)
    assert "There is no" in absent.err
    assert not out.exists()
    out.write_bytes(b"mine")
    kept = sosie("latent", "vary", "source", "--weights", weights, "-o", out)
    assert "exists already" in kept.err
    assert out.read_bytes() == b"mine"


def test_people_are_told_apart_by_what_the_encoder_makes_of_them(sosie, folder, weights, tmp_path):
    pytest.importorskip("sklearn")
    people = tmp_path / "people"
    for name in ("anna", "ben"):
        (people / name).mkdir(parents=True)
        for number in range(4):
            photo = folder / name / f"{number:02}.png"
            (people / name / photo.name).write_bytes(photo.read_bytes())
    fitted = sosie("dataset", "classify", people, "--weights", weights, "--test", "0.25", "--json")
    assert fitted.code == 0, fitted.err
    assert (fitted.json["train"], fitted.json["test"]) == (6, 2)
    assert (fitted.json["identity_accuracy"], fitted.json["most_frequent"]) == (1, 0.5)
    model = people / "classifier.npz"
    photo = folder / "ben" / "15.png"
    named = sosie("dataset", "classify", photo, "--model", model, "--weights", weights, "--json")
    assert named.json["photos"][0]["name"] in ("anna", "ben")
    other = sosie("dataset", "classify", photo, "--model", model)
    assert "on other weights: name these with --weights" in other.err
