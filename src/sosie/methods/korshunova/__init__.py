"""Method `korshunova`: one network a person, that paints everybody as them."""

from __future__ import annotations

from sosie.methods.korshunova.swapper import KorshunovaSwapper
from sosie.methods.weights import trained_file
from sosie.options import SwapOptions

_HOW = (
    "train some with `sosie train korshunova --source FOLDER --target FOLDER`, and name them with "
    "--weights, as RUN/snapshot.safetensors"
)


def _open(options: SwapOptions) -> KorshunovaSwapper:
    file, session, _ = trained_file("korshunova", _HOW, options)
    return KorshunovaSwapper(file, session)


METHOD = _open
