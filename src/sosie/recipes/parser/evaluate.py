"""The parser on people that training never saw: people's labels, clean faces, unknown things.

Labels are those of CelebAMask-HQ's pictures that were kept out; classes are cut at a half, and the
intersection over union is taken over all pixels of all squares. Built spectacles on held-out faces
tell rims from lenses.

A clean face is the surface that the teacher's landmarks outline
(`sosie.geometry.morphable_model.silhouette`); a face is taken for clean where next to none of that
differs in color from its cheeks or resembles what surrounds it, and no line crosses the nose's
bridge. Behind a thing it is that without the thing. The face's outline is the landmarks', as at run
time; the figure is the mean of the faces' intersections over unions within it.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.parser import SIDE_PX, FaceParts, Parser, cut_square, square_matrix
from sosie.datasets.split import is_held_out
from sosie.errors import InputError
from sosie.geometry import alignment
from sosie.geometry.head_pose import region_of
from sosie.models.cards import read_embedded
from sosie.models.session import create_session
from sosie.recipes.composites.layer import Layer
from sosie.recipes.evaluate_table import Row
from sosie.recipes.face_cache import FaceSet, decode, open_faces
from sosie.recipes.occlusion.compositing import Sprite
from sosie.recipes.occlusion.evaluate_kinds import TEST_KINDS, TestKind
from sosie.recipes.occlusion.labels import bridge_line, by_color, doubt_of
from sosie.recipes.parser import labels
from sosie.recipes.parser.samples import KnownFace, Scene, add_spectacles, cut, in_the_light, placed
from sosie.recipes.parser.samples import lay as lay_layer
from sosie.recipes.teachers import PARTS
from sosie.training.recipe import Materials

SPECTACLES, HAIR, BARE, BEHIND = 0.75, 0.88, 0.97, 0.917
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
_WORN = 0.005


def measure(materials: Materials, limit: int | None) -> list[Row]:
    """Rows of the table. limit: labeled pictures, and clean faces, to look at, at most; each of
    these is shown bare, with spectacles, and once behind each kind of thing.

    Raises InputError where data, teachers or the network's file are absent, or no face is clean.
    """
    network = Parser(create_session(read_embedded("parser"), threads=1))
    return [*by_people(network, materials, limit), *by_composites(network, materials, limit)]


def by_people(network: Parser, materials: Materials, limit: int | None) -> list[Row]:
    """Rows on the kept-out pictures that people labeled, the teacher's figures beside ours."""
    squares, truths, taught = held_out_pictures(materials, limit)
    parts = [one for shown in _batches(squares) for one in network.parts(shown)]
    spectacles = np.stack([one.frame + one.lens for one in parts]) > 0.5
    worn = truths == PARTS.index("spectacles")
    wear = worn.mean((1, 2)) > _WORN
    seen = spectacles.mean((1, 2)) > _WORN / 2
    hair = np.stack([one.hair for one in parts]) > 0.5
    hat = np.stack([one.hat for one in parts]) > 0.5
    rows = []
    for name, found, figure, bound in (
        ("spectacles", spectacles, f"IoU of spectacles, {len(parts)} pictures", SPECTACLES),
        ("hair", hair, "IoU of hair", HAIR),
        ("hat", hat, "IoU of hats", None),
    ):
        wanted, theirs = (labeled == PARTS.index(name) for labeled in (truths, taught))
        rows.append(_row(figure, _iou(found, wanted), bound, _iou(theirs, wanted)))
    if wear.any() and not wear.all():
        rows += [
            _row(f"spectacles found, of {wear.sum()}", float(seen[wear].mean()), None),
            _row("spectacles found where there are none", float(seen[~wear].mean()), None),
        ]
    return rows


def by_composites(network: Parser, materials: Materials, limit: int | None) -> list[Row]:
    """Rows on clean faces of the test people, bare and with things whose truth is known."""
    faces = open_faces(materials)
    chosen = clean_faces(faces, np.flatnonzero(faces.test))[:limit]
    if not chosen:
        raise InputError("None of the test people's faces is clean: give more data.")
    bare = [scene_of(face) for face in chosen]
    rows = [_mean_row(f"IoU on {len(bare)} clean faces", overlaps(network, bare), BARE)]
    by_kind = {
        name: overlaps(network, covered(chosen, kind, number))
        for number, (name, kind) in enumerate(TEST_KINDS.items())
    }
    everything = np.concatenate(list(by_kind.values()))
    rows.append(_mean_row("IoU behind things of kinds not trained on", everything, BEHIND))
    rows += [_mean_row(f"IoU behind {name}", found, None) for name, found in by_kind.items()]
    return [*rows, *_built_spectacles(network, chosen)]


def held_out_pictures(
    materials: Materials, limit: int | None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """The parser's squares of kept-out pictures, N x SIDE_PX x SIDE_PX x 3, people's labels of them
    and the teacher's, by PARTS. The teacher's landmarks lay the squares."""
    archive = materials.data / labels.ARCHIVE
    if not archive.is_file():
        raise InputError(
            f"There is no {labels.ARCHIVE} in {materials.data}: give the data's folder."
        )
    squares, truths, taught = [], [], []
    with zipfile.ZipFile(archive) as opened:
        names = sorted(name for name in opened.namelist() if name.endswith(".jpg"))
        held = [n for n in names if is_held_out(f"{labels.LABELED}/{Path(n).stem}")]
        for name in held[:limit]:
            pixels = decode(opened.read(name))
            landmarks = labels.landmarks_of(pixels, materials.teachers)
            if landmarks is None:
                continue
            square, _ = cut_square(pixels, region_of(landmarks))
            png = np.frombuffer(opened.read(labels.label_name(name)), np.uint8)
            matrix = square_matrix(region_of(landmarks))
            squares.append(square)
            truths.append(labels.labels_of(png, pixels.shape[:2], matrix, SIDE_PX))
            taught.append(_teachers_labels(pixels, landmarks, matrix, materials.teachers))
    return np.stack(squares), np.stack(truths), np.stack(taught)


def _teachers_labels(
    pixels: NDArray[np.uint8],
    landmarks: NDArray[np.float32],
    matrix: NDArray[np.float64],
    teachers: Path,
) -> NDArray[np.uint8]:
    """What the teacher says in the square of a matrix, by PARTS."""
    told, own = labels.teachers_labels(pixels, landmarks, teachers)
    onto = alignment.compose(matrix, alignment.invert(own))
    size = (SIDE_PX, SIDE_PX)
    return np.asarray(cv2.warpAffine(told, onto, size, flags=cv2.INTER_NEAREST), np.uint8)


def _built_spectacles(network: Parser, chosen: list[KnownFace]) -> list[Row]:
    """How well rims are told from lenses, and how dark a lens is."""
    scenes = []
    for number, face in enumerate(chosen):
        scene = scene_of(face)
        add_spectacles(scene, np.random.default_rng((91, number)))
        scenes.append(scene)
    parts = _told(network, scenes)
    frame = np.stack([scene.truth[2] for scene in scenes]) > 127
    glass = np.stack([scene.known for scene in scenes]) > 127
    opacity = np.stack([scene.opacity for scene in scenes]).astype(np.float32) / 255
    errors = np.abs(np.stack([one.lens_opacity for one in parts]) - opacity)[glass]
    return [
        _row("IoU of built frames", _iou(np.stack([p.frame for p in parts]) > 0.5, frame), None),
        _row("IoU of built lenses", _iou(np.stack([p.lens for p in parts]) > 0.5, glass), None),
        _row("error of a built lens's opacity", float(errors.mean()), None),
    ]


def clean_faces(faces: FaceSet, rows: NDArray[np.intp]) -> list[KnownFace]:
    """Those of the rows' faces that nothing hides, the rows mixed; all of each is skin."""
    found = []
    for row in np.random.default_rng(0).permutation(rows):
        crop, landmarks = faces.crops[row], faces.landmarks[row]
        if faces.agreement[row] > _AGREED or bridge_line(crop, landmarks) > _BRIDGE:
            continue
        if doubt_of(by_color(crop, landmarks), landmarks) < _CLEAR:
            planes = np.zeros((*crop.shape[:2], len(labels.PLANES)), np.uint8)
            planes[..., 0] = 255
            found.append(KnownFace(crop, planes, landmarks))
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
    matrix = placed(kind.manner, scene.landmarks[:, :2], rng)
    rgba = cv2.warpAffine(thing.rgba, matrix, (SIDE_PX, SIDE_PX))
    alpha = np.ascontiguousarray(rgba[..., 3])
    hidden = float((alpha[scene.seen > 127] > 127).mean())
    if not _LEAST_HIDDEN < hidden < _MOST_HIDDEN:
        return False
    colors = in_the_light(np.ascontiguousarray(rgba[..., :3]), scene, False, rng)
    return lay_layer(scene, Layer(colors, alpha, None, {"thing": alpha}))


def overlaps(network: Parser, scenes: list[Scene]) -> NDArray[np.float64]:
    """Intersection over union of what is seen of the face, in each scene."""
    found = [np.zeros(0)]
    for one, scene in zip(_told(network, scenes), scenes, strict=True):
        seen = (one.skin > 0.5) & (scene.face > 127)
        wanted = scene.seen > 127
        found.append(np.array([(seen & wanted).sum() / max(int((seen | wanted).sum()), 1)]))
    return np.concatenate(found)


def _told(network: Parser, scenes: list[Scene]) -> list[FaceParts]:
    if not scenes:
        return []
    shown = np.stack([scene.pixels for scene in scenes])
    return [one for part in _batches(shown) for one in network.parts(part)]


def _batches(squares: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [squares[start : start + _BATCH] for start in range(0, len(squares), _BATCH)]


def _iou(found: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> float:
    return float((found & wanted).sum() / max(int((found | wanted).sum()), 1))


def _mean_row(figure: str, found: NDArray[np.float64], bound: float | None) -> Row:
    return _row(figure, float(found.mean()) if len(found) else float("nan"), bound)


def _row(figure: str, value: float, bound: float | None, teacher: float | None = None) -> Row:
    return Row("parser", figure, value, teacher, bound, ">=", "")
