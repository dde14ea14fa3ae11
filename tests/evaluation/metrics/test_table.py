from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sosie.errors import UsageError
from sosie.evaluation import metrics
from sosie.evaluation.metric import Missing, SampleFeatures, Settings, split_name, variant_name
from sosie.evaluation.metrics import (
    TABLE,
    all_figures,
    describe_figure,
    describe_pair,
    load_metric,
    load_metrics,
    measure_pair,
    measure_set,
    scored,
)
from sosie.evaluation.metrics.base import FrameMetric, PairMetric, SetMetric
from sosie.evaluation.sample import AnalyzedImage, Sample
from sosie.evaluation.video_frames import TrackSeries, VideoSeries
from sosie.evaluation.video_score import measure
from sosie.media.packet_list import Inventory, StreamPackets

UNITS = ("", "deg", "dB", "px", "%", "ms", "MB", "M", "GFLOPs", "levels", "frames")


@pytest.mark.parametrize("name", TABLE)
def test_every_figure_is_described(name):
    metric = load_metric(name)
    assert metric.group != "Other"
    for figure in metric.figures.values():
        assert figure.name.isidentifier() and figure.title and figure.formula and figure.source
        assert figure.summary.endswith(".") and figure.limits.endswith(".")
        assert figure.better in ("higher", "lower", "nearer to 1", None)
        assert figure.unit in UNITS
        assert figure.range[0] < figure.range[1]
        assert describe_figure(figure.name) is figure


def test_names_are_unique():
    every = load_metrics().values()
    names = [name for metric in every for name in metric.figures]
    assert len(names) == len(set(names)) == len(all_figures())
    values = [v.name for one in every if isinstance(one, FrameMetric) for v in one.values]
    assert len(values) == len(set(values))


def test_what_a_figure_leaves_out_is_its_metrics():
    pose, euler = load_metric("pose").figures.values()
    assert euler.limits.startswith(pose.limits) and euler.limits != pose.limits
    assert (pose.kind, pose.source[:8]) == ("pair", "geodesic")
    assert [
        one.name for one in load_metric("retrieval").figures.values() if one.kind == "pair"
    ] == ["retrieval_rank"]


def test_variants_by_another_network():
    assert split_name("identity_source[arc_r50]") == ("identity_source", "arc_r50")
    assert split_name(variant_name("pose_error", "sosie")) == ("pose_error", "sosie")
    figure = describe_figure("identity_source[arc]")
    assert figure.name == "identity_source[arc]" and figure.title.endswith("[arc]")
    with pytest.raises(UsageError, match=r"Unknown figure 'pose_eror'.*did you mean 'pose_error'"):
        describe_figure("pose_eror")
    with pytest.raises(UsageError, match=r"Unknown metric 'gase'.*'gaze'"):
        load_metric("gase")


@pytest.mark.parametrize("kind", ["untouched", "swapped"])
def test_all_figures_of_a_pair_are_there_and_in_range(kind, request):
    sample = request.getfixturevalue(kind)
    found = measure_pair(sample, Settings(threads=1))
    assert set(found.figures) == set(all_figures(PairMetric))
    assert set(found.reasons) == {name for name, value in found.figures.items() if value is None}
    for name, value in found.figures.items():
        if value is None:
            # What no pair of the fixtures has: a second photo, a target without colors, and weights
            # of LPIPS and of a parser.
            absent = name in ("identity_limit", "tint_error", "spectacles_kept")
            assert absent or name.startswith(("lpips", "fog")), found.reasons[name]
            continue
        low, high = describe_figure(name).range
        assert low - 1e-4 <= value <= high + 1e-4, name


@pytest.mark.parametrize("part", ["target", "result"])
def test_without_a_face_every_figure_has_its_reason(part, swapped):
    blind = AnalyzedImage(getattr(swapped, part).pixels, "blank.png", None)
    found = measure_pair(replace(swapped, **{part: blind}), Settings(threads=1))
    assert set(found.figures) == set(all_figures(PairMetric))
    missing = {name for name, value in found.figures.items() if value is None}
    for name in ("pose_error", "expression_error", "gaze_error", "eyes_error", "psnr_outside"):
        assert name in missing and "blank.png" in found.reasons[name]
    vectors = describe_pair(replace(swapped, **{part: blind}), Settings(threads=1))
    assert not any(name.startswith(f"{part}.") for name in vectors)


def test_pictures_of_two_sizes_leave_the_figures_of_the_face(swapped):
    small = replace(swapped.result, pixels=np.ascontiguousarray(swapped.result.pixels[:400]))
    found = measure_pair(replace(swapped, result=small), Settings(threads=1))
    for name in ("psnr_outside", "seam_gradient", "light_error", "sharpness", "l1_target"):
        assert found.figures[name] is None and "512 x 400" in found.reasons[name]
    for name in ("identity_source", "pose_error", "contour_source"):
        assert found.figures[name] is not None


def test_sets_keep_names_and_reasons(swapped):
    vectors = describe_pair(swapped, Settings(threads=1))
    features = SampleFeatures("0001", "hopper", "astronaut", "hopper", "astronaut", vectors=vectors)
    found = measure_set([features], Settings(threads=1))
    sets = {name for name, f in all_figures(SetMetric).items() if f.kind == "set"}
    assert set(found.values) == sets
    assert found.by_pair["retrieval_rank"] == {"0001": 1.0} or found.by_pair["retrieval_rank"] == {
        "0001": 2.0
    }
    empty = measure_set([], Settings())
    assert set(empty.values) == sets
    assert all(isinstance(value, Missing) for value in empty.values.values())


def test_readings_as_files_keep_them():
    found = scored({"a": np.float32(0.5), "b": Missing("Why.")})
    assert found.figures == {"a": 0.5, "b": None} and found.reasons == {"b": "Why."}
    assert type(found.figures["a"]) is float
    assert metrics.scored({}).figures == {}


def test_a_second_photo_gives_the_limit(swapped, hopper_look):
    sample = Sample(swapped.source, swapped.target, swapped.result, other=hopper_look)
    assert measure_pair(sample, Settings(), ["identity"]).figures[
        "identity_limit"
    ] == pytest.approx(1)
    assert "other.identity.sosie" in describe_pair(sample, Settings(threads=1))


def test_sharpness_is_best_where_it_is_the_targets():
    every = metrics.all_figures()
    assert {every[f"sharpness{kind}"].better for kind in ("", "_pixels")} == {"nearer to 1"}


EXTEND = Path(__file__).resolve().parents[3] / "docs" / "extend.md"
ALONG = """
from sosie.evaluation.metric import Figure
from sosie.evaluation.metrics.base import FrameMetric, FrameValue, Plot
from sosie.evaluation.video_frames import mean_of

GRAY = FrameMetric(
    figures={"video_gray": Figure(title="Gray", summary="S.", formula="f", limits="L.")},
    measure=lambda series: {"video_gray": mean_of(series, "gray", "No face.")},
    look=lambda sight: {"gray": float(sight.result.mean())},
    values=(FrameValue("gray", "gray levels", worst="Most gray"),),
    plots=(Plot("Gray.", "gray", {"gray": "result"}),),
)
"""


def test_a_package_brings_metrics_of_pairs_and_of_videos(tmp_path, monkeypatch, untouched):
    """The example of the documentation, and one along a video, from a package of their own."""
    code = EXTEND.read_text("utf-8").split('title="src/sosie/evaluation/metrics/brightness.py"\n')[
        1
    ]
    (tmp_path / "brightness.py").write_text(code.partition("```")[0] + ALONG)
    info = tmp_path / "brightness-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brightness\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[sosie.metrics]\nbrightness = brightness:BRIGHTNESS\ngray = brightness:GRAY\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    load_metrics.cache_clear()
    try:
        assert list(load_metrics())[-2:] == ["brightness", "gray"]
        found = measure_pair(untouched, Settings(threads=1), ["brightness"])
        assert found.figures == {"brightness_error": 0.0}
        assert describe_figure("brightness_error").kind == "pair"
        track = TrackSeries(0, 0)
        track.add(0, 0.0, {"untouched": 0.0, "gray": 20.0}, 100.0)
        still = Inventory(StreamPackets("video", "h264", None, (), None, None), (), ())
        assert measure(VideoSeries(still, still, {0: track})).figures["video_gray"] == 20
    finally:
        monkeypatch.undo()
        load_metrics.cache_clear()
    assert "brightness" not in load_metrics()
