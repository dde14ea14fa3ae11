"""docs/evaluation.md explains what there is."""

from __future__ import annotations

from pathlib import Path

from sosie.evaluation import figures
from sosie.evaluation.film_series import MOMENTS
from sosie.evaluation.protocols import PROTOCOLS

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "evaluation.md").read_text("utf-8")


def test_every_figure_protocol_and_moment_is_explained():
    for name in (*figures.all_figures(), *PROTOCOLS, *MOMENTS):
        assert f"`{name}`" in TEXT, name


def test_titles_are_those_of_the_reports():
    for figure in figures.all_figures().values():
        assert figure.title in TEXT, figure.name
