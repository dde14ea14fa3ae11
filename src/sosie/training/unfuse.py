"""Training on from a weight file, whose batch norms the exporter merged into the convolutions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sosie.errors import InputError
from sosie.training.export import read_graph, weights_of

Weights = tuple[torch.Tensor, torch.Tensor | None]


def unmerged(network: nn.Module, file: Path, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
    """Parameters with which a network computes what a file of `to_onnx` does.

    network: of the file's architecture, its convolutions without a bias followed by a batch norm
    each, those with one by none; it is changed. pixels: a batch of inputs. Each batch norm gets the
    statistics that it meets on them, and the scale and offset that undo its normalizing, so that
    training goes on from where the file is. Slopes and the like keep the network's values. Raises
    InputError where the file is of another architecture.
    """
    stored = _convolutions(file)
    other = InputError(f"{file} holds another architecture: name a weight file of this network.")

    def fill(module: nn.Conv2d, _: Any) -> None:
        weight, bias = next(stored, (torch.zeros(0), None))
        if weight.shape != module.weight.shape or bias is None:
            raise other
        module.weight.data.copy_(weight)
        if module.bias is None:
            pending.append(bias)
        else:
            module.bias.data.copy_(bias)

    def undo(module: nn.BatchNorm2d, inputs: tuple[torch.Tensor]) -> None:
        variance, mean = torch.var_mean(inputs[0], (0, 2, 3), correction=0)
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
        network.eval()(pixels)
    if next(stored, None) is not None or pending:
        raise other
    return network.state_dict()


def _convolutions(file: Path) -> Iterator[Weights]:
    """Weight and bias of the convolutions of a file, in the order in which they are computed."""
    weights = weights_of(file)
    for node in read_graph(file).node:
        # Weights that are equal lie in the file once; the others refer to them.
        if node.op_type == "Identity" and node.input[0] in weights:
            weights[node.output[0]] = weights[node.input[0]]
        if node.op_type == "Conv":
            bias = weights[node.input[2]] if len(node.input) > 2 else None
            yield weights[node.input[1]], bias
