"""How the networks are made: the table of recipes. To add one, write it and its line here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import PurePath
from typing import TYPE_CHECKING, cast

from sosie.errors import UnavailableError, UsageError, install_hint
from sosie.options import nearest

if TYPE_CHECKING:
    from sosie.training.recipe import Recipe

TABLE = {
    "detector": "sosie.recipes.detector.recipe:DetectorRecipe",
    "landmarks": "sosie.recipes.landmarks.recipe:LandmarkRecipe",
    "identity": "sosie.recipes.identity.recipe:IdentityRecipe",
    "parser": "sosie.recipes.parser.recipe:ParserRecipe",
    "swap": "sosie.methods.graft.recipe:SwapRecipe",
    "simswap": "sosie.methods.simswap.recipe:SimSwapRecipe",
    "faceshifter": "sosie.methods.faceshifter.recipe:FaceShifterRecipe",
    "faceshifter_hear": "sosie.methods.faceshifter.hear_recipe:HearRecipe",
    "ghost": "sosie.methods.ghost.recipe:GhostRecipe",
}
"""Name of a network -> its recipe. The names are those of the weight files, or of methods."""

NEED_TEACHERS = (
    "detector",
    "landmarks",
    "identity",
    "parser",
    "swap",
    "faceshifter_hear",
)
"""Those that learn from teachers (FaceShifter's second stage from its first); the others need
pictures alone."""

_EXTRA = ("torch", "safetensors", "onnx", "mediapipe", "ai_edge_litert", "lightning_fabric")
"""The packages that the extra `train` installs."""


def load_recipe(name: str) -> type[Recipe]:
    """The recipe of the network `name`, a class. Only its module is imported, and with it torch.

    Raises UsageError on a name that is not in TABLE, and UnavailableError where a package of the
    extra `train` is not installed.
    """
    if name not in TABLE:
        raise UsageError(f"Unknown network {name!r}: {nearest(name, TABLE)}.")
    module, attribute = TABLE[name].split(":")
    with extra_packages():
        return cast("type[Recipe]", getattr(import_module(module), attribute))


@contextmanager
def extra_packages() -> Iterator[None]:
    """Raises UnavailableError where what is done within lacks a package of the extra `train`."""
    try:
        yield
    except ImportError as error:
        # A package that is not there has a name; one that lacks a library, a path of its own.
        absent = (error.name or "").split(".")[0]
        broken = [name for name in _EXTRA if name in PurePath(error.path or "").parts]
        if absent in _EXTRA:
            reason = f"This needs the package {absent}, which is not installed"
            remedy = install_hint("train")
        elif broken:
            reason = f"The package {broken[0]} cannot be loaded ({error})"
            remedy = install_hint("train", force=True)
        else:
            raise
        raise UnavailableError(f"{reason}: {remedy}.") from error
