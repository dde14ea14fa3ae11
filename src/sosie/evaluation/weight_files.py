"""Weights that published figures need and Sosie does not ship: their cards, and where they lie.

The user fetches a file from its origin into a folder and names that folder; nothing is downloaded.
A file is read only when its SHA-256 is the card's, and by loaders that execute nothing.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sosie.errors import InputError, UnavailableError, install_hint

if TYPE_CHECKING:
    from torch import Tensor

FOLDER_VARIABLE = "SOSIE_WEIGHTS"
"""The environment variable that names the folder where no option does."""


@dataclass(frozen=True)
class WeightFile:
    """The card of one file.

    file: its name. sha256: hexadecimal. url: where it comes from. license: as its publisher states
    it.
    """

    file: str
    sha256: str
    url: str
    license: str


def weight_file(name: str) -> WeightFile:
    """The card of that name in weight_files.toml."""
    return WeightFile(**_cards()[name])


@cache
def _cards() -> dict[str, dict[str, str]]:
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))


def weight_folder(named: Path | None) -> Path | None:
    """The folder to look in: the one named, or that of the environment, or None."""
    variable = os.environ.get(FOLDER_VARIABLE)
    return named or (Path(variable) if variable else None)


def are_present(cards: Sequence[WeightFile], folder: Path | None) -> bool:
    """Whether files of these names lie in the folder, whatever they hold."""
    place = weight_folder(folder)
    return place is not None and all((place / card.file).is_file() for card in cards)


def find_weights(card: WeightFile, folder: Path | None) -> Path:
    """The file of a card. Raises UnavailableError where it is absent, InputError where it is not
    the file of that name."""
    place = weight_folder(folder)
    if place is None or not (place / card.file).is_file():
        where = (
            f"in {place}" if place else f"(no folder is named by --weights or ${FOLDER_VARIABLE})"
        )
        raise UnavailableError(
            f"The weights {card.file} are not there {where}: fetch them from {card.url} "
            f"({card.license}) into a folder and name it by --weights or ${FOLDER_VARIABLE}."
        )
    path = place / card.file
    try:
        digest = file_sha256(path)
    except OSError as error:
        raise InputError(f"The weights {path} cannot be read ({error.strerror}).") from error
    if digest != card.sha256:
        raise InputError(
            f"The file {path} is not {card.file} as published: its SHA-256 begins with "
            f"{digest[:8]}, not {card.sha256[:8]}; fetch it again from {card.url}."
        )
    return path


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a PyTorch or safetensors file, on the processor, by name.

    Raises UnavailableError where the package for it is absent, and InputError where the file is
    damaged or holds anything but tensors.
    """
    try:
        import torch

        from sosie.training.checkpoint_file import read_tensors
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"Reading {path.name} needs the package {error.name}, which is not installed: "
            f"{install_hint('eval-networks')}."
        ) from error
    return {name: torch.from_numpy(np.array(value)) for name, value in read_tensors(path).items()}
