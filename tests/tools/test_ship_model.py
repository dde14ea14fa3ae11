"""A trained network becomes a shipped one: the file, and a card with its test figures."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from sosie.models import cards
from sosie.recipes.card import draft, write_card

FILE = Path(__file__).resolve().parents[2] / "tools" / "ship_model.py"
REPORT = {
    "rows": [
        {"model": "detector", "figure": "recall", "value": 98.76543, "unit": "%"},
        {"model": "identity", "figure": "accuracy", "value": 98.1, "unit": "%"},
        {"model": "detector", "figure": "strays", "value": 0.5, "unit": ""},
        {"model": "detector", "figure": "unmeasured", "value": None, "unit": "ms"},
    ]
}


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ship_model", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run(tmp_path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "detector.onnx").write_bytes(b"weights")
    card = draft(
        folder / "detector.onnx",
        summary="Finds faces.",
        uses={"lfw": "faces", "yunet": "boxes"},
        figures={"validation: score": 0.9, "samples": 1000},
        remake="sosie train detector",
    )
    write_card(card, folder / "detector.json")
    return folder


def test_the_shipped_file_is_whole_and_its_card_has_the_test_figures_first(
    tool, run, tmp_path, monkeypatch
):
    models = tmp_path / "models"
    tool.ship(run, "detector", models, REPORT)
    assert sorted(path.name for path in models.iterdir()) == ["detector.json", "detector.onnx"]
    monkeypatch.setattr(cards, "_FOLDER", models)
    assert cards.read_embedded("detector") == b"weights"
    figures = cards.read_card("detector").figures
    assert list(figures.items()) == [
        ("recall (%)", 98.77),
        ("strays", 0.5),
        ("validation: score", 0.9),
        ("samples", 1000),
    ]


def test_it_can_be_shipped_before_it_is_measured_and_again_after(tool, run, tmp_path):
    first = tool.ship(run, "detector", tmp_path, None)
    assert list(first.figures) == ["validation: score", "samples"]
    assert "strays" in tool.ship(run, "detector", tmp_path, REPORT).figures


def test_another_file_than_the_cards_is_not_shipped(tool, run, tmp_path):
    (run / "detector.onnx").write_bytes(b"other weights")
    with pytest.raises(ValueError, match="not the file that its card describes"):
        tool.ship(run, "detector", tmp_path / "models", None)
    assert not (tmp_path / "models").exists()


def test_a_report_of_other_models_is_refused(tool, run, tmp_path):
    with pytest.raises(ValueError, match="no figure of detector"):
        tool.ship(run, "detector", tmp_path / "models", {"rows": REPORT["rows"][1:2]})


def test_from_the_command_line(tool, run, tmp_path, monkeypatch, capsys):
    report = tmp_path / "eval.json"
    report.write_text(json.dumps(REPORT))
    monkeypatch.setattr(tool, "SHIPPED", ())
    arguments = [str(run), "detector", "--eval", str(report), "--models", str(tmp_path / "m")]
    monkeypatch.setattr(sys, "argv", ["ship_model.py", *arguments])
    assert tool.main() == 0
    said = capsys.readouterr().out
    assert "4 figures" in said
    assert "Add 'detector' to SHIPPED" in said
    monkeypatch.setattr(sys, "argv", ["ship_model.py", str(tmp_path), "detector"])
    with pytest.raises(SystemExit):
        tool.main()
    assert "detector.json" in capsys.readouterr().err
