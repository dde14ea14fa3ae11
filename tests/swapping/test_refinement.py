"""A draft that missed its target: what it missed is turned round and added to the aim."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from sosie.geometry.head_pose import head_pose
from sosie.geometry.morphable_model import canonicalize, face_shape, smoothstep
from sosie.swapping import refinement
from sosie.types import Face

ModelFace = Callable[..., Face]
SHAPE = face_shape()


def aim_at(target: np.ndarray, correction: np.ndarray) -> np.ndarray:
    return refinement.Refinement(correction).applied(target)


def mouth_gap(landmarks: np.ndarray) -> float:
    return float(canonicalize(landmarks, SHAPE).points[[13, 14], 1] @ (-1, 1))


def opened_mouth(by: float) -> np.ndarray:
    """The lower lip and chin that much lower: canonical, 478 x 3."""
    low = smoothstep(SHAPE.mean[:, 1], SHAPE.mean[13, 1] + 0.01, SHAPE.mean[14, 1] + 0.05)
    return np.column_stack([np.zeros(478), by * low, np.zeros(478)])


def test_without_a_correction_the_aim_is_the_target(model_face: ModelFace) -> None:
    target = model_face(20, 5, -10).landmarks
    aimed = aim_at(target, refinement.no_correction())
    assert aimed.dtype == np.float32
    assert np.array_equal(aimed, target)


def test_a_correction_is_turned_and_sized_with_the_face(model_face: ModelFace) -> None:
    correction = refinement.no_correction()
    correction[1] = (0, 0, -0.1)  # the nose's tip forward
    face = model_face(90, unit_px=100).landmarks
    moved = aim_at(face, correction) - face
    # Looking to the image's right, forward is to the right.
    assert np.allclose(moved[1], (10, 0, 0), atol=0.01)
    assert np.abs(np.delete(moved, 1, 0)).max() == 0


def test_a_draft_on_target_misses_nothing(model_face: ModelFace) -> None:
    target = model_face(-25, 10, 30).landmarks
    missing = refinement.missed(target, target.copy())
    assert missing is not None
    assert missing.shape == (478, 3)
    assert np.abs(missing).max() < 1e-5


@pytest.mark.parametrize("size", [0.9, 1.1])
def test_a_shift_or_another_size_is_no_miss(model_face: ModelFace, size: float) -> None:
    target = model_face(15).landmarks
    seen = model_face(15, unit_px=60 * size, center=(131, 126)).landmarks
    missing = refinement.missed(target, seen)
    assert missing is not None
    assert np.abs(missing).max() < 1e-5


@pytest.mark.parametrize(
    ("target_pose", "seen_pose"),
    [
        ((0, 0, 0), (4, 0, 0)),
        ((20, 0, 0), (17, 0, 0)),
        ((0, 10, 0), (0, 6, 0)),
        ((0, 0, 25), (0, 0, 28)),
        ((30, -10, 15), (27, -6, 12)),
    ],
)
def test_a_head_turned_too_far_is_turned_back(
    model_face: ModelFace, target_pose: tuple[float, ...], seen_pose: tuple[float, ...]
) -> None:
    """A method that always turns the head by the same error hits after a few corrections."""
    target = model_face(*target_pose).landmarks.astype(np.float64)
    of_target = canonicalize(target, SHAPE)
    error = of_target.rotation.T @ canonicalize(model_face(*seen_pose).landmarks, SHAPE).rotation

    def drafted(aimed: np.ndarray) -> np.ndarray:
        # Not `aimed @ error`: a draft has the rotation of its aim and nothing else of it.
        turned = canonicalize(aimed, SHAPE).rotation @ error
        return (of_target.points @ turned * of_target.scale + target.mean(0)).astype(np.float32)

    def off_deg(seen: np.ndarray) -> float:
        turned = of_target.rotation.T @ canonicalize(seen, SHAPE).rotation
        return float(np.degrees(np.arccos(np.clip((np.trace(turned) - 1) / 2, -1, 1))))

    correction = refinement.no_correction()
    misses = [off_deg(drafted(aim_at(target.astype(np.float32), correction)))]
    for _ in range(3):
        seen = drafted(aim_at(target.astype(np.float32), correction))
        missing = refinement.missed(target.astype(np.float32), seen)
        assert missing is not None
        correction = correction + missing
        misses.append(off_deg(drafted(aim_at(target.astype(np.float32), correction))))
    assert misses[0] > 2.9
    assert misses[1] < 0.6 * misses[0]
    assert misses[3] < 0.25 * misses[0]


def test_a_turn_is_corrected_the_other_way_in_degrees(model_face: ModelFace) -> None:
    target, seen = model_face(10), model_face(14)
    missing = refinement.missed(target.landmarks, seen.landmarks)
    assert missing is not None
    corrected = head_pose(aim_at(target.landmarks, missing))
    # Seen 4 degrees too far, aimed back by most of that.
    assert -4 < corrected.yaw - target.pose.yaw < -1.6
    assert corrected.pitch == pytest.approx(target.pose.pitch, abs=0.3)
    assert corrected.roll == pytest.approx(target.pose.roll, abs=0.3)


def test_a_mouth_too_far_open_is_aimed_to_close(model_face: ModelFace) -> None:
    target = model_face(10, 0, -20, change=opened_mouth(0.2)).landmarks
    wide = model_face(10, 0, -20, change=opened_mouth(0.35)).landmarks
    shut = model_face(10, 0, -20, change=opened_mouth(0.05)).landmarks
    aimed_after_wide = aim_at(target, _required(refinement.missed(target, wide)))
    aimed_after_shut = aim_at(target, _required(refinement.missed(target, shut)))
    assert mouth_gap(aimed_after_wide) < mouth_gap(target) - 0.06
    assert mouth_gap(aimed_after_shut) > mouth_gap(target) + 0.06


def test_a_difference_of_identity_is_no_miss(model_face: ModelFace) -> None:
    """The swapped face is meant to be another person's: a longer nose is not corrected away."""
    tip = np.exp(-((SHAPE.mean - SHAPE.mean[1]) ** 2).sum(1) / 0.08)
    longer = np.column_stack([np.zeros(478), np.zeros(478), -0.15 * tip])
    missing = _required(
        refinement.missed(model_face().landmarks, model_face(change=longer).landmarks)
    )
    # Taken for expression, most of it would be turned round: about 0.1.
    assert abs(missing[1, 2]) < 0.05


def test_another_face_elsewhere_is_nothing_to_learn_from(model_face: ModelFace) -> None:
    target = model_face().landmarks
    width = float(np.ptp(target[:, 0]))
    beside = model_face(center=(128 + 0.6 * width, 128)).landmarks
    assert refinement.missed(target, beside) is None
    nearby = model_face(center=(128 + 0.2 * width, 128)).landmarks
    assert refinement.missed(target, nearby) is not None


def _required(missing: np.ndarray | None) -> np.ndarray:
    assert missing is not None
    return missing
