"""A photo moved by made-up networks that tell what they were given: see `portrait_files`."""

from __future__ import annotations

import numpy as np
import pytest
from tests.fixtures.portrait import EXPRESSION

from sosie.errors import InputError, UsageError
from sosie.geometry import mesh
from sosie.geometry.alignment import invert, transform_points
from sosie.reenactment.base import DrivingFrame
from sosie.reenactment.options import ReenactOptions
from sosie.reenactment.portrait.crop import portrait_matrix
from sosie.reenactment.portrait.motion import EYES, LIPS, POINTS, eye_ratios, lip_ratio
from sosie.reenactment.portrait.reenactor import PortraitReenactor


def frame_of(face, red: float = 0.3, side_px: int = 320) -> DrivingFrame:
    pixels = np.full((side_px, side_px, 3), (0, 128, 90), np.uint8)
    pixels[..., 0] = round(red * 255)
    return DrivingFrame(pixels, face)


@pytest.fixture(scope="module")
def photo(model_face, source_of):
    """A photo without detail that coarse networks would lose."""
    across = np.linspace(60, 160, 256, dtype=np.float32)
    red, green = np.meshgrid(across, across)
    pixels = np.dstack([red, green, np.full_like(red, 90)]).astype(np.uint8)
    pixels.setflags(write=False)
    return source_of(pixels, model_face(unit_px=30, roll=12))


@pytest.fixture(scope="module")
def driver(model_face):
    return model_face(unit_px=60, center=(160, 160))


def make(folder, **options) -> PortraitReenactor:
    given = {"stitch": False, "threads": 1, **options}
    return PortraitReenactor(ReenactOptions(method="portrait", weights=str(folder), **given))


def lighter(reenactor: PortraitReenactor, photo, first, now) -> float:
    """By how much the middle of the face became lighter: 0..1."""
    state = reenactor.start(photo, first)
    made = reenactor.move(state, now)
    assert made.shape == photo.pixels.shape
    assert made.dtype == photo.pixels.dtype
    top = np.iinfo(made.dtype).max
    change = (made.astype(float) - photo.pixels) / top
    return float(np.median(change[118:138, 118:138]))


def test_a_driver_at_rest_leaves_the_photo(portrait_files, photo, driver):
    for form in ("circulating", "imported", "bins"):
        reenactor = make(portrait_files(form))
        frame = frame_of(driver)
        made = reenactor.move(reenactor.start(photo, frame), frame)
        assert np.abs(made.astype(int) - photo.pixels).max() <= 2


def test_only_the_crop_changes_and_softly(portrait_files, photo, driver):
    reenactor = make(portrait_files())
    state = reenactor.start(photo, frame_of(driver))
    made = reenactor.move(state, frame_of(driver, red=1.0))
    change = np.abs(made.astype(int) - photo.pixels).max(2)
    there = transform_points(
        np.argwhere(np.ones(change.shape))[:, ::-1], portrait_matrix(photo.face)
    ).reshape(*change.shape, 2)
    inside = ((there >= -0.5) & (there <= 511.5)).all(2)
    assert not change[~inside].any()
    assert change[128, 128] >= 15
    near_edge = inside & (np.minimum(there, 511 - there).min(2) < 8)
    assert change[near_edge].max() <= 2


def test_relative_motion_is_the_change_since_the_first_frame(portrait_files, photo, driver):
    reenactor = make(portrait_files())
    first, now = frame_of(driver, 0.2), frame_of(driver, 0.8)
    assert lighter(reenactor, photo, first, now) == pytest.approx(0.6 * EXPRESSION, abs=0.004)
    assert lighter(reenactor, photo, now, now) == pytest.approx(0, abs=0.004)
    half = make(portrait_files(), expression=0.5)
    assert lighter(half, photo, first, now) == pytest.approx(0.3 * EXPRESSION, abs=0.004)


def test_absolute_motion_is_the_drivers_own(portrait_files, photo, driver):
    reenactor = make(portrait_files(), motion="absolute", pose=0)
    now = frame_of(driver, 1.0)
    own = photo.pixels[96:160, 96:160, 0].mean() / 255
    expected = pytest.approx((1 - own) * EXPRESSION, abs=0.006)
    assert lighter(reenactor, photo, now, now) == expected
    assert lighter(reenactor, photo, frame_of(driver, 0.1), now) == expected


def test_stitching_has_the_last_word(portrait_files, photo, driver):
    frame = frame_of(driver)
    reenactor = make(portrait_files(), stitch=True)
    assert lighter(reenactor, photo, frame, frame) == pytest.approx(0.04, abs=0.004)


def opened(face_of, ring, by: float):
    """A face whose upper lids, or upper lip, are raised by a share of a unit."""
    change = np.zeros((478, 3))
    change[ring, 1] = -by
    return face_of(unit_px=60, center=(160, 160), change=change)


@pytest.mark.parametrize(
    ("option", "points", "keypoints"),
    [("lips", [13], LIPS), ("eyes", [159, 386], EYES)],
)
def test_eyes_and_lips_open_as_far_as_the_drivers(
    option, points, keypoints, portrait_files, photo, driver, model_face
):
    wide = opened(model_face, points, 0.2)

    def ratio(face):
        read = eye_ratios if option == "eyes" else lip_ratio
        return float(np.mean(read(face.landmarks)))

    wanted = ratio(wide) - ratio(photo.face)
    assert wanted > 0.1
    reenactor = make(portrait_files(), retarget=option)
    first = frame_of(driver, 0.2)
    assert lighter(reenactor, photo, first, frame_of(wide, 0.2)) == pytest.approx(wanted, abs=0.005)
    # The rest of the face moves as it does without.
    share = 1 - len(keypoints) / POINTS
    found = lighter(reenactor, photo, first, frame_of(wide, 0.8))
    assert found == pytest.approx(wanted + 0.6 * EXPRESSION * share, abs=0.005)


def test_deep_color_and_a_face_at_the_edge(portrait_files, photo, driver, model_face, source_of):
    deep = np.uint16(257) * photo.pixels.astype(np.uint16)
    whole = source_of(deep, photo.face)
    first, now = frame_of(driver, 0.2), frame_of(driver, 0.8)
    reenactor = make(portrait_files())
    assert lighter(reenactor, whole, first, now) == pytest.approx(0.06, abs=0.004)
    cut = source_of(photo.pixels, model_face(unit_px=30, center=(10, 240)))
    made = reenactor.move(reenactor.start(cut, first), now)
    assert made.shape == photo.pixels.shape
    assert abs(int(made[240, 10].max()) - int(photo.pixels[240, 10].max()) - 15) <= 2
    assert np.array_equal(made[:, 200:], photo.pixels[:, 200:])


def test_the_driver_is_cut_where_its_first_frame_is(portrait_files, photo, driver, model_face):
    """Its crop does not follow it: a head that moves does so in its crop."""
    frame = frame_of(driver, 0.2)
    pixels = frame.pixels.copy()
    pixels[:, 240:, 0] = 255
    moved = model_face(unit_px=60, center=(400, 160))
    reenactor = make(portrait_files())
    here = lighter(reenactor, photo, frame, DrivingFrame(pixels, driver))
    there = lighter(reenactor, photo, frame, DrivingFrame(pixels, moved))
    assert here == there > 0.01


def test_the_crop_is_upright_about_the_head(model_face):
    face = model_face(unit_px=40, roll=25, center=(300, 200))
    matrix = portrait_matrix(face)
    there = transform_points(face.points5, matrix)
    eyes, mouth = there[:2].mean(0), there[3:].mean(0)
    assert eyes[0] == pytest.approx(mouth[0], abs=1e-3)
    assert mouth[1] > eyes[1]
    low, high = (
        pick(transform_points(face.landmarks, matrix)[list(mesh.ANNOTATED), :2], 0)
        for pick in (np.min, np.max)
    )
    assert (high - low).max() == pytest.approx(512 / 2.3, abs=1e-2)
    assert np.allclose((low + high) / 2, [255.5, 255.5 + 0.125 * 512], atol=1e-2)
    straight = portrait_matrix(face, upright=False)
    assert straight[0, 1] == straight[1, 0] == 0
    back = invert(straight)
    assert back[0, 0] == back[1, 1] > 0


def test_files_that_options_need_are_asked_for(tmp_path, portrait_files):
    for file in portrait_files().iterdir():
        if file.stem in ("appearance", "motion", "generator"):
            (tmp_path / file.name).symlink_to(file)
    assert len(make(tmp_path).providers) == 3
    for options, words in (
        ({"stitch": True}, "stitching network"),
        ({"retarget": "lips"}, "network for the lips"),
        ({"retarget": "eyes, lips"}, "network for the eyes and network for the lips"),
    ):
        with pytest.raises(InputError, match=rf"LivePortrait's .*{words}: it has appearance"):
            make(tmp_path, **options)
    with pytest.raises(UsageError, match=r"needs LivePortrait's files: add --weights FOLDER"):
        PortraitReenactor(ReenactOptions(method="portrait"))
