"""From a torch network to the ONNX file that is shipped, small on disk, and back to training."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from sosie.errors import InputError, SosieError
from sosie.models.session import create_session
from sosie.output import atomic_output
from sosie.training.checkpoint import fitting

Storage = Literal["float16", "int8"]

OPSET = 17
"""The version of ONNX's operators, where nothing needs another."""

# Biases, slopes and the like stay as they are: they are small, and int8 would hurt them most.
_MIN_VALUES = 256


def to_onnx(
    network: nn.Module,
    example: torch.Tensor | Mapping[str, torch.Tensor],
    file: Path,
    *,
    outputs: tuple[str, ...],
    free_axes: tuple[int, ...] = (0,),
    storage: Storage = "float16",
) -> None:
    """Write a network as ONNX with its weights in few bytes.

    example: its one input, which is called `pixels`, or its inputs by name, in order. free_axes:
    axes of the inputs, and so of all outputs, that may have any size.
    storage: how weights lie in the file; they are float32 again when a session has loaded it. int8
    has a scale for each output channel.
    """
    network = copy.deepcopy(network).cpu().float().eval()
    inputs = {"pixels": example} if isinstance(example, torch.Tensor) else example
    with atomic_output(file, overwrite=True) as pending:
        trace(network, inputs, outputs, pending.path, free_axes)
        model = onnx.load(str(pending.path))
        _shrink(model.graph, storage)
        onnx.checker.check_model(model)
        pending.path.write_bytes(model.SerializeToString())


def trace(
    network: nn.Module,
    inputs: Mapping[str, torch.Tensor],
    outputs: Sequence[str],
    file: Path,
    free_axes: tuple[int, ...] = (0,),
    fixed: Collection[str] = (),
    opset: int = OPSET,
) -> None:
    """Write the graph that a network makes of its inputs as ONNX, float32, as it is.

    inputs: by name, in order. free_axes: axes of inputs and outputs that may have any size, but for
    those that are named in `fixed`. opset: the version of ONNX's operators.
    """
    free = {axis: f"axis{axis}" if axis else "batch" for axis in free_axes}
    axes = {name: free for name in (*inputs, *outputs) if name not in fixed}
    with torch.no_grad(), warnings.catch_warnings():
        # The exporter of traced graphs warns that it is the older one; it alone folds batch norm
        # and needs no further package.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            tuple(inputs.values()),
            str(file),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=opset,
            dynamo=False,
        )


def require_same(
    network: nn.Module,
    file: Path,
    inputs: Mapping[str, NDArray[np.float32]],
    outputs: Sequence[str],
    what: str,
    tolerance: float = 2e-3,
) -> float:
    """How far ONNX Runtime is from torch, at most, on inputs by name, in order.

    tolerance: of a picture's range of 1. what: of whom an error speaks. Raises SosieError where
    they are farther apart.
    """
    with torch.no_grad():
        answer = network(*(torch.from_numpy(values) for values in inputs.values()))
    expected = [answer] if isinstance(answer, torch.Tensor) else answer
    found = create_session(file, threads=1).run(dict(inputs))
    apart = max(
        float(np.abs(found[name] - wanted.numpy()).max())
        for name, wanted in zip(outputs, expected, strict=True)
    )
    if not apart <= tolerance:
        raise SosieError(
            f"ONNX Runtime computes something else than torch for this {what} (by {apart:.2g}): "
            f"please report it."
        )
    return apart


CARD = "sosie.card"
"""Under this key a card stands in the metadata of a file."""


def add_card(file: Path, text: str) -> None:
    """Write a card into an ONNX file."""
    entry = onnx.StringStringEntryProto(key=CARD, value=text)
    # One protobuf message after another is both in one: the file need not be read for this.
    with file.open("ab") as opened:
        opened.write(onnx.ModelProto(metadata_props=[entry]).SerializeToString())


def read_graph(file: Path | bytes) -> onnx.GraphProto:
    """The graph of an ONNX file: a path, or its content. Raises InputError where it is none, or its
    weights are said to lie in other files: no training writes such a one."""
    try:
        if isinstance(file, bytes):
            model = onnx.load_from_string(file)
        else:
            model = onnx.load(file, load_external_data=False)
    except Exception as error:  # protobuf's errors have no base that onnx shows
        raise InputError(
            f"{name_of(file)} is no ONNX file, or it is damaged: name another."
        ) from error
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in model.graph.initializer):
        raise InputError(f"{name_of(file)} has its weights in other files: name a whole one.")
    return model.graph


def name_of(file: Path | bytes) -> str:
    """What messages call a file, be it given by its path or its content."""
    return "the network" if isinstance(file, bytes) else str(file)


def weights_of(file: Path | bytes) -> dict[str, torch.Tensor]:
    """The float32 weights in a file of `to_onnx` (its path, or its content), by the names that the
    exporter gave them.

    Raises InputError where the file is no ONNX file, or is damaged.
    """
    graph = read_graph(file)
    weights = {}
    with fitting(name_of(file)):
        stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        for name, array in stored.items():
            if name.endswith("/stored"):
                name = name.removesuffix("/stored")
                array = array.astype(np.float32) * stored.get(f"{name}/scale", np.float32(1))
            if array.dtype == np.float32 and not name.endswith("/scale"):
                weights[name] = torch.from_numpy(array.copy())
    return weights


def _shrink(graph: onnx.GraphProto, storage: Storage) -> None:
    """Replace every large float32 initializer by a small one and the nodes that restore it."""
    nodes: list[onnx.NodeProto] = []
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _MIN_VALUES:
            continue
        graph.initializer.remove(tensor)
        stored = f"{tensor.name}/stored"
        if storage == "float16" or values.ndim < 2:
            half = values.astype(np.float16)
            graph.initializer.append(numpy_helper.from_array(half, stored))
            nodes.append(_cast(stored, tensor.name))
            continue
        whole, scale = quantized(values)
        graph.initializer.append(numpy_helper.from_array(whole, stored))
        graph.initializer.append(numpy_helper.from_array(scale, f"{tensor.name}/scale"))
        nodes.append(_cast(stored, f"{tensor.name}/whole"))
        factors = [f"{tensor.name}/whole", f"{tensor.name}/scale"]
        nodes.append(helper.make_node("Mul", factors, [tensor.name]))
    for node in reversed(nodes):
        graph.node.insert(0, node)


def quantized(values: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """int8 values and a scale along the first axis, whose product is nearest to `values`."""
    axes = tuple(range(1, values.ndim))
    scale = np.abs(values).max(axis=axes, keepdims=True) / 127
    scale = np.maximum(scale, np.float32(1e-12)).astype(np.float32)
    return np.rint(values / scale).astype(np.int8), scale


def _cast(source: str, target: str) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], to=TensorProto.FLOAT)


Weights = tuple[torch.Tensor, torch.Tensor | None]


def unmerged(
    network: nn.Module, file: Path | bytes, *inputs: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Parameters with which a network computes what a file of `to_onnx` does.

    network: of the file's architecture, its convolutions without a bias followed by a batch norm
    each, those with one by none; it is changed. inputs: a batch of each. Each batch norm gets the
    statistics that it meets on them, and the scale and offset that undo its normalizing, so that
    training goes on from where the file is. Slopes and the like keep the network's values. Raises
    InputError where the file is of another architecture.
    """
    stored = _convolutions(file)
    other = InputError(
        f"{name_of(file)} holds another architecture: name a weight file of this network."
    )

    def fill(module: nn.Conv2d, _: Any) -> None:
        weight, bias = next(stored, (torch.zeros(0), None))
        if weight.shape != module.weight.shape or bias is None:
            raise other
        module.weight.data.copy_(weight)
        if module.bias is None:
            pending.append(bias)
        else:
            module.bias.data.copy_(bias)

    def undo(module: nn.BatchNorm2d, given: tuple[torch.Tensor]) -> None:
        variance, mean = torch.var_mean(given[0], (0, 2, 3), correction=0)
        statistics = zip((module.running_mean, module.running_var), (mean, variance), strict=True)
        for own, seen in statistics:
            assert own is not None, "the batch norm keeps statistics"
            own.copy_(seen)
        module.weight.data.copy_((variance + module.eps).sqrt())
        module.bias.data.copy_(mean + pending.pop())

    pending: list[torch.Tensor] = []
    hooks: dict[type[nn.Module], Callable[..., None]] = {nn.Conv2d: fill, nn.BatchNorm2d: undo}
    with ExitStack() as stack, torch.no_grad():
        for module in network.modules():
            hook = hooks.get(type(module))
            if hook is not None:
                stack.callback(module.register_forward_pre_hook(hook).remove)
        network.eval()(*inputs)
    if next(stored, None) is not None or pending:
        raise other
    return network.state_dict()


def _convolutions(file: Path | bytes) -> Iterator[Weights]:
    """Weight and bias of the convolutions of a file, in the order in which they are computed."""
    weights = weights_of(file)
    for node in read_graph(file).node:
        # Weights that are equal lie in the file once; the others refer to them.
        if node.op_type == "Identity" and node.input[0] in weights:
            weights[node.output[0]] = weights[node.input[0]]
        if node.op_type == "Conv":
            bias = weights[node.input[2]] if len(node.input) > 2 else None
            yield weights[node.input[1]], bias
