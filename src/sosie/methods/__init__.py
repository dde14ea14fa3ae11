"""The table of methods. To add one, write its folder and its line here.

Another package brings a method by an entry point in the group `sosie.methods`: its name is what
`--method` takes, and it names a METHOD as the table does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from sosie.methods.base import Swapper
from sosie.options import SwapOptions
from sosie.plugins import load_part, names_of

GROUP = "sosie.methods"
"""The group of entry points by which other packages bring methods."""

TABLE = {
    "graft": "sosie.methods.graft:METHOD",
    "mesh": "sosie.methods.graft.geometric:MeshSwapper",
    "onnx": "sosie.methods.onnx:METHOD",
    "dfm": "sosie.methods.dfm:METHOD",
    "deepfacelab": "sosie.methods.deepfacelab:METHOD",
    "deepfakes": "sosie.methods.deepfakes:METHOD",
    "simswap": "sosie.methods.simswap:METHOD",
    "faceshifter": "sosie.methods.faceshifter:METHOD",
    "ghost": "sosie.methods.ghost:METHOD",
    "facedancer": "sosie.methods.facedancer:METHOD",
    "hififace": "sosie.methods.hififace:METHOD",
    "blendswap": "sosie.methods.blendswap:METHOD",
    "infoswap": "sosie.methods.infoswap:METHOD",
    "inswapper": "sosie.methods.inswapper:METHOD",
    "rsgan": "sosie.methods.rsgan:METHOD",
    "vae": "sosie.methods.vae:METHOD",
    "korshunova": "sosie.methods.korshunova:METHOD",
    "fsgan": "sosie.methods.fsgan:METHOD",
    "megafs": "sosie.methods.megafs:METHOD",
    "fslsd": "sosie.methods.fslsd:METHOD",
    "e4s": "sosie.methods.e4s:METHOD",
}

PERSONAL = ("dfm", "deepfacelab", "deepfakes", "vae", "korshunova")
"""Those whose weights hold the person who is put in: they need no photo of the source."""


def load_method(name: str) -> Callable[[SwapOptions], Swapper]:
    """The factory of the method `name`: call it with the options for a Swapper.

    Only the module of that method is imported. Raises UsageError on a name that neither TABLE nor
    an installed package has, and UnavailableError where a package's method cannot be loaded.
    """
    return cast(Callable[[SwapOptions], Swapper], load_part("method", name, TABLE, GROUP))


def method_names() -> list[str]:
    """The names that `--method` takes, those of other packages last."""
    return names_of(TABLE, GROUP)
