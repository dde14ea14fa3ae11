"""What a published checkpoint becomes: a snapshot that carries its card, and an ONNX file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from sosie.errors import InputError, SosieError
from sosie.files import open_regular
from sosie.models.cards import with_license
from sosie.models.session import create_session
from sosie.output import atomic_output
from sosie.recipes.published.networks import TABLE, Published, find_published, run_published
from sosie.training.export import CARD, OPSET, add_card, trace

_TOLERANCE = 1e-3
"""ONNX Runtime may differ from torch by this share of the output's deviation, or of its values."""


@dataclass(frozen=True)
class SnapshotCard:
    """What there is to know about an imported network; for the fields see `Published`.

    network: its name in the table of published networks. parameters: how many numbers it has.
    inputs, outputs: of its ONNX file.
    origin, sha256: name of the file that it came from, and the hash of that.
    embedding_map: whether the ONNX file multiplies the identity by the map of inswapper itself.
    """

    network: str
    method: str
    summary: str
    paper: str
    license: str
    value_range: str
    alignment: str
    embedding: str
    inputs: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    parameters: int
    origin: str
    sha256: str
    embedding_map: bool = False

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False)


def make_card(
    name: str, network: nn.Module, origin: str, sha256: str, embedding_map: bool
) -> SnapshotCard:
    """The card of the network `name` with weights from the file `origin`."""
    entry = find_published(name)
    shared = {field.name for field in dataclasses.fields(SnapshotCard)} & {
        field.name for field in dataclasses.fields(Published)
    }
    facts = {field: getattr(entry, field) for field in shared - {"inputs", "outputs"}}
    return SnapshotCard(
        network=name,
        inputs=dict(entry.exported_inputs or entry.inputs),
        outputs=entry.exported_outputs or entry.outputs,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        origin=origin,
        sha256=sha256,
        embedding_map=embedding_map,
        **facts,
    )


def save_snapshot(network: nn.Module, card: SnapshotCard, file: Path) -> None:
    """Write a network's weights, under our own names, with its card; whole or not at all."""
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    with atomic_output(file, overwrite=True) as pending:
        save_file(tensors, pending.path, metadata={CARD: card.to_json()})


def is_snapshot(file: Path) -> bool:
    """Whether a file is one that `save_snapshot` wrote."""
    try:
        with open_regular(file), safe_open(file, "pt") as opened:
            return CARD in (opened.metadata() or {})
    except (SafetensorError, OSError, InputError):
        return False


def load_snapshot(file: Path) -> tuple[nn.Module, SnapshotCard]:
    """The network of a snapshot, in eval mode, and its card.

    Raises InputError where the file is no snapshot, or its weights are not its network's.
    """
    try:
        with open_regular(file), safe_open(file, "pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        card = _card_of(json.loads(metadata[CARD]))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"{file} is no snapshot of an imported network: make one with `sosie weights import`."
        ) from error
    if card.network not in TABLE:
        raise InputError(f"{file} is of a network that Sosie does not know: import it again.")
    with torch.device("meta"):
        network = find_published(card.network).build()
    try:
        network.load_state_dict(tensors, strict=True, assign=True)
    except RuntimeError as error:
        raise InputError(
            f"The weights in {file} are not those of {card.network}: import it again."
        ) from error
    return network.requires_grad_(False).eval(), card


def _card_of(entries: Any) -> SnapshotCard:
    """A card from its JSON. Raises TypeError or ValueError where it is none."""
    card = SnapshotCard(**with_license(entries))
    for field in dataclasses.fields(SnapshotCard):
        value, kind = getattr(card, field.name), _CARD_TYPES.get(field.name, str)
        if type(value) is not kind:
            raise ValueError(f"its {field.name} is of another type")
    return card


_CARD_TYPES = {"inputs": dict, "outputs": list, "parameters": int, "embedding_map": bool}
"""Types in JSON of what is no text on a card."""


def export(network: nn.Module, card: SnapshotCard, file: Path, opset: int = OPSET) -> float:
    """Write a network as ONNX, float32, with its card; the batch may have any size.

    opset: the version of ONNX's operators.

    Returns how far ONNX Runtime is from torch on made-up inputs, where 1 is the most that is let
    pass. Raises SosieError where the two do not agree; there is no file then.
    """
    generator = np.random.default_rng(0)
    inputs = {
        name: generator.random(shape, dtype=np.float32) for name, shape in card.inputs.items()
    }
    with atomic_output(file, overwrite=True) as pending:
        tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
        trace(network, tensors, card.outputs, pending.path, opset=opset)
        add_card(pending.path, card.to_json())
        results = run_published(network, list(inputs.values()))
        expected = dict(zip(card.outputs, results, strict=True))
        deviation = _deviation(pending.path, inputs, expected)
        if deviation > 1:
            raise SosieError(
                f"ONNX Runtime computes something else than torch for {card.network}: please "
                f"report it."
            )
    return deviation


class WithEmbeddingMap(nn.Module):
    """A swapper that takes the plain embedding: the map, and length 1, come first.

    matrix: the embedding map, 512 x 512. forward: as the swapper's, with any embedding N x 512.
    """

    def __init__(self, swapper: nn.Module, matrix: NDArray[np.float32]) -> None:
        super().__init__()
        self.swapper = swapper
        self.register_buffer("matrix", torch.from_numpy(np.array(matrix, np.float32)))

    def forward(self, target: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        mapped = nn.functional.normalize(embedding @ self.get_buffer("matrix"))
        result: torch.Tensor = self.swapper(target, mapped)
        return result


def _deviation(
    file: Path,
    inputs: Mapping[str, NDArray[np.float32]],
    expected: Mapping[str, NDArray[np.float32]],
) -> float:
    """The largest difference as a share of what is allowed; above 1 is too much."""
    ours = create_session(file).run(inputs)
    largest = 0.0
    for name, right in expected.items():
        allowed = _TOLERANCE * (np.abs(right) + right.std() + 1e-6)
        largest = max(largest, float((np.abs(ours[name] - right) / allowed).max()))
    return largest
