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

    triple = SimpleNamespace(target=look(90), result=look(60), require_equal_sizes=lambda: None)
    metric = shown["brightness"].BRIGHTNESS
    assert metric.measure(triple, None) == dict.fromkeys(metric.figures, 30.0)


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
