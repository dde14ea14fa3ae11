"""State of a training run on disk: tensors as safetensors, the rest as JSON, written atomically."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from sosie.errors import InputError
from sosie.files import open_regular
from sosie.foreign import reason
from sosie.output import atomic_output


def save_tensors(file: Path, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
    """Write tensors with facts (plain JSON values) about them; the file is whole or absent."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_output(file, overwrite=True) as pending:
        save_file(plain, pending.path, metadata={"facts": json.dumps(facts)})


def load_tensors(file: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Tensors and facts as `save_tensors` wrote them. Raises InputError where that is not so."""
    if not file.is_file():
        raise InputError(f"There is no {file}: name a file that a training run wrote.")
    try:
        tensors = load_file(file)
        facts = json.loads(_metadata(file)["facts"])
        if not isinstance(facts, dict):
            raise ValueError("its facts have no names")
    except (SafetensorError, KeyError, ValueError, OSError, RecursionError) as error:
        raise InputError(
            f"{file} is not a file of a training run, or it is damaged ({error}); name another."
        ) from error
    return tensors, facts


_MISFITS = (
    *(LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError),
    MemoryError,
)
"""What Python and PyTorch raise at values of other kinds and tensors of other shapes."""


@contextmanager
def fitting(file: Path | str) -> Iterator[None]:
    """While what stands in a file is put in its place in a training: where it does not fit, be it
    damaged or of another training, that is an InputError."""
    try:
        yield
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        ArithmeticError,
        RuntimeError,
    ) as error:
        raise InputError(
            f"{file} does not fit this training ({reason(error)}): it is damaged, or another "
            f"training wrote it; name another, or start anew in another folder."
        ) from error


def is_training_file(file: Path) -> bool:
    """Whether a file is one that `save_tensors` wrote."""
    try:
        return "facts" in _metadata(file)
    except (SafetensorError, OSError, InputError):
        return False


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, names: dict[torch.Tensor, str]
) -> dict[str, torch.Tensor]:
    """The optimizer's state by parameter name: `NAME/exp_avg` and so on."""
    return {
        f"{names[parameter]}/{key}": torch.as_tensor(value)
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer,
    names: dict[torch.Tensor, str],
    tensors: dict[str, torch.Tensor],
) -> None:
    """Put back what `optimizer_tensors` gave; entries of parameters of others are passed over.

    Raises ValueError where an entry is no number and not of its parameter's shape.
    """
    own = {parameter for group in optimizer.param_groups for parameter in group["params"]}
    by_name = {name: parameter for parameter, name in names.items() if parameter in own}
    for key, value in tensors.items():
        name, entry = key.rsplit("/", 1)
        if name not in by_name:
            continue
        parameter = by_name[name]
        if value.dim() > 0 and value.shape != parameter.shape:
            raise ValueError(f"{key} is not of its parameter's shape")
        # AdamW counts its steps on the processor.
        where = value if entry == "step" else value.to(parameter.device)
        optimizer.state[parameter][entry] = where


def _metadata(file: Path) -> dict[str, str]:
    from safetensors import safe_open

    with open_regular(file), safe_open(file, "pt") as opened:
        return dict(opened.metadata() or {})
