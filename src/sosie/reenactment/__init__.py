"""A photo moved by a video. To add a reenactor, write its module and its line here.

Another package brings one by an entry point in the group `sosie.reenactors`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from sosie.plugins import load_part, names_of
from sosie.reenactment.base import Reenactor
from sosie.reenactment.options import ReenactOptions

GROUP = "sosie.reenactors"
"""The group of entry points by which other packages bring reenactors."""

TABLE = {
    "mesh": "sosie.reenactment.mesh:MeshReenactor",
    "portrait": "sosie.reenactment.portrait.reenactor:PortraitReenactor",
    "fsgan": "sosie.reenactment.fsgan:FsganReenactor",
}


def load_reenactor(name: str) -> Callable[[ReenactOptions], Reenactor]:
    """The factory of the reenactor `name`: call it with the options for a Reenactor.

    Raises UsageError on a name that neither TABLE nor an installed package has, and
    UnavailableError where a package's reenactor cannot be loaded.
    """
    return cast(Callable[[ReenactOptions], Reenactor], load_part("method", name, TABLE, GROUP))


def reenactor_names() -> list[str]:
    """The names that `sosie reenact --method` takes, those of other packages last."""
    return names_of(TABLE, GROUP)
