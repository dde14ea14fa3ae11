"""What happens from frame to frame: falling back to the target, flicker, jitter and drift."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.evaluation.metric import Figure, Missing, Readings
from sosie.evaluation.metrics.base import FrameMetric, FrameValue, Plot
from sosie.evaluation.video_frames import FACE_PX, Sight, VideoSeries, mean_of
from sosie.geometry.mesh import OVAL, SURFACE_POINTS
from sosie.types import FloatArray

_NOBODY = "No frame shows a face in both videos."
_FLOOR, _NOISE_FACTOR, _MAX_NOISE = 2.0, 2.0, 3.0


def _look_fallback(sight: Sight) -> dict[str, float]:
    square = sight.square
    apart = np.abs(sight.target.astype(np.float32) - sight.result).mean(2)
    inside = float(apart[square.face].mean()) if square.face.any() else math.nan
    around = float(np.median(apart[square.around])) if square.around.any() else math.nan
    return {
        "difference": inside,
        "surroundings": around,
        "untouched": float(is_untouched(inside, around)),
        "found": float(sight.result_face is not None),
    }


def _measure_fallback(series: VideoSeries) -> Readings:
    """Shares of the frames on which the target's face is seen: a flash of the target's own face is
    what viewers notice first."""
    untouched = mean_of(series, "untouched", _NOBODY)
    found = mean_of(series, "found", _NOBODY)
    return {
        "video_fallback": untouched if isinstance(untouched, Missing) else 100 * untouched,
        "video_lost": found if isinstance(found, Missing) else 100 * (1 - found),
    }


def is_untouched(inside: float, around: float) -> bool:
    """Whether a face is the target's own: its difference is one of coding.

    inside: mean difference of result and target in the face, gray levels of 255. around: median
    difference around it, where nothing was swapped: what the encoder did; NaN where none is seen.
    """
    noise = 0.0 if math.isnan(around) else min(around, _MAX_NOISE)
    return inside <= _FLOOR + _NOISE_FACTOR * noise


FALLBACK = FrameMetric(
    group="Video",
    look=_look_fallback,
    measure=_measure_fallback,
    values=(
        FrameValue("difference", "gray levels between result and target inside the face"),
        FrameValue("surroundings", "gray levels between result and target around the face"),
        FrameValue("found", "1 where a face was found in the result, 0 where none was"),
        FrameValue(
            "untouched",
            "1 where the result's face is the target's, 0 where it was changed",
            worst="Fell back to the target",
            flag=True,
        ),
    ),
    plots=(
        Plot(
            "How much was changed, in the face and around it.",
            "change, gray levels",
            {"difference": "in the face", "surroundings": "around it"},
        ),
        Plot(
            "Frames on which the face is the target's own.",
            "fell back to the target",
            {"untouched": "1: yes"},
        ),
    ),
    figures={
        "video_fallback": Figure(
            title="Frames that fell back to the target",
            unit="%",
            range=(0, 100),
            summary="On which share of its frames the face is the target's own, as it was.",
            formula="share of frames whose difference inside the face is no more than coding "
            "explains: 2 gray levels and twice the median difference around the face, at most 8 in "
            "all",
            limits="A swap so faint that it changes a few gray levels passes for none. A face that "
            "was never swapped, beside one that was, is taken to be left alone on purpose.",
        ),
        "video_lost": Figure(
            title="Frames on which the result has no face",
            unit="%",
            range=(0, 100),
            summary="On which share of its frames the target's face is seen and none is found in "
            "the result at that place.",
            formula="share of frames without a face by Sosie's landmark network in the target's "
            "square",
            limits="A face that is no longer one to a network may still look like one, and the "
            "other way round.",
        ),
    },
)


_REASON = "No face is seen on two successive frames of both videos."
# Less than this, in gray levels, is what rounding leaves of a still clip: no flicker to divide by.
_STILL = 0.05


def _look_flicker(sight: Sight) -> dict[str, float]:
    if (step := sight.step) is None:
        return {}
    face = sight.square.face
    return {
        "flicker_target": flicker(step.target, sight.target, step.target_motion, face),
        "flicker": flicker(step.result, sight.result, step.result_motion, face),
    }


def _measure_flicker(series: VideoSeries) -> Readings:
    """The frame before is brought onto the frame by the video's own optical flow (DIS: Kroeger et
    al. 2016, "Fast Optical Flow using Dense Inverse Search"); what still differs inside the face is
    the flicker, after the warping error of "Learning Blind Video Temporal Consistency". The target
    flickers too (noise, compression, light), so that the ratio counts."""
    found: Readings = {
        name: mean_of(series, kept, _REASON)
        for name, kept in (("video_flicker", "flicker"), ("video_flicker_target", "flicker_target"))
    }
    return found | {
        "video_flicker_ratio": ratio(found["video_flicker"], found["video_flicker_target"])
    }


def ratio(result: float | Missing, target: float | Missing) -> float | Missing:
    """The result's flicker as a multiple of the target's."""
    if isinstance(result, Missing) or isinstance(target, Missing):
        return Missing(_REASON)
    if target < _STILL:
        return Missing("The target does not flicker at all, as no recorded face does.")
    return result / target


def flicker(
    before: NDArray[np.uint8], after: NDArray[np.uint8], flow: FloatArray, face: NDArray[np.bool_]
) -> float:
    """The flicker between two pictures of one face, in gray levels of 255; NaN without pixels.

    before, after: RGB, H x W x 3. flow: H x W x 2, from each place of `after` to where that was in
    `before`. face: bool, H x W, which pixels of `after` count.
    """
    height, width = face.shape
    x, y = flow[..., 0] + np.arange(width), flow[..., 1] + np.arange(height)[:, None]
    seen = face & (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    if not seen.any():
        return math.nan
    moved = cv2.remap(
        before.astype(np.float32), x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR
    )
    return float(np.abs(moved - after)[seen].mean())


FLICKER = FrameMetric(
    group="Video",
    look=_look_flicker,
    measure=_measure_flicker,
    values=(
        FrameValue(
            "flicker",
            "gray levels between successive frames of the result, motion taken out",
            worst="Most flicker",
        ),
        FrameValue("flicker_target", "the same of the target"),
    ),
    plots=(
        Plot(
            "Flicker: change from frame to frame beside the motion.",
            "flicker, gray levels",
            {"flicker": "result", "flicker_target": "target"},
        ),
    ),
    limits="A smooth face has less to differ, so that less than the target's own is no merit. The "
    "result went through another encoder than the target, whose noise counts as well. Slow "
    "changes, over a second, do not show.",
    figures={
        "video_flicker": Figure(
            title="Flicker of the result",
            unit="levels",
            range=(0, 255),
            summary="How much the swapped face changes from frame to frame beside its motion.",
            formula="mean |frame - frame before, moved by the video's own DIS flow| inside the "
            "face",
            source="warping error, Lai et al. 2018",
        ),
        "video_flicker_target": Figure(
            title="Flicker of the target",
            unit="levels",
            better=None,
            range=(0, 255),
            summary="The same of the target's face: what the result's flicker is to be held "
            "against.",
            formula="as video_flicker, of the target",
            source="warping error, Lai et al. 2018",
        ),
        "video_flicker_ratio": Figure(
            title="Flicker, relative to the target's",
            summary="1 where the swapped face flickers as the target's does, 2 where twice as "
            "much.",
            formula="video_flicker / video_flicker_target",
        ),
    },
)


_REASON = "No face is seen on two successive frames of both videos."
# The outline is torn between the face and what is behind it, and the irises turn.
_FOLLOWED = np.setdiff1d(np.arange(SURFACE_POINTS), OVAL)
# Flow is averaged over so many pixels around a landmark: its noise is finer.
_AROUND_PX = 9


def _look_jitter(sight: Sight) -> dict[str, float]:
    step, before, square = sight.step, sight.before, sight.square
    if step is None or before is None:
        return {}
    told = {"drift": drift(step.result_motion, step.target_motion, square.face, FACE_PX)}
    for name, last, now in (
        ("jitter_target", before.target_face, sight.target_face),
        ("jitter", before.result_face, sight.result_face),
    ):
        if last is not None and now is not None:
            points = square.points(last), square.points(now)
            told[name] = jitter(*points, step.target_motion, FACE_PX)
    return told


def _measure_jitter(series: VideoSeries) -> Readings:
    """Jitter follows the landmarks: by how much they leave the motion of the target's pixels from
    one frame to the next. Drift follows the result's pixels: by how much their own flow leaves that
    motion, which shows texture that swims."""
    found: Readings = {
        name: mean_of(series, kept, _REASON)
        for name, kept in (
            ("video_jitter", "jitter"),
            ("video_jitter_target", "jitter_target"),
            ("video_drift", "drift"),
        )
    }
    result, target = found["video_jitter"], found["video_jitter_target"]
    if isinstance(result, Missing) or isinstance(target, Missing) or target <= 0:
        return found | {"video_jitter_ratio": Missing(_REASON)}
    return found | {"video_jitter_ratio": result / target}


def jitter(before: FloatArray, after: FloatArray, flow: FloatArray, face_px: float) -> float:
    """By how much landmarks leave a motion, mean over them, in per cent of the face.

    before, after: 478 x 2, in pixels of the picture that `flow` belongs to. flow: H x W x 2, from
    each place to where that was on the frame before. face_px: size of the face.
    """
    soft = cv2.blur(flow, (_AROUND_PX, _AROUND_PX))
    x, y = after[_FOLLOWED, 0], after[_FOLLOWED, 1]
    motion = cv2.remap(soft, x[None], y[None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
    left = before[_FOLLOWED] - after[_FOLLOWED] - motion
    return float(100 * np.hypot(left[:, 0], left[:, 1]).mean() / face_px)


def drift(result: FloatArray, target: FloatArray, face: NDArray[np.bool_], face_px: float) -> float:
    """By how much one flow differs from another inside the face, in per cent of it.

    result, target: H x W x 2. face: bool, H x W. NaN where that is empty.
    """
    if not face.any():
        return math.nan
    apart = (result - target)[face]
    return float(100 * np.median(np.hypot(apart[:, 0], apart[:, 1])) / face_px)


JITTER = FrameMetric(
    group="Video",
    look=_look_jitter,
    measure=_measure_jitter,
    values=(
        FrameValue(
            "jitter",
            "per cent of the face by which the result's landmarks leave the target's motion",
            worst="Most jitter",
        ),
        FrameValue("jitter_target", "the same of the target's landmarks"),
        FrameValue(
            "drift",
            "per cent of the face by which the result's pixels leave the target's motion",
            worst="Most drift",
        ),
    ),
    plots=(
        Plot(
            "Jitter: landmarks that leave the target's motion.",
            "jitter, % of the face",
            {"jitter": "result", "jitter_target": "target"},
        ),
        Plot(
            "Drift: pixels that move otherwise than the target's.",
            "drift, % of the face",
            {"drift": "result"},
        ),
    ),
    limits="Landmarks and flow have a noise of their own, the same in both videos: the target's "
    "own figure shows how large. A shift that stays is no jitter.",
    figures={
        "video_jitter": Figure(
            title="Landmark jitter of the result",
            unit="%",
            summary="By how much of the face's size its landmarks jump from frame to frame beside "
            "the head's motion.",
            formula="mean |p(t-1) - p(t) - flow_target(p(t))| over landmarks and frames, of the "
            "face",
        ),
        "video_jitter_target": Figure(
            title="Landmark jitter of the target",
            unit="%",
            better=None,
            summary="The same of the target's face: what the result's jitter is to be held "
            "against.",
            formula="as video_jitter, of the target's landmarks",
        ),
        "video_jitter_ratio": Figure(
            title="Landmark jitter, relative to the target's",
            summary="1 where the result's landmarks are as calm as the target's, 2 where half as "
            "calm.",
            formula="video_jitter / video_jitter_target",
        ),
        "video_drift": Figure(
            title="Drift of the result's pixels",
            unit="%",
            summary="By how much of the face's size its pixels move otherwise than the target's, "
            "from frame to frame.",
            formula="median |flow_result - flow_target| inside the face, mean over frames",
            limits="Smooth skin hardly tells how it moves. What moves with the head and is wrong, "
            "such as a stain, does not show.",
        ),
    },
)
