"""The method `dfm` on files made here: what goes in, what comes out, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.fixtures.dfm import COLOR

import sosie
from sosie.errors import InputError, UsageError
from sosie.geometry.face_types import FACE_TYPES
from sosie.methods import load_method
from sosie.options import FACE_TYPES as CHOICES
from sosie.options import SwapOptions

MakeDfm = Callable[..., Path]


def opened(file: Path, **options: Any) -> Any:
    values = {"face_type": "whole", **options}
    return load_method("dfm")(SwapOptions(method="dfm", model=str(file), **values))


@pytest.fixture
def crop(model_face, crop_for) -> Callable[..., Any]:
    """The crop of a face in a picture of one color."""

    def make(swapper: Any, color: tuple[int, int, int] = (200, 100, 50), top: int = 255) -> Any:
        frame = np.broadcast_to(np.array(color), (256, 256, 3)).astype(np.uint8)
        if top == 65535:
            frame = frame.astype(np.uint16) * 257
        return crop_for(frame, model_face(unit_px=50), swapper.card)

    return make


@pytest.mark.parametrize("top", [255, 65535])
def test_blue_comes_first_in_and_out(make_dfm: MakeDfm, crop: Callable[..., Any], top: int) -> None:
    swapper = opened(make_dfm())
    (made,) = swapper.swap(swapper.prepare([]), [crop(swapper, (200, 100, 50), top)])
    wanted = np.array(COLOR[::-1]) + 0.1 * np.array([200, 100, 50]) / 255
    assert np.allclose(made.pixels[32, 32], np.clip(wanted, 0, 1), atol=1e-3)
    assert made.mask[32, 32] == 1
    assert not made.own.any()


@pytest.mark.parametrize(
    ("which", "width"), [("target", 0.8), ("source", 0.5), ("both", 0.5)], ids=str
)
def test_the_masks_of_the_field_are_combined_as_asked(
    make_dfm: MakeDfm, crop: Callable[..., Any], which: str, width: float
) -> None:
    swapper = opened(make_dfm(masks=(0.8, 0.5)), learned_mask=which)
    (made,) = swapper.swap(0, [crop(swapper)])
    row = made.mask[32] > 0.5
    assert row.sum() == pytest.approx(64 * width, abs=2)
    assert set(np.unique(made.mask[20:44, 28:36])) == {1.0}


def test_a_mask_that_fills_the_crop_ends_before_its_edge(
    make_dfm: MakeDfm, crop: Callable[..., Any]
) -> None:
    swapper = opened(make_dfm(masks=(9, 9)))
    (made,) = swapper.swap(0, [crop(swapper)])
    assert made.mask[32, 32] == 1
    assert made.mask[[0, -1]].max() < 0.2
    assert made.mask[:, [0, -1]].max() < 0.2


@pytest.mark.parametrize("morph", [0.0, 0.25, 1.0])
def test_the_morph_factor_reaches_a_network_that_has_one(
    make_dfm: MakeDfm, crop: Callable[..., Any], morph: float
) -> None:
    swapper = opened(make_dfm(morph=True), morph=morph)
    (made,) = swapper.swap(0, [crop(swapper, (0, 0, 0))])
    assert np.allclose(made.pixels[32, 32], np.array(COLOR[::-1]) * morph, atol=1e-5)


def test_names_are_taken_without_the_numbers_of_tensorflow_too(
    make_dfm: MakeDfm, crop: Callable[..., Any]
) -> None:
    a, b = (opened(make_dfm(colon=colon)) for colon in (":0", ""))
    one, other = (swapper.swap(0, [crop(swapper)])[0] for swapper in (a, b))
    assert np.array_equal(one.pixels, other.pixels)


def test_the_crop_is_asked_for_and_never_guessed(make_dfm: MakeDfm) -> None:
    file = make_dfm()
    with pytest.raises(UsageError, match=r"does not say which crop.*--face-type whole.*head"):
        opened(file, face_type=None)
    assert tuple(FACE_TYPES) == CHOICES
    for name in CHOICES:
        card = opened(file, face_type=name).card
        assert (card.template, card.size_px) == (f"dfl_{name.replace('-', '_')}", 64)


def test_a_file_that_says_its_crop_needs_no_word(make_dfm: MakeDfm) -> None:
    told = {"sosie.card": '{"face_type": "full", "license": "CC0-1.0"}'}
    file = make_dfm(metadata=told)
    card = opened(file, face_type=None).card
    assert (card.template, card.license) == ("dfl_full", "CC0-1.0")
    assert opened(file, face_type="head").card.template == "dfl_head"
    for damaged in ("[]", "{", '{"face_type": "nose"}', '{"face_type": []}'):
        with pytest.raises(UsageError, match="does not say which crop"):
            opened(make_dfm(metadata={"sosie.card": damaged}), face_type=None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rename": {"in_face": "target"}}, r"no DFM: it takes target and gives.*--method onnx"),
        ({"morph": True, "rename": {"morph_value": "seed"}}, r"takes in_face:0, seed"),
        ({"rename": {"out_celeb_face": "picture"}}, r"gives out_face_mask:0, picture, out_celeb"),
        ({"drop": ("out_face_mask",)}, "gives out_celeb_face:0, out_celeb_face_mask:0, instead of"),
        ({"shapes": {"in_face": ["n", "h", 64, 3]}}, r"pictures of any x any x 64 x 3 instead"),
        ({"shapes": {"in_face": ["n", "h", "w", 3]}}, r"pictures of any x any x any x 3 instead"),
        ({"side": 8}, "pictures of 8 px: no DFM takes fewer than 16"),
        ({"morph": True, "shapes": {"morph_value": [1, 1]}}, "morph_value as 1 x 1 instead"),
    ],
    ids=["input", "second input", "output", "absent output", "channels", "size", "small", "morph"],
)
def test_what_is_no_dfm_is_refused_and_told_what_it_has(
    make_dfm: MakeDfm, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        opened(make_dfm(**change))


def test_a_file_that_is_no_network_and_none_at_all(tmp_path: Path) -> None:
    file = tmp_path / "x.dfm"
    with pytest.raises(InputError, match=r"x\.dfm"):
        opened(file)
    file.write_bytes(b"no network" * 50)
    with pytest.raises(InputError, match=r"x\.dfm cannot be read"):
        opened(file)
    with pytest.raises(UsageError, match=r"add --model FILE\.dfm"):
        load_method("dfm")(SwapOptions(method="dfm"))


@pytest.mark.parametrize("said", [["n", 32, 32, 1], ["n", "h", "w", 1]], ids=["said", "found out"])
def test_a_mask_of_another_size_is_an_error(make_dfm: MakeDfm, said: list[Any]) -> None:
    with pytest.raises(InputError, match="gives out_face_mask as 1 x 32 x 32 x 1 instead of any"):
        opened(make_dfm(mask_side=32, shapes={"out_face_mask": said}))


def test_a_photo_is_swapped_with_it_alone(make_dfm: MakeDfm, astronaut) -> None:
    result = sosie.swap_image(
        None,
        astronaut,
        method="dfm",
        model=str(make_dfm(side=96)),
        face_type="whole",
        color="none",
        texture="none",
    )
    changed = (result.image != astronaut).any(-1)
    assert 0.01 < changed.mean() < 0.2
    # In the middle of what was changed is the person of the weights.
    y, x = np.argwhere(changed).mean(0).astype(int)
    wanted = 255 * (np.array(COLOR[::-1]) + 0.1 * astronaut[y, x] / 255)
    assert np.abs(result.image[y, x] - np.clip(wanted, 0, 255)).max() < 12
    assert result.report.license == "as its maker states; the file does not say"
