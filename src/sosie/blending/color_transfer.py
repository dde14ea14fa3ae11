"""The light of one picture on another: what varies slowly over a face is not whose face it is."""

from __future__ import annotations

import cv2
import numpy as np

from sosie.blending.pixel_math import LUMA, luma, planes, plus, scaled, times
from sosie.types import FloatArray

# Light is what varies over more than this share of the face; features are smaller.
_LIGHT_SIGMA = 0.15
# The light is worked out on a picture of about this size: it has no detail.
_LIGHT_PX = 64
# Added to the weight around a place, so that far from all weight the light is the mean of all.
_FAR = 1e-3
# Added to the spread of the weight around a place (1 where it is everywhere the same): what a slope
# costs that hardly any pixel speaks for.
_RIDGE = 0.01
# Added to both sides of a ratio of lights, so that black does not become infinitely bright.
_FLOOR = 0.04
# How the contrast of detail follows the brightness of the light, and its limits.
_CONTRAST = 0.7
_CONTRAST_RANGE = (0.4, 1.1)
# Detail is the relief of skin down to the first share of the light around it, and a feature (a
# brow, a pupil, a nostril) below the second.
_RELIEF, _FEATURE_DARK = 0.7, 0.35
# A place whose ratio is this far (natural logarithm) from the usual one is a feature, not light.
_FEATURE = 0.5
# The color of detail that the picture of the light can show is held to this many times what the
# target has around the place, over this share of the face; but so much of it stays.
_COLOR_ROOM, _COLOR_SIGMA, _LEAST_COLOR = 1.0, 0.2, 0.2
# A single place on bare skin may be as colored as the first of these times the target's usual, and
# as the second (of 1).
_STAIN_ROOM, _LEAST_STAIN = 1.2, 0.008
# Along the face's edge the swapped face meets the target's light: over a band this wide, told over
# this share of the face, and fading inwards over that; by no more than the last (of 1), since what
# differs more is a beard or a strand. The second look is wider, for where the first sees no skin.
_MEET_BAND, _MEET_SIGMA, _MEET_REACH, _MEET_MOST = 0.07, 0.05, 0.09, 0.18
_MEET_WIDER, _MEET_SHARE, _MEET_PX = 2.5, 0.2, 96
# Highlights that the picture of the light can show are held to this many times the usual one of
# the target around, to the highest within the second share of that neighborhood, and to no less
# than the last (of 1).
_GLOSS_ROOM, _GLOSS_NEAR, _LEAST_GLOSS = 1.2, 0.25, 0.02
# The contrast of skin is told over the first share of the face, with so much of the whole face's
# where little is seen, leaving out what stands out by more than so many deviations. It becomes the
# target's by this power of their ratio, within these limits; that of features by half as much, and
# the finest detail, and what is brighter, gain only so much of what the rest gains.
_CONTRAST_SIGMA, _CONTRAST_FAR, _OUTSTANDING = 0.25, 0.05, 2.5
_MATCHED, _GAIN_RANGE, _CONTRAST_OF_FEATURES = 0.9, (0.55, 1.3), 0.5
_FINE_SHARE, _BRIGHTER, _SLIGHT_CONTRAST = 0.3, 0.4, 1e-4
# Color grows with luma, but not more than so many times: what is nearly black has only noise.
_MOST_COLOR = 1.5
# Added to both sides of a ratio of variances.
_SLIGHT = 1e-6


def transfer_light(
    swapped: FloatArray, target: FloatArray, weight: FloatArray, size_px: float
) -> FloatArray:
    """Give `swapped` the low-frequency light and color of `target`.

    swapped, target: RGB float32, h x w x 3, 0..1. weight: h x w, 0..1, where both show skin.
    The weighted local light of each channel becomes the target's, and what is finer follows the
    change of light. Places where the two differ by a feature (a brow, a spectacle frame) count
    little. Returns new pixels, 0..1.
    """
    both, trust, scale_px = _small(swapped, target, weight, size_px)
    ratio = np.log((both[..., 3:] + _FLOOR) / (both[..., :3] + _FLOOR)).mean(2)
    usual = float(np.median(ratio[trust > 0.5])) if (trust > 0.5).any() else 0.0
    trust = trust / (1 + ((ratio - usual) / _FEATURE) ** 2)
    # A plane can leave the range at the edge, where it reaches past what it was fitted to.
    light = np.clip(_local_light(both, trust, max(1.0, _LIGHT_SIGMA * scale_px)), 0, 1)
    excess = _excess(both - light, trust, max(1.0, _COLOR_SIGMA * scale_px))
    width, height = target.shape[1], target.shape[0]
    plain = swapped - enlarged(excess, width, height)
    return in_range(_relit(plain, light[..., :3], light[..., 3:]))


def match_skin(
    swapped: FloatArray,
    target: FloatArray,
    weight: FloatArray,
    features: FloatArray,
    size_px: float,
) -> FloatArray:
    """Give `swapped` the target's color where it varies slowly, and to its detail about as much
    color, gloss and contrast as the target's has around the place.

    A blue shade at an eye or a pale band on a forehead is no part of who somebody is; a lamp that
    shone on the source shines on no other face; and a face out of hard light looks carved in soft
    light, or washed out the other way round.

    swapped, target: RGB float32, h x w x 3, 0..1, of a face that is lit already. weight: h x w,
    0..1, where both show skin; features: h x w, 0..1, where eyes, brows and lips are, of which the
    contrast says nothing about a lamp. Returns new pixels, 0..1.
    """
    both, trust, scale_px = _small(swapped, target, weight, size_px)
    light = _local_light(both, trust, max(1.0, _LIGHT_SIGMA * scale_px))
    band = both - light
    apart = light[..., :3] - light[..., 3:]
    sigma_px = max(1.0, _COLOR_SIGMA * scale_px)
    gloss = _gloss(band, trust, sigma_px)
    bare = 1 - cv2.resize(features, trust.shape[::-1], interpolation=cv2.INTER_AREA)
    excess = _excess(band, trust, sigma_px, bare)
    excess += apart - (apart @ LUMA)[..., None]
    excess += gloss[..., None]
    middle, theirs = band[..., :3] @ LUMA - gloss, band[..., 3:] @ LUMA
    gain = _contrast_gain(middle, theirs, trust * bare, max(1.0, _CONTRAST_SIGMA * scale_px))
    # Where hardly a pixel speaks for the target's color, nothing is known of it.
    known = np.minimum(2 * trust, 1)
    width, height = target.shape[1], target.shape[0]
    maps = (excess * known[..., None], light[..., :3] - excess, gain * known, middle)
    excess, ours, gain, middle = (enlarged(one, width, height) for one in maps)
    held = swapped - excess
    gain = gain * weight * (1 - _CONTRAST_OF_FEATURES * features)
    # What is too deep loses its color with its depth, or a brighter shade would be a red stain.
    held = held + times(held - ours, np.minimum(gain, 0))
    before = luma(held)
    # Wrinkles and pores hardly gain: they would be carved.
    detail = _FINE_SHARE * (before - luma(ours)) + (1 - _FINE_SHARE) * middle
    # Nor is more light than there was burnt into a cheek.
    detail = np.where(detail > 0, _BRIGHTER * detail, detail)
    after = np.clip(before + np.maximum(gain, 0) * detail, 0, 1)
    share = np.minimum((after + _FLOOR) / (before + _FLOOR), _MOST_COLOR)
    return in_range(plus(times(held, share), after - before * share))


def meet_edges(
    swapped: FloatArray, target: FloatArray, mask: FloatArray, skin: FloatArray, size_px: float
) -> FloatArray:
    """Give `swapped` the target's light along the edge of the mask, less and less inwards.

    Whatever light was moved before, a difference that is left at the edge draws the mask on the
    forehead and on the cheeks.

    swapped, target: RGB float32, h x w x 3, 0..1. mask: h x w, where the swapped face shows; skin:
    the part of it where both are skin. Returns new pixels, 0..1.
    """
    both, trust, scale_px = _small(swapped, target, skin, size_px, _MEET_PX)
    apart = np.clip(both[..., 3:] - both[..., :3], -_MEET_MOST, _MEET_MOST)
    there = cv2.resize(mask, trust.shape[::-1], interpolation=cv2.INTER_AREA)
    # A border of zeros makes the crop's own edge an edge of the face.
    inside = cv2.copyMakeBorder((there > 0.5).astype(np.uint8), *(1,) * 4, cv2.BORDER_CONSTANT)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)[1:-1, 1:-1] / scale_px
    band = np.clip(1.5 * (1 - depth / _MEET_BAND), 0, 1) * inside[1:-1, 1:-1]
    weight = np.asarray(band * trust, np.float32)
    summed = np.zeros(apart.shape, np.float32)
    total = np.full(weight.shape, _FAR, np.float32)
    for wider, share in ((1.0, 1.0), (_MEET_WIDER, _MEET_SHARE)):
        sigma_px = max(0.5, _MEET_SIGMA * wider * scale_px)
        summed = summed + share * cv2.GaussianBlur(apart * weight[..., None], (0, 0), sigma_px)
        total = total + share * cv2.GaussianBlur(weight, (0, 0), sigma_px)
    offset = summed / total[..., None] * np.exp(-((depth / _MEET_REACH) ** 2))[..., None]
    return in_range(swapped + enlarged(offset, mask.shape[1], mask.shape[0]))


def _small(
    swapped: FloatArray,
    target: FloatArray,
    weight: FloatArray,
    size_px: float,
    small_px: float = _LIGHT_PX,
) -> tuple[FloatArray, FloatArray, float]:
    """Both pictures, with a face of `small_px` at most: h x w x 6, their weight, h x w, and the
    face's size in them."""
    shrink = min(1.0, small_px / max(size_px, 1.0))
    size = (max(2, round(target.shape[1] * shrink)), max(2, round(target.shape[0] * shrink)))
    ours, theirs, trust = (
        cv2.resize(a, size, interpolation=cv2.INTER_AREA)
        for a in (times(swapped, weight), times(target, weight), weight)
    )
    both = np.dstack([ours, theirs]) / np.maximum(trust, 1e-3)[..., None]
    return np.asarray(both, np.float32), np.asarray(trust, np.float32), size_px * shrink


def _excess(
    band: FloatArray, weight: FloatArray, sigma_px: float, bare: FloatArray | None = None
) -> FloatArray:
    """The color of the first picture's detail that is more than the second has around the place.

    band: h x w x 6, both pictures' detail; weight: h x w. Luma is left: in it lies whose face it
    is, and holding it too cost 0.007 of similarity for an eighth less of wrong light. bare: h x w,
    where single stains count as well, which stand out from what the second usually has: a colored
    lamp on a nose. Returns h x w x 3, without luma.
    """
    color = [part - (part @ LUMA)[..., None] for part in (band[..., :3], band[..., 3:])]
    power = np.dstack([(part * part).sum(2) * weight for part in color])
    ours, theirs = np.moveaxis(cv2.GaussianBlur(power, (0, 0), sigma_px), 2, 0)
    kept = np.clip(_COLOR_ROOM * np.sqrt((theirs + _SLIGHT) / (ours + _SLIGHT)), _LEAST_COLOR, 1)
    if bare is not None:
        far = kept * np.sqrt((color[0] * color[0]).sum(2))
        total = cv2.GaussianBlur(weight, (0, 0), sigma_px) + np.float32(_FAR)
        room = np.maximum(_STAIN_ROOM * np.sqrt(theirs / total), _LEAST_STAIN)
        kept = kept * (1 - bare * np.maximum(far - room, 0) / np.maximum(far, _LEAST_STAIN))
    return np.asarray(color[0] * (1 - kept)[..., None], np.float32)


def _gloss(band: FloatArray, weight: FloatArray, sigma_px: float) -> FloatArray:
    """How much brighter the first picture's highlights are than the second has them around: h x w.

    band: as for `_excess`. What is darker than the light is left: features and wrinkles are.
    """
    ours, theirs = (np.maximum(part @ LUMA, 0) for part in (band[..., :3], band[..., 3:]))
    total = cv2.GaussianBlur(weight, (0, 0), sigma_px) + np.float32(_FAR)
    power = cv2.GaussianBlur(theirs * theirs * weight, (0, 0), sigma_px) / total
    # Where the target shines, near the place, the swapped face may as much.
    side = 2 * max(1, round(_GLOSS_NEAR * sigma_px)) + 1
    near = cv2.dilate(np.where(weight > 0, theirs, 0), np.ones((side, side), np.uint8))
    room = np.maximum(np.maximum(_GLOSS_ROOM * np.sqrt(power), near), _LEAST_GLOSS)
    over = np.maximum(ours - room, 0)
    # Half as far above the room a highlight may rise still, that it keeps its shape.
    return np.asarray(over * over / (over + room), np.float32)


def _contrast_gain(
    ours: FloatArray, theirs: FloatArray, weight: FloatArray, sigma_px: float
) -> FloatArray:
    """By how much the contrast of the first luma has to grow (0 for not at all) to be the second's
    around each place. All h x w; weight: where there is bare skin."""
    total = max(float(weight.sum()), 1e-6)
    parts = []
    for detail in (ours, theirs):
        # A nostril or a strand says nothing about the lamp.
        most = _OUTSTANDING * np.sqrt(float((detail * detail * weight).sum()) / total)
        parts.append(np.square(np.clip(detail, -most, most)) * weight)
    power = np.dstack([*parts, weight]).astype(np.float32)
    usual = power.sum((0, 1)) / total
    near = cv2.GaussianBlur(power, (0, 0), sigma_px) + np.float32(_CONTRAST_FAR) * usual
    has, there, _ = np.moveaxis(near / near[..., 2:], 2, 0)
    ratio = (there + _SLIGHT_CONTRAST) / (has + _SLIGHT_CONTRAST)
    return np.asarray(np.clip(ratio ** (0.5 * _MATCHED), *_GAIN_RANGE) - 1, np.float32)


def _relit(swapped: FloatArray, ours: FloatArray, theirs: FloatArray) -> FloatArray:
    """The detail of `swapped` (h x w x 3) in its own light `ours` on the light `theirs`, both of
    any smaller size: h x w x 3, unbounded.

    Luma and color go apart, and all channels have one gain. A gain a channel would turn a lamp
    that is more colored than the target's into stains, the more the darker the source is. A light
    with detail of luma in it is darker with its own hue, and brighter as a highlight without one.
    """
    height, width = swapped.shape[:2]
    small_before, small_after = luma(ours) + _FLOOR, luma(theirs) + _FLOOR
    ratio = small_after / small_before
    gain = np.clip(ratio**_CONTRAST, *_CONTRAST_RANGE)
    more = np.maximum(ratio, gain) - gain
    before, after, gain, more = planes(
        enlarged(np.dstack([small_before, small_after, gain, more]), width, height)
    )
    around = luma(swapped) + _FLOOR
    detail = around - before
    # What is as dark as a feature stays as much darker in proportion: a black brow stays black.
    share = np.clip((_RELIEF - around / before) / (_RELIEF - _FEATURE_DARK), 0, 1)
    moved = detail * (gain + more * share)
    # The color of the detail: what is left of the pixels without their own light and its relief.
    lit = times(swapped, gain)
    lit -= scaled(enlarged(ours, width, height), gain * (1 + np.minimum(detail, 0) / before))
    lit += scaled(enlarged(theirs, width, height), 1 + np.minimum(moved, 0) / after)
    return plus(lit, np.maximum(moved, 0) - gain * np.maximum(detail, 0))


def enlarged(picture: FloatArray, width: int, height: int) -> FloatArray:
    """A small picture, or a plane, laid smoothly over a larger size."""
    wide = cv2.resize(
        np.asarray(picture, np.float32), (width, height), interpolation=cv2.INTER_LINEAR
    )
    return np.asarray(wide, np.float32)


def in_range(pixels: FloatArray) -> FloatArray:
    """RGB of any range, h x w x 3, in 0..1: what leaves it loses color, not one channel's share."""
    inside = np.asarray(cv2.inRange(pixels, np.zeros(3), np.ones(3)))
    outside = np.flatnonzero(inside.ravel() == 0)
    if not len(outside):
        return pixels
    beyond = pixels.reshape(-1, 3).take(outside, axis=0)
    gray = np.clip(beyond @ LUMA, 0, 1)[:, None]
    color = beyond - gray
    room = np.where(color > 0, 1 - gray, gray) / np.maximum(np.abs(color), 1e-6)
    least = np.minimum(np.minimum(room[:, :1], room[:, 1:2]), np.minimum(room[:, 2:], 1))
    held: FloatArray = pixels.copy()
    held.reshape(-1, 3)[outside] = gray + color * least
    return held


def _local_light(picture: FloatArray, weight: FloatArray, sigma_px: float) -> FloatArray:
    """The value at each pixel of the plane that fits a picture (h x w x K) around it best.

    Weighted least squares under `weight` (h x w) times a Gaussian. A local mean alone is drawn
    inwards where the weight ends, and loses a third of a slope over a face. Normalized convolution
    with the basis 1, x, y: Knutsson and Westin, "Normalized and differential convolution", 1993.
    Far from all weight, the mean of all.
    """
    height, width, channels = picture.shape
    mean = (picture * weight[..., None]).sum((0, 1)) / max(float(weight.sum()), 1e-6)
    # Channels come before columns here: so that each sum over a row is one product of matrices, and
    # planes are multiplied by long rows.
    signal = np.empty((height, channels + 1, width), np.float32)
    signal[:, 0] = weight
    np.multiply(np.swapaxes(picture - mean, 1, 2), weight[:, None], out=signal[:, 1:])
    over_x, over_y = _moment_kernels(width, sigma_px), _moment_kernels(height, sigma_px)
    # Sums around each pixel of the weight and the weighted picture times 1, y and y^2; then x.
    by_y = (over_y @ signal.reshape(height, -1)).reshape(3, *signal.shape)

    def summed(x_power: int, of: FloatArray) -> FloatArray:
        rows = np.ascontiguousarray(of).reshape(-1, width)
        return np.asarray((rows @ over_x[x_power].T).reshape(of.shape), np.float32)

    total, first_x, first_y = summed(0, by_y[0]), summed(1, by_y[0]), summed(0, by_y[1])
    count = total[:, :1] + np.float32(_FAR)
    total, first_x, first_y = total / count, first_x / count, first_y / count
    x, y = first_x[:, :1], first_y[:, :1]
    # Covariances about the weight's own center: of the place, and of place and picture.
    xx = summed(2, by_y[0, :, :1]) / count - x * x + _RIDGE
    yy = summed(0, by_y[2, :, :1]) / count - y * y + _RIDGE
    xy = summed(1, by_y[1, :, :1]) / count - x * y
    level = total[:, 1:]
    slope_x, slope_y = first_x[:, 1:] - x * level, first_y[:, 1:] - y * level
    # From the center back to the pixel itself.
    back_x, back_y = yy * x - xy * y, xx * y - xy * x
    determinant = xx * yy - xy * xy
    at_pixel = level - slope_x * (back_x / determinant) - slope_y * (back_y / determinant)
    return np.ascontiguousarray(np.swapaxes(at_pixel, 1, 2) + mean, np.float32)


def _moment_kernels(size: int, sigma_px: float) -> FloatArray:
    """Gaussian times 1, u and u^2 for each place of a row (u in deviations): 3 x size x size."""
    places = np.arange(size)
    u = (places[None, :] - places[:, None]) / sigma_px
    gauss = np.exp(-0.5 * u * u) / (np.sqrt(2 * np.pi) * sigma_px)
    return np.asarray([gauss, gauss * u, gauss * u * u], np.float32)


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
