"""A source photo made ready: the face in every size at its place, and what of it can be trusted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from sosie.geometry import mesh
from sosie.geometry.morphable_model import face_shape
from sosie.methods.base import Source
from sosie.methods.graft.source_texture import prepare_photo
from sosie.types import Face

ModelFace = Callable[..., Face]
SourceOf = Callable[..., Source]
SHAPE = face_shape()


@pytest.mark.parametrize("side", [400, 403])
@pytest.mark.parametrize("unit_px", [40.0, 91.3])
def test_the_face_is_at_its_place_in_every_size(
    model_face: ModelFace, source_of: SourceOf, side: int, unit_px: float
) -> None:
    """A soft spot at a landmark, found again by its center of mass."""
    face = model_face(unit_px=unit_px, center=(side / 2 + 0.3, side / 2 - 5))
    rows, columns = np.indices((side, side))
    for point in (152, 454, 10, 4):
        x, y = face.landmarks[point, :2]
        spot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * (0.08 * unit_px) ** 2))
        pixels = np.repeat(np.rint(spot[..., None] * 60000).astype(np.uint16), 3, 2)
        photo = prepare_photo(source_of(pixels, face))
        assert len(photo.levels) == len(photo.scales) > 4
        for level, (image, scale) in enumerate(zip(photo.levels, photo.scales, strict=True)):
            weights = image[..., 0].astype(np.float64)
            ys, xs = np.indices(weights.shape)
            found = np.array([(xs * weights).sum(), (ys * weights).sum()]) / weights.sum()
            off = np.hypot(*(found - photo.points_at(level)[point]))
            # A tenth of a pixel of that size, or of the photo.
            assert off < 0.1 * max(scale, 1), (point, level)


def test_every_size_is_free_of_aliases(model_face: ModelFace, source_of: SourceOf) -> None:
    side = 400
    row = (np.arange(side) % 2 * 200 + 20).astype(np.uint8)
    stripes = np.tile(row[None, :, None], (side, 1, 3))
    face = model_face(unit_px=90, center=(200, 200))
    photo = prepare_photo(source_of(stripes, face))
    assert photo.levels[0][..., 0].std() > 99
    for image, scale in zip(photo.levels[1:], photo.scales[1:], strict=True):
        gray = image[3:-3, 3:-3, 0].astype(float)
        assert gray.std() < (25 if scale > 0.6 else 3)
        assert gray.mean() == pytest.approx(120, abs=2)


def test_the_size_that_is_taken_has_all_the_detail_needed(
    model_face: ModelFace, source_of: SourceOf
) -> None:
    face = model_face(unit_px=80)
    photo = prepare_photo(source_of(np.zeros((256, 256, 3), np.uint8), face))
    assert photo.scale == pytest.approx(80, rel=1e-3)
    assert photo.level_for(200.0) == photo.level_for(80.0) == 0
    for unit_px in (60.0, 41.0, 20.0, 11.0):
        size = photo.scales[photo.level_for(unit_px)] * 80
        assert unit_px <= size < 1.45 * unit_px
    assert photo.level_for(1.0) == len(photo.levels) - 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_photos_depth_is_kept(model_face: ModelFace, source_of: SourceOf, dtype: type) -> None:
    top = np.iinfo(dtype).max
    pixels = np.full((256, 256, 3), top // 3, dtype)
    visible = np.full((256, 256), 0.5, np.float32)
    photo = prepare_photo(source_of(pixels, model_face(unit_px=60), visible))
    for image in photo.levels:
        assert image.dtype == dtype
        assert image.shape[2] == 4
        assert np.abs(image[..., :3].astype(int) - top // 3).max() <= 1
        assert np.abs(image[..., 3].astype(int) - top / 2).max() <= 1


def test_a_face_from_the_front_is_trusted_as_it_is(
    model_face: ModelFace, source_of: SourceOf
) -> None:
    photo = prepare_photo(source_of(np.zeros((256, 256, 3), np.uint8), model_face(unit_px=60)))
    surface = photo.direct[: mesh.SURFACE_POINTS]
    assert surface.mean() > 0.97
    assert photo.other.max() < 0.2


@pytest.mark.parametrize("yaw", [6, -6, 11])
def test_a_crease_in_a_face_that_is_hardly_turned_is_its_own(
    model_face: ModelFace, source_of: SourceOf, yaw: float
) -> None:
    """Beside the nostril: the mirror side, lit from elsewhere, would be a bright line there."""
    face = model_face(yaw, unit_px=60)
    photo = prepare_photo(source_of(np.zeros((256, 256, 3), np.uint8), face))
    creases = [49, 102, 129, 209, 279, 331, 358, 429]
    assert photo.direct[creases].min() > 0.9
    assert photo.other[creases].max() < 0.1


@pytest.mark.parametrize("yaw", [55, -55])
def test_what_is_turned_away_is_taken_from_the_other_side(
    model_face: ModelFace, source_of: SourceOf, yaw: float
) -> None:
    face = model_face(yaw, unit_px=60)
    photo = prepare_photo(source_of(np.zeros((256, 256, 3), np.uint8), face))
    assert photo.has_other
    near, far = (50, 280) if yaw > 0 else (280, 50)
    assert photo.direct[near] > 0.95
    assert photo.other[near] < 0.05
    assert photo.direct[far] < 0.05
    assert photo.other[far] > 0.95
    assert ((photo.direct + photo.other) <= 1 + 1e-6).all()


def test_a_face_at_the_photos_edge(model_face: ModelFace, source_of: SourceOf) -> None:
    face = model_face(unit_px=60, center=(20, 240))
    pixels = np.zeros((256, 256, 3), np.uint8)
    pixels[200, 30] = 255
    photo = prepare_photo(source_of(pixels, face))
    shift = photo.landmarks[0, :2] - face.landmarks[0, :2]
    column, row = np.round(np.array([30, 200]) + shift).astype(int)
    assert photo.levels[0][row, column, 0] == 255
