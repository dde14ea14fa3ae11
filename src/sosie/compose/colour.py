"""The target's light on the swapped face."""

from __future__ import annotations

import cv2
import numpy as np

from sosie.types import FloatArray

# Light is what varies over more than this share of the face; features are smaller.
_LIGHT_SIGMA = 0.2
# The light is worked out on a picture of about this size: it has no detail.
_LIGHT_PX = 48
# Added to both sides of a ratio of colours, so that black does not become infinitely bright.
_FLOOR = 0.04
_MAX_GAIN = 4.0
# How the contrast of bright detail follows the brightness of the light, and its limits.
_CONTRAST = 0.7
_CONTRAST_RANGE = (0.4, 1.25)
# A place whose ratio is this far (natural logarithm) from the usual one is a feature, not light.
_FEATURE = 0.5


def transfer_light(
    swapped: FloatArray, target: FloatArray, weight: FloatArray, size_px: float
) -> FloatArray:
    """Give `swapped` the low-frequency light and colour of `target`.

    swapped, target: RGB float32, h x w x 3, 0..1. weight: h x w, 0..1, where both show skin.
    The weighted local mean of each channel becomes the target's, and what is finer follows the
    change of light. Places where the two differ by a feature (a brow, a spectacle frame) count
    little. Returns new pixels, clipped to 0..1.
    """
    shrink = min(1.0, _LIGHT_PX / max(size_px, 1.0))
    size = (max(2, round(target.shape[1] * shrink)), max(2, round(target.shape[0] * shrink)))
    ours, theirs, trust = (
        cv2.resize(a, size, interpolation=cv2.INTER_AREA)
        for a in (swapped * weight[..., None], target * weight[..., None], weight)
    )
    some = np.maximum(trust, 1e-3)[..., None]
    ours, theirs = ours / some, theirs / some
    ratio = np.log((theirs + _FLOOR) / (ours + _FLOOR)).mean(2)
    usual = float(np.median(ratio[trust > 0.5])) if (trust > 0.5).any() else 0.0
    trust = trust / (1 + ((ratio - usual) / _FEATURE) ** 2)
    sigma_px = max(1.0, _LIGHT_SIGMA * size_px * shrink)
    ours, theirs = (_local_mean(a, trust, sigma_px) for a in (ours, theirs))
    full = (target.shape[1], target.shape[0])
    ours, theirs = (cv2.resize(a, full, interpolation=cv2.INTER_LINEAR) for a in (ours, theirs))
    ratio = np.clip((theirs + _FLOOR) / (ours + _FLOOR), 1 / _MAX_GAIN, _MAX_GAIN)
    # What is darker than its surroundings stays as much darker in proportion: black stays black.
    # What is brighter does not: times the gain of one channel, a highlight would take its colour.
    brighter = np.clip(ratio.mean(2, keepdims=True) ** _CONTRAST, *_CONTRAST_RANGE)
    detail = swapped - ours
    lit = theirs + detail * np.where(detail < 0, ratio, brighter)
    return np.asarray(np.clip(lit, 0, 1), np.float32)


def _local_mean(picture: FloatArray, weight: FloatArray, sigma_px: float) -> FloatArray:
    """Gaussian mean of a picture under a weight; far from all weight, the global mean."""
    total = cv2.GaussianBlur(picture * weight[..., None], (0, 0), sigma_px)
    count = cv2.GaussianBlur(weight, (0, 0), sigma_px)[..., None]
    overall = (picture * weight[..., None]).sum((0, 1)) / max(float(weight.sum()), 1e-6)
    return np.asarray((total + 1e-3 * overall) / (count + 1e-3), np.float32)


def match_moments(swapped: FloatArray, target: FloatArray, weight: FloatArray) -> FloatArray:
    """Give each channel of `swapped` the mean and the deviation of `target` under `weight`.

    Reinhard et al., "Color transfer between images", 2001, eq. 10 to 11, on RGB. Same shapes and
    ranges as `transfer_light`.
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
