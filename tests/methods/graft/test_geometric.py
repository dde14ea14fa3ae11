"""Pixels of the method `mesh`: whose they are, where, and what must never come through."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from sosie.analysis.analyzer import create_analyzer
from sosie.geometry import mesh
from sosie.geometry.morphable_model import face_shape, smoothstep
from sosie.methods import load_method
from sosie.methods.base import Source, Swapper
from sosie.options import SwapOptions
from sosie.types import Crop, Face, SwappedCrop

ModelFace = Callable[..., Face]
Paint = Callable[..., np.ndarray]
SHAPE = face_shape()
MAGENTA = (255, 0, 255)
RED, BLUE, YELLOW, SKIN = (220, 40, 40), (40, 60, 220), (230, 220, 40), (200, 150, 120)
DARK = (110, 75, 60)


@pytest.fixture(scope="module")
def swapper() -> Swapper:
    return load_method("mesh")(SwapOptions())


@pytest.fixture(scope="module")
def swap(
    swapper: Swapper, source_of: Callable[..., Source], crop_for: Callable[..., Crop]
) -> Callable[..., SwappedCrop]:
    """One source photo onto one target picture."""

    def run(
        photo: np.ndarray,
        photo_face: Face,
        frame: np.ndarray,
        face: Face,
        visible: np.ndarray | None = None,
        by: Swapper = swapper,
    ) -> SwappedCrop:
        prepared = by.prepare([source_of(photo, photo_face, visible)])
        return by.swap(prepared, [crop_for(frame, face)])[0]

    return run


def by_side(right: Any, left: Any) -> np.ndarray:
    """Colors of the subject's right and left half of the face, 478 x 3."""
    return np.where(SHAPE.mean[:, :1] < 0, right, left).astype(float)


def around(point: np.ndarray, radius: int = 2) -> tuple[slice, slice]:
    x, y = np.round(point[:2]).astype(int)
    return slice(y - radius, y + radius + 1), slice(x - radius, x + radius + 1)


def near(pixels: np.ndarray, color: tuple[int, int, int], within: float = 30) -> np.ndarray:
    return np.linalg.norm(pixels * 255 - color, axis=-1) < within


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((a - b) ** 2)))


# A face onto itself.


@pytest.fixture(scope="module")
def hopper_twice(hopper: np.ndarray) -> tuple[np.ndarray, Face]:
    """A real face of 409 px, larger than the map is worked out at."""
    picture = cv2.resize(hopper[60:420, 100:440], None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    (face,) = create_analyzer(2).analyze(picture)
    return picture, face


@pytest.mark.parametrize(("scale", "least_db"), [(1.0, 45), (0.4, 31)])
def test_a_face_on_itself_is_itself(
    swap: Callable[..., SwappedCrop],
    hopper_twice: tuple[np.ndarray, Face],
    scale: float,
    least_db: float,
) -> None:
    picture, face = hopper_twice
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    target = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    # Pixel centers: the first one lies half a pixel inside the picture, in both sizes.
    landmarks = (face.landmarks + np.float32([0.5, 0.5, 0])) * scale - np.float32([0.5, 0.5, 0])
    small = dataclasses.replace(
        face, landmarks=landmarks.astype(np.float32), box=(face.box + 0.5) * scale - 0.5
    )
    result = swap(picture, face, target, small)
    inside = result.mask > 0.99
    assert inside.mean() > 0.2
    assert psnr(result.pixels[inside], target[inside] / 255) > least_db
    # Half a pixel off already falls below.
    moved = cv2.warpAffine(target, np.float32([[1, 0, 0.5], [0, 1, 0.5]]), size)
    assert psnr(moved[inside] / 255, target[inside] / 255) < least_db - 3


def test_sixteen_bits_go_through_whole(
    swap: Callable[..., SwappedCrop], model_face: ModelFace, paint: Paint
) -> None:
    face = model_face(unit_px=60)
    rows, columns = np.indices((256, 256))
    photo = np.repeat((20000 + 7 * columns + 3 * rows).astype(np.uint16)[..., None], 3, 2)
    result = swap(photo, face, photo, face)
    inside = result.mask > 0.99
    assert np.abs(result.pixels * 65535 - photo)[inside].max() < 40
    assert len(np.unique(np.rint(result.pixels[inside] * 65535))) > 800


# Whose texture.


def test_each_side_of_the_face_comes_from_the_same_side(
    swap: Callable[..., SwappedCrop], model_face: ModelFace, paint: Paint
) -> None:
    source, target = model_face(10, unit_px=70), model_face(-20, 0, 30, unit_px=55)
    photo = paint(source, by_side(RED, BLUE))
    result = swap(photo, source, paint(target, (20, 200, 20)), target)
    right, left = target.landmarks[36], target.landmarks[266]  # cheeks, beside the nose
    assert near(result.pixels[around(right)], RED).all()
    assert near(result.pixels[around(left)], BLUE).all()
    assert result.mask[around(right)].min() > 0.95
    assert result.mask[around(left)].min() > 0.95


@pytest.mark.parametrize("yaw", [65, -65])
def test_what_is_turned_away_is_made_up_in_the_color_of_what_is_seen(
    swap: Callable[..., SwappedCrop], model_face: ModelFace, paint: Paint, yaw: float
) -> None:
    source, target = model_face(yaw, unit_px=70), model_face(unit_px=60)
    shown = SKIN if yaw > 0 else DARK
    photo = paint(source, shown, background=(0, 255, 0))
    result = swap(photo, source, paint(target, SKIN), target)
    for cheek in (50, 280):
        place = around(target.landmarks[cheek])
        assert near(result.pixels[place], shown, within=45).all()
        assert result.mask[place].min() > 0.9
    # The background beside a profile is not carried along, but for a pixel's width at the edge.
    outline = np.zeros((256, 256), np.uint8)
    corners = np.round(target.landmarks[list(mesh.OVAL), :2]).astype(np.int32)
    cv2.fillPoly(outline, [corners], 1)
    inner = cv2.erode(outline, np.ones((5, 5), np.uint8)) > 0
    vouched = result.pixels[inner & (result.mask > 0.5) & (result.own < 0.01)] * 255
    green = (vouched[:, 1] > 100) & (vouched[:, 0] < 120)
    assert len(vouched) > 10000
    assert green.mean() < 0.001


def test_the_swapped_face_has_the_sources_colors_and_not_the_targets(
    swap: Callable[..., SwappedCrop], model_face: ModelFace, paint: Paint
) -> None:
    source, target = model_face(-10, unit_px=70), model_face(15, unit_px=55)
    result = swap(paint(source, SKIN), source, paint(target, (60, 90, 180)), target)
    skin = (result.mask > 0.99) & (result.own == 0)
    mean = result.pixels[skin].mean(0) * 255
    assert np.linalg.norm(mean - SKIN) < 0.1 * np.linalg.norm(mean - (60, 90, 180))


# What lies in front of the source.


@pytest.mark.parametrize("unit_px", [80, 30])
def test_what_hides_the_source_does_not_come_through(
    swap: Callable[..., SwappedCrop], model_face: ModelFace, paint: Paint, unit_px: float
) -> None:
    """At the source's own size, and much smaller, where a filter could smear it."""
    source, target = model_face(unit_px=80), model_face(10, 0, 15, unit_px=unit_px)
    photo = paint(source, SKIN, background=SKIN)
    visible = np.ones(photo.shape[:2], np.float32)
    x, y = np.round(source.landmarks[280, :2]).astype(int)
    photo[y - 30 : y + 30, x - 30 : x + 30] = MAGENTA
    visible[y - 34 : y + 34, x - 34 : x + 34] = 0
    result = swap(photo, source, paint(target, SKIN, background=SKIN), target, visible)
    # What the mask lets through, on whatever is there.
    through = np.abs(result.pixels * 255 - SKIN).max(-1) * result.mask
    assert through.max() < 12
    # All of the face is there: what was hidden is skin.
    for cheek in (50, 280):
        assert result.mask[around(target.landmarks[cheek])].min() > 0.95


# The target's own parts.


@pytest.fixture(scope="module")
def open_mouth() -> np.ndarray:
    low = smoothstep(SHAPE.mean[:, 1], SHAPE.mean[13, 1] + 0.01, SHAPE.mean[14, 1] + 0.05)
    return np.column_stack([np.zeros(478), 0.35 * low, np.zeros(478)])


def test_eyes_and_the_mouths_inside_are_the_targets(
    swap: Callable[..., SwappedCrop], model_face: ModelFace, paint: Paint, open_mouth: np.ndarray
) -> None:
    source = model_face(unit_px=75)
    target = model_face(10, 0, -15, unit_px=60, change=open_mouth)
    photo = paint(source, SKIN, background=SKIN)
    for ring in (mesh.RIGHT_EYE, mesh.LEFT_EYE, mesh.INNER_LIPS):
        corners = np.round(source.landmarks[list(ring), :2]).astype(np.int32)
        opening = np.zeros(photo.shape[:2], np.uint8)
        cv2.fillPoly(opening, [corners], 1)
        photo[cv2.erode(opening, np.ones((3, 3), np.uint8)) > 0] = RED
    frame = paint(target, SKIN, background=BLUE)  # shows in the eyes and the mouth
    for iris in (468, 473):
        x, y = np.round(target.landmarks[iris, :2]).astype(int)
        cv2.circle(frame, (int(x), int(y)), 4, YELLOW, -1)
    result = swap(photo, source, frame, target)
    mouth = target.landmarks[[13, 14]].mean(0)
    assert near(result.pixels[around(mouth)], BLUE).all()
    for iris in (468, 473):
        assert near(result.pixels[around(target.landmarks[iris], 1)], YELLOW, 60).all()
    assert result.own[around(mouth)].min() > 0.95
    assert result.mask[around(mouth)].min() > 0.95
    # Lips and lids around them are the source's, and its own eyes are not seen: at most a trace on
    # the line between both.
    for point in (0, 17, 27, 257, 23, 253):
        assert near(result.pixels[around(target.landmarks[point], 1)], SKIN).all()
    red = near(result.pixels, RED, 100) & (result.mask > 0.2)
    assert not red[(result.own < 0.02) | (result.own > 0.7)].any()
    assert not near(result.pixels[result.mask > 0.2], RED, 50).any()


@pytest.mark.parametrize("ring", ["RIGHT_EYE", "LEFT_EYE", "INNER_LIPS"])
def test_the_edge_of_an_eye_and_the_mouth_shows_no_dark_line(
    swap: Callable[..., SwappedCrop],
    model_face: ModelFace,
    paint: Paint,
    open_mouth: np.ndarray,
    ring: str,
) -> None:
    """Between two bright sides every mixture is bright."""
    face = model_face(unit_px=60, change=open_mouth)
    photo = np.full((256, 256, 3), 230, np.uint8)
    photo[:12] = photo[:, :12] = 0  # far from the face
    frame = np.full((256, 256, 3), 180, np.uint8)
    result = swap(photo, face, frame, face)
    corners = face.landmarks[list(getattr(mesh, ring)), :2]
    (x0, y0), (x1, y1) = corners.min(0).astype(int) - 4, corners.max(0).astype(int) + 5
    assert result.pixels[y0:y1, x0:x1].min() * 255 > 175
    assert result.mask[y0:y1, x0:x1].min() > 0.98


def test_a_closed_eye_is_left_closed(
    swap: Callable[..., SwappedCrop], model_face: ModelFace, paint: Paint
) -> None:
    change = np.zeros((478, 3))
    for ring in (mesh.RIGHT_EYE, mesh.LEFT_EYE):
        line = SHAPE.mean[list(ring), 1]
        change[list(ring), 1] = line.mean() - line
    target = model_face(unit_px=60, change=change)
    source = model_face(unit_px=70)
    frame = paint(target, SKIN, background=BLUE)
    result = swap(paint(source, SKIN, background=BLUE), source, frame, target)
    for iris in (468, 473):
        # The target shows lids: a line of its own skin at most, and no eyeball of the source.
        assert near(result.pixels[around(target.landmarks[iris], 1)], SKIN, 70).all()


# Depth.


@pytest.mark.parametrize("yaw", [28, -28])
def test_the_nose_hides_the_cheek_behind_it(
    swap: Callable[..., SwappedCrop], model_face: ModelFace, paint: Paint, yaw: float
) -> None:
    source, target = model_face(unit_px=75), model_face(yaw, unit_px=60)
    nose = np.linalg.norm(SHAPE.mean - SHAPE.mean[4], axis=1) < 0.42
    colors = np.where(nose[:, None], YELLOW, SKIN).astype(float)
    result = swap(paint(source, colors), source, paint(target, (20, 200, 20)), target)
    expected = paint(target, colors) / 255
    inside = (result.mask > 0.9) & (result.own < 0.01)
    wrong = np.linalg.norm(result.pixels - expected, axis=-1) > 0.25
    assert (wrong & inside).sum() < 0.02 * inside.sum()
    tip = around(target.landmarks[4], 1)
    assert near(result.pixels[tip], YELLOW).all()


# Detail.


def test_a_much_larger_source_does_not_alias(
    swap: Callable[..., SwappedCrop], model_face: ModelFace, paint: Paint
) -> None:
    side = 900
    source = model_face(unit_px=240, center=(450, 430))
    stripes = np.tile(
        (np.arange(side) % 2 * 160 + 40).astype(np.uint8)[None, :, None], (side, 1, 3)
    )
    target = model_face(0, 0, 20, unit_px=40)
    frame = np.full((256, 256, 3), 120, np.uint8)
    result = swap(stripes, source, frame, target)
    inside = (result.mask > 0.95) & (result.own < 0.01)
    gray = result.pixels[inside] * 255
    assert inside.sum() > 3000
    assert gray.mean() == pytest.approx(120, abs=2)
    assert gray.std() < 6  # of 80


def test_detail_that_the_target_can_show_is_not_blurred(
    swap: Callable[..., SwappedCrop], model_face: ModelFace, paint: Paint
) -> None:
    source = model_face(unit_px=80)
    columns = np.arange(256)
    waves = (120 + 80 * np.sin(columns * 2 * np.pi / 10)).astype(np.uint8)
    photo = np.tile(waves[None, :, None], (256, 1, 3))
    for unit_px, kept in ((80, 0.95), (60, 0.8), (110, 0.9)):
        side = 360
        target = model_face(unit_px=unit_px, center=(180, 170))
        frame = np.full((side, side, 3), 120, np.uint8)
        result = swap(photo, source, frame, target)
        inside = (result.mask > 0.95) & (result.own < 0.01)
        assert np.ptp(result.pixels[inside]) * 255 > kept * 160


# Several photos.


def test_the_photo_nearest_in_pose_is_taken_and_kept(
    swapper: Swapper,
    model_face: ModelFace,
    paint: Paint,
    source_of: Callable[..., Source],
    crop_for: Callable[..., Crop],
) -> None:
    poses, colors = (-40, 0, 40), (RED, YELLOW, BLUE)
    photos = []
    for yaw, color in zip(poses, colors, strict=True):
        face = model_face(yaw, unit_px=70)
        photos.append(source_of(paint(face, color), face))
    prepared = swapper.prepare(photos)

    def crop_at(yaw: float) -> Crop:
        face = model_face(yaw, unit_px=60)
        return crop_for(paint(face, SKIN), face)

    for yaw, expected in ((-45, 0), (-25, 0), (5, 1), (24, 2), (60, 2)):
        crop = crop_at(yaw)
        assert swapper.choose(prepared, crop) == expected
        result = swapper.swap(prepared, [crop])[0]
        skin = (result.mask > 0.99) & (result.own < 0.01)
        assert near(result.pixels[skin], colors[expected]).mean() > 0.95
    # Between two, neither takes over from the other: a head that sways shows one photo.
    for yaw in (17, 20, 22):
        assert swapper.choose(prepared, crop_at(yaw), 1) == 1
        assert swapper.choose(prepared, crop_at(yaw), 2) == 2
    assert swapper.choose(prepared, crop_at(32), 1) == 2
    assert swapper.choose(prepared, crop_at(5), 2) == 1


# Shape.


def test_shape_moves_features_to_the_sources_places(
    swap: Callable[..., SwappedCrop], model_face: ModelFace, paint: Paint
) -> None:
    """A mouth set lower in the source is lower in the result, the more the larger `shape`."""
    lower = np.zeros((478, 3))
    mouth = np.linalg.norm(SHAPE.mean[:, :2] - SHAPE.mean[13, :2], axis=1)
    lower[:, 1] = 0.12 * (1 - smoothstep(mouth, 0.2, 0.7))
    source, target = model_face(unit_px=75, change=lower), model_face(unit_px=60)
    lips = np.isin(np.arange(478), mesh.OUTER_LIPS + mesh.INNER_LIPS)
    photo = paint(source, np.where(lips[:, None], RED, SKIN), background=SKIN)
    frame = paint(target, SKIN, background=SKIN)
    heights = []
    for shape in (0.0, 0.5, 1.0):
        by = load_method("mesh")(SwapOptions(shape=shape))
        result = swap(photo, source, frame, target, by=by)
        # Nothing but the lips is red: the heights of their upper and lower edge below the nose.
        x = round(float(target.landmarks[13, 0]))
        redness = (result.pixels[..., 0] - 2 * result.pixels[..., 1])[:, x - 4 : x + 5].mean(1)
        heights.append([_edge(redness), len(redness) - 1 - _edge(redness[::-1])])
    steps = np.diff(heights, axis=0)
    assert (steps > 0.5).all()
    assert (steps.sum(0) < 0.12 * 60 + 1).all()


def _edge(values: np.ndarray) -> float:
    """The first place where values, one a pixel, reach half of their greatest."""
    level = 0.5 * values.max()
    first = int(np.argmax(values >= level))
    return first - float((values[first] - level) / (values[first] - values[first - 1]))


def test_the_mask_ends_with_the_outline(
    swap: Callable[..., SwappedCrop], model_face: ModelFace, paint: Paint
) -> None:
    source, target = model_face(unit_px=75), model_face(20, 0, 10, unit_px=60)
    result = swap(paint(source, SKIN), source, paint(target, SKIN), target)
    hull = np.zeros((256, 256), np.uint8)
    points = cv2.convexHull(np.round(target.landmarks[:468, :2]).astype(np.int32))
    cv2.fillConvexPoly(hull, points, 1)
    beyond = cv2.dilate(hull, np.ones((7, 7), np.uint8)) == 0
    assert (result.mask[beyond] == 0).all()
    assert result.mask[cv2.erode(hull, np.ones((31, 31), np.uint8)) > 0].min() > 0.9
