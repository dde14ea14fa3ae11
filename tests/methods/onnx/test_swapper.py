"""The method `onnx` on files made here: what goes in, what comes out, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", exc_type=ImportError)

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from PIL import Image  # noqa: E402

from sosie.errors import InputError, UsageError  # noqa: E402
from sosie.geometry.alignment import TEMPLATES  # noqa: E402
from sosie.methods import interfaces, load_method  # noqa: E402
from sosie.methods.base import Source  # noqa: E402
from sosie.methods.imported import PublishedSwapper  # noqa: E402
from sosie.methods.interfaces import IMAGENET, INTERFACES, SIGNED, UNIT, Scale  # noqa: E402
from sosie.models.onnx_matrix import last_matrix  # noqa: E402
from sosie.models.session import create_session  # noqa: E402
from sosie.options import SwapOptions  # noqa: E402
from sosie.types import Crop, Face  # noqa: E402

FLOAT = TensorProto.FLOAT


def save(
    file: Path,
    nodes: list[Any],
    inputs: dict[str, list[int]],
    outputs: list[str],
    constants: dict[str, np.ndarray] | None = None,
    metadata: dict[str, str] | None = None,
) -> Path:
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, metadata or {})
    file.write_bytes(model.SerializeToString())
    return file


def answering(
    file: Path,
    side: int,
    names: tuple[str, str] = ("target", "source"),
    constants: dict[str, np.ndarray] | None = None,
    metadata: dict[str, str] | None = None,
    mask: bool = False,
) -> Path:
    """A swapper that gives the target back, and 0.001 times the identity's first three numbers."""
    target, source = names
    own = {
        "from": np.array([0]),
        "to": np.array([3]),
        "side": np.array([1]),
        "shape": np.array([1, 3, 1, 1]),
        "little": np.float32([0.001]),
        "half": np.float32([0.5]),
    }
    nodes = [
        helper.make_node("Slice", [source, "from", "to", "side"], ["first"]),
        helper.make_node("Reshape", ["first", "shape"], ["color"]),
        helper.make_node("Mul", ["color", "little"], ["tint"]),
        helper.make_node("Add", [target, "tint"], ["output"]),
        helper.make_node("ReduceMean", [target], ["grey"], axes=[1]),
        helper.make_node("Sub", ["grey", "grey"], ["none"]),
        helper.make_node("Add", ["none", "half"], ["mask"]),
    ]
    inputs = {target: [1, 3, side, side], source: [1, 512]}
    outputs = ["output", "mask"] if mask else ["output"]
    return save(file, nodes, inputs, outputs, {**own, **(constants or {})}, metadata)


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """512 numbers of a face of 112 px: 3, 4, 12 and zeros, and the face's mean as the last."""
    numbers = np.zeros((1, 511), np.float32)
    numbers[0, :3] = 3, 4, 12
    nodes = [
        helper.make_node("ReduceMean", ["input.1"], ["all"], axes=[1, 2, 3]),
        helper.make_node("Reshape", ["all", "one"], ["mean"]),
        helper.make_node("Concat", ["numbers", "mean"], ["683"], axis=1),
    ]
    constants = {"numbers": numbers, "one": np.array([1, 1])}
    file = tmp_path / "encoder.onnx"
    return save(file, nodes, {"input.1": [1, 3, 112, 112]}, ["683"], constants)


@pytest.fixture
def converter(tmp_path: Path) -> Path:
    """An embedding times -2."""
    nodes = [helper.make_node("Mul", ["input", "factor"], ["output"])]
    file = tmp_path / "crossface.onnx"
    return save(file, nodes, {"input": [1, 512]}, ["output"], {"factor": np.float32([-2])})


@pytest.fixture
def material(
    model_face, paint, source_of, crop_for
) -> Callable[[PublishedSwapper], tuple[Any, Any]]:
    """A source and a target of one gray, as a swapper gets them."""

    def make(swapper: PublishedSwapper, level: int = 150) -> tuple[Source, Crop]:
        face: Face = model_face(unit_px=55)
        pixels = np.full((256, 256, 3), level, np.uint8)
        return source_of(pixels, face), crop_for(pixels, face, swapper.card)

    return make


def swapper_for(model: Path, **options: Any) -> PublishedSwapper:
    made = load_method("onnx")(SwapOptions(method="onnx", model=str(model), **options))
    assert isinstance(made, PublishedSwapper)
    return made


def options_for(name: str, encoder: Path) -> dict[str, str]:
    entry = INTERFACES[name]
    options = {"interface": name}
    if not entry.picture:
        options["encoder"] = str(encoder)
    if entry.own_encoder is not None:
        options["converter"] = "none"
    return options


WITH_EMBEDDING = sorted(
    name for name, entry in INTERFACES.items() if not entry.picture and entry.face_model is None
)


@pytest.mark.parametrize("name", sorted(INTERFACES))
def test_every_interface_is_whole(name: str) -> None:
    entry = INTERFACES[name]
    views = [entry.target, entry.source, *([entry.own_encoder] if entry.own_encoder else [])]
    assert {view.template for view in views} <= set(TEMPLATES)
    assert all(len(digest) == 64 and int(digest, 16) for digest in entry.sha256)
    assert not (entry.picture and (entry.own_encoder or entry.mapped))


@pytest.mark.parametrize("name", WITH_EMBEDDING)
def test_pixels_come_back_as_they_went_in(name, tmp_path, encoder, material):
    """The swapper answers with its target, so all scaling in and out must cancel."""
    entry = INTERFACES[name]
    model = answering(
        tmp_path / "swap.onnx", entry.target.size_px, constants={"emap": np.eye(512, dtype="f4")}
    )
    swapper = swapper_for(model, **options_for(name, encoder))
    source, crop = material(swapper)
    result = swapper.swap(swapper.prepare([source]), [crop])[0]
    size = entry.target.size_px
    assert result.pixels.shape == (size, size, 3)
    middle = result.pixels[size // 2, size // 2]
    if entry.target.scale == entry.output:
        assert np.allclose(middle, 150 / 255, atol=0.02)
    else:
        assert name == "simswap_256"
        seen = (150 / 255 - np.array(IMAGENET.mean)) / np.array(IMAGENET.deviation)
        assert np.allclose(middle, np.clip(seen, 0, 1), atol=0.02)
    assert result.mask[size // 2, size // 2] == 1
    assert result.mask[0].max() < 0.02
    assert not result.own.any()


def identity(name: str, model: Path, encoder: Path, material, level: int = 0, **options: str):
    swapper = swapper_for(model, **{**options_for(name, encoder), **options})
    return swapper.prepare([material(swapper, level)[0]])[0].identity[0]


@pytest.mark.parametrize(
    ("name", "level", "last"),
    [
        ("ghost_2", 0, -1.0),
        ("ghost_2", 255, 1.0),
        ("simswap_256", 0, -float(np.mean(np.divide(IMAGENET.mean, IMAGENET.deviation)))),
        ("hyperswap_1a", 255, 1.0),
    ],
)
def test_the_encoder_sees_the_scale_that_it_was_trained_on(
    name, level, last, tmp_path, encoder, material
):
    model = answering(tmp_path / "swap.onnx", INTERFACES[name].target.size_px)
    numbers = identity(name, model, encoder, material, level)
    raw = np.array([3, 4, 12, *[0] * 508, last])
    expected = raw / np.linalg.norm(raw) if INTERFACES[name].unit else raw
    assert np.allclose(numbers, expected, atol=1e-5)


def test_embeddings_are_converted_before_they_are_normalized(
    tmp_path, encoder, converter, material
):
    raw = np.array([3, 4, 12, *[0] * 508, -1])
    ghost = answering(tmp_path / "ghost.onnx", 256)
    numbers = identity("ghost_1", ghost, encoder, material, converter=str(converter))
    assert np.allclose(numbers, -2 * raw)
    hififace = identity("hififace_256", ghost, encoder, material, converter=str(converter))
    assert np.allclose(hififace, -raw / np.linalg.norm(raw))


@pytest.mark.parametrize("kind", [np.float32, np.float16])
def test_inswappers_map_is_the_last_constant_of_its_file(kind, tmp_path, encoder, material):
    matrix = np.random.default_rng(0).normal(size=(512, 512)).astype(kind)
    decoy = np.ones((512, 512), np.float32)
    model = answering(
        tmp_path / "inswapper_128.onnx", 128, constants={"decoy": decoy, "emap": matrix}
    )
    numbers = identity("inswapper_128", model, encoder, material)
    expected = np.array([3, 4, 12, *[0] * 508, -1]) @ matrix.astype(np.float64)
    assert np.allclose(numbers, expected / np.linalg.norm(expected), atol=1e-4)


def test_constants_are_read_however_they_are_stored(tmp_path):
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    tensor = helper.make_tensor("values", FLOAT, [2, 3], values.ravel().tolist())
    assert tensor.float_data
    model = onnx.ModelProto(graph=onnx.GraphProto(initializer=[tensor]))
    file = tmp_path / "a.onnx"
    file.write_bytes(model.SerializeToString())
    assert np.array_equal(last_matrix(file), values)


def matrix_of(*fields: bytes) -> bytes:
    """A model whose only constant has these fields, each shorter than 128 bytes."""
    constant = b"".join(fields)
    graph = b"\x2a" + bytes([len(constant)]) + constant
    return b"\x3a" + bytes([len(graph)]) + graph


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\xff" * 9, b"\x3a\x7f\x01", b"no model at all"),
        # Axes and values that claim what is not there, and a number without end.
        matrix_of(b"\x08" + b"\xff" * 9 + b"\x7f", b"\x08\x01", b"\x4a\x04abcd"),
        matrix_of(b"\x08\x02\x08\x02", b"\x4a\x04abcd"),
        matrix_of(b"\x0a\x40" + b"\x01" * 64, b"\x4a\x04abcd"),
        matrix_of(b"\x08" + b"\x80" * 80),
        b"\x08" + b"\x80" * 3_000_000,
    ],
)
def test_a_damaged_file_has_no_map(content, tmp_path):
    file = tmp_path / "a.onnx"
    file.write_bytes(content)
    with pytest.raises(InputError, match="no embedding map"):
        last_matrix(file)


@pytest.mark.parametrize("place", ["../beside.bin", "link.bin", "pipe.bin", "/dev/zero"])
def test_no_weights_are_taken_from_elsewhere(place, tmp_path):
    (tmp_path / "beside.bin").write_bytes(bytes(16))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link.bin").symlink_to(tmp_path / "beside.bin")
    os.mkfifo(folder / "pipe.bin")
    outside = onnx.TensorProto(name="w", data_type=FLOAT, dims=[4])
    outside.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", place), ("length", "16")):
        outside.external_data.add(key=key, value=value)
    sides = [helper.make_tensor_value_info(name, FLOAT, [4]) for name in "xy"]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])], "g", sides[:1], sides[1:], [outside]
    )
    opsets = [helper.make_opsetid("", 17)]
    file = folder / "swap.onnx"
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    file.write_bytes(model.SerializeToString())
    for model in (file, file.read_bytes()):
        with pytest.raises(InputError, match="cannot be read"):
            create_session(model)


def test_a_mask_from_the_swapper_is_used(tmp_path, encoder, material):
    model = answering(tmp_path / "hyperswap.onnx", 256, mask=True)
    swapper = swapper_for(model, **options_for("hyperswap_1a", encoder))
    source, crop = material(swapper)
    result = swapper.swap(swapper.prepare([source]), [crop])[0]
    assert result.mask.max() == pytest.approx(0.5)


def test_a_swapper_in_half_precision_takes_the_same(tmp_path, encoder, material):
    nodes = [helper.make_node("Identity", ["target"], ["output"])]
    nodes.append(helper.make_node("Identity", ["source"], ["unused"]))
    half = TensorProto.FLOAT16
    graph = helper.make_graph(
        nodes,
        "half",
        [
            helper.make_tensor_value_info("target", half, [1, 3, 256, 256]),
            helper.make_tensor_value_info("source", half, [1, 512]),
        ],
        [helper.make_tensor_value_info("output", half, [1, 3, 256, 256])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    file = tmp_path / "half.onnx"
    file.write_bytes(model.SerializeToString())
    swapper = swapper_for(file, **options_for("hyperswap_1a", encoder))
    source, crop = material(swapper)
    result = swapper.swap(swapper.prepare([source]), [crop])[0]
    assert result.pixels.dtype == np.float32
    assert result.pixels[128, 128] == pytest.approx(150 / 255, abs=0.01)


def test_a_known_file_needs_no_interface(tmp_path, encoder, monkeypatch):
    model = answering(tmp_path / "any_name.onnx", 256)
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    known = replace(INTERFACES["hyperswap_1b"], sha256=(digest,))
    monkeypatch.setattr(interfaces, "INTERFACES", {**INTERFACES, "hyperswap_1b": known})
    swapper = swapper_for(model, encoder=str(encoder))
    assert swapper.card.template == "arcface_128"
    assert swapper.card.license == "ResearchRAIL"


def test_an_imported_file_is_known_by_its_card(tmp_path, encoder):
    metadata = {"sosie.card": json.dumps({"network": "ghost_unet_2"})}
    names = ("target", "identity")
    model = answering(tmp_path / "a.onnx", 256, names, metadata=metadata)
    assert swapper_for(model, encoder=str(encoder), converter="none").card.license == "Apache-2.0"
    metadata = {"sosie.card": json.dumps({"network": "simswap_disc"})}
    model = answering(tmp_path / "b.onnx", 256, names, metadata=metadata)
    with pytest.raises(UsageError, match="is simswap_disc, which cannot be run as a swapper"):
        swapper_for(model, encoder=str(encoder))


def test_an_imported_inswapper_wants_its_map(tmp_path, encoder):
    name = "inswapper_reswapper_128"
    for has_map in (False, True):
        metadata = {"sosie.card": json.dumps({"network": name, "embedding_map": has_map})}
        model = answering(tmp_path / "a.onnx", 128, metadata=metadata)
        for interface in (None, name):
            if has_map:
                assert swapper_for(model, encoder=str(encoder), interface=interface).card.size_px
                continue
            with pytest.raises(UsageError, match="import it again with --embedding-map"):
                swapper_for(model, encoder=str(encoder), interface=interface)


@pytest.mark.parametrize("card", ["[]", "{", '{"network": 3}', '{"network": ["a"]}', "{}"])
def test_a_card_that_says_nothing_is_no_card(card, tmp_path, encoder):
    model = answering(tmp_path / "a.onnx", 256, metadata={"sosie.card": card})
    with pytest.raises(UsageError, match="say with --interface"):
        swapper_for(model, encoder=str(encoder))


def test_what_is_not_known_is_not_guessed(tmp_path, encoder):
    model = answering(tmp_path / "inswapper_128.onnx", 128)
    with pytest.raises(UsageError, match=r"not known: say with --interface .*inswapper_128"):
        swapper_for(model, encoder=str(encoder))
    with pytest.raises(UsageError, match="did you mean 'inswapper_128'"):
        swapper_for(model, encoder=str(encoder), interface="inswaper_128")


def test_a_file_of_another_kind_is_refused(tmp_path, encoder):
    other = {"encoder": str(encoder)}
    model = answering(tmp_path / "a.onnx", 128)
    with pytest.raises(InputError, match=r"no hyperswap_1a: .* 1 x 3 x 128 x 128 instead of 1 x"):
        swapper_for(model, interface="hyperswap_1a", **other)
    model = answering(tmp_path / "b.onnx", 256, ("x", "y"))
    with pytest.raises(InputError, match="its inputs are x, y instead of target and source"):
        swapper_for(model, interface="hyperswap_1a", **other)
    model = answering(tmp_path / "c.onnx", 128, constants={"last": np.zeros((3, 3), np.float32)})
    with pytest.raises(InputError, match="no embedding map of 512 x 512"):
        swapper_for(model, interface="inswapper_128", **other)


def test_an_encoder_of_another_kind_is_refused(tmp_path, converter, encoder, material):
    model = answering(tmp_path / "a.onnx", 256)
    nodes = [helper.make_node("ReduceMean", ["x"], ["y"], axes=[2, 3], keepdims=0)]
    small = save(tmp_path / "small.onnx", nodes, {"x": [1, 3, 112, 112]}, ["y"])
    swapper = swapper_for(model, interface="hyperswap_1a", encoder=str(small))
    with pytest.raises(InputError, match="gives 1 x 3 numbers instead of 1 x 512"):
        swapper.prepare([material(swapper)[0]])
    swapper = swapper_for(model, interface="hyperswap_1a", encoder=str(model))
    with pytest.raises(InputError, match="one input was expected, not of target, source"):
        swapper.prepare([material(swapper)[0]])


def test_missing_and_needless_options_are_told(tmp_path, encoder, converter, color_swapper):
    model = answering(tmp_path / "a.onnx", 256)
    both = {"encoder": str(encoder), "converter": str(converter)}
    for options, words in (
        ({"interface": "ghost_1"}, "add --encoder"),
        ({"interface": "ghost_1", "encoder": str(encoder)}, "add --converter"),
        ({"interface": "hyperswap_1a", **both}, "needs no converter"),
    ):
        with pytest.raises(UsageError, match=words):
            swapper_for(model, **options)
    with pytest.raises(UsageError, match="needs no encoder"):
        swapper_for(color_swapper, interface="blendswap_256", encoder=str(encoder))
    with pytest.raises(UsageError, match="add --model"):
        load_method("onnx")(SwapOptions(method="onnx"))
    with pytest.raises(InputError, match="does not exist"):
        swapper_for(tmp_path / "absent.onnx")


def test_scales_are_what_their_names_say():
    assert (UNIT.mean, UNIT.deviation) == ((0, 0, 0), (1, 1, 1))
    black, white = ((np.array([0, 1]) - 0.5) / 0.5).tolist()
    assert (black, white) == (-1, 1)
    assert Scale((0.5,) * 3, (0.5,) * 3) == SIGNED


def test_a_photo_is_swapped_from_the_command_line(
    color_swapper, astronaut_path, hopper_path, tmp_path, run_python
):
    """With the runtime alone: neither torch nor onnx is loaded."""
    out = tmp_path / "out.png"
    arguments = ["swap", "-s", astronaut_path, "-t", hopper_path, "-o", out, "--method", "onnx"]
    arguments += ["--model", color_swapper, "--interface", "blendswap_256", "--color", "none"]
    # A softer blend mixes what is beside the rims of her spectacles, which stay.
    arguments += ["--blend", "alpha"]
    printed = run_python(
        "import sys; from sosie.app.cli.entry import run\n"
        f"code = run({[str(argument) for argument in arguments]!r})\n"
        "print(code, {'torch', 'onnx', 'safetensors'} & set(sys.modules))"
    )
    assert printed.splitlines()[-1] == "0 set()"
    before, after = (np.asarray(Image.open(path).convert("RGB")) for path in (hopper_path, out))
    changed = (before != after).any(2)
    assert 0.05 < changed.mean() < 0.6
    # One color, but for a hundredth of the target's relief.
    rows, columns = np.nonzero(changed)
    middle = after[int(rows.mean()) - 9 : int(rows.mean()), int(columns.mean()) - 9 :][:, :9]
    assert middle.std((0, 1)).max() < 3
