"""A network of two people leaves as a DFM and comes back by `--method dfm` as the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)
onnx = pytest.importorskip("onnx", exc_type=ImportError)

from sosie.errors import OutputError, SosieError, UsageError  # noqa: E402
from sosie.methods import load_method  # noqa: E402
from sosie.methods.deepfacelab.network import Form, build  # noqa: E402
from sosie.methods.dfm.swapper import as_bgr  # noqa: E402
from sosie.options import SwapOptions  # noqa: E402
from sosie.recipes.two_people import dfm  # noqa: E402
from sosie.recipes.two_people.dfm import write_dfm  # noqa: E402
from sosie.recipes.two_people.model_file import PeopleCard  # noqa: E402
from sosie.recipes.two_people.network import Merging, TwoPeople  # noqa: E402

SIDE = 64
FORMS = {
    "df": Form("df", "", SIDE, ae=16, e=4, d=4, dm=4),
    "liae-udt": Form("liae", "udt", SIDE, ae=16, e=4, d=4, dm=4),
    "amp": Form("amp", "c", SIDE, ae=16, e=4, d=4, dm=4, inter=16),
}


@pytest.fixture
def network() -> Callable[[str], tuple[TwoPeople, PeopleCard]]:
    """A tiny untrained network whose masks are neither 0 nor 1, and its card."""

    def make(name: str) -> tuple[TwoPeople, PeopleCard]:
        torch.manual_seed(3)
        form = FORMS[name]
        card = PeopleCard("deepfacelab", "full", SIDE, form.kind == "amp", "none")
        return build(form).eval(), card

    return make


def shape(value: Any) -> list[Any]:
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize("name", FORMS)
def test_names_shapes_order_and_versions_are_those_of_the_format(
    network: Callable[..., Any], tmp_path: Path, name: str
) -> None:
    write_dfm(*network(name), tmp_path / "a.dfm")
    model = onnx.load(str(tmp_path / "a.dfm"))
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 12)]
    assert model.ir_version == 7
    wanted = {"in_face:0": ["batch", SIDE, SIDE, 3]}
    if name == "amp":
        wanted["morph_value:0"] = [1]
    assert {one.name: shape(one) for one in model.graph.input} == wanted
    assert [one.name for one in model.graph.output] == [
        "out_face_mask:0",
        "out_celeb_face:0",
        "out_celeb_face_mask:0",
    ]
    kinds = {one.type.tensor_type.elem_type for one in (*model.graph.input, *model.graph.output)}
    assert kinds == {onnx.TensorProto.FLOAT}


@pytest.mark.parametrize(
    ("name", "back", "morph"),
    [("df", False, 1.0), ("liae-udt", True, 1.0), ("amp", False, 0.25), ("amp", True, 1.0)],
)
def test_what_is_exported_swaps_as_the_network_does(
    network: Callable[..., Any],
    model_face: Callable[..., Any],
    crop_for: Callable[..., Any],
    tmp_path: Path,
    name: str,
    back: bool,
    morph: float,
) -> None:
    own, card = network(name)
    file = tmp_path / "a.dfm"
    write_dfm(own, card, file, back)
    options = SwapOptions(method="dfm", model=str(file), morph=morph)
    swapper = load_method("dfm")(options)
    assert (swapper.card.template, swapper.card.size_px) == ("dfl_full", SIDE)
    assert swapper.card.license == card.license
    frame = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    crop = crop_for(frame, model_face(unit_px=50), swapper.card)
    (made,) = swapper.swap(swapper.prepare([]), [crop])
    pixels = torch.from_numpy(as_bgr(crop.pixels))
    with torch.no_grad():
        given = (pixels, torch.tensor([morph])) if name == "amp" else (pixels,)
        target, face, source = (one[0].numpy() for one in Merging(own, back)(*given))
    assert np.abs(made.pixels - face[..., ::-1]).max() < 1e-4
    inner = slice(8, -8)
    product = (target * source)[inner, inner, 0]
    assert np.abs(made.mask[inner, inner] - product).max() < 1e-4


def test_morphs_differ_and_so_do_directions(network: Callable[..., Any], tmp_path: Path) -> None:
    """Else the comparison above would say nothing."""
    from sosie.models.session import create_session

    own, card = network("amp")
    picture = np.random.default_rng(1).random((1, SIDE, SIDE, 3), np.float32)
    faces = []
    for number, (back, morph) in enumerate(((False, 0.25), (False, 1.0), (True, 1.0))):
        write_dfm(own, card, tmp_path / f"{number}.dfm", back)
        given = {"in_face:0": picture, "morph_value:0": np.array([morph], np.float32)}
        faces.append(create_session(tmp_path / f"{number}.dfm").run(given)["out_celeb_face:0"])
    assert min(np.abs(a - b).max() for a, b in pairwise(faces)) > 1e-3


def test_a_card_says_what_the_format_cannot(network: Callable[..., Any], tmp_path: Path) -> None:
    own, card = network("df")
    write_dfm(own, card, tmp_path / "a.dfm")
    model = onnx.load(str(tmp_path / "a.dfm"))
    (entry,) = model.metadata_props
    told = json.loads(entry.value)
    assert entry.key == "sosie.card"
    assert (told["face_type"], told["license"]) == ("full", card.license)


def test_nothing_is_written_where_it_cannot_be_used(
    network: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, card = network("df")
    with pytest.raises(UsageError, match=r"does not end with \.dfm"):
        write_dfm(own, card, tmp_path / "a.onnx")
    monkeypatch.setattr(dfm, "_TOLERANCE", -1.0)
    with pytest.raises(SosieError, match="computes something else than torch"):
        write_dfm(own, card, tmp_path / "a.dfm")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "a.dfm").write_text("mine")
    with pytest.raises(OutputError):
        write_dfm(own, card, tmp_path / "a.dfm")
    assert (tmp_path / "a.dfm").read_text() == "mine"
