"""docs/evaluation.md explains what there is."""

from __future__ import annotations

from pathlib import Path

from sosie.evaluation import metrics
from sosie.evaluation.protocols import PROTOCOLS
from sosie.evaluation.video_series import MOMENTS

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "evaluation.md").read_text("utf-8")


def test_every_figure_protocol_and_moment_is_explained():
    for name in (*metrics.all_figures(), *PROTOCOLS, *MOMENTS):
        assert f"`{name}`" in TEXT, name


def test_titles_are_those_of_the_reports():
    for figure in metrics.all_figures().values():
        assert figure.title in TEXT, figure.name
