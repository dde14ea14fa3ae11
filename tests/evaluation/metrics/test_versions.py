"""A metric that gives other values on the same pictures has another version."""

from __future__ import annotations

import pytest

from sosie.evaluation.generators import paste_face
from sosie.evaluation.metric import Settings
from sosie.evaluation.metrics import load_metric, measure_pair
from sosie.evaluation.sample import LOOK_VERSION, Sample, look_at

VALUES = {
    ("identity", 1): {"identity_source": 0.91868, "identity_target": 0.33426},
    ("pose", 1): {"pose_error": 3.7320, "pose_euler": 3.7320},
    ("expression", 1): {"expression_error": 1.7673},
    ("gaze", 1): {"gaze_error": 2.9844},
    ("openness", 1): {"eyes_error": 0.060864, "mouth_error": 0.15348},
    ("outline", 1): {"contour_source": 1.1295, "contour_target": 0.67240},
    ("light", 1): {"light_error": 22.144, "shading_error": 6.9388},
    ("sharpness", 1): {"sharpness": 1.4250, "sharpness_pixels": 1.5337},
    ("texture", 1): {"skin_contrast": 1.0072, "tint_error": None},
    ("seam", 1): {"seam_gradient": 11.033, "seam_colour": 25.150},
    ("fidelity", 1): {
        "psnr_outside": 100.0,
        "psnr_inside": 12.248,
        "ssim_outside": 0.99899,
        "ssim_inside": 0.25506,
        "l1_target": 1.5211,
    },
}
"""Metric and its version -> its figures of the pasted pair. Whoever changes a value raises the
version (of a changed look at faces, LOOK_VERSION): caches hold what was measured before."""


@pytest.fixture(scope="module")
def pasted(hopper_look, astronaut_look, analyzer) -> Sample:
    pixels = paste_face(
        hopper_look.pixels, astronaut_look.pixels, hopper_look.face, astronaut_look.face
    )
    result = look_at(pixels, "result", analyzer, near=astronaut_look.face)
    return Sample(hopper_look, astronaut_look, result)


@pytest.mark.parametrize(("name", "version"), VALUES)
def test_values_are_those_of_the_version(name, version, pasted):
    assert (load_metric(name).version, LOOK_VERSION) == (version, 1)
    found = measure_pair(pasted, Settings(threads=1), [name]).figures
    for figure, value in VALUES[name, version].items():
        assert found[figure] == (None if value is None else pytest.approx(value, rel=5e-3)), figure
