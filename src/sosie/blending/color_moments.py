"""The target's colors on the swapped face."""

from __future__ import annotations

import numpy as np

from sosie.types import FloatArray


def match_moments(swapped: FloatArray, target: FloatArray, weight: FloatArray) -> FloatArray:
    """Give each channel of `swapped` the mean and the deviation of `target` under `weight`.

    Reinhard et al., "Color transfer between images", 2001, eq. 10 to 11, on RGB. Same shapes and
    ranges as `light.transfer_light`.
    """
    total = max(float(weight.sum()), 1e-6)
    share = weight[..., None] / total
    means = [(a * share).sum((0, 1)) for a in (swapped, target)]
    spreads = [
        np.sqrt((((a - m) ** 2) * share).sum((0, 1)))
        for a, m in zip((swapped, target), means, strict=True)
    ]
    gain = np.clip(spreads[1] / np.maximum(spreads[0], 1e-3), 0.5, 2.0)
    return np.asarray(np.clip((swapped - means[0]) * gain + means[1], 0, 1), np.float32)
