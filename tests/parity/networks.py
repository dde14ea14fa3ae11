"""Every published network as two functions on numpy arrays, by its name in the parity kit.

The names are the keys of `sosie.recipes.published.networks.TABLE`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.parity.arithmetic import kit_threads, take_mkl_intel_path

Load = Callable[[Mapping[str, NDArray[Any]]], None]
Run = Callable[[Sequence[NDArray[np.float32]]], list[NDArray[np.float32]]]

MEANS = {"fslsd_generator_feats"}
"""Of whose outputs, maps all, the kit has the means."""


def build(name: str) -> tuple[Load, Run]:
    """`load` takes the parameters under their published names, `run` the inputs in the kit's order
    and returns the outputs in the kit's order. Raises the errors of `load_published`.

    `run` computes in the kit's arithmetic, which it takes up for the whole process: see
    `arithmetic`. So it is to come before any other matrix product in torch.
    """
    from sosie.recipes.published.networks import find_published, load_published, run_published

    find_published(name)
    loaded = []

    def load(state: Mapping[str, NDArray[Any]]) -> None:
        loaded[:] = [load_published(name, state)]

    def run(inputs: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        take_mkl_intel_path()
        with kit_threads():
            outputs = run_published(loaded[0], inputs)
        # The kit keeps no more of these maps than the mean over each.
        return [one.mean((2, 3)) for one in outputs] if name in MEANS else outputs

    return load, run
