from __future__ import annotations

import numpy as np
import pytest

from sosie.errors import UnavailableError
from sosie.evaluation.metric import Missing, Settings
from sosie.evaluation.metrics import things
from sosie.recipes.teachers import PARTS


class Told:
    """A parser that takes colors for labels: red is spectacles, green is hair."""

    side_px = 128

    def read(self, square):
        labels = np.full(square.shape[:2], PARTS.index("skin"), np.uint8)
        labels[square[..., 0] > 200] = PARTS.index("spectacles")
        labels[square[..., 1] > 200] = PARTS.index("hair")
        return labels


@pytest.fixture
def told(monkeypatch, tmp_path, measured):
    monkeypatch.setattr(things, "find_weights", lambda *_: tmp_path / "parser")
    monkeypatch.setattr(things, "_teacher", lambda _: Told())
    return lambda sample: measured("things", sample)


def face(color=(100, 100, 100), rows=slice(0, 0)):
    picture = np.full((200, 200, 3), 100, np.uint8)
    picture[rows] = color
    return picture


def test_spectacles_of_the_source_are_fog(told, pictures):
    found = told(pictures(face(), face((250, 0, 0), slice(80, 100)), 50))
    assert 0.05 < found["fog_spectacles"] < 0.5
    assert found["fog_hair"] == 0
    assert isinstance(found["spectacles_kept"], Missing)


def test_spectacles_of_the_target_are_kept_or_not(told, pictures):
    worn = face((250, 0, 0), slice(80, 100))
    whole = told(pictures(worn, worn, 50))
    assert whole["spectacles_kept"] == 1
    assert whole["fog_spectacles"] == 0
    half = told(pictures(worn, face((250, 0, 0), slice(80, 90)), 50))
    assert half["spectacles_kept"] == pytest.approx(0.5, abs=0.1)


def test_a_fringe_of_the_source_is_fog(told, pictures):
    fringe = face((0, 250, 0), slice(30, 60))
    assert told(pictures(face(), fringe, 50))["fog_hair"] > 0.02
    assert told(pictures(fringe, fringe, 50))["fog_hair"] == 0


def test_without_the_parser_it_is_not_told(pictures, measured, tmp_path):
    with pytest.raises(UnavailableError, match="fetch"):
        measured("things", pictures(face(), face(), 50), Settings(weights=tmp_path))
