"""The file that a trained swapper is swapped with: ONNX, with what is to be known of it inside."""

from __future__ import annotations

import dataclasses
import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from sosie.analysis.embedder import NUMBERS
from sosie.errors import SosieError
from sosie.models.session import create_session
from sosie.output import atomic_output

_OPSET = 17
CARD = "sosie.card"
"""Under this key the card stands in the file's metadata."""

_TOLERANCE = 2e-3
"""ONNX Runtime may differ from torch by this much, of a picture's range of 1."""


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


def export_swapper(generator: nn.Module, card: SwapperCard, file: Path) -> float:
    """Write a generator (target, identity -> picture) as ONNX; the batch may have any size.

    Returns the largest difference between ONNX Runtime and torch on made-up inputs. Raises
    SosieError where that is too much; there is no file then.
    """
    rng = np.random.default_rng(0)
    target = rng.uniform(card.low, 1, (2, 3, card.size_px, card.size_px)).astype(np.float32)
    identity = rng.normal(0, 1, (2, NUMBERS)).astype(np.float32)
    identity /= np.linalg.norm(identity, axis=1, keepdims=True)
    generator = generator.cpu().float().eval()
    values = (torch.from_numpy(target), torch.from_numpy(identity))
    with atomic_output(file, overwrite=True) as pending:
        _write(generator, values, card, pending.path)
        with torch.no_grad():
            expected = generator(*values).numpy()
        session = create_session(pending.path, threads=1)
        found = session.run({"target": target, "identity": identity})
        apart = float(np.abs(found["swapped"] - expected).max())
        if not apart <= _TOLERANCE:
            raise SosieError(
                f"ONNX Runtime computes something else than torch for this {card.method} (by "
                f"{apart:.2g}): please report it."
            )
    return apart


def _write(
    generator: nn.Module, values: tuple[torch.Tensor, ...], card: SwapperCard, file: Path
) -> None:
    """Write the graph that the generator makes of these inputs, with the card."""
    with torch.no_grad(), warnings.catch_warnings():
        # The exporter of traced graphs warns that it is the older one; it needs no further package.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            generator,
            values,
            str(file),
            input_names=["target", "identity"],
            output_names=["swapped"],
            dynamic_axes={name: {0: "batch"} for name in ("target", "identity", "swapped")},
            opset_version=_OPSET,
            dynamo=False,
        )
    model = onnx.load(str(file))
    onnx.helper.set_model_props(model, {CARD: json.dumps(dataclasses.asdict(card))})
    onnx.checker.check_model(model)
    file.write_bytes(model.SerializeToString())
