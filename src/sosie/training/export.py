"""From a torch network to the ONNX file that is shipped: small on disk, float32 at work."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from sosie.errors import InputError
from sosie.output import atomic_output
from sosie.training.checkpoint import fitting

Storage = Literal["float16", "int8"]

_OPSET = 17
# Biases, slopes and the like stay as they are: they are small, and int8 would hurt them most.
_MIN_VALUES = 256


def to_onnx(
    network: nn.Module,
    example: torch.Tensor,
    file: Path,
    *,
    outputs: tuple[str, ...],
    free_axes: tuple[int, ...] = (0,),
    storage: Storage = "float16",
) -> None:
    """Write a network of one input, `pixels`, as ONNX with its weights in few bytes.

    example: an input. free_axes: axes of the input, and so of all outputs, that may have any size.
    storage: how weights lie in the file; they are float32 again when a session has loaded it. int8
    has a scale for each output channel.
    """
    network = copy.deepcopy(network).cpu().float().eval()
    axes = {name: {axis: f"axis{axis}" for axis in free_axes} for name in ("pixels", *outputs)}
    with atomic_output(file, overwrite=True) as pending:
        with torch.no_grad(), warnings.catch_warnings():
            # The exporter of traced graphs warns that it is the older one; it alone folds batch
            # norm and needs no further package.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                (example,),
                str(pending.path),
                input_names=["pixels"],
                output_names=list(outputs),
                dynamic_axes=axes,
                opset_version=_OPSET,
                dynamo=False,
            )
        model = onnx.load(str(pending.path))
        _shrink(model.graph, storage)
        onnx.checker.check_model(model)
        pending.path.write_bytes(model.SerializeToString())


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
