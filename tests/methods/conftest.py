"""Files of networks that stand in for those of others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def color_swapper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The least of swappers, as an ONNX file that is called like blendswap_256: in the light and
    shade of the target, the mean color of the source's picture (of its inner half)."""
    onnx = pytest.importorskip("onnx", exc_type=ImportError)
    from onnx import TensorProto, helper, numpy_helper

    def ints(name: str, *values: int) -> onnx.TensorProto:
        return numpy_helper.from_array(np.array(values, np.int64), name)

    nodes = [
        helper.make_node("Slice", ["source", "from", "to", "sides"], ["inner"]),
        helper.make_node("ReduceMean", ["inner"], ["color"], axes=[2, 3]),
        helper.make_node("ReduceMean", ["target"], ["grey"], axes=[1]),
        helper.make_node("ReduceMean", ["grey"], ["light"], axes=[1, 2, 3]),
        helper.make_node("Sub", ["grey", "light"], ["shade"]),
        helper.make_node("Mul", ["shade", "little"], ["relief"]),
        helper.make_node("Add", ["color", "relief"], ["result"]),
    ]
    graph = helper.make_graph(
        nodes,
        "color",
        [
            helper.make_tensor_value_info("target", TensorProto.FLOAT, [1, 3, 256, 256]),
            helper.make_tensor_value_info("source", TensorProto.FLOAT, [1, 3, 112, 112]),
        ],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, [1, 3, 256, 256])],
        [
            ints("from", 28, 28),
            ints("to", 84, 84),
            ints("sides", 2, 3),
            numpy_helper.from_array(np.float32([0.01]), "little"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    file = tmp_path_factory.mktemp("onnx") / "blendswap_256.onnx"
    file.write_bytes(model.SerializeToString())
    return file
