"""The file that a trained swapper is swapped with: ONNX, with what is to be known of it inside."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sosie.output import atomic_output
from sosie.training.export import add_card, require_same, trace
from sosie.types import FloatArray

LICENSE = "that of whoever trained it, and of the pictures it was trained on"


@dataclass(frozen=True)
class SwapperCard:
    """How the file is to be called. method: that trained it. template, size_px: of the crops.

    low: value of black, where 1 is white. identity: what encoder the identities are from. license:
    of the weights, which whoever trained them has to know.
    """

    method: str
    template: str
    size_px: int
    low: float
    paper: str
    identity: str = "sosie"
    license: str = LICENSE


def export_swapper(
    generator: nn.Module,
    card: SwapperCard,
    file: Path,
    told: Mapping[str, FloatArray],
    outputs: Sequence[str] = ("swapped",),
) -> float:
    """Write a generator (target and what it is told of the source -> picture) as ONNX; the batch
    may have any size.

    told: made-up ones of what it is told, by name, in order, for two targets. outputs: their
    names, the picture's first. Returns and raises as `export_checked`.
    """
    rng = np.random.default_rng(0)
    target = rng.uniform(card.low, 1, (2, 3, card.size_px, card.size_px)).astype(np.float32)
    inputs = {"target": target, **told}
    return export_checked(generator, inputs, outputs, dataclasses.asdict(card), file)


def export_checked(
    network: nn.Module,
    inputs: Mapping[str, FloatArray],
    outputs: Sequence[str],
    card: Mapping[str, Any],
    file: Path,
) -> float:
    """Write a network as ONNX with its card inside; the batch may have any size.

    inputs: made-up ones, by name, in order. Returns the largest difference between ONNX Runtime and
    torch on them. Raises SosieError where that is too much; there is no file then.
    """
    network = network.cpu().float().eval()
    given = {name: torch.from_numpy(values) for name, values in inputs.items()}
    with atomic_output(file, overwrite=True) as pending:
        trace(network, given, outputs, pending.path)
        add_card(pending.path, json.dumps(card))
        # Of another batch than that of the trace, which may have kept its size.
        first = {name: values[:1] for name, values in inputs.items()}
        return require_same(network, pending.path, first, outputs, card["method"])
