"""`python -m tests.parity.check FOLDER`: whether this is the kit's arithmetic, and the numbers of
the outputs that miss the kit's rule, as JSON.

In a process of its own: `run` has to make its first matrix product, and the memory of a large
network goes back at once.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from tests.parity.arithmetic import take_mkl_intel_path
from tests.parity.networks import build
from tests.parity.weights import agrees, make_weights, read_expected, read_inputs, thin


def compared(folder: Path) -> tuple[bool, list[int]]:
    """Of the network that the kit's folder describes, under the kit's weights: whether all outputs
    but the first are the kit's to the last bit, and which ones miss its rule.

    MKL's path alone does not make the kit's arithmetic: how convolutions are cut into blocks hangs
    on the caches of the processor too.
    """
    load, run = build(folder.name)
    load(make_weights(folder))
    ours = [thin(output) for output in run(read_inputs(folder))]
    expected = read_expected(folder)
    pairs = list(zip(ours, expected, strict=True))
    same = all(np.array_equal(a, b) for a, b in pairs[1:])
    return same, [number for number, (a, b) in enumerate(pairs) if not agrees(a, b)]


if __name__ == "__main__":
    taken = take_mkl_intel_path()
    same, missed = compared(Path(sys.argv[1]))
    sys.stdout.write(json.dumps([taken and same, missed]))
