"""What every processor in the table must hold to. One added there is covered by this alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from sosie.errors import UsageError
from sosie.geometry.alignment import TEMPLATES
from sosie.options import SwapOptions
from sosie.processors import TABLE, create_processor
from sosie.processors.base import STAGES, Request
from sosie.types import Crop, SwappedCrop

NEEDS_FILE = ("onnx",)
"""Those that run a user's network."""

NEEDS_PORTRAIT = ("expression",)
"""Those that run a user's folder of LivePortrait's."""

Pair = tuple[Crop, SwappedCrop]


@pytest.fixture(scope="module", params=TABLE)
def processor(request: pytest.FixtureRequest) -> Any:
    text = request.param
    if text in NEEDS_FILE:
        text = f"{text}:{request.getfixturevalue('restorer')(gain=0.9)}"
    elif text in NEEDS_PORTRAIT:
        text = f"{text}:{request.getfixturevalue('portrait_files')()}"
    return create_processor(text, SwapOptions())


@pytest.fixture(scope="module")
def pairs(processor: Any, swapped_face: Callable[..., Pair]) -> list[Pair]:
    """Of 8 and 16 bits; one that cannot be written to."""
    if processor.card.stage != "face":
        pytest.skip("acts on frames")
    made = []
    for number, dtype in enumerate((np.uint8, np.uint16)):
        target = np.random.default_rng(number).integers(0, 255, (256, 256, 3)).astype(dtype)
        if dtype is np.uint16:
            target = target * np.uint16(257)
        crop, _ = swapped_face(target, target / np.iinfo(dtype).max, processor.card)
        softer = cv2.GaussianBlur(crop.pixels / np.float32(np.iinfo(dtype).max), (0, 0), 2)
        pair = swapped_face(target, softer, processor.card)
        for array in (pair[0].pixels, pair[1].pixels, pair[1].mask):
            array.setflags(write=False)
        made.append(pair)
    return made


def test_the_card_states_what_is_to_be_known(processor: Any) -> None:
    card = processor.card
    assert card.name in TABLE
    assert card.stage in STAGES
    for text in (card.summary, card.license):
        assert text.strip() == text != ""
    assert (card.template is None) == (card.size_px is None)
    assert card.template is None or card.template in TEMPLATES
    assert all(isinstance(value, str) for value in processor.providers.values())
    with pytest.raises(dataclasses.FrozenInstanceError):
        card.name = "another"


def test_every_face_has_its_result(processor: Any, pairs: list[Pair]) -> None:
    """In a batch as alone, whatever was processed before; none of what is given is written to."""
    crops, faces = zip(*pairs, strict=True)
    before = [face.pixels.copy() for face in faces]
    together = processor.process(crops, faces)
    backwards = processor.process(crops[::-1], faces[::-1])[::-1]
    for made, again, face, kept in zip(together, backwards, faces, before, strict=True):
        assert made.pixels.shape == face.pixels.shape
        assert made.pixels.dtype == made.mask.dtype == np.float32
        assert np.array_equal(face.pixels, kept)
        assert np.array_equal(made.pixels, again.pixels)
        inside = face.mask > 0
        assert made.pixels[inside].min() >= 0
        assert made.pixels[inside].max() <= 1
        assert np.abs(made.pixels - face.pixels)[inside].max() > 0.02
    assert processor.process([], []) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("shapren", "Unknown processor 'shapren'.*did you mean 'sharpen'"),
        ("sharpen:2", "strength of the processor sharpen must be a number from 0 to 1, not '2'"),
        ("sharpen:much", "not 'much'"),
        ("sharpen:0.5,weight=1", "sharpen has no setting 'weight'"),
        ("onnx", r"write onnx:FILE\.onnx"),
        ("onnx:a.onnx,wieght=1", "no setting 'wieght'.*did you mean 'weight'"),
        ("onnx:a.onnx,weight=2", "weight of the processor onnx must be"),
        ("expression:a,area=uper", "Unknown area 'uper'.*did you mean 'upper'"),
        ("expression:a,factor=2", "must be a number from 0 to 1.2, not '2'"),
        ("onnx:a.onnx,template=fhq", "Unknown template 'fhq'.*did you mean 'ffhq'"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        create_processor(text, SwapOptions())


def test_a_value_may_hold_colons_and_commas() -> None:
    asked = Request.parsed(r"onnx:C:\my, models\a.onnx,weight=0.5,template=ffhq")
    assert asked.name == "onnx"
    assert asked.value == r"C:\my, models\a.onnx"
    assert asked.settings == {"weight": "0.5", "template": "ffhq"}
    assert Request.parsed("sharpen") == Request("sharpen", None, {})
