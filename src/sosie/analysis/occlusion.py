"""What of a face is visible: what is in front of it or behind its edge is told by colour.

Without a network there is only colour: the skin's own, with the slow change of light over the face.
What differs from it and reaches in from the outline is taken for something in front of the face
(a fringe, a hat) or behind its edge. Brows, eyes, nose and mouth are never taken for that, nor is
a beard's dark in the lower face; a hand is skin and is not found.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie import face_mesh
from sosie.face_shape import (
    Points,
    distance_from_contour,
    distance_to,
    face_shape,
    smoothstep,
)
from sosie.geometry import Matrix, fill_polygon, invert, warp
from sosie.types import FloatArray, Pixels

# The face is judged on an upright picture in which it has about this size.
_FACE_PX = 80
_SIDE_PX = 128
# Least deviations of skin from its fitted colour: L, a, b of CIELAB in OpenCV's 8-bit units.
_LEAST_DEVIATION = np.array([16.0, 4.5, 5.5])
# Deviations from which a pixel is surely no skin, and up to which it surely is: above the eyes,
# where it will be hair, and below them, where it will be a shadow.
_OTHER_ABOVE, _SKIN_ABOVE = 5.2, 3.6
_OTHER_BELOW, _SKIN_BELOW = 6.5, 4.5
_FITS = 6
# Softness of the edge of what is in front, in pixels of the view.
_EDGE_PX = 1.6
_EYE_CORNERS = (33, 263)


def visible_face(pixels: Pixels, landmarks: FloatArray) -> FloatArray:
    """What of the face is visible: float32, h x w as `pixels` (RGB, uint8 or uint16), 0..1.

    landmarks: 478 x 3, in pixels. 1 outside the face, where nothing is judged.
    """
    view = face_view(pixels, landmarks)
    return place_view(view, view_matrix(landmarks), pixels.shape[1], pixels.shape[0])


def all_visible() -> FloatArray:
    """The view of a face with nothing in front of it."""
    return np.ones((_SIDE_PX, _SIDE_PX), np.float32)


def face_view(pixels: Pixels, landmarks: FloatArray) -> FloatArray:
    """The visible share on an upright picture of the face: float32, 128 x 128, 0..1.

    The face always stands at the same place in it, so views of successive frames can be averaged.
    `view_matrix` of the same landmarks tells where.
    """
    matrix = view_matrix(landmarks)
    small = warp(pixels, matrix, _SIDE_PX, _SIDE_PX)
    if small.dtype == np.uint16:
        small = (small >> 8).astype(np.uint8)
    lab = cv2.cvtColor(cv2.medianBlur(small, 3), cv2.COLOR_RGB2LAB).astype(np.float64)
    points = landmarks[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    inside, guarded, lower = _zones(np.asarray(points, np.float32))
    deviation = _from_skin(lab, points)
    distance = np.sqrt((deviation**2).sum(2))
    # A beard: darker, of about the skin's hue or less colourful, in the lower face.
    bearded = lower & (deviation[..., 0] < 0) & (np.abs(deviation[..., 2]) < 6)
    distance[bearded | guarded] = 0
    surely = (distance > np.where(lower, _OTHER_BELOW, _OTHER_ABOVE)) & inside
    maybe = (distance > np.where(lower, _SKIN_BELOW, _SKIN_ABOVE)) & inside
    hidden = _reaching_in(surely, maybe, inside)
    soft = cv2.GaussianBlur(hidden.astype(np.float32), (0, 0), _EDGE_PX)
    return np.asarray(1 - soft, np.float32)


def place_view(view: FloatArray, matrix: Matrix, width: int, height: int) -> FloatArray:
    """A view back in the picture's pixels: float32, height x width; 1 outside the view."""
    back = cv2.warpAffine(
        view,
        invert(matrix),
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(1.0,),
    )
    return np.asarray(back, np.float32)


def view_matrix(landmarks: FloatArray) -> Matrix:
    """Picture -> view: the face upright, of the size _FACE_PX, in the middle."""
    down = landmarks[152, :2] - landmarks[10, :2]
    across = landmarks[263, :2] - landmarks[33, :2]
    angle = np.arctan2(across[1] - down[0], across[0] + down[1])
    outline = landmarks[list(face_mesh.OVAL), :2].astype(np.float64)
    centre = (outline.min(0) + outline.max(0)) / 2
    size = np.sqrt(np.prod(np.maximum(np.ptp(outline, axis=0), 1)))
    cosine, sine = np.cos(angle) * _FACE_PX / size, np.sin(angle) * _FACE_PX / size
    linear = np.array([[cosine, sine], [-sine, cosine]])
    return np.column_stack([linear, _SIDE_PX / 2 - linear @ centre])


@cache
def _samples() -> NDArray[np.int64]:
    """Points amid bare skin in most faces: cheeks, nose bridge, forehead, chin."""
    rings = (
        face_mesh.RIGHT_EYE + face_mesh.LEFT_EYE,
        face_mesh.RIGHT_BROW + face_mesh.LEFT_BROW,
        face_mesh.OUTER_LIPS + face_mesh.INNER_LIPS,
    )
    far = np.min([distance_to(ring, face_shape()) for ring in rings], axis=0)
    return np.flatnonzero((far > 0.1) & (distance_from_contour() > 0.2))


@cache
def _guard() -> Points:
    """1 at features that differ from skin by nature, 0 elsewhere, for each mesh point."""
    shape = face_shape()
    guard = np.zeros(face_mesh.POINTS)
    for ring, reach in (
        (face_mesh.RIGHT_EYE + face_mesh.LEFT_EYE, 0.18),
        (face_mesh.RIGHT_BROW + face_mesh.LEFT_BROW, 0.1),
        (face_mesh.OUTER_LIPS + face_mesh.INNER_LIPS, 0.22),
        (face_mesh.NOSE, 0.25),
    ):
        near = 1 - smoothstep(distance_to(ring, shape), reach, reach + 0.02)
        guard = np.maximum(guard, near)
    return guard


def _zones(
    points: FloatArray,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Inside the outline; at a guarded feature; below the eyes: each bool, view-sized."""
    inside = fill_polygon(points[list(face_mesh.OVAL)], _SIDE_PX, _SIDE_PX, antialiased=False)
    guarded = np.zeros_like(inside)
    strong = _guard() > 0.5
    for triangle in face_shape().triangles:
        if strong[triangle].all():
            cv2.fillConvexPoly(guarded, np.round(points[triangle]).astype(np.int32), (255,))
    for ring in (face_mesh.RIGHT_EYE, face_mesh.LEFT_EYE, face_mesh.INNER_LIPS):
        guarded |= fill_polygon(points[list(ring)], _SIDE_PX, _SIDE_PX)
    lower = np.arange(_SIDE_PX)[:, None] > points[list(_EYE_CORNERS), 1].mean()
    return inside > 0, guarded > 0, np.broadcast_to(lower, inside.shape)


def _from_skin(lab: Points, points: Points) -> Points:
    """Deviation of each pixel from the skin at its place, in standard deviations, h x w x 3.

    The colour is a plane over the picture, fitted to the samples with weights that fall for
    samples far off (iteratively reweighted least squares).
    """
    places = points[_samples()]
    keep = np.all((places >= 0) & (places <= _SIDE_PX - 1), axis=1)
    places = np.round(places[keep]).astype(int)
    colours = lab[places[:, 1], places[:, 0]]
    if len(places) < 8:
        return np.zeros_like(lab)
    basis = np.column_stack([np.ones(len(places)), places / _SIDE_PX - 0.5])
    weights = np.ones(len(places))
    ridge = np.diag([1e-6, 0.3, 0.3])
    # The middle colour is the start: a plane through half hair and half skin fits neither.
    plane = np.vstack([np.median(colours, axis=0), np.zeros((2, 3))])
    for _ in range(_FITS):
        apart = colours - basis @ plane
        deviation = np.maximum(np.median(np.abs(apart), axis=0) * 1.5, _LEAST_DEVIATION)
        weights = 1 / (1 + ((apart / deviation) ** 2).sum(1) / 3) ** 2
        normal = (basis * weights[:, None]).T @ basis + ridge
        plane = np.linalg.solve(normal, (basis * weights[:, None]).T @ colours)
    y, x = np.mgrid[:_SIDE_PX, :_SIDE_PX] / _SIDE_PX - 0.5
    fitted = np.stack([np.ones_like(x), x, y], axis=-1) @ plane
    return np.asarray((lab - fitted) / np.minimum(deviation, 2 * _LEAST_DEVIATION))


def _reaching_in(
    surely: NDArray[np.bool_], maybe: NDArray[np.bool_], inside: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Pixels of `maybe` in pieces that hold some of `surely` and touch the outline from within."""
    opened = cv2.morphologyEx(maybe.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    count, labels = cv2.connectedComponents(opened, connectivity=4)
    depth = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 3)
    rim = inside & (depth < 4)
    touching = np.zeros(count, bool)
    touching[np.unique(labels[rim])] = True
    held = np.bincount(labels[surely], minlength=count) >= 6
    chosen = touching & held
    chosen[0] = False
    return np.asarray(chosen[labels])
