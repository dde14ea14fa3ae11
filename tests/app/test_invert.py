"""`sosie invert` with networks that have learned nothing, as a user runs it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

pytest.importorskip("torch", exc_type=ImportError)

import torch

from sosie.app.cli.entry import run
from sosie.methods.megafs.directions import components, limited
from sosie.methods.megafs.files import part_file
from sosie.recipes.stylegan2.frozen import frozen_generator


@pytest.fixture(scope="module")
def weights(untrained):
    return untrained("megafs")


@pytest.fixture
def invert(weights, tmp_path, capfd):
    """Run the command; its picture, its codes and its report."""

    def command(face, name, *more):
        output = tmp_path / f"{name}.png"
        words = ("invert", face, "--weights", weights, "-o", output, "--json", *more)
        assert run([str(word) for word in words]) == 0, capfd.readouterr().err
        told = json.loads(capfd.readouterr().out)
        return np.asarray(Image.open(output)), load_file(told["codes"]), told

    return command


def failing(capfd, *words):
    code = run([str(word) for word in words])
    return code, capfd.readouterr().err


def test_a_face_becomes_codes_and_is_drawn_again(invert, astronaut_path, tmp_path):
    picture, codes, told = invert(astronaut_path, "out")
    assert picture.shape == (64, 64, 3)
    assert {key: value.shape for key, value in codes.items()} == {
        "latents": (10, 8),
        "structure": (8, 4, 4),
    }
    assert np.abs(codes["latents"]).max() <= 1
    assert 0 < told["pixels"] < 1
    assert -1 <= told["identity"] <= 1
    assert told["codes"] == str(tmp_path / "out.safetensors")
    again, same, unmeasured = invert(tmp_path / "out.safetensors", "again")
    assert np.array_equal(again, picture)
    assert np.array_equal(same["latents"], codes["latents"])
    assert unmeasured["identity"] is None


def test_edits_move_the_latents_that_they_are_of(invert, astronaut_path, weights):
    picture, codes, told = invert(astronaut_path, "out")
    edited, moved, measured = invert(
        astronaut_path, "smile", "--edit", "pc1=3", "--edit", "pc2=-1.5", "--layers", "2-4"
    )
    known = components(weights / "stylegan2.safetensors", 2)
    by = moved["latents"] - codes["latents"]
    assert np.allclose(by[2:5], 3 * known["pc1"] - 1.5 * known["pc2"], atol=1e-5)
    assert not by[:2].any()
    assert not by[5:].any()
    assert not np.array_equal(edited, picture)
    # What is measured is the inversion, before any edit.
    assert measured["pixels"] == told["pixels"]


def test_directions_of_a_file_have_their_names(invert, astronaut_path, tmp_path):
    _, codes, _ = invert(astronaut_path, "out")
    whole = np.arange(80, dtype=np.float32).reshape(10, 8) / 80
    save_file({"smile": np.ones(8, np.float32), "age": whole}, tmp_path / "known.safetensors")
    given = ("--directions", tmp_path / "known.safetensors")
    _, moved, _ = invert(astronaut_path, "a", "--edit", "smile=0.5", *given)
    assert np.allclose(moved["latents"] - codes["latents"], 0.5, atol=1e-6)
    _, moved, _ = invert(astronaut_path, "b", "--edit", "age=-1", *given)
    assert np.allclose(moved["latents"] - codes["latents"], -whole, atol=1e-6)


def test_components_are_those_of_the_generators_latents(weights):
    found = components(weights / "stylegan2.safetensors", 8)
    assert list(found) == [f"pc{k}" for k in range(1, 9)]
    generator = frozen_generator(part_file(weights, "generator", ".safetensors"))
    torch.manual_seed(1)
    latents = generator.map(torch.randn(20000, 8)).numpy()
    spreads = [float(np.linalg.norm(one)) for one in found.values()]
    assert spreads == sorted(spreads, reverse=True)
    for name, one in found.items():
        spread = float(np.linalg.norm(one))
        assert np.std(latents @ (one / spread)) == pytest.approx(spread, rel=0.05), name
    whole = np.stack(list(found.values()))
    apart = whole @ whole.T - np.diag(np.square(spreads))
    assert np.abs(apart).max() < 1e-4 * spreads[0] ** 2


def test_a_limited_direction_moves_its_layers_alone():
    made = limited(np.ones(3, np.float32), 4, 1, 2)
    assert made.tolist() == [[0, 0, 0], [1, 1, 1], [1, 1, 1], [0, 0, 0]]


def test_what_is_wrong_is_told_in_a_sentence(weights, astronaut_path, tmp_path, capfd):
    output, empty = tmp_path / "out.png", tmp_path / "empty.png"
    Image.new("RGB", (200, 200), (90, 110, 130)).save(empty)
    usual = ("invert", astronaut_path, "--weights", weights, "-o", output)
    for words, code, told in (
        (("invert", astronaut_path, "-o", output), 2, "sosie train stylegan2"),
        ((*usual, "--edit", "pc99=1"), 2, "Unknown direction 'pc99'"),
        ((*usual, "--edit", "pc1"), 2, "is no edit; write NAME=STRENGTH"),
        ((*usual, "--edit", "pc1=1", "--layers", "4-99"), 2, "names no layers"),
        ((*usual, "--layers", "4"), 2, "nothing to edit"),
        ((*usual, "--codes", tmp_path / "out.npz"), 2, "Codes are written as .safetensors"),
        (("invert", empty, "--weights", weights, "-o", output), 3, "No face was found"),
        (("invert", astronaut_path, "--weights", tmp_path, "-o", output), 1, "no megafs_encoder"),
        (("invert", astronaut_path, "--weights", astronaut_path, "-o", output), 1, "is no folder"),
    ):
        found, error = failing(capfd, *words)
        assert (found, told in error) == (code, True), error
        assert not output.exists()
        assert not output.with_suffix(".safetensors").exists()


def test_codes_and_directions_of_others_are_refused(weights, astronaut_path, tmp_path, capfd):
    other = tmp_path / "other.safetensors"
    save_file({"latents": np.zeros((18, 512), np.float32)}, other)
    usual = ("--weights", weights, "-o", tmp_path / "out.png")
    assert "holds no codes of these networks" in failing(capfd, "invert", other, *usual)[1]
    edit = ("--edit", "latents=1", "--directions", other)
    found = failing(capfd, "invert", astronaut_path, *usual, *edit)
    assert "it is of another generator" in found[1]
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for name in ("stylegan2.onnx", "megafs_encoder.onnx"):
        shutil.copy(weights / name, mixed)
    shutil.copy(weights / "megafs_encoder.onnx", mixed / "megafs_hierfe.onnx")
    found = failing(capfd, "invert", astronaut_path, "--weights", mixed, "-o", tmp_path / "o.png")
    assert "more than once" in found[1]
    (mixed / "megafs_encoder.onnx").unlink()
    shutil.copy(weights / "stylegan2.onnx", mixed / "megafs_hierfe.onnx")
    found = failing(capfd, "invert", astronaut_path, "--weights", mixed, "-o", tmp_path / "o.png")
    assert "is no encoder of MegaFS" in found[1]
