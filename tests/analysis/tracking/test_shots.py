"""Cuts are found; pans, flashes and fades of light are none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from skimage import data

from sosie.analysis.tracking.shots import split_scenes


@dataclass
class Still:
    pixels: np.ndarray
    conversions: int = 0

    def to_rgb(self) -> np.ndarray:
        self.conversions += 1
        return self.pixels


def starts(pictures: Iterable[np.ndarray]) -> list[int]:
    frames = [Still(picture) for picture in pictures]
    shots = list(split_scenes(frames))
    assert [shot.frame for shot in shots] == frames
    assert all(shot.pixels is shot.frame.pixels for shot in shots)
    assert all(frame.conversions == 1 for frame in frames)
    return [index for index, shot in enumerate(shots) if shot.starts_scene]


def shot_of(picture: np.ndarray, count: int, seed: int = 0) -> list[np.ndarray]:
    """A camera that trembles and a sensor that is noisy."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        x, y = rng.integers(0, 6, 2)
        part = picture[y : y + 180, x : x + 320].astype(np.float32)
        frames.append(np.clip(part + rng.normal(0, 3, part.shape), 0, 255).astype(np.uint8))
    return frames


def picture(name: str) -> np.ndarray:
    return cv2.resize(getattr(data, name)(), (330, 190), interpolation=cv2.INTER_AREA)


def test_cuts_between_pictures() -> None:
    names = ("coffee", "astronaut", "rocket", "chelsea")
    frames = [frame for name in names for frame in shot_of(picture(name), 9)]
    assert starts(frames) == [0, 9, 18, 27]


def test_short_shots_and_the_last_frame() -> None:
    frames = [*shot_of(picture("coffee"), 6), *shot_of(picture("rocket"), 1)]
    assert starts(frames) == [0, 6]
    frames = [*frames, *shot_of(picture("rocket"), 1), *shot_of(picture("chelsea"), 6)]
    assert starts(frames) == [0, 6, 8]
    assert starts([]) == []


def test_flash_and_flicker_are_no_cuts() -> None:
    frames = shot_of(picture("coffee"), 20)
    for index in (8, 9, 14):
        frames[index] = np.full_like(frames[index], 250)
    frames[11] = (frames[11] * 0.6).astype(np.uint8)
    assert starts(frames) == [0]


def test_pan_is_no_cut() -> None:
    wide = cv2.resize(data.coffee(), (1600, 400), interpolation=cv2.INTER_CUBIC)
    for step_px in (20, 80, 130):
        frames = [wide[100:325, x : x + 400] for x in range(0, 1200, step_px)]
        assert starts([np.ascontiguousarray(frame) for frame in frames]) == [0]


def test_cut_in_the_middle_of_a_pan() -> None:
    wide = cv2.resize(data.coffee(), (1200, 300), interpolation=cv2.INTER_CUBIC)
    pan = [np.ascontiguousarray(wide[50:230, x : x + 320]) for x in range(0, 400, 40)]
    assert starts([*pan, *shot_of(picture("rocket"), 5)]) == [0, 10]


def test_slow_fade_of_light_is_no_cut() -> None:
    frames = shot_of(picture("chelsea"), 30)
    dimmed = [(f * (1 - 0.025 * i)).astype(np.uint8) for i, f in enumerate(frames)]
    assert starts(dimmed) == [0]


def test_cut_to_black(backdrop: Callable[..., np.ndarray]) -> None:
    black = [np.zeros((180, 320, 3), np.uint8)] * 8
    frames = [*shot_of(picture("coffee"), 8), *black, *shot_of(picture("chelsea"), 8)]
    assert starts(frames) == [0, 8, 16]


def test_16_bit_frames_are_cut_alike() -> None:
    frames = [*shot_of(picture("coffee"), 5), *shot_of(picture("rocket"), 5)]
    assert starts([frame.astype(np.uint16) * 257 for frame in frames]) == [0, 5]
