"""Methods whose weights users bring: which files they take, and how a network is called."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", exc_type=ImportError)

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from sosie.errors import InputError, UsageError  # noqa: E402
from sosie.methods import load_method  # noqa: E402
from sosie.options import SwapOptions  # noqa: E402
from sosie.types import SwappedCrop  # noqa: E402


def save(file: Path, nodes: list[Any], inputs: dict[str, Any], card: dict[str, Any], **values: Any):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(k, TensorProto.FLOAT, v) for k, v in inputs.items()],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, key) for key, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if card:
        helper.set_model_props(model, {"sosie.card": json.dumps(card)})
    file.write_bytes(model.SerializeToString())
    return str(file)


@pytest.fixture
def swapped(model_face, source_of, crop_for) -> Callable[..., SwappedCrop]:
    """A plain target of one color with a plain source of another, by the method of the options."""

    def swap(options: SwapOptions, source: Any, target: Any) -> SwappedCrop:
        swapper = load_method(options.method)(options)
        face = model_face(unit_px=55)
        photo, frame = (np.full((256, 256, 3), color, np.uint8) for color in (source, target))
        prepared = swapper.prepare([source_of(photo, face)])
        return swapper.swap(prepared, [crop_for(frame, face, swapper.card)])[0]

    return swap


def test_hififace_is_told_the_sources_shape_and_identity_and_all_else_of_the_target(
    tmp_path, swapped
):
    """The network shows three numbers of what it is told: the first of the shape, the first of the
    rest, and the first of the identity."""
    color = [
        helper.make_node("Gather", ["vector", "places"], ["told"], axis=1),
        helper.make_node("Reshape", ["told", "as_color"], ["color"]),
        helper.make_node("Sub", ["target", "target"], ["nothing"]),
        helper.make_node("Add", ["nothing", "color"], ["result"]),
    ]
    card = {"network": "hififace_maum_generator", "method": "hififace"}
    inputs = {"target": [1, 3, 256, 256], "vector": [1, 769]}
    constants = {"places": np.array([0, 80, 257]), "as_color": np.array([1, 3, 1, 1])}
    weights = save(tmp_path / "hififace.onnx", color, inputs, card, **constants)

    def reader(name: str, side: int, numbers: int) -> str:
        """The mean of a picture, so many times."""
        nodes = [
            helper.make_node("ReduceMean", ["face"], ["mean"], axes=[1, 2, 3], keepdims=1),
            helper.make_node("Reshape", ["mean", "one"], ["row"]),
            helper.make_node("Expand", ["row", "shape"], ["result"]),
        ]
        sizes = {"one": np.array([1, 1]), "shape": np.array([1, numbers])}
        return save(tmp_path / name, nodes, {"face": [1, 3, side, side]}, {}, **sizes)

    options = SwapOptions(
        method="hififace",
        weights=weights,
        encoder=reader("encoder.onnx", 112, 512),
        face_model=reader("shape.onnx", 224, 257),
    )
    middle = swapped(options, 204, 51).pixels[128, 128]
    assert np.allclose(middle, [0.8, 0.2, 512**-0.5], atol=0.01)
    with pytest.raises(UsageError, match=r"--face-model FILE\.onnx"):
        swapped(SwapOptions(method="hififace", weights=weights, encoder=options.encoder), 204, 51)
    wrong = SwapOptions(
        method="hififace", weights=weights, encoder=options.encoder, face_model=options.encoder
    )
    with pytest.raises(InputError, match="gives 1 x 512 numbers instead of 1 x 257"):
        swapped(wrong, 204, 51)


def test_infoswap_sees_blue_first_and_gives_it_first(tmp_path, swapped):
    """The network gives the first channel of the source and the others of the target."""
    nodes = [
        helper.make_node("Split", ["source"], ["blue", "s1", "s2"], axis=1),
        helper.make_node("Split", ["target"], ["t0", "green", "red"], axis=1),
        helper.make_node("Concat", ["blue", "green", "red"], ["result"], axis=1),
    ]
    side = [1, 3, 512, 512]
    weights = save(tmp_path / "infoswap.onnx", nodes, {"target": side, "source": side}, {})
    options = SwapOptions(method="infoswap", weights=weights)
    middle = swapped(options, (10, 20, 30), (110, 120, 130)).pixels[256, 256] * 255
    assert np.allclose(middle, [110, 120, 30], atol=1)


def test_what_was_imported_for_one_method_is_no_weights_of_another(imported):
    files = imported("blendswap")
    with pytest.raises(InputError, match=r"is a blendswap, not a ghost: give --method blendswap"):
        load_method("ghost")(SwapOptions.from_dict({"method": "ghost", **files}))
    with pytest.raises(UsageError, match=r"add --encoder FILE\.onnx"):
        load_method("blendswap")(SwapOptions(method="blendswap", weights=files["weights"]))


def test_a_file_that_says_nothing_of_itself_needs_its_interface(tmp_path, imported):
    files = imported("blendswap")
    model = onnx.load(files["weights"])
    del model.metadata_props[:]
    bare = tmp_path / "bare.onnx"
    bare.write_bytes(model.SerializeToString())
    options = {"method": "blendswap", **files, "weights": str(bare)}
    with pytest.raises(UsageError, match="say with --interface how it is called"):
        load_method("blendswap")(SwapOptions.from_dict(options))
    named = SwapOptions.from_dict({**options, "interface": "blendswap"})
    assert load_method("blendswap")(named).card.name == "blendswap"
    other = SwapOptions.from_dict({**options, "interface": "ghost_2"})
    with pytest.raises(InputError, match="is a ghost, not a blendswap"):
        load_method("blendswap")(other)


def test_a_network_that_was_trained_here_has_its_encoder(untrained, imported):
    weights = str(untrained("simswap"))
    encoder = imported("blendswap")["encoder"]
    with pytest.raises(UsageError, match="trained with Sosie needs no encoder"):
        load_method("simswap")(SwapOptions(method="simswap", weights=weights, encoder=encoder))
