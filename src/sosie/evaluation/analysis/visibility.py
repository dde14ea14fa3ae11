"""The visibility network on people that training never saw, bare and behind unknown things.

Ground truth: a clean face is the surface that the teacher's landmarks outline
(`sosie.face_shape.silhouette`); a face is taken for clean where next to none of that differs in
colour from its cheeks or resembles what surrounds it, and no line crosses the nose's bridge. Behind
a thing it is that without the thing. Both masks are cut at a half; the figure is the mean of the
faces' intersections over unions.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.landmarker import SIDE_PX
from sosie.analysis.topology import region_of
from sosie.analysis.visibility import Visibility
from sosie.errors import InputError
from sosie.evaluation.analysis.table import Row
from sosie.evaluation.analysis.visibility_kinds import TEST_KINDS, TestKind
from sosie.runtime import create_session
from sosie.training.analysis.visibility.canvas import Sprite
from sosie.training.analysis.visibility.labels import (
    MAP_PX,
    bridge_line,
    by_colour,
    doubt_of,
    outline_of,
)
from sosie.training.analysis.visibility.samples import (
    KnownFace,
    Scene,
    blend,
    cut,
    in_the_light,
    placed,
)
from sosie.training.faces import FaceSet, open_faces
from sosie.training.recipe import Materials
from sosie.weights import read_embedded

BARE, BEHIND = 0.95, 0.90
"""What the figures must reach."""

# A face is clean if less than this share of it is doubtful, and its outline is sure if the teacher
# reads the mirror image alike to this share of the eyes' distance. From that contrast on it may
# wear spectacles (`bridge_line`).
_CLEAR, _AGREED, _BRIDGE = 0.03, 0.04, 0.065
# Of the face a thing hides between these shares; so many are drawn, and each laid so often, until
# one does.
_LEAST_HIDDEN, _MOST_HIDDEN = 0.06, 0.6
_DRAWN, _LAID = 8, 5
_BATCH = 32


def measure(materials: Materials, limit: int | None) -> list[Row]:
    """Rows of the table. limit: clean faces to look at, at most; each is shown bare and once behind
    each kind of thing.

    Raises InputError where data, teachers or the network's file are absent, or no face is clean.
    """
    network = Visibility(create_session(read_embedded("visibility"), threads=1))
    faces = open_faces(materials)
    chosen = clean_faces(faces, np.flatnonzero(faces.test))[:limit]
    if not chosen:
        raise InputError("None of the test people's faces is clean: give more data.")
    bare = [scene_of(face) for face in chosen]
    rows = [_row(f"IoU on {len(bare)} clean faces", overlaps(network, bare), BARE)]
    by_kind = {
        name: overlaps(network, covered(chosen, kind, number))
        for number, (name, kind) in enumerate(TEST_KINDS.items())
    }
    everything = np.concatenate(list(by_kind.values()))
    rows.append(_row("IoU behind things of kinds not trained on", everything, BEHIND))
    rows += [_row(f"IoU behind {name}", found, None) for name, found in by_kind.items()]
    return rows


def clean_faces(faces: FaceSet, rows: NDArray[np.intp]) -> list[KnownFace]:
    """Those of the rows' faces that nothing hides, the rows mixed."""
    found = []
    everything = np.full((MAP_PX, MAP_PX), 255, np.uint8)
    for row in np.random.default_rng(0).permutation(rows):
        crop, landmarks = faces.crops[row], faces.landmarks[row]
        if faces.agreement[row] > _AGREED or bridge_line(crop, landmarks) > _BRIDGE:
            continue
        if doubt_of(by_colour(crop, landmarks), landmarks) < _CLEAR:
            outline = outline_of(landmarks, crop.shape[1])
            found.append(KnownFace(crop, landmarks, outline, everything, everything))
    return found


def scene_of(face: KnownFace) -> Scene:
    """A face in the square of its own landmarks, as the run time lays it."""
    return cut(face, region_of(face.landmarks))


def covered(faces: list[KnownFace], kind: TestKind, seed: int) -> list[Scene]:
    """The faces behind one thing each; those are left out on which it cannot be laid well."""
    scenes = []
    for number, face in enumerate(faces):
        rng = np.random.default_rng((seed, number))
        scene = scene_of(face)
        if _hide_a_part(scene, kind, rng):
            scenes.append(scene)
    return scenes


def _hide_a_part(scene: Scene, kind: TestKind, rng: np.random.Generator) -> bool:
    for _ in range(_DRAWN):
        thing = kind.draw(rng)
        if any(lay(scene, thing, kind, rng) for _ in range(_LAID)):
            return True
    return False


def lay(scene: Scene, thing: Sprite, kind: TestKind, rng: np.random.Generator) -> bool:
    """Lay a thing over the scene in its kind's manner, in place; False, and nothing is done, where
    it would hide too little of the face or too much."""
    matrix = placed(kind.manner, scene.points, rng)
    rgba = cv2.warpAffine(thing.rgba, matrix, (SIDE_PX, SIDE_PX))
    alpha = np.ascontiguousarray(rgba[..., 3])
    face = scene.target > 127
    hidden = float((alpha[face] > 127).mean())
    if not _LEAST_HIDDEN < hidden < _MOST_HIDDEN:
        return False
    colours = in_the_light(np.ascontiguousarray(rgba[..., :3]), scene, False, rng)
    scene.pixels = blend(scene.pixels, colours, alpha)
    scene.target = np.asarray(
        cv2.multiply(scene.target, cv2.bitwise_not(alpha), scale=1 / 255), np.uint8
    )
    return True


def overlaps(network: Visibility, scenes: list[Scene]) -> NDArray[np.float64]:
    """Intersection over union in each scene."""
    found: list[NDArray[np.float64]] = [np.zeros(0)]
    for start in range(0, len(scenes), _BATCH):
        part = scenes[start : start + _BATCH]
        masks = network.masks(np.stack([scene.pixels for scene in part])) > 0.5
        wanted = np.stack([scene.target for scene in part]) > 127
        either = (masks | wanted).sum((1, 2))
        found.append((masks & wanted).sum((1, 2)) / np.maximum(either, 1))
    return np.concatenate(found)


def _row(figure: str, found: NDArray[np.float64], bound: float | None) -> Row:
    value = float(found.mean()) if len(found) else float("nan")
    return Row("visibility", figure, value, None, bound, ">=", "")
