"""The detector's rows of the table, in a world where a face is a disc of one color."""

from __future__ import annotations

import zipfile

import cv2
import numpy as np
import pytest

from sosie.analysis.detector import MIN_SCORE, Detected
from sosie.datasets.split import is_held_out
from sosie.recipes.detector import evaluate as measured
from sosie.recipes.detector.pictures import Labels
from sosie.recipes.teachers import FoundBoxes
from sosie.training.recipe import Materials

INK = np.array([250, 0, 250])


def ellipses(pixels):
    """Boxes and points of the discs of a picture."""
    mask = (np.abs(pixels.astype(int) - INK) < 60).all(2).astype(np.uint8)
    _, _, rows, _ = cv2.connectedComponentsWithStats(mask)
    rows = rows[1:][rows[1:, 4] > 60]
    boxes = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4] - 1], 1).astype(np.float32)
    share = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)], np.float32)
    return boxes, boxes[:, None, :2] + share * (boxes[:, 2:] - boxes[:, :2])[:, None]


class Teacher:
    """Stands for YuNet: sees upright ellipses alone, as it sees upright faces."""

    def __init__(self, *_):
        self.pictures = []

    def detect(self, pixels):
        self.pictures.append(pixels)
        boxes, points = ellipses(pixels)
        return FoundBoxes(boxes, points, np.full(len(boxes), 0.9, np.float32))


class Finder:
    """A detector that finds every disc, moved by some pixels, and others of the scores that it is
    told."""

    def __init__(self, off_px=0.0, false=()):
        self.off_px, self.false = off_px, false

    def detect(self, pixels, min_score=MIN_SCORE):
        boxes, points = ellipses(pixels)
        found = [
            Detected(box + self.off_px, five + self.off_px, 0.9)
            for box, five in zip(boxes, points, strict=True)
        ]
        nowhere = np.array([0, 0, 9, 9], np.float32)
        false = [score for score in self.false if score >= min_score]
        return found + [Detected(nowhere, np.zeros((5, 2), np.float32), score) for score in false]


@pytest.fixture(scope="module")
def materials(tmp_path_factory):
    """The pictures of 30 people, one in five of them held out, and three empty archives."""
    folder = tmp_path_factory.mktemp("data")
    for archive in ("lfw-0.zip", "celeba-0.zip", "hires.zip", "youtube_faces_68.zip"):
        with zipfile.ZipFile(folder / archive, "w") as opened:
            for number in range(30 if archive == "lfw-0.zip" else 0):
                pixels = np.full((130, 150, 3), 100, np.uint8)
                # Small discs, whose recall is not asked for, are there too.
                cv2.ellipse(pixels, (70, 60), (22, 28), 0, 0, 360, INK.tolist(), -1)
                cv2.circle(pixels, (130, 110), 8, INK.tolist(), -1)
                name = f"Person_{number}/Person_{number}_0001.webp"
                lossless = [cv2.IMWRITE_WEBP_QUALITY, 101]
                encoded = cv2.imencode(".webp", pixels[:, :, ::-1], lossless)[1]
                opened.writestr(name, encoded.tobytes())
    return Materials(folder, folder, folder, workers=0)


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setattr(measured, "YuNet", Teacher)
    monkeypatch.setattr(measured, "faceless_files", lambda _: [])


HELD_OUT = sum(is_held_out(f"lfw/Person_{number}") for number in range(30))


def test_a_detector_that_sees_all_finds_all(world, materials):
    ours, theirs = measured.count(Finder(), materials, None)
    assert ours.upright.faces == HELD_OUT > 3
    assert ours.upright.percent == 100
    third = (HELD_OUT + 2) // 3
    for counts in (ours, theirs):
        shown = (counts.turned, counts.small, counts.filling)
        assert [one.faces for one in shown] == [HELD_OUT, third, third]
        assert [one.percent for one in shown] == [100] * 3
        assert counts.false_boxes == 0
        assert counts.pictures_without == third
    assert max(ours.upright.point_errors) < 0.01


def test_a_detector_that_is_off_finds_none(world, materials):
    near, _ = measured.count(Finder(off_px=6), materials, 2)
    far, _ = measured.count(Finder(off_px=20), materials, 2)
    assert near.upright.percent == 100 and far.upright.percent == 0
    # The points are as far off as the box: 6 px each way, of sides of 45 and 57 px.
    assert near.upright.point_errors[0] == pytest.approx(6 * 2**0.5 / (44 * 56) ** 0.5, rel=0.03)


def test_false_boxes_are_counted_in_pictures_without_faces(world, materials):
    ours, _ = measured.count(Finder(false=(0.9, 0.8, MIN_SCORE, 0.2)), materials, None)
    assert ours.false_boxes == 3 * ours.pictures_without
    assert ours.upright.percent == 100
    assert len(ours.false_scores) == 4 * ours.pictures_without


def test_recall_is_also_told_at_the_score_of_few_false_boxes(world, materials):
    """Every disc scores 0.9."""
    for score, recall in ((0.85, 100), (0.95, 0)):
        ours, theirs = measured.count(Finder(false=(score,)), materials, None)
        assert ours.recall_at(1.0) == recall
        assert ours.recall_at(100.0) == 100, "so many may be false"
        assert theirs.recall_at(1.0) == 100
    off, _ = measured.count(Finder(off_px=20), materials, None)
    assert off.recall_at(1.0) == 0


def test_a_share_of_the_faces_is_found_at_a_score():
    counts = measured.Counts(pictures_without=200, scores=[0.9, 0.7, 0.5, 0.0])
    counts.false_scores = [0.95, 0.8, 0.6, 0.4]
    assert [counts.recall_at(share) for share in (0.4, 0.5, 1.0, 1.5, 2.0)] == [0, 25, 50, 75, 75]


def test_the_limit_is_of_pictures(world, materials):
    assert measured.count(Finder(), materials, 2)[0].upright.faces == 2


def test_only_held_out_people_are_looked_at(materials):
    assert len(list(measured.held_out_pictures(materials.data, None))) == HELD_OUT


def test_the_rows_have_the_bounds_that_were_asked_for(world, materials, monkeypatch):
    monkeypatch.setattr(measured, "read_embedded", lambda _: b"")
    monkeypatch.setattr(measured, "create_session", lambda *_, **__: None)
    monkeypatch.setattr(measured, "Detector", lambda _: Finder(false=(0.8,)))
    rows = measured.measure(materials, None)
    assert [row.bound for row in rows if row.bound is not None] == [98.0, 95.0, 1.0]
    assert [row.hit for row in rows if row.bound is not None] == [True, True, False]
    assert rows[2].value == 100


@pytest.mark.parametrize("angle_deg", [0, 30, 90, 137, 270])
def test_a_turned_picture_keeps_all_its_pixels_and_labels(angle_deg):
    pixels = np.full((60, 100, 3), 90, np.uint8)
    cv2.ellipse(pixels, (70, 30), (14, 20), 0, 0, 360, INK.tolist(), -1)
    boxes, points = ellipses(pixels)
    labels = Labels(boxes, points, np.ones(1, bool))
    picture, faces = measured.turned(pixels, labels, angle_deg)
    assert np.allclose(faces.boxes, ellipses(picture)[0], atol=1.6)
    assert abs((picture > 40).any(2).sum() - 6000) < 330
    # Clockwise: what was at the image's right of the left eye is then below it.
    eyes = faces.points5[0, 1] - faces.points5[0, 0]
    tilt = np.degrees(np.arctan2(eyes[1], eyes[0]))
    assert abs((tilt - angle_deg + 180) % 360 - 180) < 1
