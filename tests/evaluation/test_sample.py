from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from sosie.analysis.analyzer import create_analyzer
from sosie.evaluation.metric import OWN, MissingFigureError
from sosie.evaluation.recognition import Judges
from sosie.evaluation.sample import (
    AnalyzedImage,
    Sample,
    changed_mask,
    find_face,
    identify,
    look_at,
    surroundings,
)


@pytest.fixture(scope="module")
def analyzer():
    return create_analyzer(1)


@pytest.fixture(scope="module")
def look(astronaut, analyzer):
    return look_at(astronaut, "astronaut", analyzer)


def noise(shape, level, seed=0):
    return np.random.default_rng(seed).integers(-level, level + 1, shape)


def test_identities_are_those_of_the_analyzer(look, astronaut, hopper, analyzer):
    other, blank = (
        look_at(hopper, "hopper", analyzer),
        AnalyzedImage(np.zeros((64, 64, 3), np.uint8), "", None),
    )
    again = identify([look, blank, other], analyzer, Judges())
    for one in (again[0], again[2]):
        wanted = analyzer.identify(one.pixels, one.face)
        assert np.allclose(one.identity[OWN], wanted, atol=1e-4)
        assert one.vectors["features"].ndim == 1
    assert again[1].vectors == {}


def test_an_analyzer_of_another_kind_is_asked_face_by_face(look, by_look):
    again = identify([replace(look, vectors={})], by_look, Judges())[0]
    assert by_look.identified == 1
    assert "features" not in again.vectors
    assert np.allclose(again.identity[OWN], by_look.identify(look.pixels, look.face))


def test_what_networks_said_is_told_apart_by_its_name(look):
    kept = {**look.vectors, "identity.arc": np.ones(2), "reading.mediapipe": np.ones(61)}
    again = AnalyzedImage(look.pixels, look.name, look.face, kept)
    assert list(again.identity) == [OWN, "arc"]
    assert np.array_equal(again.identity[OWN], look.identity[OWN])
    assert list(again.readings) == ["mediapipe"]
    assert AnalyzedImage(look.pixels, look.name, look.face).identity == {}


def test_the_largest_face_is_taken_or_the_one_nearby(look, astronaut, analyzer):
    height, width = astronaut.shape[:2]
    small = cv2.resize(astronaut, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    both = np.zeros((height, width + width // 2, 3), np.uint8)
    both[:, :width], both[: height // 2, width:] = astronaut, small
    assert look_at(both, "", analyzer).face.size_px == pytest.approx(look.face.size_px, rel=0.1)
    place = look_at(both[:, width:], "", analyzer).face
    shifted = look_at(np.roll(both, -width, 1), "", analyzer, near=place).face
    assert shifted.size_px == pytest.approx(look.face.size_px / 2, rel=0.15)


def test_no_face_is_said(analyzer):
    blank = look_at(np.full((120, 120, 3), 90, np.uint8), "wall.png", analyzer)
    assert blank.face is None and blank.identity == {}
    with pytest.raises(MissingFigureError, match=r"No face was found in wall\.png"):
        _ = blank.inside
    assert find_face(blank.pixels, analyzer, None) is None


def test_surroundings_are_cut_at_the_edges_and_never_empty(model_face):
    face = model_face(unit_px=20, center=(50, 50))
    rows, columns = surroundings(face, 400, 300, 2.0)
    x, y = face.center
    assert rows == slice(
        int(y - face.size_px) if y > face.size_px else 0, int(y + face.size_px) + 1
    )
    assert columns == slice(0, int(x + face.size_px) + 1)
    for center in ((-500, 40), (900, 40), (50, 900)):
        rows, columns = surroundings(model_face(unit_px=20, center=center), 400, 300)
        assert 0 <= rows.start < rows.stop <= 300 and 0 <= columns.start < columns.stop <= 400


def test_in_a_lossless_result_every_pixel_counts(look):
    result = look.pixels.copy()
    x, y = map(int, look.face.center)
    result[y : y + 5, x : x + 7] ^= 1
    changed = changed_mask(look, AnalyzedImage(result, "", look.face))
    assert changed.sum() == 35 and changed[y : y + 5, x : x + 7].all()


def test_compression_is_no_change(look):
    x, y = map(int, look.face.center)
    grain = np.clip(look.pixels + noise(look.pixels.shape, 4), 0, 255).astype(np.uint8)
    grain[y - 20 : y + 20, x - 20 : x + 20] = 0
    changed = changed_mask(look, AnalyzedImage(grain, "", look.face))
    assert changed[y - 18 : y + 18, x - 18 : x + 18].all()
    assert changed.sum() < 1.2 * 40 * 40
    encoded = cv2.imdecode(cv2.imencode(".jpg", look.pixels)[1], cv2.IMREAD_COLOR)
    assert changed_mask(look, AnalyzedImage(encoded, "", look.face)).mean() < 0.01


def test_the_window_holds_the_face_and_all_that_changed(look):
    result = look.pixels.copy()
    result[3, 500] ^= 255
    sample = Sample(look, look, AnalyzedImage(result, "", look.face))
    rows, columns = sample.window
    assert rows.start <= 3 and columns.stop > 500
    assert sample.inside[rows, columns].sum() == sample.inside.sum() > 0
    plain = Sample(look, look, look)
    assert not plain.changed.any()
    assert plain.window == surroundings(look.face, 512, 512)


def test_pictures_of_two_sizes(look):
    other = Sample(look, look, AnalyzedImage(look.pixels[:300, :400], "", look.face))
    assert other.changed is None
    for part in ("inside", "window"):
        with pytest.raises(MissingFigureError, match="512 x 512 px and the result of 400 x 300"):
            getattr(other, part)
