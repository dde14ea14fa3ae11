"""docs/evaluation.md explains what there is, with what the site takes from the code."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="the site of the documentation is not installed")
pytest.importorskip("griffe", reason="the site of the documentation is not installed")

from sosie.evaluation import metrics
from sosie.evaluation.metrics.base import FrameMetric
from sosie.evaluation.protocols import PROTOCOLS
from tools import docs_site

PAGE = Path(__file__).resolve().parents[2] / "docs" / "evaluation.md"
TEXT = docs_site.on_page_markdown(PAGE.read_text("utf-8"))


def test_every_figure_protocol_and_value_is_explained():
    values = [v.name for one in metrics.metrics_of(FrameMetric).values() for v in one.values]
    for name in (*metrics.all_figures(), *PROTOCOLS, *values):
        assert f"`{name}`" in TEXT, name
    assert "<!--" not in TEXT


def test_figures_stand_with_the_titles_of_the_reports():
    for figure in metrics.all_figures().values():
        line = next(one for one in TEXT.splitlines() if f"(`{figure.name}`" in one)
        assert figure.title in line and figure.summary in line, figure.name
