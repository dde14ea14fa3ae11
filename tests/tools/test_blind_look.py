"""The blind look: who is paired with whom, what the sheets hold, and how answers are counted."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

FILE = Path(__file__).resolve().parents[2] / "tools" / "blind_look.py"


@pytest.fixture(scope="module")
def look() -> ModuleType:
    spec = importlib.util.spec_from_file_location("blind_look", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["blind_look"] = module
    spec.loader.exec_module(module)
    return module


def looks(module: ModuleType, count: int, hard: int = 0) -> list[object]:
    rng = np.random.default_rng(0)
    made = []
    for number in range(count):
        identity = rng.normal(size=16)
        identity /= np.linalg.norm(identity)
        tone = np.full(3, 0.3 if number % 2 else 0.6, np.float32)
        kind = (number < hard, number >= hard)
        made.append(
            module.Look("a.zip", f"{number}.webp", f"p{number // 2}", tone, identity, *kind)
        )
    return made


def test_a_person_is_never_put_onto_themselves(look: ModuleType) -> None:
    some = looks(look, 30, hard=12)
    clear = [one for one in some if one.clear]
    hard = look.hard_pairs(some, 10, 1)
    assert len(hard) == 10
    assert {s.hard != t.hard for s, t in hard} == {True}
    assert {s.hard for s, _ in hard} == {True, False}
    for pairs in (hard, look.other_pairs(clear, 10, 1), look.matched_pairs(clear, 10)):
        assert len(pairs) > 5
        assert all(s.person != t.person for s, t in pairs)


def test_matched_people_have_skin_of_like_tone(look: ModuleType) -> None:
    pairs = look.matched_pairs(looks(look, 30), 10)
    assert all(np.abs(s.tone - t.tone).max() < 0.1 for s, t in pairs)
    targets = [t.name for _, t in pairs]
    assert len(set(targets)) == len(targets)


def test_every_result_and_every_control_has_a_cell(
    look: ModuleType, astronaut: NDArray[np.uint8], tmp_path: Path
) -> None:
    sets = tmp_path / "sets"
    sets.mkdir()
    cv2.imwrite(str(sets / "t.png"), astronaut[:, :, ::-1])
    listed = {"clear": [{"source": "t.png", "target": "t.png"}] * 2}
    (sets / "sets.json").write_text(json.dumps(listed))
    for version, brightness in (("old", 60), ("new", 200)):
        (tmp_path / version).mkdir()
        for number in range(2):
            made = np.full_like(astronaut, brightness)
            cv2.imwrite(str(tmp_path / version / f"clear-{number:03}.png"), made)
    versions = [tmp_path / "old", tmp_path / "new"]
    key = tmp_path / "key.json"
    look.lay_out(sets, "clear", versions, tmp_path / "sheets", key, seed=3)
    cells = json.loads(key.read_text())["cells"]
    told = [cell["version"] for cell in cells.values()]
    assert sorted(told) == ["control", "control", "new", "new", "old", "old"]
    sheet = cv2.imread(str(tmp_path / "sheets" / "sheet-00.png"))
    for number, cell in cells.items():
        y, x = 388 * (int(number) // 4) + 200, 360 * (int(number) % 4) + 180
        middle = sheet[y - 20 : y + 20, x - 20 : x + 20]
        expected = {"old": 60, "new": 200}.get(cell["version"])
        assert (middle == expected).all() if expected else middle.std() > 5


def test_answers_are_counted_by_version_and_viewer(look: ModuleType) -> None:
    cells = {str(k): {"version": "new" if k % 2 else "control", "pair": k} for k in range(4)}
    one = look.read_answers("cell,passes,fault\n0,1,\n1,0,light\n2,1,\n3,1,\n")
    two = look.read_answers("cell,passes,fault\n0,1,\n1,0,hair\n2,1,\n3,0,seam\n")
    told = look.tally(cells, [one, two])
    assert told["control"]["passes"] == [1, 1]
    assert told["new"]["passes"] == [0.5, 0]
    assert told["new"]["faults"] == [{"light": 1}, {"hair": 1, "seam": 1}]
    assert told["agreement"] == 0.75
    with pytest.raises(ValueError, match="3"):
        look.tally(cells, [one, {k: v for k, v in two.items() if k != "3"}])
    with pytest.raises(ValueError, match=r"fault|hair"):
        look.read_answers("cell,passes,fault\n0,0,ugly\n")
