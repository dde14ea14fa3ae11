"""The regions of E4S: where each is in a face, which of them a user means, and a face's shape
recomposed of two.

A map of regions is uint8, S x S: of each pixel the number of its region in REGIONS.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.analyzer import to_8_bit
from sosie.analysis.parser import MARGIN, SIDE_PX, FaceParts, Parser
from sosie.geometry import alignment, head_pose, mesh
from sosie.geometry.head_pose import region_of
from sosie.geometry.morphable_model import silhouette
from sosie.models.zoo import open_network
from sosie.types import FloatArray, Pixels

REGIONS = (
    *("background", "lips", "brows", "eyes", "hair", "nose", "skin", "ears", "neck"),
    *("mouth", "spectacles", "earrings"),
)
"""The regions of a map, in order; the mouth is what open lips show."""

Map = NDArray[np.uint8]

_NUMBER = {name: number for number, name in enumerate(REGIONS)}
_BACKGROUND, _SKIN, _HAIR = (_NUMBER[name] for name in ("background", "skin", "hair"))
_TOLD = ("skin", "hair", "spectacles")
"""What the parser tells beside the background."""

_FEATURES = ("nose", "brows", "eyes", "lips", "mouth")
"""What lies on the skin, in the order in which it is laid there."""

_MEANT = {
    "eyes": ("eyes",),
    "brows": ("brows",),
    "nose": ("nose",),
    "mouth": ("lips", "mouth"),
    "skin": ("skin", "neck"),
    "ears": ("ears",),
    "hair": ("hair",),
}
_MEANT["face"] = tuple(name for part, names in _MEANT.items() if part != "hair" for name in names)
_MEANT["both"] = (*_MEANT["face"], *_MEANT["hair"])
CHOICES = tuple(_MEANT)
"""What a user may take of a source."""

_BEYOND = ("ears", "hair", "both")
"""Of CHOICES those that show beyond the face's own outline."""

# Side of a second square, in sizes of the face, in which the parser looks for what lies beyond its
# own: it was trained to look closer, but tells hair from background there as well.
_WIDE = 2.0
# Of the nose: from its root along both sides to the wings, and its lower edge.
_NOSE = (168, 193, 417, 198, 420, 49, 279, 64, 294, 98, 327, 2)
# Of the jaw: from one of its angles to the other, by the chin.
_JAW = mesh.OVAL[11:26]
# As this share of a pixel's side is within a polygon it is inside.
_HALF = 127
# The parser's skin is an ear from so far beyond the face's outline on, as a share of its size.
_EDGE = 0.015
# Neck is as like the face's skin as this, in Lab: in lightness, and in color; specks of this share
# of the map are none.
_LIGHTNESS, _COLOR = 80.0, 14.0
_SPECKS = 0.02
# Polygons are drawn in this size at least.
_DRAWN_PX = 1024
# Of a region less than this share of the map is not seen.
_LEAST = 1 / 4096


def meant(choices: Iterable[str]) -> frozenset[str]:
    """The regions of some of CHOICES."""
    return frozenset(name for choice in choices for name in _MEANT[choice])


def goes_beyond(choices: Iterable[str]) -> bool:
    """Whether some of CHOICES show beyond the face's own outline."""
    return any(choice in _BEYOND for choice in choices)


class RegionReader:
    """Reads maps of regions with Sosie's parser. provider, threads: as of `create_session`."""

    def __init__(self, provider: str = "cpu", threads: int | None = 1) -> None:
        session = open_network("parser", provider, threads)
        self.provider = session.provider
        self._parser = Parser(session)

    def read(self, pixels: Pixels, landmarks: FloatArray, side_px: int) -> tuple[Map, FaceParts]:
        """The map of an aligned face, side_px squared, and what the parser tells in its own square.

        pixels: RGB, S x S x 3, uint8 or uint16. landmarks: 478 x 3, in its pixels.
        """
        seen = to_8_bit(pixels)
        region = region_of(landmarks)
        squares = [head_pose.square_matrix(region, margin, SIDE_PX) for margin in (MARGIN, _WIDE)]
        cut = [np.asarray(alignment.crop(seen, square, SIDE_PX), np.uint8) for square in squares]
        parts = self._parser.parts(np.stack(cut))
        smaller = alignment.resize_matrix(side_px / len(seen))
        small = np.asarray(alignment.crop(seen, smaller, side_px), np.uint8)
        points = alignment.transform_points(landmarks, smaller)
        onto = [alignment.compose(smaller, alignment.invert(square)) for square in squares]
        return regions_of(list(zip(parts, onto, strict=True)), points, small), parts[0]


def regions_of(
    views: Sequence[tuple[FaceParts, alignment.Matrix]],
    landmarks: FloatArray,
    pixels: NDArray[np.uint8],
) -> Map:
    """The map of an upright face by what the parser tells of it and by its mesh.

    views: what is told in a square, and square -> picture; what lies beyond the first square is
    told by the next one, and beyond the last it is background. landmarks: 478 x 3, in pixels of the
    picture. pixels: RGB, S x S x 3. Earrings are not told: they belong to what is behind them.
    """
    side = len(pixels)
    shares = _shares(views, side)
    numbers = np.array([_BACKGROUND, *(_NUMBER[name] for name in _TOLD)], np.uint8)
    found: Map = numbers[shares.argmax(0)]
    skin, points = found == _SKIN, landmarks[:, :2]
    inside = silhouette(landmarks, side, side) > _HALF
    found[skin & _beside(points, inside)] = _NUMBER["ears"]
    found[(found == _BACKGROUND) & _neck(points, pixels, skin & inside)] = _NUMBER["neck"]
    for name, places in _features(landmarks, side).items():
        found[skin & places] = _NUMBER[name]
    return found


def _shares(views: Sequence[tuple[FaceParts, alignment.Matrix]], side: int) -> FloatArray:
    """How much of each pixel is background, and each of _TOLD: float32, 4 x S x S."""
    found = np.zeros((len(_TOLD), side, side), np.float32)
    left = np.ones((side, side), np.float32)
    for parts, onto in views:
        through = parts.lens * (1 - parts.lens_opacity)
        told = np.stack(
            [
                np.ones_like(parts.skin),
                parts.skin + through,
                parts.hair,
                parts.frame + parts.lens - through,
            ],
            -1,
        )
        # Beyond the square all of them are 0.
        there = alignment.warp(told, onto, side, side, border=cv2.BORDER_CONSTANT)
        found += left * there[..., 1:].transpose(2, 0, 1)
        left *= 1 - there[..., 0].clip(0, 1)
    return np.asarray(np.concatenate([1 - found.sum(0, keepdims=True), found]), np.float32)


def _beside(points: FloatArray, inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where ears may be: beside the face, from the brows down to the mouth."""
    side = len(inside)
    reach = max(1, round(_EDGE * float(np.ptp(points, axis=0).max())))
    wide = cv2.dilate(inside.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8))
    rows = np.arange(side)[:, None]
    top = points[[*mesh.RIGHT_BROW, *mesh.LEFT_BROW], 1].min()
    bottom = points[list(mesh.OUTER_LIPS), 1].max()
    beside = (rows >= top) & (rows <= bottom) & (wide == 0)
    columns = np.arange(side)
    across = (columns < points[:, 0].mean() - reach) | (columns > points[:, 0].mean() + reach)
    return np.asarray(beside & across)


def _neck(
    points: FloatArray, pixels: NDArray[np.uint8], skin: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Where the neck may be: below the jaw, no wider than it, and of the face's color. The parser
    does not tell it from clothes and background."""
    side = len(skin)
    if not skin.any():
        return np.zeros((side, side), np.bool_)
    jaw = points[list(_JAW)]
    ends = np.array([[jaw[-1, 0], side], [jaw[0, 0], side]], np.float32)
    below = alignment.fill_polygon(np.concatenate([jaw, ends]), side, side) > _HALF
    lab = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2LAB).astype(np.float32)
    away = np.abs(lab - np.median(lab[skin], 0))
    like = (away[..., 0] < _LIGHTNESS) & (np.hypot(away[..., 1], away[..., 2]) < _COLOR)
    reach = max(1, round(_SPECKS * side))
    smooth = cv2.medianBlur(np.asarray(below & like, np.uint8), 2 * reach + 1)
    return np.asarray(below & (smooth > 0))


def _features(landmarks: FloatArray, side: int) -> dict[str, NDArray[np.bool_]]:
    """Where the mesh has each of _FEATURES."""
    # A line of a polygon is a pixel wide at least, which would be much of a mouth in a small map.
    times = max(1, _DRAWN_PX // side)
    drawn = side * times
    larger = alignment.transform_points(landmarks, alignment.resize_matrix(times))

    def inside(*filled: NDArray[np.uint8]) -> NDArray[np.bool_]:
        whole = np.max(filled, 0)
        if times > 1:
            whole = cv2.resize(whole, (side, side), interpolation=cv2.INTER_AREA)
        return np.asarray(whole > _HALF)

    def ring(numbers: tuple[int, ...]) -> NDArray[np.uint8]:
        return alignment.fill_polygon(larger[list(numbers), :2], drawn, drawn)

    def hull(numbers: tuple[int, ...]) -> NDArray[np.uint8]:
        return alignment.fill_hull(larger, numbers, drawn, drawn)

    return {
        "nose": inside(hull(_NOSE)),
        "brows": inside(ring(mesh.RIGHT_BROW), ring(mesh.LEFT_BROW)),
        "eyes": inside(ring(mesh.RIGHT_EYE), ring(mesh.LEFT_EYE)),
        "lips": inside(ring(mesh.OUTER_LIPS)),
        "mouth": inside(ring(mesh.INNER_LIPS)),
    }


def seen_in(regions: Map) -> frozenset[str]:
    """The regions that a map shows more than a speck of."""
    counts = np.bincount(regions.ravel(), minlength=len(REGIONS))
    return frozenset(
        name for name, count in zip(REGIONS, counts, strict=True) if count > _LEAST * regions.size
    )


def taken(chosen: Collection[str], source: Map, target: Map) -> FloatArray:
    """How much of each region's look is the source's, the rest being the target's: float32, R.

    chosen: names of regions. What the source does not show is the target's; of ears that only the
    target shows the mean is taken, as published.
    """
    seen, shares = seen_in(source), np.zeros(len(REGIONS), np.float32)
    for name in chosen:
        shares[_NUMBER[name]] = float(name in seen)
    if "ears" in chosen and "ears" not in seen and "ears" in seen_in(target):
        shares[_NUMBER["ears"]] = 0.5
    return shares


def recomposed(chosen: Collection[str], source: Map, target: Map) -> Map:
    """The target's map with the shape of the chosen regions as the source has them.

    source: as it looks in the target's pose, aligned like it. The target's outline, and what lies
    before its face, stay; so does the shape of features that the source does not show.
    """
    seen, made = seen_in(source), target.copy()
    if "hair" in chosen:
        _lay_hair(made, source)
    if "lips" not in seen:
        seen -= {"mouth"}
    elif "lips" in chosen:
        seen |= {"mouth"}
    moved = [name for name in _FEATURES if name in chosen and name in seen]
    made[np.isin(made, [_NUMBER[name] for name in moved])] = _SKIN
    room = np.isin(made, [_SKIN, *(_NUMBER[name] for name in _FEATURES)])
    for name in moved:
        made[room & (source == _NUMBER[name])] = _NUMBER[name]
    return made


def _lay_hair(made: Map, source: Map) -> None:
    """Put the source's hair in place of what is there; beneath hair that goes is what the source
    shows there of its head, or background."""
    gone = made == _HAIR
    head = np.isin(source, [_NUMBER["ears"], _NUMBER["neck"]])
    face = np.isin(source, [_SKIN, *(_NUMBER[name] for name in _FEATURES)])
    beneath = np.where(head, source, np.where(face, _SKIN, _BACKGROUND))
    made[gone] = beneath[gone]
    made[(source == _HAIR) & (made != _NUMBER["spectacles"])] = _HAIR


def changed(chosen: Collection[str], made: Map, target: Map) -> NDArray[np.bool_]:
    """Where a swap differs from its target: in the chosen regions, and where they were before."""
    numbers = [_NUMBER[name] for name in chosen]
    return np.asarray(np.isin(made, numbers) | np.isin(target, numbers))


def one_hot(regions: Map) -> FloatArray:
    """A map as the networks take it: float32, R x S x S, 1 where a region is."""
    numbers = np.arange(len(REGIONS), dtype=np.uint8)[:, None, None]
    return np.asarray(regions[None] == numbers, np.float32)
