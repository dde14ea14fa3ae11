"""The method `graft` at work, with networks whose answers are known."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from sosie.methods.base import Source
from sosie.methods.graft import swapper as graft_swapper
from sosie.methods.graft import view
from sosie.methods.graft.source_texture import prepare_photo
from sosie.methods.graft.swapper import GraftSwapper
from sosie.options import SwapOptions
from sosie.types import Crop, Face


class Answering:
    """A session that answers always alike, and keeps what it was shown."""

    def __init__(self, gain: float = 0, offset: float = 0, detail: float = 0) -> None:
        self.light = np.zeros((1, view.LIGHT_PX, view.LIGHT_PX, 6), np.float32)
        self.light[..., :3], self.light[..., 3:] = gain, offset
        self.detail = np.full((1, view.SIDE_PX, view.SIDE_PX, 3), detail, np.float32)
        self.shown: list[np.ndarray] = []

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.shown.append(inputs["pixels"])
        return {"light": self.light, "detail": self.detail}


def swapper(session: Answering) -> GraftSwapper:
    made = GraftSwapper(SwapOptions(method="graft", shape=0))
    made._session = session
    return made


@pytest.fixture(scope="module")
def face(model_face: Callable[..., Face]) -> Face:
    return model_face(unit_px=120, center=(256, 250))


@pytest.fixture(scope="module")
def striped(face: Face) -> np.ndarray:
    """Skin with fine stripes, 512 px: detail that a square of 256 px cannot hold."""
    columns = np.arange(512)
    tone = 130 + 40 * (columns // 2 % 2 * 2 - 1)
    return np.repeat(np.tile(tone[None, :, None], (512, 1, 1)), 3, 2).astype(np.uint8)


def crop_of(pixels: np.ndarray, face: Face) -> Crop:
    seen = np.ones(pixels.shape[:2], np.float32)
    return Crop(pixels, np.eye(2, 3), face.landmarks, face.landmarks, seen, face)


def middle(pixels: np.ndarray) -> np.ndarray:
    """A piece of cheek."""
    return pixels[290:330, 170:210]


def test_without_a_correction_it_is_the_draft(face, striped, monkeypatch):
    # The stripes have more contrast than the target, and would be held.
    monkeypatch.setattr(graft_swapper, "match_skin", lambda pixels, *_: pixels)
    target = np.full_like(striped, 150)
    session = Answering()
    made = swapper(session)
    prepared = made.prepare([Source(striped, face, np.ones((512, 512), np.float32))])
    (result,) = made.swap(prepared, [crop_of(target, face)])
    photo = prepare_photo(Source(striped, face, np.ones((512, 512), np.float32)))
    seen = np.ones((512, 512), np.float32)
    draft = view.draft(photo, target, face.landmarks, face.landmarks, seen)
    inside = result.mask > 0
    assert np.abs(result.pixels - draft.base)[inside].max() < 1e-5
    assert session.shown[0].shape == (1, view.SIDE_PX, view.SIDE_PX, len(view.CHANNELS))
    assert (result.own == 1).all()
    assert result.mask.max() == 1


def test_a_correction_leaves_the_sources_sharpness(face, striped):
    """The stripes, finer than the network's square, are as high as the gain makes them."""
    target = np.full_like(striped, 150)
    contrasts = []
    for gain in (0.0, 0.2):
        made = swapper(Answering(gain, -0.1 * gain))
        prepared = made.prepare([Source(striped, face, np.ones((512, 512), np.float32))])
        (result,) = made.swap(prepared, [crop_of(target, face)])
        contrasts.append(float(middle(result.pixels).std()))
    assert contrasts[0] > 0.08
    assert contrasts[1] == pytest.approx(1.2 * contrasts[0], rel=0.02)


def test_gaps_of_the_source_are_vouched_for(face, striped):
    """Where the source shows nothing, the result is the network's, not the target's."""
    hidden = np.zeros((512, 512), np.float32)
    made = swapper(Answering(detail=0.1))
    target = cv2.GaussianBlur(np.full_like(striped, 100), (0, 0), 2)
    (result,) = made.swap(made.prepare([Source(striped, face, hidden)]), [crop_of(target, face)])
    assert middle(result.mask).min() == 1
    assert np.abs(middle(result.pixels) - (100 / 255 + 0.1)).max() < 0.01


def test_the_packages_network_is_read_when_it_is_needed():
    made = GraftSwapper(SwapOptions(method="graft"), model=b"no network")
    with pytest.raises(Exception, match="model"):
        _ = made._session
