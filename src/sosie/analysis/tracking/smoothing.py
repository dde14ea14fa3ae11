"""Landmarks of a track without their jitter and without lag.

The video is known ahead, so each frame is estimated from as many frames after it as before it. A
straight line is fitted over a stretch of frames around it; the longest stretch counts over which
the points keep to a line as nearly as the network's noise allows. A still or evenly moving face
is averaged over half a second; a blink, a word or a jerk, which no line fits, is left as it is.
The head's motion in the image is treated apart from what the face does in itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sosie.geometry.head_pose import STEADY
from sosie.types import FloatArray

REACH_FRAMES = 7
_HALF_WIDTHS = (1, 2, 3, 5, REACH_FRAMES)
# The noise of a landmark as a share of the face's size: measured 0.0004 to 0.0009 for faces of
# 160 to 480 px, some 0.1 px more for small ones. Estimated anew in each window within bounds, as
# what exceeds them is motion.
_NOISE_SHARE_MIN, _NOISE_SHARE_MAX, _NOISE_PX = 0.0003, 0.0012, 0.08
# The motion of the whole head is noisier than the median point is within the face.
_MOTION_NOISE = 1.3
# Some points, as those of the jaw's edge, are by so much noisier than the typical one.
_NOISIER = 2.0
# Misfit of the line, in units of the noise, up to which a stretch counts fully and not at all.
_FIT, _MISFIT = 1.15, 1.6
# Points are judged with those around them, to this share of the face's size.
_NEIGHBORHOOD = 0.03

Array = NDArray[np.float64]


def neighborhood(landmarks: FloatArray) -> Array:
    """How much each point of a face counts when another is judged, float64, 478 x 478, from the
    distances in one picture of it. It serves a whole track."""
    points = landmarks.astype(np.float64)
    size = np.ptp(points[:, :2], axis=0).max()
    near = np.linalg.norm(points[:, None] - points[None], axis=2)
    weights = np.exp(-0.5 * (near / (_NEIGHBORHOOD * size)) ** 2)
    return np.asarray(weights / weights.sum(1, keepdims=True))


def smooth_at(window: FloatArray, index: int, neighbors: Array) -> FloatArray:
    """The landmarks of frame `index`, smoothed.

    window: the landmarks of successive frames of one track, float32, n x 478 x 3. Frames further
    than REACH_FRAMES from `index` are not looked at, nor more on one side of it than on the other.
    neighbors: from `neighborhood`. Returns float32, 478 x 3.
    """
    reach = min(index, len(window) - 1 - index, REACH_FRAMES)
    if reach == 0:
        unchanged: FloatArray = window[index]
        return unchanged
    frames = window[index - reach : index + reach + 1].astype(np.float64)
    middle = frames[reach]
    size = float(np.ptp(middle[:, :2], axis=0).max())
    motion, still = _apart(frames, reach, size)
    typical, noise = _noise(still, size)

    # einsum, not @: for sizes like these a threaded BLAS burns a second core waiting.
    shape = _adaptive(
        still,
        lambda misfit: np.einsum("ij,j->i", neighbors, misfit[:, :2].mean(1) / noise**2),
    )
    moved = _adaptive(
        motion[:, None], lambda misfit: misfit.mean(1) / (typical * _MOTION_NOISE) ** 2
    )[0]
    return np.asarray(_moved(shape, moved, middle, size), np.float32)


def _apart(frames: Array, center: int, size: float) -> tuple[Array, Array]:
    """Each frame's motion against the central one, n x 4 in pixels (shift, growth and turn at
    half the face's size), and its landmarks with that motion undone, n x 478 x 3."""
    fixed = frames[:, list(STEADY), :2]
    means = fixed.mean(1)
    origin, anchor = means[center], fixed[center] - means[center]
    around = fixed - means[:, None]
    # The least-squares similarity of `alignment.fit_similarity`, for all frames at once.
    spread = max(float((anchor * anchor).sum()), 1e-12)
    cosine = np.einsum("pc,npc->n", anchor, around) / spread
    sine = np.einsum("pc,npc->n", anchor * (1, -1), around[..., ::-1]) / spread
    scale = np.hypot(cosine, sine)
    grown, turned = np.log(scale) * size / 2, np.arctan2(sine, cosine) * size / 2
    x, y = np.moveaxis(frames[..., :2] - means[:, None], 2, 0)
    c, s = (cosine / scale**2)[:, None], (sine / scale**2)[:, None]
    still = np.stack(
        [c * x + s * y + origin[0], c * y - s * x + origin[1], frames[..., 2] / scale[:, None]],
        axis=2,
    )
    return np.column_stack([means - origin, grown, turned]), still


def _moved(shape: Array, motion: Array, middle: Array, size: float) -> Array:
    """The central frame's smoothed shape, put where its smoothed motion says."""
    origin = middle[list(STEADY), :2].mean(0)
    scale, turn = np.exp(motion[2] * 2 / size), motion[3] * 2 / size
    cosine, sine = scale * np.cos(turn), scale * np.sin(turn)
    xy = (shape[:, :2] - origin) @ np.array([[cosine, sine], [-sine, cosine]]) + origin + motion[:2]
    return np.column_stack([xy, shape[:, 2] * scale])


def _noise(still: Array, size: float) -> tuple[float, Array]:
    """Deviation of a typical point, and of each, in pixels, from how far they lie off the line
    between their neighbors in time; the medians are blind to a blink, and to the few points that
    an expression moves."""
    bend = np.abs(still[2:, :, :2] - 2 * still[1:-1, :, :2] + still[:-2, :, :2])
    each = 1.4826 * np.median(bend.transpose(0, 2, 1).reshape(-1, still.shape[1]), 0) / np.sqrt(6)
    lowest = _NOISE_SHARE_MIN * size
    highest = _NOISE_SHARE_MAX * size + _NOISE_PX
    typical = float(np.clip(np.median(each), lowest, highest))
    return typical, np.clip(each, typical, min(highest, _NOISIER * typical))


def _adaptive(series: Array, misfit_of: Callable[[Array], Array]) -> Array:
    """The central value of each point of a series, n x points x channels, n odd.

    misfit_of: from the variance about the line, points x channels, to a figure for each point in
    units of the noise's variance.
    """
    center = len(series) // 2
    value: Array = series[center]
    trust = np.ones(series.shape[1])
    for half in _HALF_WIDTHS:
        if half > center:
            break
        part = series[center - half : center + half + 1]
        time = np.arange(-half, half + 1, dtype=np.float64)
        mean = part.mean(0)
        slope = np.einsum("t,tpc->pc", time, part) / (time**2).sum()
        rest = part - mean - time[:, None, None] * slope
        variance = (rest**2).sum(0) / max(len(part) - 2, 1)
        misfit = np.sqrt(np.maximum(misfit_of(variance), 0))
        trust = trust * np.clip((_MISFIT - misfit) / (_MISFIT - _FIT), 0, 1)
        value = np.asarray(value + trust[:, None] * (mean - value))
    return value
