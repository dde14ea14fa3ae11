"""Maps of regions: what is where in a face, and what a swap takes of two."""

from __future__ import annotations

import numpy as np
import pytest

from sosie.analysis.parser import SIDE_PX, FaceParts, square_matrix
from sosie.errors import UsageError
from sosie.geometry import alignment, mesh
from sosie.geometry.head_pose import region_of
from sosie.geometry.morphable_model import face_shape, silhouette
from sosie.methods.e4s.regions import (
    CHOICES,
    REGIONS,
    changed,
    meant,
    one_hot,
    recomposed,
    regions_of,
    taken,
)
from sosie.options import FACE_REGIONS, WHOLE_REGIONS, SwapOptions

NUMBER = {name: number for number, name in enumerate(REGIONS)}
SKIN = (200, 150, 120)


def parts_of(face, **planes):
    """What a parser tells of a bare face with ears, and of what is laid over it."""
    points = alignment.transform_points(face.landmarks, square_matrix(region_of(face.landmarks)))
    shown = silhouette(points, SIDE_PX, SIDE_PX) > 0
    y, x = points[mesh.ANNOTATED[30], 1], points[:, 0]
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX]
    shown |= (np.abs(rows - y) < 12) & (columns > x.min() - 14) & (columns < x.max() + 14)
    told = {name: np.zeros((SIDE_PX, SIDE_PX), np.float32) for name in FaceParts.__annotations__}
    told["skin"] = shown.astype(np.float32)
    for name, where in planes.items():
        if name != "lens_opacity":
            told["skin"][where] = 0
        told[name][where] = 1
    told["beyond"] = 1 - sum(told[k] for k in ("skin", "hair", "frame", "lens", "hat", "thing"))
    return FaceParts(**told)


def shut():
    """The mean face's mouth, which is open a little, shut."""
    change, (lower, upper) = np.zeros((478, 3)), mesh.edges(mesh.INNER_LIPS)
    mean = face_shape().mean
    change[lower] = mean[upper] - mean[lower]
    return change


@pytest.fixture
def face(model_face):
    return model_face(unit_px=45, change=shut())


def map_of(face, pixels, **planes):
    back = alignment.invert(square_matrix(region_of(face.landmarks)))
    return regions_of([(parts_of(face, **planes), back)], face.landmarks, pixels)


def at(regions, place):
    x, y = np.rint(place[:2]).astype(int)
    return REGIONS[regions[y, x]]


def test_each_region_is_where_the_face_has_it(face, paint):
    pixels = paint(face, SKIN)
    chin = face.landmarks[152]
    pixels[int(chin[1]) :, 108:148] = (190, 140, 112)
    found = map_of(face, pixels)
    points = face.landmarks
    assert at(found, points[1]) == "nose"
    for iris in (mesh.RIGHT_IRIS, mesh.LEFT_IRIS):
        assert at(found, points[iris[0]]) == "eyes"
    for brow in (mesh.RIGHT_BROW, mesh.LEFT_BROW):
        assert at(found, points[list(brow)].mean(0)) == "brows"
    assert at(found, points[[17, 14]].mean(0)) == "lips"
    for cheek in (50, 280):
        assert at(found, points[cheek]) == "skin"
    middle = points[:, 1].mean()
    for edge, way in ((points[:, 0].min(), -6), (points[:, 0].max(), 6)):
        assert at(found, (edge + way, middle)) == "ears"
    assert at(found, (chin[0], chin[1] + 15)) == "neck"
    # The same place in another color is background.
    assert at(map_of(face, paint(face, SKIN)), (chin[0], chin[1] + 15)) == "background"
    assert at(found, (5, 5)) == "background"


def test_a_mouth_is_there_when_it_is_open(face, model_face, paint):
    change = np.zeros((478, 3))
    change[mesh.edges(mesh.INNER_LIPS)[0], 1] = 0.25
    opened = model_face(unit_px=45, change=change)
    inside = opened.landmarks[[13, 14]].mean(0)
    assert at(map_of(opened, paint(opened, SKIN)), inside) == "mouth"
    for side in (64, 256):
        scale = alignment.resize_matrix(side / 256)
        points = alignment.transform_points(face.landmarks, scale)
        small = np.full((side, side, 3), 90, np.uint8)
        back = alignment.compose(scale, alignment.invert(square_matrix(region_of(face.landmarks))))
        found = regions_of([(parts_of(face), back)], points, small)
        assert (found == NUMBER["mouth"]).mean() < 0.1 * (found == NUMBER["lips"]).mean()


def test_hair_and_rims_lie_before_what_they_hide_and_clear_lenses_do_not(face, paint):
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX]
    points = alignment.transform_points(face.landmarks, square_matrix(region_of(face.landmarks)))
    fringe = rows < points[list(mesh.RIGHT_BROW), 1].max() + 2
    eye = points[mesh.RIGHT_IRIS[0]]
    lens = np.hypot(rows - eye[1], columns - eye[0]) < 12
    pixels, right = paint(face, SKIN), face.landmarks[mesh.RIGHT_IRIS[0]]
    found = map_of(face, pixels, hair=fringe, lens=lens)
    assert at(found, face.landmarks[list(mesh.RIGHT_BROW)].mean(0)) == "hair"
    assert at(found, right) == "eyes"
    dark = map_of(face, pixels, lens=lens, lens_opacity=lens)
    assert at(dark, right) == "spectacles"


def test_what_lies_beyond_the_first_square_is_told_by_the_next(face, paint):
    whole = parts_of(face)
    hair = FaceParts(**{**vars(whole), "hair": np.ones_like(whole.hair), "skin": 0 * whole.skin})
    back = alignment.invert(square_matrix(region_of(face.landmarks)))
    wide = np.array([[1.0, 0, 0], [0, 1.0, 0]]) * 256 / SIDE_PX
    found = regions_of([(whole, back), (hair, wide)], face.landmarks, paint(face, SKIN))
    assert at(found, (3, 3)) == "hair"
    assert at(found, face.landmarks[1]) == "nose"


@pytest.fixture
def maps(model_face, paint):
    """A source with high brows, and a target."""
    change = shut()
    change[[*mesh.RIGHT_BROW, *mesh.LEFT_BROW], 1] = -0.15
    faces = [model_face(unit_px=45, change=one) for one in (change, shut())]
    return [map_of(one, paint(one, SKIN)) for one in faces]


def test_only_the_chosen_shapes_are_the_source_s(maps):
    source, target = maps
    made = recomposed(meant(["brows"]), source, target)
    brows = made == NUMBER["brows"]
    assert np.array_equal(brows, (source == NUMBER["brows"]) & (target != NUMBER["background"]))
    elsewhere = ~changed(meant(["brows"]), made, target)
    assert np.array_equal(made[elsewhere], target[elsewhere])
    assert (made[(target == NUMBER["brows"]) & ~brows] == NUMBER["skin"]).all()
    assert np.array_equal(recomposed(meant(["eyes"]), target, target), target)
    # Together they are the source's face in the target's outline.
    whole = recomposed(meant(["face"]), source, target)
    assert np.array_equal(whole == NUMBER["background"], target == NUMBER["background"])


def test_what_lies_before_the_target_s_face_stays_and_what_the_source_hides_too(maps):
    source, target = (one.copy() for one in maps)
    target[:110, 100:140] = NUMBER["hair"]
    made = recomposed(meant(["face"]), source, target)
    assert (made[:110, 100:140] == NUMBER["hair"]).all()
    source[source == NUMBER["brows"]] = NUMBER["hair"]
    made = recomposed(meant(["face"]), source, target)
    assert np.array_equal(made == NUMBER["brows"], target == NUMBER["brows"])


def test_hair_goes_with_its_shape_and_uncovers_what_was_beneath(maps):
    source, target = (one.copy() for one in maps)
    source[:90] = NUMBER["hair"]
    target[:70] = NUMBER["hair"]
    target[:, :60] = NUMBER["hair"]
    made = recomposed(meant(["hair"]), source, target)
    assert np.array_equal(made == NUMBER["hair"], source == NUMBER["hair"])
    assert (made[200:, :20] == NUMBER["background"]).all()


def test_looks_are_the_source_s_where_it_shows_them(maps):
    source, target = (one.copy() for one in maps)
    shares = dict(zip(REGIONS, taken(meant(["face"]), source, target).tolist(), strict=True))
    assert {shares[name] for name in ("lips", "brows", "eyes", "nose", "skin", "ears")} == {1.0}
    # It shows no teeth, and background, hair and what is worn are never a face's.
    assert {shares[name] for name in ("mouth", "background", "hair", "spectacles")} == {0.0}
    source[source == NUMBER["ears"]] = NUMBER["hair"]
    assert taken(meant(["ears"]), source, target)[NUMBER["ears"]] == 0.5
    target[target == NUMBER["ears"]] = NUMBER["hair"]
    assert taken(meant(["ears"]), source, target)[NUMBER["ears"]] == 0


def test_masks_have_one_region_at_each_place(maps):
    masks = one_hot(maps[0])
    assert masks.shape == (len(REGIONS), 256, 256)
    assert np.array_equal(masks.sum(0), np.ones((256, 256)))
    assert np.array_equal(masks.argmax(0), maps[0])


def test_a_user_names_regions_by_words_that_the_methods_know():
    assert set(CHOICES) == {*WHOLE_REGIONS, *FACE_REGIONS}
    assert SwapOptions(method="e4s", region="eyes, hair").regions() == ("eyes", "hair")
    for region, told in (
        ("teeth", "Unknown region 'teeth'"),
        ("", "Unknown region ''"),
        ("eyes,,nos", "Unknown region 'nos'"),
    ):
        with pytest.raises(UsageError, match=told):
            SwapOptions(method="e4s", region=region)
    with pytest.raises(UsageError, match="Unknown region 'eyes'"):
        SwapOptions(method="rsgan", region="eyes")
    with pytest.raises(UsageError, match="region belongs to the methods rsgan and e4s"):
        SwapOptions(region="hair")
