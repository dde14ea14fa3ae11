"""Networks of others: graphs that fail, take long, ask for any memory or give no picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tools.attack.damage import Dice, damaged, extreme
from tools.attack.trial import Case

Nodes = list[Any]


def cases(count: int, seed: int) -> Iterator[tuple[int, Case]]:
    """Swappers and encoders; the other one of the two is good."""
    from sosie.app.samples import sample_portraits

    portraits = sample_portraits()
    good = {role: _model(role, [], {}, "value") for role in ROLES}
    for number in range(count):
        dice = Dice(f"onnx {seed} {number}")
        role = "encoder" if dice.random() < 0.3 else "swapper"
        how = dice.choice(TRICKS)
        content = how(role, dice)
        if dice.random() < 0.1:
            content = damaged(content, good[role], dice)
        yield number, _case(how.__name__[1:], good | {role: content}, portraits)


def _case(name: str, files: dict[str, bytes], portraits: dict[str, Path]) -> Case:
    def prepare(folder: Path) -> None:
        for role, content in files.items():
            (folder / f"{role}.onnx").write_bytes(content)
        (folder / "link.bin").symlink_to(folder.parent / "mine.txt")

    def run(folder: Path) -> Sequence[str]:
        from sosie import FaceSwapper

        networks = {role: str(folder / f"{role}.onnx") for role in files}
        swapper = FaceSwapper(
            portraits["astronaut"], threads=1, method="onnx", interface="hyperswap_1a",
            model=networks["swapper"], encoder=networks["encoder"],
        )  # fmt: skip
        swapper.photo(portraits["hopper"], folder / "out" / "out.png")
        return []

    return Case(name, run, prepare)


ROLES: dict[str, tuple[dict[str, list[int]], list[int]]] = {
    "swapper": ({"target": [1, 3, 256, 256], "source": [1, 512]}, [1, 3, 256, 256]),
    "encoder": ({"input": [1, 3, 112, 112]}, [1, 512]),
}
"""Inputs and output of a network."""


def _model(role: str, nodes: Nodes, constants: dict[str, Any], last: str) -> bytes:
    """A network that gives `last`; `value`, the plain answer, is made before `nodes`."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    inputs, output = ROLES[role]
    first = next(iter(inputs))
    plain = {"shape": np.array(output), "scale": np.array(0.5, np.float32), "size": np.array([512])}
    head = [helper.make_node("Mul", [first, "scale"], ["half"])]
    if role == "encoder":
        head += [
            helper.make_node("Reshape", ["half", "flat"], ["row"]),
            helper.make_node("Slice", ["row", "zero", "size", "one"], ["value"]),
        ]
        plain |= {"flat": np.array([1, -1]), "zero": np.array([0]), "one": np.array([1])}
    else:
        head += [
            helper.make_node("ReduceMean", ["source"], ["mean"]),
            helper.make_node("Add", ["half", "mean"], ["value"]),
        ]
    end = [helper.make_node("Identity", [last], ["answer"])]
    graph = helper.make_graph(
        [*head, *nodes, *end],
        "made",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in (plain | constants).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def _operators(role: str, dice: Dice) -> bytes:
    """A chain of operators that may not fit what they are given."""
    from onnx import helper

    names = [
        "Sqrt",
        "Log",
        "Exp",
        "Reciprocal",
        "Neg",
        "Floor",
        "Softmax",
        "Relu",
        "Transpose",
        "Shape",
        "Size",
        "NonZero",
        "Flatten",
        "Abs",
        "ArgMax",
        "TopK",
        "Unique",
        "Det",
        "Einsum",
        "Cast",
        "IsNaN",
        "Not",
        "StringNormalizer",
        "Optional",
        "SequenceConstruct",
        "LSTM",
    ]
    nodes, last = [], "value"
    for number in range(dice.choice((1, 2, 4))):
        more = {
            "Cast": {"to": dice.randrange(1, 17)},
            "Einsum": {"equation": dice.choice(("ij->", "...->", "a,b"))},
        }
        name = dice.choice(names)
        nodes.append(helper.make_node(name, [last], [f"v{number}"], **more.get(name, {})))
        last = f"v{number}"
    return _model(role, nodes, {}, last)


def _numbers(role: str, dice: Dice) -> bytes:
    """Answers that are no numbers, or numbers without bound, wholly or in one place."""
    import numpy as np
    from onnx import helper

    odd = np.zeros(ROLES[role][1], np.float32)
    value = dice.choice((np.nan, np.inf, -np.inf, 3e38, 1e30, -1e9))
    odd.flat[:: dice.choice((1, 77, odd.size))] = value
    return _model(role, [helper.make_node("Add", ["value", "odd"], ["v"])], {"odd": odd}, "v")


def _sizes(role: str, dice: Dice) -> bytes:
    """Answers of other shapes, and of none."""
    import numpy as np
    from onnx import helper

    shape = dice.choice(
        ([-1], [1, 1, -1], [0], [1, 3, 256, 0], [1, -1, 1, 1], [], [1, 3, 128, -1], [1] * 40 + [-1])
    )
    nodes = [helper.make_node("Reshape", ["value", "other"], ["v"], allowzero=dice.choice((0, 1)))]
    return _model(role, nodes, {"other": np.array(shape, np.int64)}, "v")


def _memory(role: str, dice: Dice) -> bytes:
    """A few bytes that make gigabytes: tiles, pads, expansions, enlargements, ranges."""
    import numpy as np
    from onnx import helper

    many = dice.choice((1 << 28, 1 << 30, 1 << 33, 1 << 40, 1 << 62))
    side = int(many**0.5)
    how = dice.randrange(5)
    constants: dict[str, Any] = {"many": np.array([many]), "sides": np.array([side, side])}
    constants |= {"none": np.array(0), "end": np.array(many), "step": np.array(1)}
    if how == 0:
        nodes = [helper.make_node("ConstantOfShape", ["many"], ["w"])]
    elif how == 1:
        nodes = [helper.make_node("Expand", ["scale", "sides"], ["w"])]
    elif how == 2:
        nodes = [
            helper.make_node("Range", ["none", "end", "step"], ["x"]),
            helper.make_node("Cast", ["x"], ["w"], to=1),
        ]
    elif how == 3:
        constants["times"] = np.array(
            [1, 1, 1, many >> 16] if role == "swapper" else [1, many >> 9]
        )
        nodes = [helper.make_node("Tile", ["value", "times"], ["w"])]
    else:
        nodes = [
            helper.make_node("ConstantOfShape", ["sides"], ["x"]),
            helper.make_node("MatMul", ["x", "x"], ["w"]),
        ]
    nodes += [
        helper.make_node("ReduceMax", ["w"], ["y"], keepdims=0),
        helper.make_node("Add", ["value", "y"], ["v"]),
    ]
    return _model(role, nodes, constants, "v")


def _loop(role: str, dice: Dice) -> bytes:
    """A loop that goes on for ever, or whose memory grows."""
    import numpy as np
    from onnx import TensorProto, helper

    info = helper.make_tensor_value_info
    carried = [
        info("i", TensorProto.INT64, []),
        info("go", TensorProto.BOOL, []),
        info("s", TensorProto.FLOAT, []),
    ]
    scans = dice.random() < 0.5
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["on"]),
            helper.make_node("Add", ["s", "s"], ["t"]),
            helper.make_node("Identity", ["s"], ["u"]),
        ],
        "body", carried,
        [
            *(info("on", TensorProto.BOOL, []), info("t", TensorProto.FLOAT, [])),
            *[info("u", TensorProto.FLOAT, [])] * scans,
        ],
    )  # fmt: skip
    count = dice.choice((0, 10, 10**5, 10**6))
    outputs = ["last", "all"] if scans else ["last"]
    nodes = [
        helper.make_node("Loop", ["count", "yes", "scale"], outputs, body=body),
        helper.make_node("Add", ["value", "last"], ["v"]),
    ]
    return _model(role, nodes, {"count": np.array(count), "yes": np.array(True)}, "v")


def _elsewhere(role: str, dice: Dice) -> bytes:
    """Weights that are said to lie in other files."""
    from onnx import ModelProto, TensorProto

    model = ModelProto()
    model.ParseFromString(_model(role, [], {}, "value"))
    constant = model.graph.initializer[0]
    size = len(constant.raw_data)
    constant.ClearField("raw_data")
    constant.data_location = TensorProto.EXTERNAL
    places = (
        "../mine.txt",
        "/etc/hostname",
        "link.bin",
        "/dev/zero",
        "out/../../mine.txt",
        "",
        "swapper.onnx",
        "a\0b",
        "*/_ORT_MEM_ADDR_/*",
    )
    about = {
        "location": dice.choice(places),
        "offset": str(extreme(dice, 8)),
        "length": str(dice.choice((size, extreme(dice, 8)))),
    }
    for key, value in about.items():
        entry = constant.external_data.add()
        entry.key, entry.value = key, value
    return bytes(model.SerializeToString())


def _heads(role: str, dice: Dice) -> bytes:
    """Other versions, domains, inputs, outputs, types and cards."""
    from onnx import ModelProto

    model = ModelProto()
    model.ParseFromString(_model(role, [], {}, "value"))
    graph = model.graph
    how = dice.randrange(9)
    if how == 0:
        model.ir_version = extreme(dice, 4) & 0x7FFFFFFF
    elif how == 1:
        model.opset_import[0].version = extreme(dice, 8) & 0x7FFFFFFF
    elif how == 2:
        model.opset_import.add(
            domain=dice.choice(("com.microsoft", "ai.onnx.ml", "x" * 5000)), version=1
        )
        graph.node[0].domain = model.opset_import[-1].domain
    elif how == 3:
        graph.input.add().CopyFrom(graph.input[0])
        graph.input[-1].name = dice.choice(("more", "target", "", "a\nb\x1b[31m", "x" * 10**5))
    elif how == 4:
        del (graph.input if dice.random() < 0.5 else graph.output)[:]
    elif how == 5:
        graph.input[0].type.tensor_type.elem_type = dice.randrange(1, 24)
    elif how == 6:
        graph.output[0].type.CopyFrom(graph.input[0].type)
        graph.output[0].type.tensor_type.shape.dim[0].dim_param = "\x07\u202e"
    elif how == 7:
        entry = model.metadata_props.add()
        entry.key, entry.value = (
            "sosie.card",
            dice.choice(("[" * 10**5, "9" * 5000, "{}", "NaN", '"\\ud800"', '{"name": null}')),
        )
    else:
        sides = graph.input[0].type.tensor_type.shape.dim
        for side in sides:
            side.dim_value = dice.choice((0, 1, 2**40, -5, 100_000))
    return bytes(model.SerializeToString())


TRICKS: tuple[Callable[[str, Dice], bytes], ...] = (
    _operators,
    _operators,
    _numbers,
    _sizes,
    _memory,
    _loop,
    _elsewhere,
    _heads,
    _heads,
)
