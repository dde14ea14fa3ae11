"""Coverage of what a set shows, and the page that tells it."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from sosie.analysis.landmarker import EXPRESSIONS
from sosie.datasets import coverage
from sosie.datasets.coverage import KINDS, LIGHTS, PITCHES, YAWS, cover, wishes
from sosie.datasets.report import contact_sheet, examine, render, spread, write_report
from sosie.errors import NoFaceError


def faces(number, yaw=0.0, pitch=0.0, side=0.0, light=0.5, sharp=0.1, scale=1.0, **weights):
    """So many faces of one kind, as columns."""
    expression = np.zeros((number, 52), np.float32)
    for name, value in weights.items():
        expression[:, EXPRESSIONS.index(name)] = value
    columns = {"yaw": yaw, "pitch": pitch, "side_light": side, "brightness": light}
    table = {name: np.full(number, value) for name, value in columns.items()}
    matrix = np.tile([[scale, 0, 0], [0, scale, 0]], (number, 1, 1))
    return {
        **table,
        "sharpness": np.full(number, sharp),
        "matrix": matrix,
        "expression": expression,
    }


def joined(*tables):
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (("front", "calm", "even"), {}),
        (("far left", "calm", "even"), {"yaw": -60}),
        (("right", "calm", "even"), {"yaw": 20}),
        (("front", "mouth open", "even"), {"jawOpen": 0.5, "mouthSmileLeft": 1}),
        (("front", "eyes shut", "even"), {"eyeBlinkLeft": 0.9, "eyeBlinkRight": 0.8}),
        (("front", "smile", "even"), {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.6}),
        (("front", "brows", "even"), {"browInnerUp": 0.6}),
        (("front", "calm", "from left"), {"side": -0.3}),
        (("front", "calm", "from right"), {"side": 0.3}),
        (("front", "calm", "dark"), {"side": 0.3, "light": 0.1}),
    ],
)
def test_a_face_counts_where_it_belongs(kind, options):
    cells = cover(faces(1, **options)).cells
    place = YAWS.index(kind[0]), KINDS.index(kind[1]), LIGHTS.index(kind[2])
    assert cells[place] == cells.sum() == 1


def test_completeness_by_its_formula():
    """Ten faces of one kind fill 1 of 15 poses, 1 of 5 expressions and 1 of 4 lights."""
    covered = cover(joined(faces(10), faces(5, pitch=-20)))
    expected = 0.4 * 1.5 / 15 + 0.25 * 1 / 5 + 0.2 * 1 / 4 + 0.15
    assert covered.completeness == pytest.approx(100 * expected)
    assert sum(coverage.PARTS.values()) == pytest.approx(1)
    blurred = cover(joined(faces(10, sharp=0.03), faces(10, scale=1.6)))
    assert blurred.parts["quality"] == 0


def test_nothing_is_wished_of_a_complete_person():
    poses = [faces(10, yaw=y, pitch=p) for y in (-60, -30, 0, 30, 60) for p in (-20, 0, 20)]
    kinds = [
        faces(10, jawOpen=1), faces(10, browInnerUp=1),
        faces(10, eyeBlinkLeft=1, eyeBlinkRight=1), faces(10, mouthSmileLeft=1, mouthSmileRight=1),
    ]  # fmt: skip
    lights = [faces(10, side=-1), faces(10, side=1), faces(10, light=0)]
    whole = joined(*poses, *kinds, *lights)
    assert cover(whole).completeness == pytest.approx(100)
    assert wishes(cover(whole)) == []
    most = joined(*poses[:-1], *kinds, *lights)
    (wish,) = wishes(cover(most))
    assert "profile to the picture's right, looking down" in wish.text
    assert (wish.missing, wish.gain) == (10, pytest.approx(100 * 0.4 / 15))


def test_a_wish_gains_what_it_says():
    start = faces(10)
    before = cover(start)
    best = wishes(before)[0]
    assert "open mouth" in best.text
    after = cover(joined(start, faces(best.missing, jawOpen=1)))
    assert after.completeness == pytest.approx(before.completeness + best.gain)


def test_nobody_has_no_faces():
    assert cover(faces(0)).completeness == 0


def test_the_sheet_spreads_over_the_range():
    figures = np.array([[0.0], [0.1], [0.05], [9], [-9], [0.02]])
    assert set(spread(figures, 3)) >= {3, 4}
    assert len(spread(np.zeros((4, 2)), 3)) == 1
    assert spread(np.zeros((0, 2)), 3) == []


def test_the_sheet_shows_its_pictures(tmp_path):
    paths = [tmp_path / f"{k}.png" for k in range(3)]
    for path, color in zip(paths, [(200, 0, 0), (0, 200, 0), (0, 0, 200)], strict=True):
        Image.new("RGB", (40, 40), color).save(path)
    paths[1].write_bytes(b"broken")
    address, width, height = contact_sheet(paths, 2)
    data = base64.b64decode(address.removeprefix("data:image/jpeg;base64,"))
    sheet = np.array(Image.open(io.BytesIO(data))).astype(int)
    assert sheet.shape == (height, width, 3) == (176, 176, 3)
    assert np.abs(sheet[44, 44] - (200, 0, 0)).max() < 12
    assert np.abs(sheet[132, 44] - (0, 0, 200)).max() < 12
    assert np.abs(sheet[44, 132] - (236, 234, 228)).max() < 6


class Reader(HTMLParser):
    """Tags that are open, everything that is loaded, and the text."""

    def __init__(self):
        super().__init__()
        self.open, self.loaded, self.words = [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img", "rect", "link"):
            self.open.append(tag)
        self.loaded += [value for name, value in attrs if name in ("src", "href")]

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def page(people, face_set):
    identities, names = people({"anna <b>&": 9, "ben": 4, "": 2}, spread=0.4)
    names = [str(name) for name in names]
    reasons = ["blurred", *[""] * 14]
    store, _ = face_set(identities, names, person=names, rejected=reasons)
    return store, render(examine(store))


def test_the_page_is_whole_and_alone(page):
    """Every tag is closed, names are text, and nothing is loaded from elsewhere."""
    reader = Reader()
    reader.feed(page[1])
    assert reader.open == []
    assert "anna <b>&" in reader.words
    assert all(link.startswith(("data:image/jpeg;base64,", "#")) for link in reader.loaded)
    assert not re.search(r"<script|@import|url\(|https?:", page[1])


def test_the_page_has_the_figures(page):
    store, text = page
    findings = examine(store)
    assert findings.faces == 14
    assert findings.rejected == {"blurred": 1}
    people = {person.name: person for person in findings.people}
    assert people["ben"].covered.faces + people["anna <b>&"].covered.faces == 14 - (
        findings.unsorted.covered.faces
    )
    assert "Put aside: blurred 1." in text
    assert coverage.FORMULA.split(".")[0] in text
    assert f"completeness {people['ben'].covered.completeness:.0f}" in text
    assert text.count("<section") == 3
    assert PITCHES[0] in text


def test_the_page_is_replaced_whole(page, tmp_path):
    store, text = page
    path = tmp_path / "report.html"
    path.write_text("old")
    write_report(examine(store), path)
    assert path.read_text(encoding="utf-8") == text
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_no_faces(face_set):
    store, _ = face_set(np.zeros((0, 512), np.float32), [])
    with pytest.raises(NoFaceError):
        examine(store)
