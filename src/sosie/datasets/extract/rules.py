"""Which faces are put aside, and why: a figure and a limit each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import numpy as np

from sosie.datasets.extract.options import ExtractOptions
from sosie.geometry import alignment, head_pose
from sosie.geometry.morphable_model import face_shape
from sosie.types import Face

REASONS = MappingProxyType(
    {
        "tilted": "the head is tilted",
        "small": "the face fills little of the picture",
        "blurred": "out of focus, or moving",
        "covered": "something hides the face, or the frame's edge cuts it off",
        "turned": "turned away from the camera",
    }
)
"""Name of a rule, and of the folder of what it rejects -> what it means. In this order they are
asked; the first that holds names the folder."""

# In a template that shows the mean face smaller than this, so much smaller may faces be.
_USUAL_SHARE = 0.5


def tilt_deg(face: Face) -> float:
    """By how much the head is tilted in the frame, 0..180. The line of the eyes tells, and with it
    that from forehead to chin, as a profile's eyes are nearly behind one another."""
    return abs(head_pose.tilt_deg(face.landmarks))


def turn_deg(face: Face) -> float:
    """The angle between where the face looks and the camera, 0..180: a full profile has 90."""
    yaw, pitch = np.radians([face.pose.yaw, face.pose.pitch])
    return float(np.degrees(np.arccos(np.clip(np.cos(yaw) * np.cos(pitch), -1, 1))))


def share(face: Face, pixels_a_pixel: float, side_px: int) -> float:
    """The longer side of the face as a share of the picture's side.

    pixels_a_pixel: by how much the picture enlarges the frame.
    """
    return face.size_px * pixels_a_pixel / side_px


def rejection(figures: Mapping[str, float], options: ExtractOptions) -> str:
    """The first rule by which a face is rejected, "" where none holds.

    figures: by the names of REASONS: the tilt in degrees, the share of the picture, the blur in
    pixels, how much is seen (0..1), the turn in degrees.
    """
    most = {
        "tilted": options.max_tilt_deg,
        "blurred": options.max_blur_px,
        "turned": options.max_turn_deg,
    }
    least = {"small": options.min_share, "covered": options.min_visible}
    if least["small"] is not None:
        least["small"] *= min(1.0, usual_share(options.align) / _USUAL_SHARE)
    for reason in REASONS:
        high, low = most.get(reason), least.get(reason)
        if high is not None and figures[reason] > high:
            return reason
        if low is not None and figures[reason] < low:
            return reason
    return ""


@cache
def usual_share(template: str) -> float:
    """The longer side of the mean face as a share of the picture's side."""
    mean = face_shape().mean.astype(np.float32)[:, :2]
    matrix = alignment.align_matrix(head_pose.five_points(mean), template, 1)
    return float(np.ptp(mean, axis=0).max()) * alignment.scale_of(matrix)
