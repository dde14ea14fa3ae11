from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sosie.evaluation.metric import Missing, MissingFigureError
from sosie.evaluation.sample import AnalyzedImage, Sample


def look(face, name, **vectors):
    described = {f"identity.{network}": np.array(v) for network, v in vectors.items()}
    return AnalyzedImage(np.zeros((8, 8, 3), np.uint8), name, face, described)


def test_cosines_of_known_vectors(model_face, measured):
    face = model_face()
    source = look(face, "s", sosie=[1.0, 0.0], arcface=[0.0, 1.0])
    target = look(face, "t", sosie=[0.0, 1.0], arcface=[0.0, 1.0])
    result = look(face, "r", sosie=[0.6, 0.8], arcface=[0.0, -1.0])
    other = look(face, "o", sosie=[0.8, 0.6], arcface=[1.0, 0.0])
    found = measured("identity", Sample(source, target, result, other))
    assert found == pytest.approx(
        {
            "identity_source": 0.6,
            "identity_target": 0.8,
            "identity_limit": 0.8,
            "identity_source[arcface]": -1,
            "identity_target[arcface]": -1,
            "identity_limit[arcface]": 0,
        }
    )


def test_an_untouched_result_is_the_target(untouched, measured):
    assert measured("identity", untouched)["identity_target"] == pytest.approx(1, abs=1e-5)


def test_swapping_the_source_in_raises_identity(swapped, untouched, measured):
    before, after = measured("identity", untouched), measured("identity", swapped)
    assert after["identity_source"] > before["identity_source"] + 0.05
    assert after["identity_target"] < 0.9


def test_what_is_missing_is_said(model_face, measured):
    face = model_face()
    full = look(face, "full", sosie=[1.0, 0.0])
    blank = look(None, "blank.png")
    found = measured("identity", Sample(blank, full, full))
    assert found["identity_target"] == 1
    assert found["identity_source"] == Missing("No face was found in blank.png.")
    assert "second photo" in found["identity_limit"].reason
    with pytest.raises(MissingFigureError, match=r"blank\.png"):
        measured("identity", Sample(full, full, blank))
    undescribed = replace(full, name="plain", vectors={})
    found = measured("identity", Sample(undescribed, full, full))
    assert found["identity_source"] == Missing("The face of plain was not described by sosie.")
