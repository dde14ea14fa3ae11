"""The table of methods. To add one, write its folder and its line here."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import cast

from sosie.errors import UsageError
from sosie.methods.base import Swapper
from sosie.options import SwapOptions, nearest

TABLE = {
    "graft": "sosie.methods.graft:METHOD",
    "mesh": "sosie.methods.mesh:METHOD",
    "onnx": "sosie.methods.onnx:METHOD",
    "simswap": "sosie.methods.simswap:METHOD",
    "faceshifter": "sosie.methods.faceshifter:METHOD",
    "ghost": "sosie.methods.ghost:METHOD",
}


def load_method(name: str) -> Callable[[SwapOptions], Swapper]:
    """The factory of the method `name`: call it with the options for a Swapper.

    Only the module of that method is imported. Raises UsageError on a name that is not in TABLE.
    """
    if name not in TABLE:
        raise UsageError(f"Unknown method {name!r}: {nearest(name, TABLE)}.")
    module, attribute = TABLE[name].split(":")
    return cast(Callable[[SwapOptions], Swapper], getattr(import_module(module), attribute))
