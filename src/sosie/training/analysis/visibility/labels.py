"""What is known of each cached face: its outline, and which pixels inside it can be taken for skin.

Nobody has marked what lies in front of these faces. The outline's inside is the label, and pixels
that may be hair, a hat or a thing are not learned from: those that resemble what surrounds the
upper face more than the cheeks, those whose colour is far from the cheeks', and all about the eyes
where a line across the nose's bridge tells of spectacles. A second round may take a trained
network's own sure answers instead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie import face_mesh, geometry
from sosie.analysis.landmarker import SIDE_PX, square_matrix
from sosie.analysis.topology import region_of
from sosie.analysis.visibility import Visibility
from sosie.face_shape import silhouette
from sosie.runtime import create_session
from sosie.stops import leave_stops
from sosie.training.arrays import save_arrays
from sosie.training.faces import FaceSet, open_faces
from sosie.training.recipe import Materials

Pixels = NDArray[np.uint8]

MAP_PX = 64
"""Side of the maps of visible and trusted pixels, which show the square of `square_matrix`."""

CORNERS = 96
"""Corners of an outline."""

# A change of what is kept, or how it is found, starts anew.
_VERSION = 3
# Mahalanobis distances (squared) from the skin's colour from which a pixel is not trusted: above
# the brows, and below them, where shadow and beard are.
_FAR_ABOVE, _FAR_BELOW = 9.0, 18.0
# Least deviations of skin in L, a, b of CIELAB (8 bits): light varies over a face, its hue little.
_LEAST = np.array([20.0, 4.0, 5.0])
# Contrast of a line across the nose's bridge from which spectacles are likely. Of 600 faces a third
# had more, among them nearly all that wear some.
_LIKELY_BRIDGE = 0.1
# A network's answer is sure below and above these; between them nothing is learned.
_SURELY_HIDDEN, _SURELY_SEEN = 0.15, 0.85
_COLUMNS = ("outlines", "visible", "trust", "doubt")
_BATCH = 64


@dataclass(frozen=True)
class FaceLabels:
    """outlines: float32, N x CORNERS x 2, of the surface that is seen, in pixels of the crop.
    visible, trust: uint8, N x MAP_PX x MAP_PX: whether the face is seen there (255) or hidden (0),
    and whether that is known (255). doubt: float32, N: share of the face that is not known.
    """

    outlines: NDArray[np.float32]
    visible: NDArray[np.uint8]
    trust: NDArray[np.uint8]
    doubt: NDArray[np.float32]


def open_labels(materials: Materials, faces: FaceSet, network: Path | None) -> FaceLabels:
    """The labels of all faces; they are made first where need be.

    network: ONNX file of a first round, whose sure answers replace the judgement by colour.
    """
    answer = "" if network is None else hashlib.sha256(network.read_bytes()).hexdigest()
    made_from = repr((_VERSION, len(faces.crops), faces.landmarks[:8].tobytes(), answer))
    name = hashlib.sha256(made_from.encode()).hexdigest()[:12]
    file = materials.cache / f"visibility-labels-{name}.npz"
    if not file.exists():
        rows = len(faces.crops)
        jobs = [
            (materials, network, start, min(start + 1000, rows)) for start in range(0, rows, 1000)
        ]
        parts = list(_mapped(_label_range, jobs, materials.workers))
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
        save_arrays(file, dict(zip(_COLUMNS, columns, strict=True)))
    with np.load(file, allow_pickle=False) as kept:
        return FaceLabels(**{name: kept[name] for name in _COLUMNS})


_Job = tuple[Materials, Path | None, int, int]
_Columns = tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]


def _mapped(function: Callable[[_Job], _Columns], jobs: list[_Job], workers: int) -> list[_Columns]:
    if not workers:
        return [function(job) for job in jobs]
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=leave_stops
    ) as pool:
        return list(pool.map(function, jobs))


def _label_range(job: _Job) -> _Columns:
    materials, network, start, end = job
    cv2.setNumThreads(1)
    faces = open_faces(materials)
    crops, landmarks = faces.crops[start:end], faces.landmarks[start:end]
    outlines = np.stack([outline_of(points, crops.shape[1]) for points in landmarks])
    visible = np.full((end - start, MAP_PX, MAP_PX), 255, np.uint8)
    if network is None:
        trust = np.stack([by_colour(c, p) for c, p in zip(crops, landmarks, strict=True)])
    else:
        visible, trust = _by_network(
            crops, landmarks, Visibility(create_session(network, threads=1))
        )
    doubt = [doubt_of(t, p) for t, p in zip(trust, landmarks, strict=True)]
    return outlines, visible, trust, np.array(doubt, np.float32)


def outline_of(landmarks: NDArray[np.float32], side_px: int) -> NDArray[np.float32]:
    """The corners of `silhouette` of a face in a square picture: float32, CORNERS x 2."""
    oval = landmarks[list(face_mesh.OVAL), :2]
    inside = geometry.fill_polygon(oval, side_px, side_px)
    if np.array_equal(silhouette(landmarks, side_px, side_px), inside):
        padding = np.repeat(oval[-1:], CORNERS - len(oval), 0)
        return np.asarray(np.concatenate([oval, padding]), np.float32)
    # Turned away, its edge is not that of the oval: it is traced on a picture four times as fine.
    fine = (landmarks[:, :2] + 0.5) * 4 - 0.5
    seen = silhouette(fine, 4 * side_px, 4 * side_px)
    rings, _ = cv2.findContours(
        (seen > 127).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    ring = max(rings, key=cv2.contourArea)[:, 0]
    steps = np.linspace(0, len(ring), CORNERS, endpoint=False).astype(int)
    return np.asarray((ring[steps] + 0.5) / 4 - 0.5, np.float32)


def by_colour(crop: Pixels, landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Pixels that can be trusted to show what the outline says: uint8, MAP_PX squared, 255 or 0."""
    square, points = _small(crop, landmarks)
    lab = cv2.cvtColor(square, cv2.COLOR_RGB2LAB).astype(np.float32)
    filled = geometry.fill_polygon(points[list(face_mesh.OVAL)], MAP_PX, MAP_PX, False)
    # A pixel of the map at the very edge shows both sides of it.
    inside = cv2.erode(filled, np.ones((3, 3), np.uint8)) > 0
    down = points[152] - points[10]
    brows = points[list(face_mesh.RIGHT_BROW + face_mesh.LEFT_BROW)]
    y, x = np.mgrid[:MAP_PX, :MAP_PX].astype(np.float32)
    depth = x * down[0] + y * down[1]
    level = float(np.percentile(brows @ down, 5))
    upper = depth < level
    skin = _colours_at(lab, points[list(_bare())])
    centre = np.median(skin, 0)
    deviation = np.maximum(np.median(np.abs(skin - centre), 0) * 1.5, _LEAST)
    from_skin = (((lab - centre) / deviation) ** 2).sum(2)
    around = cv2.dilate(filled, np.ones((9, 9), np.uint8)) > 0
    beside = lab[around & (filled == 0) & upper]
    suspect = np.where(upper, from_skin > _FAR_ABOVE, from_skin > _FAR_BELOW)
    if len(beside) >= 12:
        suspect |= upper & (_least_distance(lab, beside) + 1.5 < from_skin)
    beard = ~upper & (lab[..., 0] < centre[0]) & (np.abs(lab[..., 2] - centre[2]) < 14)
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
    grey = cv2.cvtColor(geometry.crop(crop, matrix, SIDE_PX), cv2.COLOR_RGB2GRAY)
    points = geometry.transform_points(landmarks, matrix)[:, :2]
    across = points[list(face_mesh.LEFT_EYE)].mean(0) - points[list(face_mesh.RIGHT_EYE)].mean(0)
    across /= max(float(np.linalg.norm(across)), 1.0)
    down = points[9] + np.linspace(0, 1, 40, dtype=np.float32)[:, None] * (points[195] - points[9])
    places = (down[:, None] + np.arange(-2, 3, dtype=np.float32)[:, None] * across).astype(
        np.float32
    )
    profile = cv2.remap(grey, places[..., 0], places[..., 1], cv2.INTER_LINEAR).mean(1)
    slow = cv2.GaussianBlur(profile[:, None], (1, 17), 5)[:, 0]
    return float(np.ptp((profile - slow)[4:-4]) / max(float(profile.mean()), 25.0))


def doubt_of(trust: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> float:
    """The share of the face's outline that is not trusted."""
    matrix = square_matrix(region_of(landmarks))
    points = (geometry.transform_points(landmarks, matrix)[:, :2] + 0.5) * MAP_PX / SIDE_PX - 0.5
    inside = geometry.fill_polygon(points[list(face_mesh.OVAL)], MAP_PX, MAP_PX, False) > 0
    return float((trust[inside] < 128).mean()) if inside.any() else 1.0


def _by_network(
    crops: NDArray[np.uint8], landmarks: NDArray[np.float32], network: Visibility
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """visible and trust of `FaceLabels`, from the mean answer to the square and its mirror image.

    At the face's edge an answer falls to nothing, whatever is there: what is said a little further
    inside holds up to the edge.
    """
    masks = []
    for start in range(0, len(crops), _BATCH):
        squares = np.stack(
            [
                geometry.crop(crop, square_matrix(region_of(points)), SIDE_PX)
                for crop, points in zip(
                    crops[start : start + _BATCH], landmarks[start : start + _BATCH], strict=True
                )
            ]
        )
        mirrored = network.masks(np.ascontiguousarray(squares[:, :, ::-1]))[:, :, ::-1]
        masks += [
            cv2.resize(mean, (MAP_PX, MAP_PX), interpolation=cv2.INTER_AREA)
            for mean in (network.masks(squares) + mirrored) / 2
        ]
    seen = np.stack([_to_the_edge(m, p) for m, p in zip(masks, landmarks, strict=True)])
    sure = (seen < _SURELY_HIDDEN) | (seen > _SURELY_SEEN)
    return (
        np.where(seen > 0.5, 255, 0).astype(np.uint8),
        np.where(sure, 255, 0).astype(np.uint8),
    )


def _to_the_edge(mask: NDArray[np.float32], landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """A map of the face without its outermost pixels, which take the mean of what is near them."""
    matrix = square_matrix(region_of(landmarks))
    points = (geometry.transform_points(landmarks, matrix)[:, :2] + 0.5) * MAP_PX / SIDE_PX - 0.5
    filled = geometry.fill_polygon(points[list(face_mesh.OVAL)], MAP_PX, MAP_PX, False)
    core = (cv2.erode(filled, np.ones((5, 5), np.uint8)) > 0).astype(np.float32)
    near = cv2.blur(core, (7, 7))
    mean = cv2.blur(mask * core, (7, 7)) / np.maximum(near, 1e-6)
    return np.asarray(np.where(core > 0, mask, np.where(near > 0, mean, 1.0)), np.float32)


def _small(crop: Pixels, landmarks: NDArray[np.float32]) -> tuple[Pixels, NDArray[np.float32]]:
    """The face's square at MAP_PX, and its points in it (x, y)."""
    matrix = square_matrix(region_of(landmarks)) * (MAP_PX / SIDE_PX)
    matrix[:, 2] += 0.5 * MAP_PX / SIDE_PX - 0.5
    square = geometry.warp(crop, matrix, MAP_PX, MAP_PX)
    points = geometry.transform_points(landmarks, matrix)[:, :2]
    return np.asarray(square, np.uint8), points


def _colours_at(lab: NDArray[np.float32], places: NDArray[np.float32]) -> NDArray[np.float32]:
    x, y = np.clip(np.round(places).astype(int), 0, MAP_PX - 1).T
    return np.asarray(lab[y, x])


@cache
def _bare() -> tuple[int, ...]:
    """Points of the cheeks, the nose's bridge and sides, and between the brows."""
    right = (50, 205, 101, 118, 117, 36, 187, 203)
    return (*right, 280, 425, 330, 347, 346, 266, 411, 423, 6, 197, 195, 5, 168, 9)


def _least_distance(lab: NDArray[np.float32], samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distance (squared, in deviations) to the nearer of two groups of colours."""
    _, labels, centres = cv2.kmeans(
        samples,
        2,
        np.zeros((len(samples), 1), np.int32),
        (cv2.TERM_CRITERIA_MAX_ITER, 8, 0.0),
        1,
        cv2.KMEANS_PP_CENTERS,
    )
    distances = []
    for number, centre in enumerate(centres):
        group = samples[labels[:, 0] == number]
        if len(group) < 4:
            continue
        spread = np.maximum(group.std(0), _LEAST * 0.7)
        distances.append((((lab - centre) / spread) ** 2).sum(2))
    return np.asarray(np.min(distances, 0), np.float32)


def _spectacles_zone(points: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where spectacles would be: about the eyes, between them, and to the temples."""
    zone = np.zeros((MAP_PX, MAP_PX), np.uint8)
    right, left = (points[list(ring)].mean(0) for ring in (face_mesh.RIGHT_EYE, face_mesh.LEFT_EYE))
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
        face_mesh.RIGHT_EYE + face_mesh.RIGHT_BROW,
        face_mesh.LEFT_EYE + face_mesh.LEFT_BROW,
        face_mesh.OUTER_LIPS,
        face_mesh.NOSE,
    ):
        hull = cv2.convexHull(np.round(points[list(ring)]).astype(np.int32))
        cv2.fillConvexPoly(mask, hull, (255,))
    return cv2.dilate(mask, np.ones((3, 3), np.uint8)) > 0
