"""What a method is given of a frame."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sosie.geometry.alignment import align_matrix, transform_points, warp
from sosie.methods.base import Card
from sosie.methods.interfaces import INTERFACES
from sosie.types import Crop, Face


@pytest.fixture(scope="session")
def crop_for() -> Callable[..., Crop]:
    """What a method sees of a face in a frame: as its card asks, or a window of the frame."""

    def make(
        frame: NDArray[np.generic],
        face: Face,
        card: Card | None = None,
        source: int | None = None,
    ) -> Crop:
        if card is None or card.template is None or card.size_px is None:
            matrix, pixels = np.eye(2, 3), frame
        else:
            matrix = align_matrix(face.points5, card.template, card.size_px)
            pixels = warp(frame, matrix, card.size_px, card.size_px)
        landmarks = transform_points(face.landmarks, matrix)
        visible = np.ones(pixels.shape[:2], np.float32)
        return Crop(pixels, matrix, landmarks, landmarks, visible, face, source)

    return make


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


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`untrained(method)`: the file of a tiny network of a method, as its training writes it."""
    torch = pytest.importorskip("torch", exc_type=ImportError)
    from sosie.recipes import load_recipe
    from sosie.training.recipe import Materials

    def make(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        torch.manual_seed(0)
        kind = load_recipe(name)
        tiny = {"width": "4", "depth": "1", "critic": "4"}
        plan = kind.presets["small"].changed(tiny)
        recipe = kind(Materials(folder, folder, folder, 0), plan)
        recipe.export(recipe.network().eval(), folder / "snapshot.onnx")
        return folder / "snapshot.onnx"

    return make


@pytest.fixture(scope="session")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, str]]:
    """`imported(network)`: the options that run a published network of that name, which is not it:
    the target with a little of the source's color, read by an encoder that knows that alone."""
    pytest.importorskip("onnx", exc_type=ImportError)
    from onnx import TensorProto, helper, numpy_helper

    folder = tmp_path_factory.mktemp("imported")

    def save(name: str, nodes: list[Any], inputs: dict[str, list[int]], **values: Any) -> str:
        own = {
            **values,
            "little": np.float32([0.05]),
            "as_color": np.array([1, 3, 1, 1]),
            "as_row": np.array([1, 3]),
            "along": np.array([1]),
        }
        graph = helper.make_graph(
            nodes,
            name,
            [helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in inputs.items()],
            [helper.make_tensor_value_info("result", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value, key) for key, value in own.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        if name in INTERFACES and name != "infoswap_512":  # no import writes that one
            card = {"network": name, "method": INTERFACES[name].method, "embedding_map": True}
            helper.set_model_props(model, {"sosie.card": json.dumps(card)})
        file = folder / f"{name}.onnx"
        file.write_bytes(model.SerializeToString())
        return str(file)

    def reader(name: str, side_px: int, numbers: int) -> str:
        """Mean color, and zeros."""
        nodes = [
            helper.make_node("ReduceMean", ["face"], ["mean"], axes=[2, 3], keepdims=0),
            helper.make_node("Concat", ["mean", "rest"], ["result"], axis=1),
        ]
        rest = np.zeros((1, numbers - 3), np.float32)
        return save(name, nodes, {"face": [1, 3, side_px, side_px]}, rest=rest)

    def make(network: str) -> dict[str, str]:
        entry = INTERFACES[network]
        side, first = entry.target.size_px, 257 if entry.face_model else 0
        nodes = [
            helper.make_node("Reshape", ["read", "as_color"], ["color"]),
            helper.make_node("Mul", ["color", "little"], ["tint"]),
            helper.make_node("Add", ["target", "tint"], ["result"]),
        ]
        if entry.picture:
            mean = helper.make_node("ReduceMean", ["source"], ["read"], axes=[2, 3])
            inputs = {"target": [1, 3, side, side], "source": [1, 3, side, side]}
            return {"weights": save(network, [mean, *nodes], inputs)}
        given = "vector" if entry.face_model else "identity"
        read = helper.make_node("Slice", [given, "from", "to", "along"], ["read"])
        places = {"from": np.array([first]), "to": np.array([first + 3])}
        inputs = {"target": [1, 3, side, side], given: [1, first + 512]}
        options = {"weights": save(network, [read, *nodes], inputs, **places)}
        options["encoder"] = reader("encoder", 112, 512)
        if entry.own_encoder is not None:
            options["converter"] = "none"
        if entry.face_model is not None:
            options["face_model"] = reader("face_model", side, 257)
        return options

    return make
