"""A network from a file computes in torch what ONNX Runtime computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the training packages", exc_type=ImportError)
onnx = pytest.importorskip("onnx", reason="needs the training packages")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from sosie.errors import InputError  # noqa: E402
from sosie.models.cards import read_embedded  # noqa: E402
from sosie.models.session import create_session  # noqa: E402
from sosie.recipes.teachers_onnx import OnnxModule  # noqa: E402
from sosie.training.export import weights_of  # noqa: E402


def saved(
    tmp_path: Path, nodes: list, constants: dict[str, np.ndarray], shape: tuple[int, ...]
) -> Path:
    """A file of a network from `x` to `y`."""
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, dims)
        for name, dims in (("x", shape), ("y", None))
    ]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "net", values[:1], values[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    file = tmp_path / "net.onnx"
    onnx.save(model, file)
    return file


def conv_net(tmp_path: Path, pads=(1, 1, 1, 1), group: int = 1) -> Path:
    """Scaling, convolution, batch norm, bounds, a residual sum, a dense layer."""
    rng = np.random.default_rng(0)

    def some(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    constants = {
        "shift": np.float32([0.5]),
        "kernel": some(4, 4 // group, 3, 3),
        "gamma": some(4),
        "beta": some(4),
        "mean": some(4),
        "variance": np.abs(some(4)) + 0.1,
        "low": np.float32(0),
        "high": np.float32(1.5),
        "slope": np.abs(some(4, 1, 1)),
        "dense": some(3, 4),
        "bias": some(3),
    }
    nodes = [
        helper.make_node("Sub", ["x", "shift"], ["centred"]),
        helper.make_node(
            "Conv",
            ["centred", "kernel"],
            ["raw"],
            pads=list(pads),
            group=group,
            kernel_shape=[3, 3],
        ),
        helper.make_node(
            "BatchNormalization",
            ["raw", "gamma", "beta", "mean", "variance"],
            ["norm"],
            epsilon=1e-3,
        ),
        helper.make_node("Max", ["norm", "low"], ["above"]),
        helper.make_node("Min", ["above", "high"], ["within"]),
        helper.make_node("PRelu", ["norm", "slope"], ["bent"]),
        helper.make_node("Add", ["within", "bent"], ["sum"]),
        helper.make_node("GlobalAveragePool", ["sum"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "dense", "bias"], ["y"], transB=1),
    ]
    return saved(tmp_path, nodes, constants, ("n", 4, 9, 9))


PICTURES = np.random.default_rng(1).standard_normal((3, 4, 9, 9)).astype(np.float32)


@pytest.mark.parametrize(
    ("pads", "group"), [((1, 1, 1, 1), 1), ((0, 1, 2, 0), 1), ((1, 1, 1, 1), 4)]
)
def test_it_computes_what_onnx_runtime_does(tmp_path, pads, group):
    file = conv_net(tmp_path, pads, group)
    expected = create_session(file, threads=1).run({"x": PICTURES})["y"]
    (found,) = OnnxModule(file)(torch.from_numpy(PICTURES))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_values_within_come_in_the_order_asked_for(tmp_path):
    module = OnnxModule(conv_net(tmp_path), ("y", "norm"))
    numbers, norm = module(torch.from_numpy(PICTURES))
    assert numbers.shape == (3, 3)
    assert norm.shape == (3, 4, 9, 9)
    assert norm.min() < 0
    (alone,) = OnnxModule(conv_net(tmp_path), ("within",))(torch.from_numpy(PICTURES))
    torch.testing.assert_close(alone, norm.clamp(0, 1.5))


def test_no_weight_learns_but_the_input_can(tmp_path):
    module = OnnxModule(conv_net(tmp_path))
    assert list(module.parameters()) == []
    pictures = torch.from_numpy(PICTURES).requires_grad_()
    module(pictures)[0].sum().backward()
    assert pictures.grad.abs().sum() > 0


def test_what_depends_on_constants_alone_is_computed_once(tmp_path):
    constants = {"whole": np.int8([[2, -3]]), "scale": np.float32([[0.5]])}
    nodes = [
        helper.make_node("Cast", ["whole"], ["real"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["real", "scale"], ["weight"]),
        helper.make_node("Add", ["x", "weight"], ["moved"]),
        helper.make_node("Clip", ["moved", "scale0"], ["y"]),
    ]
    constants["scale0"] = np.float32(0)
    module = OnnxModule(saved(tmp_path, nodes, constants, (1, 2)))
    assert [step.operator for step in module._steps] == ["Add", "Clip"]
    assert module(torch.tensor([[1.0, 1.0]]))[0].tolist() == [[2.0, 0.0]]


def test_unknown_operators_and_values_are_named(tmp_path):
    file = saved(tmp_path, [helper.make_node("Erf", ["x"], ["y"])], {}, (1, 2))
    with pytest.raises(InputError, match=r"net\.onnx has operators .*: Erf\."):
        OnnxModule(file)
    with pytest.raises(InputError, match="no value named fc5"):
        OnnxModule(conv_net(tmp_path), ("fc5",))


@pytest.mark.parametrize("content", [b"no network", b"\x08"])
def test_a_broken_file_is_refused(tmp_path, content):
    file = tmp_path / "broken.onnx"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.onnx"):
        OnnxModule(file)


def two_inputs(model: onnx.ModelProto) -> None:
    model.graph.input.add().CopyFrom(model.graph.input[0])
    model.graph.input[-1].name = "z"


def other_numbers(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].raw_data = b"123"


def elsewhere(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../mine"


ODD = {
    "no node": lambda model: model.graph.ClearField("node"),
    "no input": lambda model: model.graph.ClearField("input"),
    "two inputs": two_inputs,
    "no outputs of a node": lambda model: model.graph.node[0].ClearField("output"),
    "no inputs of a norm": lambda model: model.graph.node[2].ClearField("input"),
    "an unknown type": lambda model: setattr(model.graph.initializer[0], "data_type", 99),
    "too few numbers": other_numbers,
    "a larger shape": lambda model: model.graph.initializer[0].dims.append(4),
    "weights elsewhere": elsewhere,
}


@pytest.mark.parametrize("change", ODD.values(), ids=ODD.keys())
def test_an_odd_graph_is_refused(tmp_path, change):
    model = onnx.load(conv_net(tmp_path))
    change(model)
    with pytest.raises(InputError):
        OnnxModule(model.SerializeToString())


@pytest.mark.parametrize("change", [other_numbers, elsewhere])
def test_weights_of_an_odd_graph_are_refused(tmp_path, change):
    file = conv_net(tmp_path)
    model = onnx.load(file)
    change(model)
    file.write_bytes(model.SerializeToString())
    with pytest.raises(InputError):
        weights_of(file)


def test_the_identity_teacher_runs_as_in_onnx_runtime(shared_data):
    file = shared_data.parent / "teachers" / "mobileface_v2.onnx"
    faces = np.random.default_rng(0).integers(0, 256, (2, 3, 112, 112)).astype(np.float32)
    expected = create_session(file, threads=1).run({"data": faces})["fc5_bn"]
    found, stage = OnnxModule(file, ("fc5_bn", "_plus3"))(torch.from_numpy(faces))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-3)
    assert stage.shape == (2, 32, 14, 14)


def test_the_landmark_network_runs_as_in_onnx_runtime():
    content = read_embedded("landmarks")
    squares = np.random.default_rng(0).integers(0, 255, (3, 128, 128, 3), np.uint8)
    expected = create_session(content).run({"pixels": squares})
    given = torch.from_numpy(squares).float().requires_grad_()
    found = OnnxModule(content)(given)
    for ours, theirs in zip(found, expected.values(), strict=True):
        assert np.abs(ours.detach().numpy() - theirs).max() < 1e-3
    found[0].square().mean().backward()
    assert float(given.grad.abs().max()) > 0
