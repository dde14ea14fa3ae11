"""What every method in the table must hold to. A method added there is covered by this alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sosie import methods
from sosie.errors import UsageError
from sosie.geometry.alignment import TEMPLATES
from sosie.geometry.face_types import BOX, TEMPLATES_OF_TYPES
from sosie.methods import TABLE, load_method
from sosie.methods.base import Source, Swapper
from sosie.options import SwapOptions
from sosie.types import Crop, Face, SwappedCrop

TRAINED = (
    "simswap",
    "faceshifter",
    "ghost",
    "facedancer",
    "hififace",
    "infoswap",
    "rsgan",
    "fsgan",
    "megafs",
    "fslsd",
    "e4s",
)
"""Whose networks users train: here they are tiny, and know nothing."""
IMPORTED = {
    "blendswap": "blendswap",
    "inswapper": "inswapper_reswapper_128",
}
"""Whose weights users import, and what of them is tried; here they know a mean color alone."""
OWN = ("deepfacelab", "deepfakes", "vae", "korshunova")
PERSONAL = ("dfm", *OWN)
"""Who is put in is in their weights, and no photo of the source counts."""
LIT = ("graft",)
"""Whose faces are given the target's light before they are composed."""
FEATURED = ("mesh", "graft")
"""Whose own networks or none are at work; the one that stands in for a published one, and is called
`onnx` here, knows a mean color alone."""
COLORS = ((200, 60, 60), (60, 190, 60), (30, 30, 200))
"""Of two sources and a target."""

Paint = Callable[..., np.ndarray]


@pytest.fixture(scope="module", params=TABLE)
def options(request: pytest.FixtureRequest) -> SwapOptions:
    if request.param == "onnx":
        model = request.getfixturevalue("color_swapper")
        return SwapOptions(method="onnx", model=str(model), interface="blendswap_256")
    if request.param == "dfm":
        model = request.getfixturevalue("make_dfm")()
        return SwapOptions(method="dfm", model=str(model), face_type="whole")
    if request.param in (*TRAINED, "deepfacelab", "deepfakes"):
        weights = request.getfixturevalue("untrained")(request.param)
        return SwapOptions(method=request.param, weights=str(weights))
    if request.param in PERSONAL:
        weights = request.getfixturevalue("of_one_person")(request.param)
        return SwapOptions(method=request.param, weights=str(weights))
    if request.param in IMPORTED:
        files = request.getfixturevalue("imported")(IMPORTED[request.param])
        return SwapOptions.from_dict({"method": request.param, **files})
    return SwapOptions(method=request.param)


@pytest.fixture(scope="module")
def swapper(options: SwapOptions) -> Swapper:
    return load_method(options.method)(options)


@pytest.fixture(scope="module")
def sources(
    model_face: Callable[..., Face], paint: Paint, source_of: Callable[..., Source]
) -> list[Source]:
    """Three photos of one face: from the front, and turned to both sides; one of 16 bits."""
    photos = []
    for yaw in (0, 40, -40):
        face = model_face(yaw, unit_px=65, center=(128, 125))
        pixels = paint(face, np.random.default_rng(3).uniform(60, 240, (478, 3)))
        if yaw == 40:
            pixels = pixels.astype(np.uint16) * 257
        photos.append(source_of(pixels, face))
    return photos


@pytest.fixture(scope="module")
def crops(
    swapper: Swapper,
    model_face: Callable[..., Face],
    paint: Paint,
    crop_for: Callable[..., Crop],
) -> list[Crop]:
    """Of different pose, size and depth, one cut by the frame's edge, one so small as is allowed,
    one more than half hidden."""
    made = []
    for pose, unit_px, center, dtype, side in (
        ((5, 0, 0), 60, (128, 128), np.uint8, 256),
        ((-35, 10, 25), 50, (120, 130), np.uint16, 240),
        ((20, -15, -170), 40, (20, 150), np.uint8, 200),
        ((0, 0, 0), 8, (20, 21), np.uint8, 40),
        ((75, 0, 0), 55, (100, 128), np.uint8, 256),
    ):
        face = model_face(*pose, unit_px=unit_px, center=center)
        frame = paint(face, (120, 110, 100), side_px=side).astype(dtype)
        if dtype is np.uint16:
            frame *= 257
        crop = crop_for(frame, face, swapper.card)
        if len(made) == 4:
            crop.visible[:, : crop.visible.shape[1] // 2] = 0
        made.append(crop)
    return made


@pytest.fixture(scope="module")
def prepared(swapper: Swapper, sources: list[Source]) -> Any:
    return swapper.prepare(sources)


def same(a: SwappedCrop, b: SwappedCrop) -> bool:
    """To the bit, where the method vouches for its pixels."""
    shown = a.mask > 0
    return (
        np.array_equal(a.mask, b.mask)
        and np.array_equal(a.own, b.own)
        and np.array_equal(a.pixels[shown], b.pixels[shown])
    )


def frozen_copy(crop: Crop) -> list[np.ndarray]:
    return [crop.pixels.copy(), crop.landmarks.copy(), crop.aim.copy(), crop.visible.copy()]


def test_the_card_states_what_is_to_be_known(swapper: Swapper, options: SwapOptions) -> None:
    card = swapper.card
    assert card.name == options.method
    for text in (card.summary, card.license, card.paper):
        assert text.strip() == text != ""
    assert (card.template is None) == (card.size_px is None)
    if card.template is not None:
        assert card.template in {*TEMPLATES, *TEMPLATES_OF_TYPES, BOX}
        assert card.size_px is not None
        assert 16 <= card.size_px <= 4096
    with pytest.raises(dataclasses.FrozenInstanceError):
        card.name = "another"  # type: ignore[misc]


def test_every_crop_has_its_result_in_its_own_frame(
    swapper: Swapper, prepared: Any, crops: list[Crop]
) -> None:
    results = swapper.swap(prepared, crops)
    assert len(results) == len(crops)
    for crop, result in zip(crops, results, strict=True):
        shape = crop.pixels.shape
        assert (result.pixels.shape, result.mask.shape, result.own.shape) == (
            shape,
            shape[:2],
            shape[:2],
        )
        assert result.pixels.dtype == result.mask.dtype == result.own.dtype == np.float32
        for share in (result.mask, result.own):
            assert share.min() >= 0
            assert share.max() <= 1
        shown = result.pixels[result.mask > 0]
        assert np.isfinite(shown).all()
        assert shown.min() >= 0
        assert shown.max() <= 1
        assert result.mask.max() > 0.9


def test_the_face_of_the_source_is_what_comes_out(
    swapper: Swapper,
    model_face: Callable[..., Face],
    paint: Paint,
    source_of: Callable[..., Source],
    crop_for: Callable[..., Crop],
) -> None:
    """Its colors, or its features where a method gives them the target's light itself. Of a
    network that has learned nothing, that it is told whose face to make."""
    face = model_face(unit_px=60)

    def swapped(target: np.ndarray, photo: np.ndarray) -> SwappedCrop:
        crop = crop_for(target, face, swapper.card)
        return swapper.swap(swapper.prepare([source_of(photo, face)]), [crop])[0]

    if swapper.card.name in (*TRAINED, *IMPORTED):
        one, two, target = (paint(face, color) for color in COLORS)
        first, second, again = (swapped(target, photo) for photo in (one, two, one))
        assert (first.mask > 0.99).mean() > 0.15
        assert not same(first, second)
        assert same(first, again)
        return
    if swapper.card.name in PERSONAL:
        one, two, target = (paint(face, color) for color in COLORS)
        assert same(swapped(target, one), swapped(target, two))
        assert not same(swapped(target, one), swapped(two, one))
        return
    if swapper.card.name not in LIT:
        one, two, target = COLORS
        for color in (one, two):
            result = swapped(paint(face, target), paint(face, color))
            skin = (result.mask > 0.99) & (result.own == 0)
            assert skin.sum() > 3000
            mean = result.pixels[skin].mean(0) * 255
            assert np.linalg.norm(mean - color) < 0.25 * np.linalg.norm(mean - target)
    if swapper.card.name in FEATURED:
        shades = np.random.default_rng(4).uniform(90, 180, (3, 478, 1)).repeat(3, 2)
        one, two, target = (paint(face, tones) for tones in shades)
        for photo, other in ((one, two), (two, one)):
            result = swapped(target, photo)
            skin = result.mask > 0.99
            assert skin.sum() > 3000
            likeness = [
                np.corrcoef(features(result.pixels, skin), features(picture, skin))[0, 1]
                for picture in (photo, other, target)
            ]
            assert likeness[0] > 0.7
            assert likeness[0] > max(likeness[1:]) + 0.4


def features(pixels: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """What is finer than light."""
    gray = pixels.astype(np.float32).mean(2)
    return (gray - cv2.GaussianBlur(gray, (0, 0), 8))[skin]


def test_a_batch_is_the_same_as_one_by_one(
    swapper: Swapper, prepared: Any, crops: list[Crop]
) -> None:
    together = swapper.swap(prepared, crops)
    single = [swapper.swap(prepared, [crop])[0] for crop in crops]
    backwards = swapper.swap(prepared, crops[::-1])[::-1]
    for a, b, c in zip(together, single, backwards, strict=True):
        assert same(a, b)
        assert same(a, c)
    assert swapper.swap(prepared, []) == []


def test_nothing_is_kept_between_calls(
    swapper: Swapper, options: SwapOptions, sources: list[Source], crops: list[Crop]
) -> None:
    first = swapper.swap(swapper.prepare(sources), crops)
    other = load_method(options.method)(options)
    swapper.swap(swapper.prepare(sources[1:2]), crops[::-1])
    again = swapper.swap(swapper.prepare(sources), crops)
    fresh = other.swap(other.prepare(sources), crops)
    for a, b, c in zip(first, again, fresh, strict=True):
        assert same(a, b)
        assert same(a, c)


def test_what_is_handed_in_is_not_written_to(
    swapper: Swapper, sources: list[Source], crops: list[Crop]
) -> None:
    before = [(s.pixels.copy(), s.visible.copy(), s.face.landmarks.copy()) for s in sources]
    copies = [frozen_copy(crop) for crop in crops]
    swapper.swap(swapper.prepare(sources), crops)
    for source, kept in zip(sources, before, strict=True):
        assert np.array_equal(source.pixels, kept[0])
        assert np.array_equal(source.visible, kept[1])
        assert np.array_equal(source.face.landmarks, kept[2])
    for crop, kept in zip(crops, copies, strict=True):
        for now, then in zip(frozen_copy(crop), kept, strict=True):
            assert np.array_equal(now, then)


def test_arrays_that_cannot_be_written_to_are_taken(
    swapper: Swapper, sources: list[Source], crops: list[Crop]
) -> None:
    pixels = crops[0].pixels.copy()
    pixels.setflags(write=False)
    photo = sources[0].pixels.copy()
    photo.setflags(write=False)
    prepared = swapper.prepare([dataclasses.replace(sources[0], pixels=photo)])
    result = swapper.swap(prepared, [dataclasses.replace(crops[0], pixels=pixels)])[0]
    assert result.mask.max() > 0.9


def test_the_choice_of_a_source_is_one_of_them_and_is_kept_to(
    swapper: Swapper, prepared: Any, sources: list[Source], crops: list[Crop]
) -> None:
    for crop in crops:
        chosen = swapper.choose(prepared, crop)
        assert chosen in range(len(sources))
        # The best choice is kept when it is made again, and swap makes the same.
        assert swapper.choose(prepared, crop, chosen) == chosen
        named = swapper.swap(prepared, [dataclasses.replace(crop, source=chosen)])[0]
        assert same(named, swapper.swap(prepared, [crop])[0])
    others = [
        swapper.swap(prepared, [dataclasses.replace(crops[0], source=number)])[0]
        for number in range(len(sources))
    ]
    assert same(others[0], others[1]) == (swapper.card.name in PERSONAL)


def test_every_folder_is_a_name() -> None:
    folders = Path(methods.__file__).parent.glob("*/__init__.py")
    assert {folder.parent.name for folder in folders} <= set(TABLE)


@pytest.mark.parametrize("name", [*TRAINED, *IMPORTED, *OWN])
def test_a_method_without_its_weights_says_how_to_get_them(name: str) -> None:
    how = rf"{name} has no weights of its own.*--weights"
    if name in OWN:
        how = rf"has no weights.*`sosie train {name} --source .*--weights"
    elif name not in ("infoswap", "rsgan"):
        how = rf"has no weights.*`sosie weights import {name} FILE`.*--weights"
    with pytest.raises(UsageError, match=how):
        load_method(name)(SwapOptions(method=name))


def test_an_unknown_method_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'mesh'"):
        load_method("mehs")
