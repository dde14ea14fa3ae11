"""Reports of made-up runs: what stands in them, and what is said of runs that are wrong."""

from __future__ import annotations

import dataclasses
import json
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sosie.errors import InputError, UsageError
from sosie.evaluation.metrics import describe_figure
from sosie.evaluation.report import compare_runs, write_comparison, write_report
from sosie.evaluation.report.compare import entries, table
from sosie.evaluation.report.run import grouped, interval, number, read_run, rows_of
from sosie.evaluation.report.sheets import SIDE_PX, places, strip
from sosie.evaluation.statistics import Estimate

COUNT = 16


def make_pictures(folder: Path) -> dict[str, str]:
    """A blue source and a green target, each with a white square where the face is."""
    named = {}
    for name, color in (("source", (255, 0, 0)), ("target", (0, 255, 0))):
        picture = np.zeros((60, 120, 3), np.uint8)
        picture[:] = color
        picture[20:40, 80:100] = 255
        cv2.imwrite(str(folder / f"{name}.png"), picture)
        named[name] = str(folder / f"{name}.png")
    return named


def make_lines(pictures: dict[str, str], identity: float, seed: int = 1) -> list[dict[str, Any]]:
    """Pairs of which the identity is `identity` plus what the pair brings, the same for any run."""
    hard = np.random.default_rng(1).normal(0, 0.1, COUNT)
    noise = np.random.default_rng(seed).normal(0, 0.004, COUNT)
    return [
        {
            "pair": f"{place:04}",
            "method": "made-up",
            **pictures,
            "result": "results/0.png",
            "figures": {
                "identity_source": identity + hard[place] + noise[place],
                "pose_error": 3.0 + place / 10,
                "expression_error": 0.2 + place / 100,
                "retrieval_rank": 1.0 if place < 12 else 7.0,
                "lpips": None,
            },
            "reasons": {"lpips": "The weights of LPIPS are absent."},
            "no_face": [],
            "boxes": {"source": [80, 20, 100, 40], "target": [80, 20, 100, 40]},
            "error": None,
        }
        for place in range(COUNT)
    ]


def make_run(
    folder: Path, name: str = "one", identity: float = 0.5, seed: int = 1, **changes: Any
) -> Path:
    """changes: of config.json."""
    run = folder / name
    (run / "results").mkdir(parents=True)
    pictures = make_pictures(run)
    red = np.zeros((60, 120, 3), np.uint8)
    red[..., 2] = 255
    cv2.imwrite(str(run / "results/0.png"), red)
    lines = make_lines(pictures, identity, seed)
    lines[3].update(error="The file <b>x</b>.png is no picture.", figures={}, reasons={})
    lines[4]["figures"].update(identity_source=None, retrieval_rank=None)
    lines[4]["reasons"]["identity_source"] = "No face was found in 4.png."
    lines[4]["no_face"] = ["result"]
    (run / "results.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    whole = {
        "figures": {"retrieval_top1": 100 * 10 / 15, "fid": None, "cost_face_ms": 40.0},
        "reasons": {"fid": "FID was not asked for."},
    }
    (run / "set.json").write_text(json.dumps(whole))
    config = {
        "format": 1,
        "name": name,
        "method": "made-up",
        "pairs": {"name": "list", "seed": 7, "sha256": "ab" * 32, "count": COUNT},
        "swap": {},
        "score": {},
        "weights": {"landmarks": "cd" * 32},
        "versions": {"numpy": "2"},
        "machine": {},
        "made": "2026-01-01T00:00:00+00:00",
        **changes,
    }
    (run / "config.json").write_text(json.dumps(config))
    return run


@pytest.fixture
def run(tmp_path) -> Path:
    return make_run(tmp_path)


class Checked(HTMLParser):
    """Fails on a tag that is closed in the wrong place; collects addresses and names."""

    VOID = frozenset({"meta", "img", "br", "link", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.names: list[str] = []

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        self.addresses += [known[key] for key in ("src", "href", "xlink:href") if key in known]
        self.names += [known["id"]] if "id" in known else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def checked(html: str) -> Checked:
    parser = Checked()
    parser.feed(html)
    assert parser.open == []
    return parser


def test_a_page_is_whole_and_asks_for_nothing(run):
    html = write_report(run)[0].read_text("utf-8")
    found = checked(html)
    assert "<script" not in html
    assert "@import" not in html
    inner = [address for address in found.addresses if address.startswith("#")]
    assert all(a.startswith(("#", "data:image/jpeg;base64,")) for a in found.addresses)
    assert {address[1:] for address in inner} <= set(found.names)
    assert len(set(found.names)) == len(found.names)
    used = set(re.findall(r"url\(#([^)]+)\)", html))
    assert used <= set(found.names)
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport"' in html


def test_a_page_has_what_the_run_has(run):
    html = write_report(run)[0].read_text("utf-8")
    assert "&lt;b&gt;x&lt;/b&gt;.png is no picture." in html
    assert "<b>x</b>" not in html
    for said in (
        "15 of 16 pairs were scored.",
        "1 show no face in the result.",
        "0004: result",
        "0003: The file <b>x</b>.png is no picture.",
        "FID: FID was not asked for.",
        "LPIPS to the target: The weights of LPIPS are absent. (15 pairs)",
        "cd" * 32,
        "ab" * 32,
        "seed 7",
        "66.7 %",
        "14 of 16",
        describe_figure("pose_error").limits,
    ):
        assert said in unescape(html), said


def test_the_text_has_the_same_figures(run):
    text = write_report(run)[1].read_text("utf-8")
    row = next(row for row in rows_of(read_run(run)) if row.figure.name == "identity_source")
    line = next(line for line in text.splitlines() if "similarity to the source" in line)
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1:3] == [number(row.estimate.value), interval(row.estimate)]
    assert cells[4] == "14"
    assert "Pair 0003: The file &lt;b&gt;x&lt;/b&gt;.png is no picture." in text
    widths = {len(line) for line in text.splitlines() if line.startswith("| Identity")}
    assert len(widths) == 1


def test_the_same_run_gives_the_same_report(run):
    before = [path.read_bytes() for path in write_report(run)]
    assert [path.read_bytes() for path in write_report(run)] == before
    assert not list(run.glob(".*"))


def test_rows_are_means_with_their_intervals(run):
    rows = {row.figure.name: row for row in rows_of(read_run(run))}
    told = rows["pose_error"].estimate
    values = [3.0 + place / 10 for place in range(COUNT) if place != 3]
    assert told.value == pytest.approx(np.mean(values))
    assert told.low < told.value < told.high
    assert (told.count, told.missing) == (15, 1)
    assert rows["pose_error"].spread.median == pytest.approx(np.median(values))
    # 10 of the 15 pairs that took part; the one without a face is no hit.
    top1 = rows["retrieval_top1"].estimate
    assert (top1.value, top1.count) == (pytest.approx(100 * 10 / 15), 15)
    assert (top1.low, top1.high) == pytest.approx((41.7, 84.8), abs=0.1)
    assert np.isnan(rows["cost_face_ms"].estimate.low)
    assert not rows["fid"].is_told
    assert list(grouped(list(rows.values()))) == ["Identity", "Attributes", "Realism", "Cost"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0"),
        (0.5123, "0.512"),
        (0.99997, "1.00"),
        (0.04567, "0.0457"),
        (12.34, "12.3"),
        (1480.4, "1480"),
        (-0.21, "−0.210"),
        (-1e-9, "0.00000"),
        (float("nan"), "–"),
    ],
)
def test_numbers_have_as_many_digits_as_say_something(value, said):
    assert number(value) == said
    assert number(3.0, "deg") == "3.00 deg"
    assert interval(Estimate(1, float("nan"), float("nan"), 2)) == ""


def test_sheets_show_the_outermost_and_the_middle(run):
    found = places(read_run(run), describe_figure("pose_error"))
    assert found.best == ["0000", "0001", "0002", "0004"]
    assert found.worst == ["0015", "0014", "0013", "0012"]
    assert len(set(found.all)) == 12
    few = places(read_run(run), describe_figure("pose_error"), count=1)
    assert few.median == ["0008"]


def test_a_strip_shows_the_faces(run):
    line = read_run(run).lines[0]
    picture = cv2.imdecode(np.frombuffer(strip(run, line), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (SIDE_PX, 3 * SIDE_PX, 3)
    # The face is in the middle of its square, its surroundings at the corners.
    middle, step = SIDE_PX // 2, SIDE_PX
    for place, corner in ((0, (255, 0, 0)), (1, (0, 255, 0))):
        assert picture[middle, middle + place * step] == pytest.approx((255, 255, 255), abs=12)
        assert picture[4, 4 + place * step] == pytest.approx(corner, abs=40)
    assert picture[middle, middle + 2 * step] == pytest.approx((0, 0, 255), abs=12)


def test_a_report_copes_with_pictures_that_are_gone(run):
    (run / "results/0.png").unlink()
    (run / "source.png").unlink()
    checked(write_report(run)[0].read_text("utf-8"))


def test_what_is_no_run_is_said_to_be_none(tmp_path, run):
    with pytest.raises(InputError, match=r"results\.jsonl"):
        write_report(tmp_path)
    (run / "results.jsonl").write_text('{"pair": \n')
    with pytest.raises(InputError, match="Line 1"):
        write_report(run)


def test_a_stopped_run_has_a_report_without_its_whole(run):
    (run / "set.json").unlink()
    assert "similarity to the source" in write_report(run)[0].read_text("utf-8")


def test_a_better_run_is_told_as_better(tmp_path):
    folders = [
        make_run(tmp_path, "base", 0.5),
        make_run(tmp_path, "better", 0.52, seed=2),
        make_run(tmp_path, "same", 0.5, seed=3),
    ]
    found = compare_runs(folders)
    figure = next(one for one in found.figures if one.name == "identity_source")
    # The means' own intervals overlap by far: only the pairs tell the runs apart.
    base, better = (found.entry(name, figure).told for name in ("base", "better"))
    assert base.high > better.low
    against = found.entry("better", figure).against
    assert against.verdict == "better"
    assert against.by.value == pytest.approx(0.02, abs=0.004)
    assert against.by.count == 14
    assert found.entry("same", figure).against.verdict == "level"
    assert found.entry("base", figure).against is None
    assert found.best(figure) == ["better"]
    assert compare_runs(folders, "better").entry("base", figure).against.verdict == "worse"


def test_a_share_of_pairs_is_compared_in_per_cent(tmp_path):
    one, other = make_run(tmp_path, "one"), make_run(tmp_path, "other")
    text = (other / "results.jsonl").read_text()
    (other / "results.jsonl").write_text(
        text.replace('"retrieval_rank": 1.0', '"retrieval_rank": 2.0')
    )
    found = compare_runs([one, other])
    figure = next(one for one in found.figures if one.name == "retrieval_top1")
    against = found.entry("other", figure).against
    assert against.by.value == pytest.approx(-100 * 10 / 15)
    assert against.verdict == "worse"


def test_the_page_of_several_runs(tmp_path):
    folders = [make_run(tmp_path, "base|x"), make_run(tmp_path, "other", 0.6)]
    (tmp_path / "notes.txt").write_text("mine")
    out = tmp_path / "all"
    page, text = write_comparison([*folders, tmp_path / "notes.txt", tmp_path / ".git"], out)
    found = checked(page.read_text("utf-8"))
    assert len(set(found.names)) == len(found.names)
    html = page.read_text("utf-8")
    assert "notes.txt holds no run and was left out." in html
    assert ".git holds" not in html
    assert "▲" in html
    assert "base\\|x" in text.read_text("utf-8")


def test_the_table_for_json_has_no_wild_numbers(tmp_path):
    found = compare_runs([make_run(tmp_path, "one"), make_run(tmp_path, "two")])
    told = entries(found)
    json.dumps(told, allow_nan=False)
    cost = next(one for one in told if one["figure"] == "cost_face_ms" and one["run"] == "two")
    assert (cost["value"], cost["low"], cost["verdict"]) == (40.0, None, None)
    assert table(found).count("\n") == len(found.figures) + 1


def test_what_makes_runs_less_comparable_is_said(tmp_path):
    one = make_run(tmp_path, "one")
    other = make_run(
        tmp_path, "other", weights={"landmarks": "00" * 32}, pairs={"sha256": "ff" * 32}
    )
    lines = (other / "results.jsonl").read_text().splitlines(keepends=True)
    (other / "results.jsonl").write_text("".join(lines[:10]))
    found = compare_runs([one, other])
    assert found.notes[0] == "other was scored with other weights than one."
    assert "10 pairs in common, of 10 and 16" in found.notes[1]


def test_pairs_of_other_lists_are_told_apart_by_their_pictures(tmp_path):
    one = make_run(tmp_path, "one")
    other = make_run(tmp_path, "other", pairs={"sha256": "ff" * 32})
    text = (other / "results.jsonl").read_text()
    (other / "results.jsonl").write_text(text.replace("target.png", "somebody.png"))
    found = compare_runs([one, other])
    figure = next(one for one in found.figures if one.name == "pose_error")
    assert found.entry("other", figure).against is None
    assert "0 pairs in common" in found.notes[0]


def test_comparing_takes_two_runs_and_a_known_baseline(tmp_path):
    one, two = make_run(tmp_path, "one"), make_run(tmp_path, "two")
    with pytest.raises(InputError, match="1 hold"):
        compare_runs([one, tmp_path])
    with pytest.raises(UsageError, match="'two'"):
        compare_runs([one, two], "tow")
    twice = make_run(tmp_path / "again", "one")
    assert list(compare_runs([one, twice]).runs) == [f"{tmp_path.name}/one", "again/one"]


SCRIPT = "<script>alert(1)</script> [x](javascript:y) `z` $\\frac$\n# no heading"


def test_nothing_that_a_run_holds_becomes_markup(tmp_path):
    """Names, reasons and errors come from files of others."""
    run = make_run(tmp_path, versions={"numpy": SCRIPT}, made=SCRIPT)
    config = json.loads((run / "config.json").read_text())
    config.update(name=SCRIPT, pairs={"name": SCRIPT, "sha256": None})
    (run / "config.json").write_text(json.dumps(config))
    lines = [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]
    lines[0].update(pair=SCRIPT, error=SCRIPT)
    lines[1]["figures"][SCRIPT] = 0.5
    lines[2]["reasons"]["lpips"] = SCRIPT
    lines[2]["no_face"] = [SCRIPT]
    (run / "results.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    (tmp_path / "other").mkdir()
    other = make_run(tmp_path / "other", "two")
    written = (*write_report(run), *write_comparison([run, other], tmp_path / "both"))
    for file in written:
        content = file.read_text("utf-8")
        assert "<script" not in content, file
        if file.suffix == ".md":
            # The configuration stands in a block of code, which nothing in it can end.
            told, _, record = content.partition("```json\n")
            assert "](" not in told
            assert record.count("\n```") <= 1
            assert "\n# no heading" not in content


def test_a_report_begins_with_pictures_and_words(run):
    html, plain = (file.read_text("utf-8") for file in write_report(run))
    places = [html.index(f'<section id="{name}"') for name in ("sheets", "verdict", "figures")]
    assert places == sorted(places)
    said = "The result passes for the source: similarity 0.5"
    assert said in html
    assert plain.index(said) < plain.index("| figure")
    assert "The head looks 3.7" in plain


@pytest.mark.parametrize("name", ["report.html", "report.md"])
def test_a_report_is_not_written_through_a_link(run, tmp_path, name):
    (tmp_path / "mine.txt").write_text("mine")
    (run / name).symlink_to(tmp_path / "mine.txt")
    with pytest.raises(InputError, match="symbolic link"):
        write_report(run)
    assert (tmp_path / "mine.txt").read_text() == "mine"


BAD_LINES = [
    {"pair": 5}, {"figures": [1]}, {"figures": {"pose_error": "3"}}, {"boxes": {"source": [1, 2]}},
    {"reasons": {"lpips": None}}, {"no_face": "result"}, {"source": 3}, {"figures": {"x": 1e999}},
]  # fmt: skip


@pytest.mark.parametrize("change", BAD_LINES)
def test_a_tampered_line_is_said_in_a_sentence(run, change):
    lines = (run / "results.jsonl").read_text().splitlines()
    lines[2] = json.dumps({**json.loads(lines[2]), **change}).replace("Infinity", "1e999")
    (run / "results.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=r"Line 3 of .*results\.jsonl cannot be read"):
        write_report(run)


@pytest.mark.parametrize(
    "change",
    [{"pairs": []}, {"pairs": {"sha256": 5}}, {"score": 3}, {"weights": None}, {"name": ["a"]}],
)
def test_a_tampered_configuration_is_said_in_a_sentence(run, change):
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(InputError, match=r"config\.json is damaged"):
        write_report(run)


def test_pictures_are_not_read_through_what_leads_out(run, tmp_path):
    """A relative name stays in the run's folder; what lies elsewhere has its whole path."""
    white = np.full((60, 120, 3), 255, np.uint8)
    cv2.imwrite(str(tmp_path / "white.png"), white)
    line = read_run(run).lines[0]
    own = strip(run, line)
    (run / "link.png").symlink_to(tmp_path / "white.png")
    for name in ("../white.png", "link.png"):
        told = strip(run, dataclasses.replace(line, result=name))
        result = cv2.imdecode(np.frombuffer(told, np.uint8), cv2.IMREAD_COLOR)[:, -SIDE_PX:]
        assert abs(float(result.mean()) - 128) < 3
    assert own != told
