"""How much networks compute: parameters and operations, counted in their ONNX files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from sosie.models.session import NetworkRun, create_session
from sosie.recipes import extra_packages

_FLOATS = (1, 10, 11, 16)
"""Numbers of ONNX for the types of weights: float, float16, double, bfloat16."""


@dataclass(frozen=True)
class Counted:
    """parameters: of all networks, each once. operations: of all runs; a multiply-add is two."""

    parameters: int
    operations: int


def count_runs(runs: Sequence[NetworkRun]) -> Counted:
    """What these runs of networks amount to.

    Convolutions (transposed ones too) and matrix products are counted; all else is little beside
    them. Raises UnavailableError where the package `onnx` is not installed.
    """
    with extra_packages():
        import onnx

    models: dict[str | Path | bytes, Any] = {}
    known: dict[tuple[Any, ...], int] = {}
    operations = 0
    for run in runs:
        if run.model not in models:
            model = run.model
            loaded = onnx.load_from_string(model) if isinstance(model, bytes) else onnx.load(model)
            models[model] = loaded
        shapes = tuple(sorted(run.shapes.items()))
        if (run.model, shapes) not in known:
            known[run.model, shapes] = model_operations(models[run.model], run.shapes)
        operations += known[run.model, shapes]
    return Counted(sum(map(model_parameters, models.values())), operations)


def model_parameters(model: Any) -> int:
    """How many floating-point numbers are stored in an ONNX model."""
    stored = model.graph.initializer
    return sum(prod(weights.dims) for weights in stored if weights.data_type in _FLOATS)


def model_operations(model: Any, shapes: dict[str, tuple[int, ...]]) -> int:
    """Operations of one run of an ONNX model on inputs of these shapes.

    The model is run once on zeros, for the sizes of what is in it may depend on more than shapes.
    """
    with extra_packages():
        import onnx

    counted = [node for node in model.graph.node if node.op_type in _COUNTS]
    sizes = {weights.name: tuple(weights.dims) for weights in model.graph.initializer}
    zeros = {
        value.name: np.zeros(
            shapes[value.name],
            onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type),
        )
        for value in model.graph.input
        if value.name in shapes
    }
    open_model = onnx.ModelProto()
    open_model.CopyFrom(model)
    outputs = {value.name for value in model.graph.output}
    wanted = {name for node in counted for name in (*node.input[:2], node.output[0])}
    for name in sorted(wanted - outputs - set(sizes) - set(zeros)):
        open_model.graph.output.append(onnx.ValueInfoProto(name=name))
    session = create_session(open_model.SerializeToString(), threads=1)
    for values in (zeros, session.run(zeros)):
        sizes |= {name: value.shape for name, value in values.items()}
    return sum(_COUNTS[node.op_type](node, sizes) for node in counted)


Sizes = dict[str, tuple[int, ...]]


def _convolution(node: Any, sizes: Sizes) -> int:
    # Weights: outputs x inputs a group x kernel; each output value is a sum over the latter two.
    return 2 * prod(sizes[node.output[0]]) * prod(sizes[node.input[1]][1:])


def _transposed(node: Any, sizes: Sizes) -> int:
    # Weights: inputs x outputs a group x kernel; each input value goes into the latter two.
    return 2 * prod(sizes[node.input[0]]) * prod(sizes[node.input[1]][1:])


def _product(node: Any, sizes: Sizes) -> int:
    left = sizes[node.input[0]]
    flipped = any(entry.name == "transA" and entry.i for entry in node.attribute)
    return 2 * prod(sizes[node.output[0]]) * left[-2 if flipped else -1]


_COUNTS: dict[str, Callable[[Any, Sizes], int]] = {
    "Conv": _convolution,
    "ConvTranspose": _transposed,
    "Gemm": _product,
    "MatMul": _product,
}
