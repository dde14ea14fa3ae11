"""Training samples of the parser: a labeled face with things laid over it whose truth is known.

The square is laid as the run time lays it, by landmarks, with their errors and more. Spectacles are
built in three dimensions, hair and hats are cut out of other photos, the rest is drawn
(`sprites`). Then the whole is photographed (`photographed`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.parser import SIDE_PX, square_matrix
from sosie.geometry import alignment, mesh
from sosie.geometry.head_pose import MIRROR, Region, region_of
from sosie.geometry.morphable_model import silhouette
from sosie.recipes.camera_degradation import as_photographed
from sosie.recipes.composites.cutouts import Donor, cutout
from sosie.recipes.composites.layer import Layer, Mask, Pixels, cast_shadow
from sosie.recipes.composites.spectacles import spectacles
from sosie.recipes.occlusion.compositing import SPRITE_PX
from sosie.recipes.occlusion.hands import SKIN
from sosie.recipes.occlusion.occluder_library import KINDS, Library, Manner
from sosie.recipes.occlusion.worn import mean_points
from sosie.recipes.parser.labels import PLANES
from sosie.recipes.parser.losses import TRUTH

Matrix = NDArray[np.float64]

# Shares of the samples with no, one, two and three things, and with nothing but a shadow.
_COUNTS = (0.25, 0.47, 0.21, 0.07)
_SHADOW_ALONE = 0.12
# What is laid: spectacles, somebody's hair, somebody's hat, else a sprite.
_LAID = {"spectacles": 0.3, "hair": 0.12, "hat": 0.05}
# A thing that would leave less of the face than this is not laid.
_LEAST_SEEN = 0.2
_OWN_HAIR, _CAST, _SOFT, _SEE_THROUGH = 0.4, 0.35, 0.25, 0.04
_HAIR_OVER = 0.6
_PHOTOGRAPHED = 0.75
# These flat ones are not laid: spectacles are built.
_FLAT = ("spectacles", "sunglasses")
_HAIR = ("fringe", "lock", "strands")
_NAMES = [name for name in KINDS if name not in _FLAT]
_SHARES = np.array([KINDS[name].share for name in _NAMES])
_SHARES = _SHARES / _SHARES.sum()
# So far around the face, in pixels of the square, what is before it is told from what is beyond.
_NEAR_PX = 14
_EYES = (mesh.RIGHT_EYE, mesh.LEFT_EYE)
_BRIDGE = (168, 6)
# A face of whose square this share is labeled as spectacles wears some.
_WORN = 0.004


@dataclass(frozen=True)
class KnownFace:
    """A labeled face (`LabeledFaces`): crop, its planes, and landmarks in its pixels."""

    crop: Pixels
    planes: NDArray[np.uint8]
    landmarks: NDArray[np.float32]

    def mirrored(self) -> KnownFace:
        """The mirror image."""
        landmarks = self.landmarks[MIRROR].copy()
        landmarks[:, 0] = self.crop.shape[1] - 1 - landmarks[:, 0]
        return KnownFace(
            np.asarray(cv2.flip(self.crop, 1), np.uint8),
            np.asarray(cv2.flip(self.planes, 1), np.uint8),
            landmarks,
        )


@dataclass(frozen=True)
class Donors:
    """Faces whose hair or hat can be cut out: rows of the labeled faces."""

    faces: tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]
    rows: dict[str, NDArray[np.intp]]

    def draw(self, part: str, rng: np.random.Generator) -> Donor | None:
        """Somebody's `hair` or `hat`; None where nobody has any."""
        if not len(self.rows[part]):
            return None
        crops, planes, landmarks = self.faces
        row = int(rng.choice(self.rows[part]))
        share = np.ascontiguousarray(planes[row][..., PLANES.index(part)])
        return Donor(np.array(crops[row]), share, landmarks[row])


@dataclass
class Scene:
    """A square being made. pixels: uint8, SIDE_PX x SIDE_PX x 3. landmarks: 478 x 3, in it. truth:
    uint8, len(TRUTH) x SIDE_PX x SIDE_PX. opacity and known: uint8, SIDE_PX squared: of a lens,
    and where that is known. face: uint8, 255 on the face's surface. near: likewise, and beside it.
    matrix: crop -> square."""

    pixels: Pixels
    landmarks: NDArray[np.float32]
    truth: NDArray[np.uint8]
    opacity: Mask
    known: Mask
    face: Mask
    near: Mask
    matrix: Matrix

    @property
    def seen(self) -> Mask:
        """What is seen of the face's surface."""
        return np.asarray(cv2.min(self.truth[0], self.face), np.uint8)


def make_sample(
    face: KnownFace, library: Library, donors: Donors, rng: np.random.Generator
) -> dict[str, NDArray[Any]]:
    """pixels: uint8, SIDE_PX x SIDE_PX x 3, RGB. truth: uint8, len(TRUTH) x SIDE_PX x SIDE_PX.
    glass: uint8, 2 x SIDE_PX x SIDE_PX: opacity of lenses, and where it is known. near: uint8,
    SIDE_PX squared, 255 near the face."""
    if rng.random() < 0.5:
        face = face.mirrored()
    scene = cut(face, laid(region_of(face.landmarks), rng))
    if rng.random() < _SHADOW_ALONE:
        scene.pixels = _shadowed(scene.pixels, _any_shape(library, scene, rng), rng)
    for _ in range(int(rng.choice(len(_COUNTS), p=_COUNTS))):
        add_something(scene, face.crop, library, donors, rng)
    if rng.random() < _PHOTOGRAPHED:
        scene.pixels = as_photographed(scene.pixels, rng)
    return {
        "pixels": scene.pixels,
        "truth": scene.truth,
        "glass": np.stack([scene.opacity, scene.known]),
        "near": scene.near,
    }


def reduced(sample: dict[str, NDArray[Any]], side_px: int) -> dict[str, NDArray[Any]]:
    """A sample of `make_sample` with squares of this side."""

    def small(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
        size = (side_px, side_px)
        return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.uint8)

    return {
        name: np.stack([small(plane) for plane in array])
        if array.ndim == 3 and name != "pixels"
        else small(array)
        for name, array in sample.items()
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
    """The square of a region of a face's crop, with what is known of it."""
    matrix = square_matrix(region)
    size = (SIDE_PX, SIDE_PX)
    pixels = cv2.warpAffine(face.crop, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    planes = cv2.warpAffine(face.planes, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    points = face.landmarks.copy()
    points[:, :2] = alignment.transform_points(points[:, :2], matrix)
    points[:, 2] *= alignment.scale_of(matrix)
    surface = silhouette(points, SIDE_PX, SIDE_PX)
    side = 2 * _NEAR_PX + 1
    near = cv2.dilate(surface, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    return Scene(
        np.asarray(pixels, np.uint8),
        points,
        _truth(np.asarray(planes, np.uint8), surface, points),
        np.zeros(size, np.uint8),
        np.zeros(size, np.uint8),
        surface,
        np.asarray(near, np.uint8),
        matrix,
    )


def _truth(planes: NDArray[np.uint8], surface: Mask, points: NDArray[np.float32]) -> NDArray[Any]:
    """What the labels tell of a square. Of spectacles, what lies on an open eye is a lens, and what
    lies on the nose's bridge is the frame; on the face's surface, what is none of the parts may be
    before it or beyond."""
    truth = np.zeros((len(TRUTH), SIDE_PX, SIDE_PX), np.uint8)
    by_name = dict(zip(PLANES, cv2.split(planes), strict=True))
    for name in ("skin", "hair", "hat"):
        truth[TRUTH.index(name)] = by_name[name]
    rest = 255 - np.minimum(planes.sum(2, dtype=np.uint16), 255).astype(np.uint8)
    truth[TRUTH.index("thing/beyond")] = np.where(surface > 0, rest, 0)
    truth[TRUTH.index("beyond")] = np.where(surface > 0, 0, rest)
    worn = by_name["spectacles"]
    if not worn.any():
        return truth
    places = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    for ring in _EYES:
        cv2.fillPoly(places, [np.round(points[list(ring), :2]).astype(np.int32)], (1,))
    apart = float(np.linalg.norm(points[33, :2] - points[263, :2]))
    for point in _BRIDGE:
        x, y = np.round(points[point, :2]).astype(int)
        cv2.circle(places, (int(x), int(y)), max(1, round(0.035 * apart)), (2,), -1)
    for name, value in (("frame/lens", 0), ("lens", 1), ("frame", 2)):
        truth[TRUTH.index(name)] = np.where(places == value, worn, 0)
    return truth


def add_something(
    scene: Scene, crop: Pixels, library: Library, donors: Donors, rng: np.random.Generator
) -> None:
    """Lay one thing over the scene, in place: spectacles, somebody's hair or hat, or a sprite."""
    name = str(rng.choice((*_LAID, "sprite"), p=(*_LAID.values(), 1 - sum(_LAID.values()))))
    if name == "spectacles":
        add_spectacles(scene, rng)
    elif name == "sprite":
        add_thing(scene, crop, library, rng)
    else:
        donor = donors.draw(name, rng)
        if donor is not None:
            lay(scene, cutout(scene.pixels, scene.landmarks, donor, name, rng))


def wears_spectacles(scene: Scene) -> bool:
    """Whether there are some on the face already."""
    rows = [n for n, name in enumerate(TRUTH) if "frame" in name or "lens" in name]
    return float(scene.truth[rows].mean() * len(rows)) / 255 > _WORN


def add_spectacles(scene: Scene, rng: np.random.Generator) -> None:
    """Lay a built pair of spectacles over a face that wears none, in place."""
    if wears_spectacles(scene):
        return
    layer = spectacles(scene.pixels, scene.landmarks, rng)
    if rng.random() < _HAIR_OVER:
        # Hair hangs over rims and arms.
        layer = _under(layer, np.asarray(cv2.bitwise_not(scene.truth[TRUTH.index("hair")])))
    lay(scene, layer)


def _under(layer: Layer, left: Mask) -> Layer:
    """A layer of which something before it leaves a share."""

    def less(part: NDArray[np.uint8]) -> NDArray[np.uint8]:
        by = left if part.ndim == 2 else cv2.merge([left] * 3)
        return np.asarray(cv2.multiply(part, by, scale=1 / 255), np.uint8)

    return replace(
        layer,
        colors=less(layer.colors),
        alpha=less(layer.alpha),
        shares={name: less(share) for name, share in layer.shares.items()},
        bent=tuple(replace(bent, glass=less(bent.glass)) for bent in layer.bent),
    )


def lay(scene: Scene, layer: Layer) -> bool:
    """Lay a layer over the scene, in place; False, and nothing is done, where it would leave too
    little of the face."""
    left = np.asarray(cv2.bitwise_not(layer.hides), np.uint8)
    solid = "lens" not in layer.shares
    face = cv2.countNonZero((scene.seen > 127).view(np.uint8))
    stays = cv2.multiply(scene.seen, left, scale=1 / 255)
    if solid and cv2.countNonZero((stays > 127).view(np.uint8)) < _LEAST_SEEN * max(1, face):
        return False
    scene.pixels = layer.over(scene.pixels)
    for plane in scene.truth:
        cv2.multiply(plane, left, dst=plane, scale=1 / 255)
    scene.known = np.asarray(cv2.multiply(scene.known, left, scale=1 / 255), np.uint8)
    for name, share in layer.shares.items():
        plane = scene.truth[TRUTH.index(name)]
        if name == "thing":
            # Far from the face nobody asks what is before it.
            far = cv2.bitwise_and(share, cv2.bitwise_not(scene.near))
            other = scene.truth[TRUTH.index("thing/beyond")]
            cv2.add(other, far, dst=other)
            share = np.asarray(cv2.bitwise_and(share, scene.near), np.uint8)
        cv2.add(plane, share, dst=plane)
    if layer.lens_opacity is not None:
        glass = layer.shares["lens"] > 0
        scene.opacity[glass] = layer.lens_opacity[glass]
        scene.known = np.asarray(cv2.max(scene.known, layer.shares["lens"]), np.uint8)
    return True


def add_thing(scene: Scene, crop: Pixels, library: Library, rng: np.random.Generator) -> None:
    """Lay a sprite of a kind drawn by the kinds' shares over the scene, in place."""
    name = _NAMES[int(rng.choice(len(_NAMES), p=_SHARES))]
    kind = KINDS[name]
    row = int(rng.choice(library.rows[name]))
    matrix = placed(kind.manner, scene.landmarks[:, :2], rng)
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
    colors, alpha = np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3])
    if name in ("fringe", "lock") and rng.random() < _OWN_HAIR:
        colors = own_hair(scene, crop, colors, alpha, rng)
    else:
        colors = in_the_light(colors, scene, kind.skin, rng)
    shadow = _shadow(alpha, rng) if rng.random() < _CAST else None
    lay(scene, Layer(colors, alpha, shadow, {"hair" if name in _HAIR else "thing": hides}))


def placed(manner: Manner, points: NDArray[np.float32], rng: np.random.Generator) -> Matrix:
    """Sprite -> square. points: the face's mesh in the square, 478 x 2."""
    if manner.placing == "worn":
        return _worn(manner.anchors, points, rng)
    low, high = points.min(0), points.max(0)
    center, half = (low + high) / 2, (high - low) / 2
    face = float((high - low).max())
    scale = face / SPRITE_PX * float(np.exp(rng.uniform(*np.log(manner.size))))
    # This point of the sprite, in shares of its half side, comes onto that place of the face.
    grip, angle = rng.normal(0, 0.3, 2), float(rng.uniform(-180, 180))
    place = center + half * rng.uniform(-1, 1, 2)
    if manner.placing == "reaching":
        # What is held or stretched out comes from outside: its lower end points away from the face.
        grip = np.array([rng.normal(0, 0.15), rng.uniform(-0.9, 0.0)])
        outward = place - center + rng.normal(0, 0.5, 2) * face
        outward += np.array([0, rng.exponential(0.35) * face])
        angle = float(np.degrees(np.arctan2(-outward[0], outward[1])))
    elif manner.placing == "upright":
        angle = float(rng.normal(0, 12))
        place = center + half * np.array([rng.uniform(-1, 1), rng.uniform(-0.6, 1.2)])
    elif manner.placing == "beside":
        turned = rng.uniform(0, 2 * np.pi)
        away = np.array([np.cos(turned), np.sin(turned)]) * rng.uniform(0.75, 1.3) * face
        place, angle, grip = center + away, float(rng.normal(0, 15)), np.zeros(2)
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
    center = aim.mean(0)
    slack = np.eye(2) + rng.normal(0, 0.03, (2, 2))
    linear = slack @ solved[:, :2]
    shift = center + slack @ (solved[:, 2] - center) + rng.normal(0, 0.015, 2) * size
    return np.column_stack([linear, shift])


def in_the_light(colors: Pixels, scene: Scene, skin: bool, rng: np.random.Generator) -> Pixels:
    """A sprite's colors in the scene's light; skin is brought to about the face's own."""
    places = scene.landmarks[[50, 280, 4, 151], :2]
    x, y = np.clip(np.round(places).astype(int), 2, SIDE_PX - 3).T
    own = np.median(scene.pixels[y, x].astype(np.float64), 0) / 255
    if skin and rng.random() < 0.75:
        gain = own / SKIN * np.exp(rng.normal(0, 0.12) + rng.normal(0, 0.04, 3))
    else:
        brightness = float(np.clip(own.mean() / SKIN.mean(), 0.2, 1.6)) ** rng.uniform(0, 1)
        gain = brightness * np.exp(rng.normal(0, 0.15) + rng.normal(0, 0.06, 3))
    return np.asarray(cv2.multiply(colors, np.append(gain, 1.0)), np.uint8)


def own_hair(
    scene: Scene, crop: Pixels, colors: Pixels, alpha: Mask, rng: np.random.Generator
) -> Pixels:
    """The picture above or beside the face, moved over it and keeping a drawn sprite's shading."""
    points = scene.landmarks[:, :2]
    size = float(np.ptp(points, axis=0).max())
    matrix = scene.matrix.copy()
    up = points[10] - points[152]
    matrix[:, 2] -= up / max(float(np.linalg.norm(up)), 1) * rng.uniform(0.2, 0.42) * size
    matrix[0, 2] += rng.normal(0, 0.08) * size
    moved = cv2.warpAffine(crop, matrix, (SIDE_PX, SIDE_PX), borderMode=cv2.BORDER_REFLECT)
    # The sprite's brightness, already multiplied by alpha, about that of its mean.
    gray = cv2.cvtColor(colors, cv2.COLOR_RGB2GRAY)
    mean = float(cv2.mean(gray)[0] / max(cv2.mean(alpha)[0], 1e-3))
    share = float(rng.uniform(0, 0.4))
    shading = cv2.addWeighted(gray, share / max(mean, 0.05), alpha, 1 - share, 0)
    return np.asarray(cv2.multiply(moved, cv2.merge([shading] * 3), scale=1 / 255), np.uint8)


def _any_shape(library: Library, scene: Scene, rng: np.random.Generator) -> Mask:
    """The outline of something that stands between the face and the light."""
    name = ("shape", "hand", "cord", "fringe", "phone")[int(rng.integers(5))]
    matrix = placed(Manner("anyhow", (0.6, 2.0)), scene.landmarks[:, :2], rng)
    row = int(rng.choice(library.rows[name]))
    alpha = np.ascontiguousarray(library.rgba[row, ..., 3])
    return np.asarray(cv2.warpAffine(alpha, matrix, (SIDE_PX, SIDE_PX)), np.uint8)


def _shadow(alpha: Mask, rng: np.random.Generator) -> Mask:
    """The light beside a thing: its shadow is hard or soft."""
    soft = float(rng.uniform(0.3, 4.5))
    return cast_shadow(alpha, rng.normal(0, 7, 2), soft, float(rng.uniform(0.15, 0.65)))


def _shadowed(pixels: Pixels, alpha: Mask, rng: np.random.Generator) -> Pixels:
    """The shadow of something out of sight; what lies in it is still seen."""
    shadow = _shadow(alpha, rng)
    return np.asarray(cv2.multiply(pixels, cv2.merge([shadow] * 3), scale=1 / 255), np.uint8)


def _blur_kernel(rng: np.random.Generator) -> NDArray[np.float32]:
    """Out of focus or moving: a disc or a line of a few pixels, whose sum is 1."""
    length = 2 * int(rng.integers(1, 6)) + 1
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
