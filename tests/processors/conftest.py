"""Faces as a method leaves them, and networks that stand in for those of others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sosie.types import Crop, Face, SwappedCrop


@pytest.fixture(scope="session")
def swapped_face(
    model_face: Callable[..., Face], crop_for: Callable[..., Crop]
) -> Callable[..., tuple[Crop, SwappedCrop]]:
    """A target (RGB, 256 x 256 x 3, 8 or 16 bits) and what was made of its face (0..1)."""

    def make(
        target: NDArray[Any], made: NDArray[Any], card: Any = None
    ) -> tuple[Crop, SwappedCrop]:
        crop = crop_for(target, model_face(unit_px=60), card)
        mask = np.zeros(crop.pixels.shape[:2], np.float32)
        height, width = mask.shape
        mask[height // 6 : -height // 6, width // 6 : -width // 6] = 1
        return crop, SwappedCrop(np.asarray(made, np.float32), mask, np.zeros_like(mask))

    return make


@pytest.fixture(scope="session")
def restorer(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`restorer(size_px, gain, fidelity)`: a network that gives its picture, in -1..1, times
    `gain`, and where `fidelity` is True also times the number that it is given beside it."""
    pytest.importorskip("onnx", exc_type=ImportError)
    from onnx import TensorProto, helper, numpy_helper

    folder = tmp_path_factory.mktemp("restorers")

    def make(size_px: int = 512, gain: float = 1.0, fidelity: bool = False) -> Path:
        shape = [1, 3, size_px, size_px]
        inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)]
        nodes = [helper.make_node("Mul", ["input", "gain"], ["raised"])]
        if fidelity:
            inputs.append(helper.make_tensor_value_info("weight", TensorProto.DOUBLE, [1]))
            nodes.append(helper.make_node("Cast", ["weight"], ["single"], to=TensorProto.FLOAT))
            nodes.append(helper.make_node("Mul", ["raised", "single"], ["output"]))
        else:
            nodes.append(helper.make_node("Identity", ["raised"], ["output"]))
        outputs = [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)]
        values = [numpy_helper.from_array(np.float32([gain]), "gain")]
        graph = helper.make_graph(nodes, "restorer", inputs, outputs, values)
        opsets = [helper.make_opsetid("", 17)]
        file = folder / f"restorer_{size_px}_{gain}_{fidelity}.onnx"
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
        file.write_bytes(model.SerializeToString())
        return file

    return make
