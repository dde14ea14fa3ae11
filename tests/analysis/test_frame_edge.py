"""Faces that the frame cuts off: found, and read as what is seen of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from sosie.analysis import detection
from sosie.analysis.analyzer import Analyzer, FaceAnalyzer, Networks
from sosie.analysis.landmarker import Readings
from sosie.geometry.head_pose import Region, region_of
from sosie.types import Face

CUTS = ("left", "right", "top", "bottom")


def cut_off(pixels: np.ndarray, face: Face, side: str, share: float) -> tuple[np.ndarray, int, int]:
    """The picture without what lies beyond an edge that cuts that share off the face's box, and
    where its first pixel was."""
    x0, y0, x1, y1 = face.box
    low = (round(x0 + share * (x1 - x0)), round(y0 + share * (y1 - y0)))
    high = (round(x1 - share * (x1 - x0)), round(y1 - share * (y1 - y0)))
    kept, x, y = {
        "left": (pixels[:, low[0] :], low[0], 0),
        "top": (pixels[low[1] :], 0, low[1]),
        "right": (pixels[:, : high[0]], 0, 0),
        "bottom": (pixels[: high[1]], 0, 0),
    }[side]
    return np.ascontiguousarray(kept), x, y


@pytest.mark.parametrize("side", CUTS)
@pytest.mark.parametrize("share", [0.25, 0.45])
def test_a_face_that_the_frame_cuts_off(
    analyzer: Analyzer,
    astronaut: np.ndarray,
    astronaut_face: Face,
    hopper: np.ndarray,
    hopper_face: Face,
    side: str,
    share: float,
) -> None:
    for pixels, whole in ((astronaut, astronaut_face), (hopper, hopper_face)):
        part, x, y = cut_off(pixels, whole, side, share)
        (face,) = analyzer.analyze(part)
        places = whole.landmarks[:, :2] - (x, y)
        inside = ((places >= 0) & (places < part.shape[1::-1])).all(1)
        apart = np.linalg.norm(face.landmarks[:, :2] - places, axis=1)
        assert apart[inside].mean() < 0.025 * whole.size_px
        assert 0.7 < face.size_px / whole.size_px < 1.3


@pytest.mark.parametrize(
    ("x", "presence", "seen", "followed", "confirmed"),
    [
        (4, 0.3, 0.7, True, True),
        (4, 0.3, 0.5, True, False),
        (4, 0.1, 0.9, False, False),
        (150, 0.3, 0.9, False, False),
        (150, 0.95, 0.5, True, True),
    ],
)
def test_at_the_frames_edge_the_detector_decides(
    model_face: Callable[..., Face],
    monkeypatch: pytest.MonkeyPatch,
    x: float,
    presence: float,
    seen: float,
    followed: bool,
    confirmed: bool,
) -> None:
    """Half a face has a low presence, so that there, and only there, little of it is enough."""
    points = model_face(unit_px=24, center=(63.5, 63.5)).landmarks
    readings = Readings(points[None], np.float32([presence]), np.zeros((1, 52), np.float32))
    landmarker = SimpleNamespace(read_twice=lambda squares: (readings, np.float32([0.01])))
    monkeypatch.setattr(detection, "upright_score", lambda detector, frame, region: seen)
    # That landmarks stay where they are is another test's.
    monkeypatch.setattr(FaceAnalyzer, "_wander", lambda *_: 0.0)
    stubbed = FaceAnalyzer(SimpleNamespace(landmarker=landmarker, detector=None))
    frame, region = np.zeros((200, 300, 3), np.uint8), Region(x, 100, 60, 0)
    assert (stubbed.landmarks(frame, region) is not None) == followed
    assert (stubbed.confirm(frame, region) is not None) == confirmed


@pytest.mark.parametrize("side", CUTS)
def test_the_detector_is_sure_of_half_a_face(
    astronaut: np.ndarray,
    astronaut_face: Face,
    hopper: np.ndarray,
    hopper_face: Face,
    side: str,
) -> None:
    """A closer look at a face that the frame cuts off must not show streaks where a face should
    go on."""
    detector = Networks(1).detector
    for pixels, whole in ((astronaut, astronaut_face), (hopper, hopper_face)):
        for share, least in ((0.3, 0.8), (0.5, 0.7)):
            part, x, y = cut_off(pixels, whole, side, share)
            region = region_of(whole.landmarks)
            place = replace(region, x=region.x - x, y=region.y - y)
            assert detection.upright_score(detector, part, place) > least
