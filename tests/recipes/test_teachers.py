"""Teachers: published networks that judge Sosie's, from any number of threads."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")

from sosie.recipes.teachers import PARTS_FILE, PartsTeacher


class Interpreter:
    """Answers what it was given last, after a while."""

    def __init__(self, path: str, num_threads: int) -> None:
        self._given = np.zeros(0)

    def allocate_tensors(self) -> None: ...

    def get_input_details(self) -> list[dict[str, Any]]:
        return [{"index": 0}]

    get_output_details = get_input_details

    def set_tensor(self, index: int, value: np.ndarray) -> None:
        self._given = value

    def invoke(self) -> None:
        time.sleep(0.01)

    def get_tensor(self, index: int) -> np.ndarray:
        return np.rint((self._given[0, ..., 0] + 1) * 127.5)


def test_threads_get_the_labels_of_their_own_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ai_edge_litert.interpreter.Interpreter", Interpreter)
    (tmp_path / PARTS_FILE).touch()
    teacher = PartsTeacher(tmp_path)
    side = teacher.side_px
    squares = [np.full((side, side, 3), k, np.uint8) for k in range(12)]
    with ThreadPoolExecutor(4) as pool:
        labels = list(pool.map(teacher.read, squares))
    assert [int(one[0, 0]) for one in labels] == list(range(12))
