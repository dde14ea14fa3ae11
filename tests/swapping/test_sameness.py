"""What a resumed swap is held to: the networks that processors run belong to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sosie.options import SwapOptions
from sosie.swapping.sameness import differences, sameness


@pytest.mark.parametrize("changed", ["net.onnx", "nets/b.onnx"])
def test_another_network_of_a_processor_is_another_swap(tmp_path: Path, changed: str) -> None:
    (tmp_path / "nets").mkdir()
    for name in ("net.onnx", "nets/a.onnx", "nets/b.onnx", "film.mp4"):
        (tmp_path / name).write_text("one")
    processors = (f"onnx:{tmp_path / 'net.onnx'},weight=1", f"expression:{tmp_path / 'nets'}")
    options = SwapOptions(processors=processors)

    def told():
        return sameness(tmp_path / "film.mp4", [], [], options, "1.0")

    before = told()
    assert differences(before, told()) == []
    (tmp_path / changed).write_text("two")
    assert differences(before, told()) == ["the weights are not the same"]
