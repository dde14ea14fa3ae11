"""Size and time of the models, by the same measure for ours and for the teachers."""

from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sosie.models import session as runtime
from sosie.models.cards import SHIPPED, read_embedded
from sosie.recipes import evaluate_cost
from sosie.training.recipe import Materials


def test_the_first_calls_and_slow_strays_do_not_count():
    durations = iter([0.05] * evaluate_cost._WARM_UP + [0.002] * 47 + [0.1] * 3)
    assert 2 <= evaluate_cost.median_ms(lambda: time.sleep(next(durations))) < 10
    assert next(durations, None) is None


@pytest.fixture
def picture(tmp_path) -> Path:
    """A folder of data with one portrait."""
    with zipfile.ZipFile(tmp_path / "hires.zip", "w") as archive:
        content = io.BytesIO()
        Image.fromarray(np.full((64, 48, 3), (200, 150, 100), np.uint8)).save(content, "webp")
        archive.writestr("portraits_cc0/a.webp", content.getvalue())
    return tmp_path


@pytest.fixture
def one_model(monkeypatch):
    """A package with one model, which adds two vectors; its call notes what it is given."""
    content = runtime._sum_model()
    seen = []

    def call(session, pixels):
        vector = np.zeros((1, 4), np.float32)

        def run():
            seen.append((pixels, cv2.getNumThreads()))
            return session.run({"a": vector, "b": vector})

        return run

    def subjects(teacher):
        monkeypatch.setattr(
            evaluate_cost, "SUBJECTS", (evaluate_cost.Subject("adder", call, 1.5, 12.0, teacher),)
        )
        return seen

    monkeypatch.setattr(evaluate_cost, "read_embedded", lambda name: content)
    monkeypatch.setattr(evaluate_cost, "embedded_names", lambda: ["adder", "other"])
    subjects.size = len(content) / 1e6
    return subjects


def test_size_and_time_are_rows(picture, one_model):
    seen = one_model(None)
    threads = cv2.getNumThreads()
    size, duration, total = evaluate_cost.measure(Materials(picture, picture, picture, 1), None)
    assert cv2.getNumThreads() == threads
    assert (size.model, size.value, size.teacher) == ("adder", one_model.size, None)
    assert (size.bound, size.direction, size.unit, size.hit) == (1.5, "<=", "MB", True)
    assert (duration.bound, duration.direction, duration.unit) == (12.0, "<=", "ms")
    assert 0 < duration.value < 5
    assert (total.value, total.bound) == (2 * one_model.size, 20.0)
    assert {count for _, count in seen} == {1}
    assert all(pixels.shape == (64, 48, 3) for pixels, _ in seen)


@pytest.mark.parametrize("file", ["yunet_n_640_640.onnx", "mobileface_v2.onnx"])
def test_the_teachers_cost_stands_beside_ours(shared_data, one_model, monkeypatch, file):
    monkeypatch.setattr(evaluate_cost, "_RUNS", 3)
    one_model(file)
    teachers = shared_data.parent / "teachers"
    size, duration, _ = evaluate_cost.measure(Materials(shared_data, teachers, teachers, 1), None)
    assert size.teacher == (teachers / file).stat().st_size / 1e6
    assert duration.teacher > 0


@pytest.mark.parametrize(
    "subject",
    [one for one in evaluate_cost.SUBJECTS if one.name in SHIPPED],
    ids=lambda one: one.name,
)
def test_a_shipped_model_can_be_called_as_it_is_timed(subject, astronaut):
    session = runtime.create_session(read_embedded(subject.name), threads=1)
    assert subject.call(session, astronaut)() is not None


def test_every_network_is_bounded_and_in_sum_they_fit_the_wheel():
    assert {subject.name for subject in evaluate_cost.SUBJECTS} == set(SHIPPED) - {
        "beard",
        "face_shape",
        "face_texture",
    }
    assert evaluate_cost.TOTAL_MB == 20
