"""The table of methods. To add one, write its folder and its line here.

Another package brings a method by an entry point in the group `sosie.methods`: its name is what
`--method` takes, and it names a METHOD as the table does.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import cast

from sosie.errors import UnavailableError, UsageError
from sosie.methods.base import Swapper
from sosie.options import SwapOptions, nearest

GROUP = "sosie.methods"
"""The group of entry points by which other packages bring methods."""

TABLE = {
    "graft": "sosie.methods.graft:METHOD",
    "mesh": "sosie.methods.graft.geometric:MeshSwapper",
    "onnx": "sosie.methods.onnx:METHOD",
    "simswap": "sosie.methods.simswap:METHOD",
    "faceshifter": "sosie.methods.faceshifter:METHOD",
    "ghost": "sosie.methods.ghost:METHOD",
}


def load_method(name: str) -> Callable[[SwapOptions], Swapper]:
    """The factory of the method `name`: call it with the options for a Swapper.

    Only the module of that method is imported. Raises UsageError on a name that neither TABLE nor
    an installed package has, and UnavailableError where a package's method cannot be loaded.
    """
    if name in TABLE:
        module, attribute = TABLE[name].split(":")
        return cast(Callable[[SwapOptions], Swapper], getattr(import_module(module), attribute))
    others = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in others:
        raise UsageError(f"Unknown method {name!r}: {nearest(name, [*TABLE, *others])}.")
    try:
        return cast(Callable[[SwapOptions], Swapper], others[name].load())
    except (ImportError, AttributeError) as error:
        package = others[name].dist
        raise UnavailableError(
            f"The method {name}, of the package {package.name if package else 'that has it'}, "
            f"cannot be loaded ({error}): install that package again, or choose another method."
        ) from error
