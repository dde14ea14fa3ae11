"""Training samples of the visibility network: a cached face with things laid in front of it.

The square is laid as the run time lays it, by landmarks, with their errors and more. Things come
from the library of `sprites`, with the light of the scene, shadows and soft edges.
Then the whole is photographed (`photographed`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie import geometry
from sosie.analysis.landmarker import SIDE_PX, square_matrix
from sosie.analysis.topology import MIRROR, Region, region_of
from sosie.training.analysis.photographed import as_photographed
from sosie.training.analysis.visibility.canvas import SPRITE_PX
from sosie.training.analysis.visibility.hands import SKIN
from sosie.training.analysis.visibility.labels import MAP_PX
from sosie.training.analysis.visibility.sprites import KINDS, Library, Manner
from sosie.training.analysis.visibility.worn import mean_points

Pixels = NDArray[np.uint8]
Matrix = NDArray[np.float64]

# Shares of the samples with no, one, two and three things, and with nothing but a shadow.
_COUNTS = (0.22, 0.5, 0.21, 0.07)
_SHADOW_ALONE = 0.12
# A thing that would leave less of the face than this is not laid.
_LEAST_SEEN = 0.2
_OWN_HAIR, _CAST, _SOFT, _SEE_THROUGH = 0.4, 0.35, 0.25, 0.04
_PHOTOGRAPHED = 0.75
_NAMES = list(KINDS)
_SHARES = np.array([kind.share for kind in KINDS.values()])
_SHARES = _SHARES / _SHARES.sum()


@dataclass(frozen=True)
class KnownFace:
    """A cached face with its labels (`FaceSet`, `FaceLabels`): crop (uint8, square), landmarks
    (478 x 3) and outline (CORNERS x 2) in its pixels, visible and trust (uint8, MAP_PX squared)."""

    crop: Pixels
    landmarks: NDArray[np.float32]
    outline: NDArray[np.float32]
    visible: NDArray[np.uint8]
    trust: NDArray[np.uint8]

    def mirrored(self) -> KnownFace:
        """The mirror image; its maps show the mirrored square."""
        last = self.crop.shape[1] - 1
        landmarks = self.landmarks[MIRROR].copy()
        landmarks[:, 0] = last - landmarks[:, 0]
        outline = self.outline * np.array((-1, 1), np.float32) + np.array((last, 0), np.float32)
        return KnownFace(
            np.asarray(cv2.flip(self.crop, 1), np.uint8),
            landmarks,
            outline,
            np.asarray(cv2.flip(self.visible, 1), np.uint8),
            np.asarray(cv2.flip(self.trust, 1), np.uint8),
        )


@dataclass
class Scene:
    """A square being made. pixels: uint8, SIDE_PX x SIDE_PX x 3. points: 478 x 2, in it. target and
    trust: uint8, SIDE_PX squared: the visible face, and whether that is known. matrix: crop ->
    square."""

    pixels: Pixels
    points: NDArray[np.float32]
    target: NDArray[np.uint8]
    trust: NDArray[np.uint8]
    matrix: Matrix


def make_sample(
    face: KnownFace, library: Library, rng: np.random.Generator
) -> dict[str, NDArray[Any]]:
    """pixels: uint8, SIDE_PX x SIDE_PX x 3, RGB. target: uint8, SIDE_PX squared, 255 where the face
    is seen. weight: uint8, likewise, 255 where that is known."""
    if rng.random() < 0.5:
        face = face.mirrored()
    scene = cut(face, laid(region_of(face.landmarks), rng))
    if rng.random() < _SHADOW_ALONE:
        scene.pixels = _shadowed(scene.pixels, _any_shape(library, scene, rng), rng)
    for _ in range(int(rng.choice(len(_COUNTS), p=_COUNTS))):
        add_thing(scene, face.crop, library, rng)
    if rng.random() < _PHOTOGRAPHED:
        scene.pixels = as_photographed(scene.pixels, rng)
    return {
        "pixels": scene.pixels,
        "target": scene.target,
        "weight": scene.trust,
    }


def laid(region: Region, rng: np.random.Generator) -> Region:
    """A face's region as its landmarks tell it: well mostly, badly where much is hidden."""
    rough = rng.random() < 0.3
    shift = rng.normal(0, 0.05 if rough else 0.012, 2) * region.size_px
    turned = np.clip(rng.normal(0, 12 if rough else 3), -25, 25)
    growth = np.clip(rng.normal(0, 0.08 if rough else 0.02), -0.2, 0.2)
    return Region(
        region.x + float(shift[0]),
        region.y + float(shift[1]),
        region.size_px * float(np.exp(growth)),
        region.roll_deg + float(turned),
    )


def cut(face: KnownFace, region: Region) -> Scene:
    """The square of a region of a face's crop, with its labels."""
    matrix = square_matrix(region)
    size = (SIDE_PX, SIDE_PX)
    pixels = cv2.warpAffine(face.crop, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    target = geometry.fill_polygon(
        geometry.transform_points(face.outline, matrix), SIDE_PX, SIDE_PX
    )
    # The maps show the square of the true region, a pixel of theirs for several of the crop.
    own = square_matrix(region_of(face.landmarks))
    growth = SIDE_PX / MAP_PX
    from_map = np.array([[growth, 0, 0.5 * growth - 0.5], [0, growth, 0.5 * growth - 0.5]])
    there = geometry.compose(matrix, geometry.compose(geometry.invert(own), from_map))
    maps = cv2.warpAffine(
        cv2.merge([face.visible, face.trust]), there, size, borderMode=cv2.BORDER_REPLICATE
    )
    # Outside the outline nobody doubts that there is no face.
    trust = cv2.max(maps[..., 1], cv2.bitwise_not(target))
    seen = cv2.multiply(target, np.ascontiguousarray(maps[..., 0]), scale=1 / 255)
    points = geometry.transform_points(face.landmarks, matrix)[:, :2]
    return Scene(
        np.asarray(pixels, np.uint8),
        points,
        np.asarray(seen, np.uint8),
        np.asarray(trust, np.uint8),
        matrix,
    )


def add_thing(scene: Scene, crop: Pixels, library: Library, rng: np.random.Generator) -> None:
    """Lay a sprite of a kind drawn by the kinds' shares over the scene, in place."""
    name = _NAMES[int(rng.choice(len(_NAMES), p=_SHARES))]
    kind = KINDS[name]
    row = int(rng.choice(library.rows[name]))
    matrix = placed(kind.manner, scene.points, rng)
    size = (SIDE_PX, SIDE_PX)
    rgba = np.asarray(cv2.warpAffine(library.rgba[row], matrix, size), np.uint8)
    hides = np.asarray(cv2.warpAffine(library.hides[row], matrix, size), np.uint8)
    if rng.random() < _SOFT:
        blur = _blur_kernel(rng)
        rgba = np.asarray(cv2.filter2D(rgba, -1, blur), np.uint8)
        hides = np.asarray(cv2.filter2D(hides, -1, blur), np.uint8)
    if kind.manner.placing != "worn" and rng.random() < _SEE_THROUGH:
        # Nearly clear: the face is still what is seen.
        rgba = np.asarray(cv2.convertScaleAbs(rgba, alpha=float(rng.uniform(0.1, 0.35))), np.uint8)
        hides = np.zeros_like(hides)
    seen = np.asarray(cv2.multiply(scene.target, cv2.bitwise_not(hides), scale=1 / 255), np.uint8)
    if cv2.countNonZero((seen > 127).view(np.uint8)) < _LEAST_SEEN * max(
        1, cv2.countNonZero((scene.target > 127).view(np.uint8))
    ):
        return
    colours, alpha = np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
    if name in ("fringe", "lock") and rng.random() < _OWN_HAIR:
        colours = own_hair(scene, crop, colours, alpha, rng)
    else:
        colours = in_the_light(colours, scene, kind.skin, rng)
    if rng.random() < _CAST:
        scene.pixels = _shadowed(scene.pixels, alpha, rng)
    scene.pixels = blend(scene.pixels, colours, alpha)
    scene.target = seen
    scene.trust = np.asarray(cv2.max(scene.trust, hides), np.uint8)


def placed(manner: Manner, points: NDArray[np.float32], rng: np.random.Generator) -> Matrix:
    """Sprite -> square. points: the face's mesh in the square, 478 x 2."""
    if manner.placing == "worn":
        return _worn(manner.anchors, points, rng)
    low, high = points.min(0), points.max(0)
    centre, half = (low + high) / 2, (high - low) / 2
    face = float((high - low).max())
    scale = face / SPRITE_PX * float(np.exp(rng.uniform(*np.log(manner.size))))
    # This point of the sprite, in shares of its half side, comes onto that place of the face.
    grip, angle = rng.normal(0, 0.3, 2), float(rng.uniform(-180, 180))
    place = centre + half * rng.uniform(-1, 1, 2)
    if manner.placing == "reaching":
        # What is held or stretched out comes from outside: its lower end points away from the face.
        grip = np.array([rng.normal(0, 0.15), rng.uniform(-0.9, 0.0)])
        outward = place - centre + rng.normal(0, 0.5, 2) * face
        outward += np.array([0, rng.exponential(0.35) * face])
        angle = float(np.degrees(np.arctan2(-outward[0], outward[1])))
    elif manner.placing == "upright":
        angle = float(rng.normal(0, 12))
        place = centre + half * np.array([rng.uniform(-1, 1), rng.uniform(-0.6, 1.2)])
    elif manner.placing == "beside":
        turned = rng.uniform(0, 2 * np.pi)
        away = np.array([np.cos(turned), np.sin(turned)]) * rng.uniform(0.75, 1.3) * face
        place, angle, grip = centre + away, float(rng.normal(0, 15)), np.zeros(2)
    flip = float(rng.choice((-1, 1)))
    a = np.radians(angle)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    stretch = np.diag([flip * np.exp(rng.normal(0, 0.1)), np.exp(rng.normal(0, 0.1))])
    linear = scale * turn @ stretch
    anchor = (SPRITE_PX - 1) / 2 + grip * SPRITE_PX / 2
    return np.column_stack([linear, place - linear @ anchor])


def _worn(
    anchors: tuple[int, ...], points: NDArray[np.float32], rng: np.random.Generator
) -> Matrix:
    """The affine map of the mean face's anchors to the face's, with a little slack."""
    source = mean_points(SPRITE_PX)[list(anchors)]
    if rng.random() < 0.5:
        # The drawing's left side is worn on the right.
        source = source * (-1, 1) + (SPRITE_PX - 1, 0)
    aim = points[list(anchors)].astype(np.float64)
    basis = np.column_stack([source, np.ones(len(source))])
    solved = np.linalg.lstsq(basis, aim, rcond=None)[0].T
    size = float(np.ptp(points, axis=0).max())
    centre = aim.mean(0)
    slack = np.eye(2) + rng.normal(0, 0.03, (2, 2))
    linear = slack @ solved[:, :2]
    shift = centre + slack @ (solved[:, 2] - centre) + rng.normal(0, 0.015, 2) * size
    return np.column_stack([linear, shift])


def in_the_light(colours: Pixels, scene: Scene, skin: bool, rng: np.random.Generator) -> Pixels:
    """A sprite's colours in the scene's light; skin is brought to about the face's own."""
    x, y = np.clip(np.round(scene.points[[50, 280, 4, 151]]).astype(int), 2, SIDE_PX - 3).T
    own = np.median(scene.pixels[y, x].astype(np.float64), 0) / 255
    if skin and rng.random() < 0.75:
        gain = own / SKIN * np.exp(rng.normal(0, 0.12) + rng.normal(0, 0.04, 3))
    else:
        brightness = float(np.clip(own.mean() / SKIN.mean(), 0.2, 1.6)) ** rng.uniform(0, 1)
        gain = brightness * np.exp(rng.normal(0, 0.15) + rng.normal(0, 0.06, 3))
    return np.asarray(cv2.multiply(colours, np.append(gain, 1.0)), np.uint8)


def own_hair(
    scene: Scene,
    crop: Pixels,
    colours: Pixels,
    alpha: NDArray[np.uint8],
    rng: np.random.Generator,
) -> Pixels:
    """The picture above or beside the face, moved over it and keeping a drawn sprite's shading."""
    size = float(np.ptp(scene.points, axis=0).max())
    matrix = scene.matrix.copy()
    up = scene.points[10] - scene.points[152]
    matrix[:, 2] -= up / max(float(np.linalg.norm(up)), 1) * rng.uniform(0.2, 0.42) * size
    matrix[0, 2] += rng.normal(0, 0.08) * size
    moved = cv2.warpAffine(crop, matrix, (SIDE_PX, SIDE_PX), borderMode=cv2.BORDER_REFLECT)
    # The sprite's brightness, already multiplied by alpha, about that of its mean.
    grey = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)
    mean = float(cv2.mean(grey)[0] / max(cv2.mean(alpha)[0], 1e-3))
    share = float(rng.uniform(0, 0.4))
    shading = cv2.addWeighted(grey, share / max(mean, 0.05), alpha, 1 - share, 0)
    return np.asarray(cv2.multiply(moved, cv2.merge([shading] * 3), scale=1 / 255), np.uint8)


def blend(pixels: Pixels, front: Pixels, alpha: NDArray[np.uint8]) -> Pixels:
    """`front`, whose colours are multiplied by alpha (uint8, h x w), over `pixels`."""
    behind = cv2.multiply(pixels, cv2.bitwise_not(cv2.merge([alpha] * 3)), scale=1 / 255)
    return np.asarray(cv2.add(front, behind), np.uint8)


def _any_shape(library: Library, scene: Scene, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The outline of something that stands between the face and the light."""
    name = ("shape", "hand", "cord", "fringe", "phone")[int(rng.integers(5))]
    matrix = placed(Manner("anyhow", (0.6, 2.0)), scene.points, rng)
    row = int(rng.choice(library.rows[name]))
    alpha = np.ascontiguousarray(library.rgba[row, ..., 3])
    return np.asarray(cv2.warpAffine(alpha, matrix, (SIDE_PX, SIDE_PX)), np.uint8)


def _shadowed(pixels: Pixels, alpha: NDArray[np.uint8], rng: np.random.Generator) -> Pixels:
    """The shadow of a thing beside it, hard or soft; what lies in it is still seen."""
    shift = rng.normal(0, 5, 2)
    moved = cv2.warpAffine(
        alpha, np.array([[1, 0, shift[0]], [0, 1, shift[1]]]), (SIDE_PX, SIDE_PX)
    )
    soft = cv2.blur(moved, (int(rng.integers(1, 10)),) * 2)
    light = cv2.addWeighted(soft, -float(rng.uniform(0.15, 0.65)), soft, 0, 255)
    return np.asarray(cv2.multiply(pixels, cv2.merge([light] * 3), scale=1 / 255), np.uint8)


def _blur_kernel(rng: np.random.Generator) -> NDArray[np.float32]:
    """Out of focus or moving: a disc or a line of a few pixels, whose sum is 1."""
    length = int(rng.integers(2, 9))
    kernel = np.zeros((length, length), np.float32)
    middle = (length - 1) / 2
    if rng.random() < 0.5:
        cv2.circle(kernel, (length // 2, length // 2), max(1, length // 4), (1.0,), -1)
    else:
        angle = rng.uniform(0, np.pi)
        step = middle * np.array([np.cos(angle), np.sin(angle)])
        ends = [tuple(int(v) for v in np.round(middle + s * step)) for s in (-1, 1)]
        cv2.line(kernel, ends[0], ends[1], (1.0,))
    return np.asarray(kernel / kernel.sum(), np.float32)
