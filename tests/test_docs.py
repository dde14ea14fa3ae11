"""The parts that docs/extend.md shows work as they stand there, and the README's links lead
somewhere."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import sosie
from sosie import processors
from sosie.methods import TABLE

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r'```python title="[^"]*?(\w+)(?:/__init__)?\.py"\n(.*?)```', re.DOTALL)


@pytest.fixture(scope="module")
def shown() -> dict[str, ModuleType]:
    """The programs of the page, by name."""
    modules = {}
    for name, code in BLOCK.findall((ROOT / "docs/extend.md").read_text("utf-8")):
        modules[name] = ModuleType(f"shown_{name}")
        exec(code, modules[name].__dict__)
    return modules


def test_the_method_swaps(shown, monkeypatch, hopper, astronaut):
    monkeypatch.setitem(sys.modules, "shown_flat", shown["flat"])
    monkeypatch.setitem(TABLE, "flat", "shown_flat:METHOD")
    result = sosie.swap_image(hopper, astronaut, method="flat", color="none")
    assert result.report.method == "flat"
    changed = (result.image != astronaut).any(-1)
    assert 0.01 < changed.mean() < 0.2
    assert result.image[changed].std(0).max() < astronaut[changed].std(0).max()


def test_the_metric_measures(shown):
    def look(level: int) -> SimpleNamespace:
        return SimpleNamespace(
            pixels=np.full((4, 4, 3), level, np.uint8), inside=np.ones((4, 4), bool)
        )

    sample = SimpleNamespace(target=look(90), result=look(60), require_equal_sizes=lambda: None)
    metric = shown["brightness"].BRIGHTNESS
    assert metric.measure(sample, None) == dict.fromkeys(metric.figures, 30.0)


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_of_the_pages_outside_the_site_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / page).read_text("utf-8"))
    assert links
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (ROOT / link).exists()] == []


def test_the_guides_show_every_program_of_the_examples():
    """ruff formats Python in pages, and once made of the mark an expression."""
    pages = "".join(page.read_text("utf-8") for page in (ROOT / "docs").glob("*.md"))
    programs = sorted((ROOT / "examples").glob("*.py"))
    assert programs
    assert [p.name for p in programs if f'\n--8<-- "examples/{p.name}"\n' not in pages] == []


def test_the_reference_has_every_public_name():
    page = (ROOT / "docs/reference/api.md").read_text("utf-8")
    told = set(re.findall(r"^::: sosie\.(\w+)$", page, re.M))
    assert told == set(sosie.__all__) - {"__version__"}


def test_the_processor_takes_colors_away(shown, monkeypatch, hopper, astronaut):
    monkeypatch.setitem(sys.modules, "shown_monochrome", shown["monochrome"])
    monkeypatch.setitem(processors.TABLE, "monochrome", "shown_monochrome:PROCESSOR")
    plain, half, whole = (
        sosie.swap_image(hopper, astronaut, method="mesh", color="none", processors=asked).image
        for asked in ((), ("monochrome:0.5",), ("monochrome",))
    )
    changed = (plain != whole).any(-1)
    color = [np.ptp(image[changed].astype(int), axis=1).mean() for image in (plain, half, whole)]
    assert color[2] < 0.5 * color[1] < 0.4 * color[0]


def test_the_way_of_a_pixel_is_the_one_that_is_shown(hopper, astronaut):
    """Of the functions that the page names, each is called by the one before, in six modules."""
    page = (ROOT / "docs/concepts.md").read_text("utf-8")
    rows = re.findall(r"^\| `([\w.]+)` \| `([\w.]+)` \|", page, re.M)
    assert len(rows) == len({module for module, _ in rows}) <= 6
    way = [(f"sosie.{module}", name) for module, name in rows]
    first_calls: list[tuple[str, str]] = []

    def note(frame, event, _):
        if event == "call":
            place = (frame.f_globals.get("__name__", ""), frame.f_code.co_qualname)
            if place in way and place not in first_calls:
                first_calls.append(place)

    # Without drafts, which come the same way in small, the order is that of one pass.
    sys.setprofile(note)
    try:
        sosie.swap_image(hopper, astronaut)
    finally:
        sys.setprofile(None)
    assert first_calls == way
