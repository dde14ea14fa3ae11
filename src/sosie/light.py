"""The light of one picture on another: what varies slowly over a face is not whose face it is."""

from __future__ import annotations

import cv2
import numpy as np

from sosie.types import FloatArray

# Light is what varies over more than this share of the face; features are smaller.
_LIGHT_SIGMA = 0.35
# The light is worked out on a picture of about this size: it has no detail.
_LIGHT_PX = 48
# Added to the weight around a place, so that far from all weight the light is the mean of all.
_FAR = 1e-3
# Added to the spread of the weight around a place (1 where it is everywhere the same): what a slope
# costs that hardly any pixel speaks for.
_RIDGE = 0.01
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
    The weighted local light of each channel becomes the target's, and what is finer follows the
    change of light. Places where the two differ by a feature (a brow, a spectacle frame) count
    little. Returns new pixels, clipped to 0..1.
    """
    shrink = min(1.0, _LIGHT_PX / max(size_px, 1.0))
    size = (max(2, round(target.shape[1] * shrink)), max(2, round(target.shape[0] * shrink)))
    ours, theirs, trust = (
        cv2.resize(a, size, interpolation=cv2.INTER_AREA)
        for a in (swapped * weight[..., None], target * weight[..., None], weight)
    )
    both = np.dstack([ours, theirs]) / np.maximum(trust, 1e-3)[..., None]
    ratio = np.log((both[..., 3:] + _FLOOR) / (both[..., :3] + _FLOOR)).mean(2)
    usual = float(np.median(ratio[trust > 0.5])) if (trust > 0.5).any() else 0.0
    trust = trust / (1 + ((ratio - usual) / _FEATURE) ** 2)
    # A plane can leave the range at the edge, where it reaches past what it was fitted to.
    light = np.clip(_local_light(both, trust, max(1.0, _LIGHT_SIGMA * size_px * shrink)), 0, 1)
    ours, theirs = light[..., :3], light[..., 3:]
    ratio = np.clip((theirs + _FLOOR) / (ours + _FLOOR), 1 / _MAX_GAIN, _MAX_GAIN)
    # What is darker than its surroundings stays as much darker in proportion: black stays black.
    # What is brighter does not: times the gain of one channel, a highlight would take its colour.
    brighter = np.clip(ratio.mean(2) ** _CONTRAST, *_CONTRAST_RANGE)
    full = (target.shape[1], target.shape[0])
    ours, theirs, ratio, brighter = (
        np.asarray(cv2.resize(a, full, interpolation=cv2.INTER_LINEAR), np.float32)
        for a in (ours, theirs, ratio, brighter)
    )
    detail = swapped - ours
    detail *= np.where(detail < 0, ratio, brighter[..., None])
    detail += theirs
    return np.asarray(np.clip(detail, 0, 1, out=detail), np.float32)


def _local_light(picture: FloatArray, weight: FloatArray, sigma_px: float) -> FloatArray:
    """The value at each pixel of the plane that fits a picture (h x w x K) around it best.

    Weighted least squares under `weight` (h x w) times a Gaussian. A local mean alone is drawn
    inwards where the weight ends, and loses a third of a slope over a face. Normalised convolution
    with the basis 1, x, y: Knutsson and Westin, "Normalized and differential convolution", 1993.
    Far from all weight, the mean of all.
    """
    height, width, channels = picture.shape
    mean = (picture * weight[..., None]).sum((0, 1)) / max(float(weight.sum()), 1e-6)
    signal = np.dstack([weight, (picture - mean) * weight[..., None]]).astype(np.float32)
    over_x, over_y = _moment_kernels(width, sigma_px), _moment_kernels(height, sigma_px)
    # Sums around each pixel of the weight and the weighted picture times 1, y and y^2; then x.
    by_y = (over_y @ signal.reshape(height, -1)).reshape(3, height, width, channels + 1)
    total, first_x, first_y = over_x[0] @ by_y[0], over_x[1] @ by_y[0], over_x[0] @ by_y[1]
    count = total[..., :1] + np.float32(_FAR)
    total, first_x, first_y = total / count, first_x / count, first_y / count
    x, y = first_x[..., :1], first_y[..., :1]
    # Covariances about the weight's own centre: of the place, and of place and picture.
    xx = over_x[2] @ by_y[0, ..., :1] / count - x * x + _RIDGE
    yy = over_x[0] @ by_y[2, ..., :1] / count - y * y + _RIDGE
    xy = over_x[1] @ by_y[1, ..., :1] / count - x * y
    level = total[..., 1:]
    slope_x, slope_y = first_x[..., 1:] - x * level, first_y[..., 1:] - y * level
    # From the centre back to the pixel itself.
    back_x, back_y = yy * x - xy * y, xx * y - xy * x
    at_pixel = level - (slope_x * back_x + slope_y * back_y) / (xx * yy - xy * xy)
    return np.asarray(mean + at_pixel, np.float32)


def _moment_kernels(size: int, sigma_px: float) -> FloatArray:
    """Gaussian times 1, u and u^2 for each place of a row (u in deviations): 3 x size x size."""
    places = np.arange(size)
    u = (places[None, :] - places[:, None]) / sigma_px
    gauss = np.exp(-0.5 * u * u) / (np.sqrt(2 * np.pi) * sigma_px)
    return np.asarray([gauss, gauss * u, gauss * u * u], np.float32)
