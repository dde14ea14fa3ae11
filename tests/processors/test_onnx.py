"""Published restoration networks are called as they were made: range, size, fidelity."""

from __future__ import annotations

import numpy as np
import pytest

from sosie.errors import InputError, UsageError
from sosie.options import SwapOptions
from sosie.processors import create_processor


@pytest.fixture
def gray(swapped_face):
    """A face of one gray, at 0.75."""

    def make(processor):
        side = processor.card.size_px
        target = np.full((256, 256, 3), 30, np.uint8)
        return swapped_face(target, np.full((side, side, 3), 0.75), processor.card)

    return make


@pytest.mark.parametrize(
    ("gain", "settings", "level"),
    [
        # 0.75 is 0.5 in the network's range, and times -1 that is 0.25 again.
        (1.0, "", 0.75),
        (-1.0, ",weight=1", 0.25),
        (-1.0, ",weight=0.5", 0.5),
        (-1.0, "", 0.35),
        (-9.0, ",weight=1", 0.0),
    ],
)
def test_pixels_are_in_the_networks_range_and_mixed_by_the_weight(
    gain, settings, level, restorer, gray
):
    processor = create_processor(f"onnx:{restorer(gain=gain)}{settings}", SwapOptions())
    crop, face = gray(processor)
    made = processor.process([crop], [face])[0]
    assert np.allclose(made.pixels, level, atol=1e-5)
    assert (processor.card.template, processor.card.size_px) == ("ffhq", 512)


def test_codeformer_is_given_its_fidelity_in_double_precision(restorer, gray):
    file = restorer(fidelity=True)
    for settings, level in ((",weight=1", 0.625), (",weight=1,fidelity=1", 0.75)):
        processor = create_processor(f"onnx:{file}{settings}", SwapOptions())
        crop, face = gray(processor)
        assert np.allclose(processor.process([crop], [face])[0].pixels, level, atol=1e-5)


def test_a_small_network_has_to_name_how_its_faces_are_aligned(restorer):
    file = restorer(256)
    with pytest.raises(UsageError, match="template=arcface_128"):
        create_processor(f"onnx:{file}", SwapOptions())
    card = create_processor(f"onnx:{file},template=arcface_128", SwapOptions()).card
    assert (card.template, card.size_px) == ("arcface_128", 256)


def test_another_network_is_refused(tmp_path, restorer):
    with pytest.raises(InputError, match=r"gone\.onnx"):
        create_processor(f"onnx:{tmp_path / 'gone.onnx'}", SwapOptions())
    onnx = pytest.importorskip("onnx", exc_type=ImportError)
    model = onnx.load(restorer())
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 4
    other = tmp_path / "other.onnx"
    other.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="is no network that restores faces: its inputs are input"):
        create_processor(f"onnx:{other}", SwapOptions())
