"""What another tool knew of a picture before it is looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sosie.geometry import alignment, head_pose, mesh
from sosie.geometry.head_pose import Region
from sosie.geometry.morphable_model import face_shape
from sosie.types import Face

# Landmarks that are further from those of the tool than this, on average and as a share of the
# distance of the eyes, are of another face, or of none.
_SAME = 0.3


@dataclass(frozen=True)
class Hint:
    """source: the name of the frame or photo that the picture was cut from, "" where unknown.
    faces: the 68 annotated points of each face, 68 x 2, in pixels of the picture; None where the
    picture shows one face in its middle, at a place that is not known. unread: how many more faces
    the tool told of, in another way than by such points."""

    source: str
    faces: tuple[NDArray[np.float64], ...] | None
    unread: int = 0


def region_of(points: NDArray[np.float64]) -> Region:
    """About where a face is whose 68 annotated points are known."""
    mean = face_shape().mean
    placed = alignment.fit_similarity(mean[list(mesh.ANNOTATED), :2], points)
    return head_pose.region_of(alignment.transform_points(mean, placed))


def agrees(face: Face, points: NDArray[np.float64]) -> bool:
    """Whether a face that was found is the one that the tool knew of."""
    own = face.landmarks[list(mesh.ANNOTATED), :2]
    eyes = np.linalg.norm(points[36:42].mean(0) - points[42:48].mean(0))
    off = np.linalg.norm(own - points, axis=1).mean()
    # A profile's eyes are nearly behind one another: the face's height tells as well.
    height = np.linalg.norm(points[27] - points[8])
    return bool(off <= _SAME * max(eyes, 0.5 * height))
