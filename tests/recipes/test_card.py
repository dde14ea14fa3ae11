"""The draft of a card says what the weights were made from, and how."""

from __future__ import annotations

import hashlib
import shlex
from datetime import date

import pytest

from sosie.errors import UsageError
from sosie.models.cards import Origin, parse_card
from sosie.recipes.card import draft, figures_of, origins, remake_command, write_card


def test_a_draft_is_a_card_of_the_file(tmp_path):
    file = tmp_path / "detector.onnx"
    file.write_bytes(b"weights")
    card = draft(
        file,
        summary="Finds faces.",
        uses={"celeba": "faces", "yunet": "boxes", "scikit-image": "no faces"},
        figures={"samples": 3},
        remake="sosie train detector",
    )
    write_card(card, tmp_path / "detector.json")
    assert parse_card((tmp_path / "detector.json").read_bytes(), "detector") == card
    assert card.sha256 == hashlib.sha256(b"weights").hexdigest()
    assert card.date == date.today().isoformat()
    assert card.data[0] == Origin("CelebA", "research use only", "faces")
    assert len(card.data) == 2
    assert [origin.license for origin in card.teachers] == ["Apache-2.0"]


def test_an_origin_that_no_one_knows_is_refused():
    with pytest.raises(UsageError, match=r"Unknown origin 'celebb'.*did you mean 'celeba'\?"):
        origins({"celebb": "faces"})


def test_the_command_is_one_that_the_shell_reads_back():
    command = remake_command("identity", {"samples": "1e6", "lr": "0.1"}, "my weights.onnx")
    assert shlex.split(command) == [
        *("sosie", "train", "identity", "--data", "DATA_FOLDER", "--teachers", "TEACHERS_FOLDER"),
        *("--run", "RUN_FOLDER", "--set", "lr=0.1", "--set", "samples=1e6"),
        *("--from", "my weights.onnx"),
    ]


def test_figures_are_rounded_and_told_from_those_of_the_test():
    figures = figures_of(5000, {"score": 0.123456, "faces": 600.0})
    assert figures == {"validation: score": 0.1235, "validation: faces": 600.0, "samples": 5000}
