"""What `sosie train` says while it works."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", exc_type=ImportError)

from sosie.app.cli.train import _facts
from sosie.training.loop import TrainingProgress


@pytest.mark.parametrize(
    ("samples", "rate", "words"),
    [
        (1_000, 52.34, "52.3 samples a second, 84.9 hours left"),
        (15_000_000, 1234.5, "1234 samples a second, 14 minutes left"),
        (15_999_990, 0.5, "0.5 samples a second, 1 minute left"),
    ],
)
def test_samples_a_second_and_the_time_left(samples, rate, words):
    progress = TrainingProgress(samples, 16_000_000, rate, 0.0, {"g": 0.25}, {})
    assert _facts(progress) == f"{words}; losses: g 0.25"
