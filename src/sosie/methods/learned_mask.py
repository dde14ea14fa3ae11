"""Where the face of a network of one person shows: by the masks that it learned.

Such a network gives two: the target's, of the face that it was shown, and the source's, of the face
that it made.
"""

from __future__ import annotations

import numpy as np

from sosie.methods.base import soft_edge
from sosie.types import FloatArray

# What eight bits do not show is no face.
_NOTHING = 1 / 255
# Towards the crop's edge the swapped face gives way to the target over this share of its side:
# the narrower crops end within the face.
_EDGE = 0.06


def merged(target: FloatArray, source: FloatArray, which: str) -> FloatArray:
    """The mask of a swapped crop by the two learned ones, float32, size x size, 0..1.

    which: `target`, `source`, or `both` for their product.
    """
    chosen = {"target": target, "source": source}.get(which, target * source)
    mask = np.clip(chosen, 0, 1) * soft_edge(chosen.shape[0], _EDGE)
    mask[mask < _NOTHING] = 0
    return np.asarray(mask, np.float32)
