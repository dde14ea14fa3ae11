"""`python -m tests.parity.check FOLDER`: whether the kit's arithmetic could be taken up, and the
numbers of the outputs that miss the kit's rule, as JSON.

In a process of its own: `run` has to make its first matrix product, and the memory of a large
network goes back at once.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.parity.arithmetic import take_mkl_intel_path
from tests.parity.networks import build
from tests.parity.weights import agrees, make_weights, read_expected, read_inputs, thin


def disagreeing(folder: Path) -> list[int]:
    """Of the network that the kit's folder describes, under the kit's weights."""
    load, run = build(folder.name)
    load(make_weights(folder))
    ours = [thin(output) for output in run(read_inputs(folder))]
    expected = read_expected(folder)
    pairs = zip(ours, expected, strict=True)
    return [number for number, (a, b) in enumerate(pairs) if not agrees(a, b)]


if __name__ == "__main__":
    missed = disagreeing(Path(sys.argv[1]))
    sys.stdout.write(json.dumps([take_mkl_intel_path(), missed]))
