"""The options dataclass refuses what cannot be meant, and says what can."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sosie.errors import UsageError, nearest
from sosie.methods import TABLE, load_method
from sosie.options import BLENDS, COLORS, OptionKeywords, SwapOptions


def test_nearest_lists_all_and_suggests_the_closest():
    assert nearest("possion", BLENDS) == (
        "choose one of multiband, poisson, alpha (did you mean 'poisson'?)"
    )
    assert nearest("zzz", BLENDS) == "choose one of multiband, poisson, alpha"


@given(st.sampled_from([name for name in BLENDS + COLORS if len(name) > 3]), st.data())
def test_nearest_survives_one_wrong_letter(name, data):
    position = data.draw(st.integers(0, len(name) - 1))
    assert f"did you mean {name!r}?" in nearest(
        name[:position] + "_" + name[position + 1 :], BLENDS + COLORS
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"blend": "multi-band"}, "Unknown blend 'multi-band'.*did you mean 'multiband'"),
        ({"color": "lite"}, "Unknown color 'lite'.*did you mean 'light'"),
        ({"shape": 1.5}, "shape must be between 0 and 1, not 1.5"),
        ({"shape": float("nan")}, "shape must be between"),
        ({"mask_feather": -0.1}, "mask_feather must be between 0 and 0.5"),
        ({"mask_erode": -0.1}, "mask_erode must be between 0 and 0.3"),
        ({"keep": "mouth,nose"}, "Unknown thing to keep 'nose'"),
        ({"expression": "mine"}, "expression is `target`, `source` or a number from 0 to 1"),
        ({"expression": "1.5"}, "expression is `target`"),
        ({"expression": "nan"}, "expression is `target`"),
        (
            {"method": "simswap", "expression": "source"},
            "expression belongs to the methods graft and mesh, not to",
        ),
        ({"crf": 64}, "crf must be between 0 and 63"),
        ({"threads": 0}, "threads must be between 1 and"),
        ({"start_s": -1.0}, "start must be 0 seconds or more"),
        ({"start_s": float("inf")}, "start must be 0 seconds or more"),
        ({"start_s": 5.0, "end_s": 5.0}, "must come after start"),
        ({"end_s": float("nan")}, "must come after start"),
        ({"faces": "first"}, "faces must be 'largest', 'all' or positions"),
        ({"faces": "0,-1"}, "faces must be"),
        ({"faces": ""}, "faces must be"),
        ({"model": "a.onnx"}, "model belongs to the methods onnx and dfm, not to graft"),
        ({"face_type": "whole"}, "face_type belongs to the method dfm, not to graft"),
        ({"method": "dfm", "face_type": "hole"}, "Unknown face_type 'hole'.*did you mean 'whole'"),
        ({"method": "dfm", "weights": "a.safetensors"}, "weights belong to a trained method"),
        ({"method": "dfm", "encoder": "a.onnx"}, "encoder belongs to the method onnx"),
        ({"morph": 1.5}, "morph must be between 0 and 1"),
        ({"learned_mask": "all"}, "Unknown learned_mask 'all'"),
        ({"converter": "none"}, "converter belongs to the method onnx"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(values, message):
    with pytest.raises(UsageError, match=message):
        SwapOptions(**values)


def test_positions_of_faces():
    assert SwapOptions().face_positions() is None
    assert SwapOptions(faces="all").face_positions() is None
    assert SwapOptions(faces="0, 2").face_positions() == (0, 2)


def test_options_survive_json():
    options = SwapOptions(
        faces="all",
        shape=0.5,
        start_s=1.5,
        codec="libx265",
        overwrite=True,
        processors=("a:1",),
    )
    assert SwapOptions.from_dict(json.loads(json.dumps(dataclasses.asdict(options)))) == options
    assert json.loads(json.dumps(options.to_dict())) == options.to_dict()
    assert SwapOptions.from_dict(options.to_dict()) == options


def test_options_are_read_from_texts():
    texts = {
        "model": "a.onnx",
        "threads": "2",
        "shape": "0.5",
        "start_s": "1.5",
        "overwrite": "true",
        "processors": "sharpen onnx:a.onnx,weight=0.5",
    }
    values = {name: SwapOptions.value_of(name, text) for name, text in texts.items()}
    assert values == {
        "model": "a.onnx",
        "threads": 2,
        "shape": 0.5,
        "start_s": 1.5,
        "overwrite": True,
        "processors": ("sharpen", "onnx:a.onnx,weight=0.5"),
    }
    for name, text in (("threads", "all"), ("shape", "much")):
        with pytest.raises(UsageError, match=f"{name} takes a number, not '{text}'"):
            SwapOptions.value_of(name, text)
    with pytest.raises(UsageError, match="Unknown overwrite 'yes'"):
        SwapOptions.value_of("overwrite", "yes")


def test_an_unknown_key_names_the_nearest():
    with pytest.raises(
        UsageError, match=r"Unknown option 'mask_fether'.*did you mean 'mask_feather'"
    ):
        SwapOptions.from_dict({"mask_fether": 0.1})


def test_every_option_is_documented():
    documented = SwapOptions.__doc__ or ""
    for field in dataclasses.fields(SwapOptions):
        assert field.name in documented.replace(":", ",").replace("\n", ",").replace(" ", "").split(
            ","
        )


def test_the_default_method_is_in_the_table():
    assert SwapOptions().method in TABLE


def test_an_unknown_method_names_the_nearest():
    with pytest.raises(UsageError, match=r"Unknown method 'mash'.*did you mean 'mesh'"):
        load_method("mash")


def test_the_keywords_of_the_functions_are_the_options():
    """A type checker knows the one by the other."""
    assert get_type_hints(OptionKeywords) == get_type_hints(SwapOptions)
    assert OptionKeywords.__required_keys__ == frozenset()


def test_paths_can_be_made_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.onnx").touch()
    (tmp_path / "nets").mkdir()
    processors = ("sharpen:0.5", "onnx:net.onnx,weight=0.8", "expression:nets,factor=1")
    given = SwapOptions(
        method="onnx", model="net.onnx", converter="none", watch="a/now.jpg", processors=processors
    )
    whole = given.absolute()
    assert whole.model == str(tmp_path / "net.onnx")
    assert (whole.converter, whole.encoder) == ("none", None)
    assert whole.watch == str(tmp_path / "a" / "now.jpg")
    assert whole.processors == (
        "sharpen:0.5",
        f"onnx:{tmp_path / 'net.onnx'},weight=0.8",
        f"expression:{tmp_path / 'nets'},factor=1",
    )
    assert whole.absolute() == whole
