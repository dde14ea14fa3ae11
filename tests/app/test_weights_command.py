"""`sosie weights`: what is shipped, and whether it is whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sosie.models import cards

MODELS = Path(cards.__file__).parent / "files"


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """Three models in a folder that stands for the package's; they are all the shape model."""
    content = (MODELS / "face_shape.npz").read_bytes()
    card = json.loads((MODELS / "face_shape.json").read_text())
    for name in ("anna", "berta", "clara"):
        (tmp_path / f"{name}.npz").write_bytes(content)
        entries = card | {"name": name, "file": f"{name}.npz"}
        (tmp_path / f"{name}.json").write_text(json.dumps(entries))
    monkeypatch.setattr(cards, "_FOLDER", tmp_path)
    monkeypatch.setattr(cards, "SHIPPED", ("anna", "berta", "clara"))
    return tmp_path


def test_the_list_shows_every_shipped_model(sosie):
    result = sosie("weights", "list")
    assert result.code == 0
    for name, card in cards.embedded_cards().items():
        size = (MODELS / card.file).stat().st_size / 1e6
        figure, value = next(iter(card.figures.items()))
        for words in (name, f"{size:.2f} MB", card.license, card.date, card.summary):
            assert words in result.out
        assert f"{figure} {value:g}" in result.out
        for origin in (*card.data, *card.teachers):
            assert f"{origin.name}: {origin.license}" in result.out
    assert "research alone" in result.out


def test_the_list_in_json_is_the_cards_and_sizes(sosie):
    listed = {entry["name"]: entry for entry in sosie("weights", "list", "--json").json}
    assert set(listed) == set(cards.SHIPPED)
    for name, entry in listed.items():
        file = MODELS / entry["file"]
        assert entry.pop("size_bytes") == file.stat().st_size
        assert entry == json.loads((MODELS / f"{name}.json").read_text())


def test_the_shipped_models_are_whole(sosie):
    result = sosie("weights", "verify")
    assert (result.code, result.err) == (0, "")
    assert len(result.out.splitlines()) == len(cards.SHIPPED)
    assert all(line.startswith("ok ") for line in result.out.splitlines())
    assert sosie("weights", "verify", "--json").json["ok"] is True


def test_only_the_named_ones_are_verified(sosie, package):
    (package / "berta.npz").write_bytes(b"")
    result = sosie("weights", "verify", "anna", "clara")
    assert result.code == 0
    assert "berta" not in result.out
    assert sosie("weights", "verify", "clara", "berta").code == 1


def damaged(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[5000] ^= 4
    path.write_bytes(content)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("damage", "file", "words"),
    [
        (damaged, "anna.npz", "anna.npz of Sosie is damaged or was changed"),
        (truncated, "anna.npz", "anna.npz of Sosie is damaged or was changed"),
        (Path.unlink, "anna.npz", "anna.npz of Sosie cannot be read"),
        (Path.unlink, "anna.json", "anna.json of Sosie cannot be read"),
        (truncated, "anna.json", "anna.json of Sosie is not valid"),
    ],
)
def test_a_fault_is_one_sentence_and_the_others_are_checked_all_the_same(
    sosie, package, damage, file, words
):
    path = package / file
    if file.endswith(".json") and damage is truncated:
        path.write_text(path.read_text().rstrip()[:-1])
    else:
        damage(path)
    result = sosie("weights", "verify")
    assert result.code == 1
    lines = result.out.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["BROKEN", "anna"],
        ["ok", "berta"],
        ["ok", "clara"],
    ]
    (sentence,) = result.err.splitlines()
    assert sentence.startswith("sosie: ")
    assert words in sentence
    assert sentence.endswith("install Sosie again.")

    report = sosie("weights", "verify", "--json")
    assert report.code == 1
    assert report.json["ok"] is False
    faults = {model["name"]: model["fault"] for model in report.json["models"]}
    assert faults == {"anna": sentence.removeprefix("sosie: "), "berta": "", "clara": ""}


def test_every_fault_has_its_sentence(sosie, package):
    (package / "anna.npz").unlink()
    damaged(package / "clara.npz")
    result = sosie("weights", "verify")
    assert result.code == 1
    assert len(result.err.splitlines()) == 2


def test_an_unknown_model_is_wrong_usage(sosie, package):
    result = sosie("weights", "verify", "bertha")
    assert result.code == 2
    assert "did you mean 'berta'?" in result.err


def test_a_list_with_a_broken_card_is_one_sentence(sosie, package):
    (package / "berta.json").write_text("{}")
    result = sosie("weights", "list")
    assert result.code == 1
    assert "berta.json of Sosie is not valid" in result.err
    assert len(result.err.splitlines()) == 1


def test_the_doctor_says_whether_they_are_whole(sosie, package, monkeypatch):
    from sosie.app import checks

    good = checks.Check("swap", "sample portraits", True, "1 face swapped in 1.0 s")
    monkeypatch.setattr(checks, "_sample_swap", lambda: good)
    monkeypatch.setattr(checks, "_encoders", lambda: iter(()))
    result = sosie("doctor")
    assert result.code == 0
    assert "whole" in result.out
    damaged(package / "berta.npz")
    report = sosie("doctor", "--json")
    assert report.code == 1
    found = {c["name"]: c for c in report.json["checks"] if c["group"] == "weights"}
    assert [found[name]["works"] for name in ("anna", "berta", "clara")] == [True, False, True]
    assert "damaged" in found["berta"]["detail"]
    assert "force-reinstall" in found["berta"]["remedy"]
