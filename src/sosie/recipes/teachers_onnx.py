"""An ONNX network as a frozen torch module: a teacher that runs where the student learns.

Only the operators that such classic networks are made of; any other is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own documents call it F
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from sosie.errors import InputError
from sosie.training.checkpoint import fitting
from sosie.training.export import name_of, read_graph

Constants = dict[str, torch.Tensor]


@dataclass(frozen=True)
class _Step:
    """One operator: what it reads and writes, by the graph's names."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    settings: dict[str, Any]


class OnnxModule(nn.Module):
    """The network of an ONNX file, with its weights as buffers that no optimizer sees.

    forward takes the graph's one input and returns the values of `outputs`: names of any values in
    the graph, those within included; the graph's own outputs where none are given. What depends on
    constants alone is computed once, and batch norms are folded into the convolutions before them:
    such a convolution's value is known by its batch norm's name. Gradients flow to the input, and
    what follows a value that `changes` names is computed of what that makes of it.
    Raises InputError on a file that cannot be read, or whose operators on the way to `outputs` are
    not known here.

    file: a path, or the content of a file.
    """

    def __init__(self, file: Path | bytes, outputs: tuple[str, ...] = ()) -> None:
        super().__init__()
        with fitting(name_of(file)):
            self._build(name_of(file), read_graph(file), outputs)

    def _build(self, name: str, graph: onnx.GraphProto, outputs: tuple[str, ...]) -> None:
        constants = {
            tensor.name: torch.from_numpy(np.array(numpy_helper.to_array(tensor)))
            for tensor in graph.initializer
        }
        self.outputs = outputs or tuple(value.name for value in graph.output)
        steps = _needed([_step(node) for node in graph.node], self.outputs, name)
        steps = _computed(steps, constants, name)
        (self._input,) = (v.name for v in graph.input if v.name not in constants)
        self._steps = _needed(_folded(steps, constants), self.outputs, name)
        self._constants: dict[str, str] = {}
        for key in {key for step in self._steps for key in step.inputs} & set(constants):
            self._constants[key] = f"constant_{len(self._constants)}"
            self.register_buffer(self._constants[key], constants[key], persistent=False)
        self._last_use = {key: k for k, step in enumerate(self._steps) for key in step.inputs}

    def forward(
        self,
        x: torch.Tensor,
        changes: Mapping[str, Callable[[torch.Tensor], torch.Tensor]] | None = None,
    ) -> tuple[torch.Tensor, ...]:
        changes = changes or {}
        values = {name: getattr(self, own) for name, own in self._constants.items()}
        values[self._input] = x
        for k, step in enumerate(self._steps):
            inputs = [values[name] if name else None for name in step.inputs]
            made = _OPERATORS[step.operator](step.settings, *inputs)
            values[step.output] = changes[step.output](made) if step.output in changes else made
            for name in step.inputs:
                # What is not read again need not stay in memory.
                if self._last_use[name] == k and name not in self.outputs:
                    values.pop(name, None)
        return tuple(values[name] for name in self.outputs)


def _step(node: onnx.NodeProto) -> _Step:
    settings = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return _Step(node.op_type, tuple(node.input), node.output[0], settings)


def _computed(steps: list[_Step], constants: Constants, name: str) -> list[_Step]:
    """The steps that depend on the input; the results of the others go to `constants`."""
    unknown = sorted({step.operator for step in steps} - set(_OPERATORS))
    if unknown:
        raise InputError(
            f"{name} has operators that cannot be run in torch here: {', '.join(unknown)}."
        )
    left = []
    for step in steps:
        # An operand that is left out has no name.
        if all(key in constants or not key for key in step.inputs):
            inputs = [constants[key] if key else None for key in step.inputs]
            constants[step.output] = _OPERATORS[step.operator](step.settings, *inputs)
        else:
            left.append(step)
    return left


def _folded(steps: list[_Step], constants: Constants) -> list[_Step]:
    """The steps with each batch norm, whose input is a convolution's alone, folded into that.

    Adds the new weights to `constants`.
    """
    uses: dict[str, int] = {}
    for name in (name for step in steps for name in step.inputs):
        uses[name] = uses.get(name, 0) + 1
    made_by = {step.output: step for step in steps}
    folded: dict[str, _Step] = {}
    for step in steps:
        source = made_by.get(step.inputs[0])
        if step.operator != "BatchNormalization" or source is None:
            continue
        if source.operator != "Conv" or uses[source.output] > 1:
            continue
        gamma, beta, mean, variance = (constants[name] for name in step.inputs[1:])
        factor = gamma / torch.sqrt(variance + step.settings.get("epsilon", 1e-5))
        bias = constants[source.inputs[2]] if len(source.inputs) > 2 else torch.zeros(())
        names = (f"{step.output}/weight", f"{step.output}/bias")
        constants[names[0]] = constants[source.inputs[1]] * factor[:, None, None, None]
        constants[names[1]] = beta + (bias - mean) * factor
        inputs = (source.inputs[0], *names)
        folded[source.output] = _Step("Conv", inputs, step.output, source.settings)
    gone = {step.output for step in folded.values()}
    return [folded.get(step.output, step) for step in steps if step.output not in gone]


def _needed(steps: list[_Step], outputs: tuple[str, ...], name: str) -> list[_Step]:
    """The steps that some output depends on, in order."""
    made = {step.output for step in steps}
    missing = [key for key in outputs if key not in made]
    if missing:
        raise InputError(f"{name} has no value named {', '.join(missing)}.")
    wanted, needed = set(outputs), []
    for step in reversed(steps):
        if step.output in wanted:
            needed.append(step)
            wanted.update(step.inputs)
    return needed[::-1]


def _conv(settings: dict[str, Any], x: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
    stride, dilation = settings.get("strides", [1, 1]), settings.get("dilations", [1, 1])
    x, padding = _padded(x, settings.get("pads", [0, 0, 0, 0]))
    bias = weights[1] if len(weights) > 1 else None
    groups = settings.get("group", 1)
    return F.conv2d(x, weights[0], bias, tuple(stride), padding, tuple(dilation), groups)


def _padded(x: torch.Tensor, pads: list[int]) -> tuple[torch.Tensor, tuple[int, int]]:
    """ONNX pads top, left, bottom, right; torch's convolution only both sides alike."""
    top, left, bottom, right = pads
    if (top, left) == (bottom, right):
        return x, (top, left)
    return F.pad(x, (left, right, top, bottom)), (0, 0)


def _batch_norm(settings: dict[str, Any], x: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
    gamma, beta, mean, variance = values
    return F.batch_norm(x, mean, variance, gamma, beta, eps=settings.get("epsilon", 1e-5))


def _gemm(settings: dict[str, Any], a: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
    a = a.T if settings.get("transA") else a
    b = others[0].T if settings.get("transB") else others[0]
    product: torch.Tensor = settings.get("alpha", 1.0) * (a @ b)
    return product + settings.get("beta", 1.0) * others[1] if len(others) > 1 else product


def _prelu(_: dict[str, Any], x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
    return torch.where(x >= 0, x, x * slope)


def _cast(settings: dict[str, Any], x: torch.Tensor) -> torch.Tensor:
    # Floating point stays what it is: a teacher in bfloat16 is meant to be one.
    if settings["to"] == TensorProto.FLOAT:
        return x if x.dtype in (torch.float32, torch.bfloat16) else x.float()
    raise InputError("Only casts to float32 can be run in torch here; name another network.")


def _clip(_: dict[str, Any], x: torch.Tensor, *bounds: torch.Tensor | None) -> torch.Tensor:
    return torch.clamp(x, *bounds)


def _constant(settings: dict[str, Any]) -> torch.Tensor:
    return torch.from_numpy(np.array(numpy_helper.to_array(settings["value"])))


def _norm(settings: dict[str, Any], x: torch.Tensor) -> torch.Tensor:
    norm: torch.Tensor = torch.linalg.vector_norm(
        x, dim=settings["axes"], keepdim=bool(settings.get("keepdims", 1))
    )
    return norm


def _grid_sample(settings: dict[str, Any], x: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    # Before the 20th set of operators, linear was called bilinear.
    linear = settings.get("mode", b"linear") in (b"linear", b"bilinear")
    return F.grid_sample(
        x,
        places.to(x.dtype),
        "bilinear" if linear else settings["mode"].decode(),
        settings.get("padding_mode", b"zeros").decode(),
        align_corners=bool(settings.get("align_corners", 0)),
    )


def _layer_norm(settings: dict[str, Any], x: torch.Tensor, *affine: torch.Tensor) -> torch.Tensor:
    shape = x.shape[settings.get("axis", -1) :]
    bias = affine[1] if len(affine) > 1 else None
    return F.layer_norm(x, shape, affine[0], bias, settings.get("epsilon", 1e-5))


def _reduce_mean(settings: dict[str, Any], x: torch.Tensor) -> torch.Tensor:
    return x.mean(settings["axes"], keepdim=bool(settings.get("keepdims", 1)))


def _reshape(_: dict[str, Any], x: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
    # A 0 keeps the side that is there.
    return x.reshape([x.shape[k] if side == 0 else side for k, side in enumerate(shape.tolist())])


def _resize(
    settings: dict[str, Any], x: torch.Tensor, _: object, factors: torch.Tensor
) -> torch.Tensor:
    if settings.get("mode") != b"nearest" or settings.get("nearest_mode") != b"floor":
        raise InputError("Only enlarging by repeated pixels can be run in torch here.")
    return F.interpolate(x, scale_factor=factors.tolist()[2:], mode="nearest")


def _slice(
    _: dict[str, Any],
    x: torch.Tensor,
    starts: torch.Tensor,
    ends: torch.Tensor,
    axes: torch.Tensor | None = None,
    steps: torch.Tensor | None = None,
) -> torch.Tensor:
    count = len(starts)
    along = range(count) if axes is None else axes.tolist()
    strides = [1] * count if steps is None else steps.tolist()
    parts = [slice(None)] * x.dim()
    for axis, start, end, stride in zip(
        along, starts.tolist(), ends.tolist(), strides, strict=True
    ):
        parts[axis] = slice(start, end, stride)
    return x[tuple(parts)]


def _gather(settings: dict[str, Any], x: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    axis = settings.get("axis", 0) % x.dim()
    places: Any = (*[slice(None)] * axis, rows)
    return x[places]


def _unsqueeze(_: dict[str, Any], x: torch.Tensor, axes: torch.Tensor) -> torch.Tensor:
    for axis in sorted(axes.tolist()):
        x = x.unsqueeze(axis)
    return x


_OPERATORS: dict[str, Callable[..., torch.Tensor]] = {
    "Add": lambda _, a, b: a + b,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": lambda settings, *parts: torch.cat(parts, settings["axis"]),
    "Constant": _constant,
    "Conv": _conv,
    "Div": lambda _, a, b: a / b,
    "Flatten": lambda settings, x: x.flatten(settings.get("axis", 1)),
    "Gather": _gather,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda _, x: x.mean((2, 3), keepdim=True),
    "GridSample": _grid_sample,
    "Identity": lambda _, x: x,
    "LayerNormalization": _layer_norm,
    "MatMul": lambda _, a, b: a @ b,
    "Max": lambda _, a, b: torch.maximum(a, b.to(a.dtype)),
    "Min": lambda _, a, b: torch.minimum(a, b.to(a.dtype)),
    "Mod": lambda _, a, b: torch.remainder(a, b),
    "Mul": lambda _, a, b: a * b,
    "PRelu": _prelu,
    "ReduceL2": _norm,
    "ReduceMean": _reduce_mean,
    "Relu": lambda _, x: F.relu(x),
    "Reshape": _reshape,
    "Resize": _resize,
    "Shape": lambda _, x: torch.tensor(x.shape),
    "Sigmoid": lambda _, x: x.sigmoid(),
    "Slice": _slice,
    "Sub": lambda _, a, b: a - b,
    "Transpose": lambda settings, x: x.permute(settings["perm"]),
    "Unsqueeze": _unsqueeze,
}
