"""Which pixels inside a face's outline can be taken for skin, by color alone.

Pixels that may be hair, a hat or a thing are doubtful: those that resemble what surrounds the upper
face more than the cheeks, those whose color is far from the cheeks', and all about the eyes where a
line across the nose's bridge tells of spectacles.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.landmarker import SIDE_PX, square_matrix
from sosie.geometry import alignment, mesh
from sosie.geometry.head_pose import region_of

Pixels = NDArray[np.uint8]

MAP_PX = 64
"""Side of the maps of trusted pixels, which show the square of `square_matrix`."""

# Mahalanobis distances (squared) from the skin's color from which a pixel is not trusted: above
# the brows, and below them, where shadow and beard are.
_FAR_ABOVE, _FAR_BELOW = 9.0, 18.0
# Least deviations of skin in L, a, b of CIELAB (8 bits): light varies over a face, its hue little.
_LEAST = np.array([20.0, 4.0, 5.0])
# Contrast of a line across the nose's bridge from which spectacles are likely. Of 600 faces a third
# had more, among them nearly all that wear some.
_LIKELY_BRIDGE = 0.1


def by_color(crop: Pixels, landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Pixels that can be trusted to show what the outline says: uint8, MAP_PX squared, 255 or 0."""
    square, points = _small(crop, landmarks)
    lab = cv2.cvtColor(square, cv2.COLOR_RGB2LAB).astype(np.float32)
    filled = alignment.fill_polygon(points[list(mesh.OVAL)], MAP_PX, MAP_PX, False)
    # A pixel of the map at the very edge shows both sides of it.
    inside = cv2.erode(filled, np.ones((3, 3), np.uint8)) > 0
    down = points[152] - points[10]
    brows = points[list(mesh.RIGHT_BROW + mesh.LEFT_BROW)]
    y, x = np.mgrid[:MAP_PX, :MAP_PX].astype(np.float32)
    depth = x * down[0] + y * down[1]
    level = float(np.percentile(brows @ down, 5))
    upper = depth < level
    skin = _colors_at(lab, points[list(_bare())])
    center = np.median(skin, 0)
    deviation = np.maximum(np.median(np.abs(skin - center), 0) * 1.5, _LEAST)
    from_skin = (((lab - center) / deviation) ** 2).sum(2)
    around = cv2.dilate(filled, np.ones((9, 9), np.uint8)) > 0
    beside = lab[around & (filled == 0) & upper]
    suspect = np.where(upper, from_skin > _FAR_ABOVE, from_skin > _FAR_BELOW)
    if len(beside) >= 12:
        suspect |= upper & (_least_distance(lab, beside) + 1.5 < from_skin)
    beard = ~upper & (lab[..., 0] < center[0]) & (np.abs(lab[..., 2] - center[2]) < 14)
    suspect &= ~beard & ~_features(points)
    suspect &= inside
    suspect = cv2.morphologyEx(suspect.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    suspect = cv2.dilate(suspect, np.ones((5, 5), np.uint8)) > 0
    if bridge_line(crop, landmarks) > _LIKELY_BRIDGE:
        suspect |= _spectacles_zone(points)
    return np.where(suspect & (filled > 0), 0, 255).astype(np.uint8)


def bridge_line(crop: Pixels, landmarks: NDArray[np.float32]) -> float:
    """Contrast of what runs across the nose's bridge, as spectacles do: the range of the brightness
    down the bridge, without its slow change, as a share of its mean. About 0.04 on bare noses."""
    matrix = square_matrix(region_of(landmarks))
    gray = cv2.cvtColor(alignment.crop(crop, matrix, SIDE_PX), cv2.COLOR_RGB2GRAY)
    points = alignment.transform_points(landmarks, matrix)[:, :2]
    across = points[list(mesh.LEFT_EYE)].mean(0) - points[list(mesh.RIGHT_EYE)].mean(0)
    across /= max(float(np.linalg.norm(across)), 1.0)
    down = points[9] + np.linspace(0, 1, 40, dtype=np.float32)[:, None] * (points[195] - points[9])
    places = (down[:, None] + np.arange(-2, 3, dtype=np.float32)[:, None] * across).astype(
        np.float32
    )
    profile = cv2.remap(gray, places[..., 0], places[..., 1], cv2.INTER_LINEAR).mean(1)
    slow = cv2.GaussianBlur(profile[:, None], (1, 17), 5)[:, 0]
    return float(np.ptp((profile - slow)[4:-4]) / max(float(profile.mean()), 25.0))


def doubt_of(trust: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> float:
    """The share of the face's outline that is not trusted."""
    matrix = square_matrix(region_of(landmarks))
    points = (alignment.transform_points(landmarks, matrix)[:, :2] + 0.5) * MAP_PX / SIDE_PX - 0.5
    inside = alignment.fill_polygon(points[list(mesh.OVAL)], MAP_PX, MAP_PX, False) > 0
    return float((trust[inside] < 128).mean()) if inside.any() else 1.0


def _small(crop: Pixels, landmarks: NDArray[np.float32]) -> tuple[Pixels, NDArray[np.float32]]:
    """The face's square at MAP_PX, and its points in it (x, y)."""
    matrix = square_matrix(region_of(landmarks)) * (MAP_PX / SIDE_PX)
    matrix[:, 2] += 0.5 * MAP_PX / SIDE_PX - 0.5
    square = alignment.warp(crop, matrix, MAP_PX, MAP_PX)
    points = alignment.transform_points(landmarks, matrix)[:, :2]
    return np.asarray(square, np.uint8), points


def _colors_at(lab: NDArray[np.float32], places: NDArray[np.float32]) -> NDArray[np.float32]:
    x, y = np.clip(np.round(places).astype(int), 0, MAP_PX - 1).T
    return np.asarray(lab[y, x])


@cache
def _bare() -> tuple[int, ...]:
    """Points of the cheeks, the nose's bridge and sides, and between the brows."""
    right = (50, 205, 101, 118, 117, 36, 187, 203)
    return (*right, 280, 425, 330, 347, 346, 266, 411, 423, 6, 197, 195, 5, 168, 9)


def _least_distance(lab: NDArray[np.float32], samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distance (squared, in deviations) to the nearer of two groups of colors."""
    _, labels, centers = cv2.kmeans(
        samples,
        2,
        np.zeros((len(samples), 1), np.int32),
        (cv2.TERM_CRITERIA_MAX_ITER, 8, 0.0),
        1,
        cv2.KMEANS_PP_CENTERS,
    )
    distances = []
    for number, center in enumerate(centers):
        group = samples[labels[:, 0] == number]
        if len(group) < 4:
            continue
        spread = np.maximum(group.std(0), _LEAST * 0.7)
        distances.append((((lab - center) / spread) ** 2).sum(2))
    return np.asarray(np.min(distances, 0), np.float32)


def _spectacles_zone(points: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where spectacles would be: about the eyes, between them, and to the temples."""
    zone = np.zeros((MAP_PX, MAP_PX), np.uint8)
    right, left = (points[list(ring)].mean(0) for ring in (mesh.RIGHT_EYE, mesh.LEFT_EYE))
    apart = max(float(np.linalg.norm(left - right)), 4.0)
    places = [points[127], right, left, points[356]]
    whole = np.round(np.array(places)).astype(np.int32)
    cv2.polylines(zone, [whole], False, (255,), max(2, round(0.5 * apart)))
    for eye in whole[1:3]:
        cv2.circle(zone, (int(eye[0]), int(eye[1])), round(0.48 * apart), (255,), -1)
    return zone > 0


def _features(points: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Eyes, brows, mouth and nostrils, which differ from skin by nature."""
    mask = np.zeros((MAP_PX, MAP_PX), np.uint8)
    for ring in (
        mesh.RIGHT_EYE + mesh.RIGHT_BROW,
        mesh.LEFT_EYE + mesh.LEFT_BROW,
        mesh.OUTER_LIPS,
        mesh.NOSE,
    ):
        hull = cv2.convexHull(np.round(points[list(ring)]).astype(np.int32))
        cv2.fillConvexPoly(mask, hull, (255,))
    return cv2.dilate(mask, np.ones((3, 3), np.uint8)) > 0
