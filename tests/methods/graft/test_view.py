"""What the network is shown, and what becomes of its answer."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from sosie.blending.pixel_math import LUMA
from sosie.geometry import mesh
from sosie.geometry.alignment import warp
from sosie.methods.base import Source
from sosie.methods.graft import view
from sosie.methods.graft.source_texture import prepare_photo
from sosie.methods.graft.warp import Field
from sosie.types import Face

SEEN = np.ones((256, 256), np.float32)


@pytest.fixture(scope="module")
def face(model_face: Callable[..., Face]) -> Face:
    return model_face(unit_px=62, center=(128, 128))


@pytest.fixture(scope="module")
def picture(face: Face, paint: Callable[..., np.ndarray]) -> np.ndarray:
    """A face in soft colors."""
    mean = face.landmarks[:, :2] / 256
    tones = np.column_stack([120 + 80 * mean[:, 0], 90 + 60 * mean[:, 1], np.full(478, 100)])
    return cv2.GaussianBlur(paint(face, tones), (0, 0), 1)


def drafted(
    face: Face, source: np.ndarray, target: np.ndarray, visible: np.ndarray = SEEN
) -> view.Draft:
    photo = prepare_photo(Source(source, face, SEEN))
    return view.draft(photo, target, face.landmarks, face.landmarks, visible)


def well_inside(made: view.Draft) -> np.ndarray:
    return cv2.erode(made.shown, np.ones((9, 9))) > 0.5


def test_a_face_onto_itself_is_itself(face, picture):
    made = drafted(face, picture, picture)
    inside = well_inside(made)
    off = np.abs(made.base - view.as_unit(picture)).max(2)
    assert inside.sum() > 15000
    assert np.percentile(off[inside], 99) < 0.04
    # Around the nostrils lie creases that are seen by their mirror side.
    assert (made.known[inside] > 0.9).mean() > 0.98


def test_where_the_source_shows_nothing_there_is_the_targets_light(face, picture):
    photo = prepare_photo(Source(picture, face, SEEN * 0))
    made = view.draft(photo, picture, face.landmarks, face.landmarks, SEEN)
    skin = well_inside(made) & (made.own == 0)
    assert made.known[skin].max() == 0
    assert np.abs(made.base - made.light)[skin].max() < 1e-6
    assert np.abs(made.base - view.as_unit(picture))[skin].mean() < 0.03


def test_what_makes_a_gap_in_the_source_leaves_no_rim(face, picture):
    """Hair over the forehead, seen for hair but for its lowest pixels."""
    source, visible = picture.copy(), SEEN.copy()
    source[:80] = (30, 15, 5)
    visible[:77] = 0
    photo = prepare_photo(Source(source, face, visible))
    made = view.draft(photo, picture, face.landmarks, face.landmarks, SEEN)
    darker = (view.as_unit(picture) - made.base).max(2)
    # Hair is darker than this skin by 0.45.
    assert darker[60:92][well_inside(made)[60:92]].max() < 0.1


def test_features_of_the_target_are_not_shown(face, picture):
    """What differs in detail alone, looks the same to the network, but for eyes and mouth."""
    noise = np.random.default_rng(0).normal(0, 40, (256, 256, 1))
    noise -= cv2.GaussianBlur(noise, (0, 0), 4)[..., None]
    other = np.clip(picture + noise, 0, 255).astype(np.uint8)
    matrix = view.square(face.landmarks)
    shown = [
        view.shown_to_network(drafted(face, picture, target), target, matrix).astype(int)
        for target in (picture, other)
    ]
    skin = (shown[0][..., 7] == 255) & (shown[0][..., 8] == 0)
    assert np.abs(shown[0] - shown[1])[skin].max() <= 4
    assert np.abs(shown[0] - shown[1])[..., 4:7].mean() > 3


def test_what_hides_the_target_is_shown_as_it_is(face, picture):
    visible = SEEN.copy()
    visible[150:] = 0
    target = picture.copy()
    target[150:] = (10, 200, 30)
    made = drafted(face, picture, target, visible)
    shown = view.shown_to_network(made, target, np.eye(2, 3))
    assert (shown[160:, :, 7] == 0).all()
    assert np.abs(shown[160:, :, 4:7].astype(int) - (10, 200, 30)).max() <= 1
    # None of its green is taken for light.
    plain = drafted(face, picture, picture)
    above = slice(60, 140), slice(90, 166)
    assert np.abs(made.light - plain.light)[above].max() < 0.06


@pytest.mark.parametrize("side", [256, 700])
def test_an_answer_is_applied_at_the_crops_own_size(face, picture, side):
    grown = warp(picture, np.array([[side / 256, 0, 0], [0, side / 256, 0]]), side, side)
    large = np.random.default_rng(1).uniform(0.2, 0.6, (side, side, 3)).astype(np.float32)
    nothing = np.zeros((side, side), np.float32)
    made = view.Draft(large, nothing, nothing, nothing, large, Field(face.landmarks, side, side))
    matrix = view.square(face.landmarks * np.float32(side / 256))
    light = np.zeros((view.LIGHT_PX, view.LIGHT_PX, 6), np.float32)
    detail = np.zeros((view.SIDE_PX, view.SIDE_PX, 3), np.float32)
    assert np.allclose(view.corrected(made, light, detail, matrix), large, atol=1e-6)
    light[..., :3], light[..., 3:], detail[...] = 0.25, 0.05, -0.02
    expected = large * 1.25 + 0.05 - 0.02
    assert np.allclose(view.corrected(made, light, detail, matrix), expected, atol=1e-5)
    assert grown.shape == large.shape


def test_an_answer_lies_where_the_network_saw_it(face):
    """A spot in the detail comes to the place of the crop that it was shown for."""
    matrix = view.square(face.landmarks * 2)
    x, y = face.landmarks[mesh.NOSE[0], :2] * 2
    place = matrix @ (x, y, 1)
    rows, columns = np.indices((view.SIDE_PX, view.SIDE_PX))
    spot = np.exp(-((columns - place[0]) ** 2 + (rows - place[1]) ** 2) / (2 * 4**2))
    detail = np.repeat(spot[..., None], 3, 2).astype(np.float32) * 0.5
    light = np.zeros((view.LIGHT_PX, view.LIGHT_PX, 6), np.float32)
    blank = np.zeros((512, 512, 3), np.float32)
    field = Field(face.landmarks, 512, 512)
    made = view.Draft(blank, blank[..., 0], blank[..., 0], blank[..., 0], blank, field)
    found = view.corrected(made, light, detail, matrix)[..., 0]
    rows, columns = np.indices(found.shape)
    assert (columns * found).sum() / found.sum() == pytest.approx(x, abs=0.1)
    assert (rows * found).sum() / found.sum() == pytest.approx(y, abs=0.1)


def test_normals_are_of_unit_length_and_the_nose_points_to_the_camera(face, model_face):
    found = view.normals(face.landmarks)
    surface = found[: mesh.SURFACE_POINTS]
    assert np.allclose(np.linalg.norm(surface, axis=1), 1)
    assert found[4, 2] < -0.95
    assert found[234, 0] < -0.8
    assert found[454, 0] > 0.8
    turned = view.normals(model_face(40, unit_px=62).landmarks)
    # It looks to the image's right.
    assert turned[4, 0] > 0.4


def test_every_channel_has_a_name(face, picture):
    shown = view.shown_to_network(drafted(face, picture, picture), picture, np.eye(2, 3))
    assert shown.shape == (view.SIDE_PX, view.SIDE_PX, len(view.CHANNELS))
    assert shown.dtype == np.uint8


def test_what_is_laid_over_the_result_is_not_shown(face, picture):
    """Neither rims nor their colors: the network makes the face as if they were off."""
    photo = prepare_photo(Source(picture, face, SEEN))
    rims = np.zeros((256, 256), np.float32)
    for ring in (mesh.RIGHT_EYE, mesh.LEFT_EYE):
        x, y = np.round(face.landmarks[list(ring), :2].mean(0)).astype(int)
        cv2.circle(rims, (int(x), int(y)), 22, 1, 5)
    target = np.where(rims[..., None] > 0, 10, picture).astype(np.uint8)
    bare = view.draft(photo, picture, face.landmarks, face.landmarks, SEEN)
    worn = view.draft(photo, target, face.landmarks, face.landmarks, SEEN, rims)
    square = view.square(face.landmarks)
    shown = [
        view.shown_to_network(made, pixels, square).astype(int)
        for made, pixels in ((bare, picture), (worn, target))
    ]
    inside = warp(cv2.erode(bare.shown, np.ones((9, 9))), square, view.SIDE_PX, view.SIDE_PX) > 0.9
    assert np.abs(shown[0] - shown[1])[inside].max() <= 6


def test_color_is_the_bases_and_luma_the_networks(face):
    """A lash that the network made violet is as black as the source's, in its new light."""
    base = np.full((60, 60, 3), (0.7, 0.5, 0.4), np.float32)
    base[20:30] = (0.06, 0.05, 0.05)
    answered = base * np.float32(0.8)
    answered[20:30] += np.array([0.0, 0.0, 0.12], np.float32)
    none = base[..., 0]
    made = view.Draft(base, none, none, none, base, Field(face.landmarks, *none.shape[::-1]))
    found = view.in_base_color(made, answered)
    assert np.abs(found @ LUMA - answered @ LUMA).max() < 1e-5
    assert np.ptp(found[25, 25]) < 0.02
    # Skin has its hue, a little paler or stronger with its light.
    skin = found[50, 50] / found[50, 50].sum() - base[50, 50] / base[50, 50].sum()
    assert np.abs(skin).max() < 0.01
