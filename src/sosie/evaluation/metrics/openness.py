"""How far the eyes and the mouth are open, in the result beside the target.

The aspect ratio of Soukupova and Cech 2016, "Real-Time Eye Blink Detection using Facial Landmarks",
eq. 1, with all points of the lids (and of the inner lips) and in three dimensions, so that a turned
head counts as the frontal one. About 0.3 for an open eye, 0 for a shut one or a shut mouth.
"""

from __future__ import annotations

import numpy as np

from sosie.evaluation.metric import Figure, Readings, Settings
from sosie.evaluation.sample import Triple
from sosie.geometry import mesh
from sosie.types import FloatArray

_LIMITS = (
    "Read from Sosie's landmarks. Eyes of different people are open by different ratios: a swap "
    "that keeps the source's own eyes is charged for that."
)

FIGURES = (
    Figure(
        name="eyes_error",
        title="Eye opening error",
        unit="",
        better="lower",
        range=(0, float("inf")),
        summary="By how much the eyes are more open or more shut than the target's.",
        formula="mean over both eyes of |ratio(result) - ratio(target)|",
        source="ratio: Soukupova and Cech 2016, eq. 1",
        limits=_LIMITS,
    ),
    Figure(
        name="mouth_error",
        title="Mouth opening error",
        unit="",
        better="lower",
        range=(0, float("inf")),
        summary="By how much the mouth is more open or more shut than the target's.",
        formula="|ratio(result) - ratio(target)| of the inner lips",
        source="ratio: Soukupova and Cech 2016, eq. 1, for the inner lips",
        limits=_LIMITS,
    ),
)


def measure(triple: Triple, settings: Settings) -> Readings:  # noqa: ARG001
    before, after = triple.target.found.landmarks, triple.result.found.landmarks
    eyes = [
        abs(opening(after, ring) - opening(before, ring))
        for ring in (mesh.RIGHT_EYE, mesh.LEFT_EYE)
    ]
    lips = mesh.INNER_LIPS
    return {
        "eyes_error": float(np.mean(eyes)),
        "mouth_error": abs(opening(after, lips) - opening(before, lips)),
    }


def opening(landmarks: FloatArray, ring: tuple[int, ...]) -> float:
    """Mean height over width of a ring of landmarks (478 x 3) that starts at one corner, runs along
    the lower side to the other and back along the upper side."""
    half = len(ring) // 2
    lower, upper = list(ring[1:half]), list(reversed(ring[half + 1 :]))
    heights = np.linalg.norm(landmarks[upper] - landmarks[lower], axis=1)
    width = float(np.linalg.norm(landmarks[ring[0]] - landmarks[ring[half]]))
    return float(heights.mean()) / max(width, 1e-6)
