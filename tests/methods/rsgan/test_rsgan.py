"""RSGAN: separate codes of face and hair, what it learns, and swaps of either."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from sosie.blending.mask import face_mask  # noqa: E402
from sosie.errors import InputError, UsageError  # noqa: E402
from sosie.methods import load_method  # noqa: E402
from sosie.methods.rsgan.network import Rsgan, SwapGraph  # noqa: E402
from sosie.options import SwapOptions  # noqa: E402
from sosie.recipes import load_recipe  # noqa: E402
from sosie.recipes.swapper import recipe as swapping  # noqa: E402
from sosie.recipes.train import Order, make  # noqa: E402
from sosie.training.optimizer_steps import Steps  # noqa: E402

TINY = {"samples": "8", "batch": "4", "validate_every": "4", "width": "4", "critic": "4",
        "latent": "8"}  # fmt: skip


@pytest.fixture
def people(monkeypatch, some_people):
    monkeypatch.setattr(swapping, "open_people", lambda *_: some_people())
    monkeypatch.setattr(swapping, "_VALIDATED", 4)


def tiny(materials, **changes):
    kind = load_recipe("rsgan")
    plan = kind.presets["small"].changed(TINY)
    return kind(materials, dataclasses.replace(plan, **changes))


def test_each_share_takes_one_region_of_the_source():
    torch.manual_seed(0)
    network = Rsgan(32, 4, 8).eval()
    graph = SwapGraph(network)
    target, source = torch.rand(2, 1, 3, 32, 32)
    none, whole = torch.zeros(1, 1), torch.ones(1, 1)
    with torch.no_grad():
        of_target, of_source = network.codes(target), network.codes(source)
        for face, hair in ((0, 0), (1, 0), (0, 1), (1, 1)):
            made, regions = graph(target, source, (none, whole)[face], (none, whole)[hair])
            codes = [(t, s)[k] for t, s, k in zip(of_target, of_source, (face, hair), strict=True)]
            expected = network.composed(*codes)
            assert torch.allclose(made, expected[:, :3], atol=1e-6)
            before = network.composed(*of_target)[:, 3:]
            assert bool((regions >= before - 1e-6).all())


def test_a_recipe_learns_a_batch_by_heart(materials, people):
    torch.manual_seed(0)
    recipe = tiny(materials, lr=3e-3, width=8, latent=16, beta=0.01, adversarial=0.001)
    steps = Steps(recipe.network(), recipe.phases(), recipe.chosen)
    samples = [recipe.sample(k, np.random.default_rng(k)) for k in range(4)]
    batch = {key: torch.from_numpy(np.stack([s[key] for s in samples])) for key in samples[0]}
    found = [steps.take([dict(batch)], 0.0) for _ in range(25)]
    for term in ("reconstruction", "parts"):
        assert found[-1][f"generator/{term}"] < 0.6 * found[0][f"generator/{term}"]
    names = {"divergence", "identity", "adversarial"}
    assert {f"generator/{name}" for name in names} <= set(found[0])
    assert all(np.isfinite(list(terms.values())).all() for terms in found)


@pytest.fixture
def snapshot(materials, people, tmp_path):
    order = Order("rsgan", materials, tmp_path / "run", settings=TINY, preset="small")
    assert make(order).file.name == "snapshot.onnx"
    return tmp_path / "run" / "snapshot.safetensors"


def test_a_snapshot_swaps_what_it_is_told_to(
    snapshot, model_face, source_of, crop_for, monkeypatch
):
    face = model_face(unit_px=45)
    rng = np.random.default_rng(0)
    photo, frame = (rng.integers(0, 256, (256, 256, 3), np.uint8) for _ in range(2))
    made = {}
    for region in ("face", "hair", "both"):
        options = SwapOptions(method="rsgan", weights=str(snapshot), region=region)
        swapper = load_method("rsgan")(options)
        session = swapper._session

        class Everywhere:
            inputs, provider = session.inputs, session.provider

            def run(self, told, session=session):
                made_, regions = session.run(told).values()
                return {"swapped": made_, "regions": np.ones_like(regions)}

        monkeypatch.setattr(swapper, "_session", Everywhere())
        prepared = swapper.prepare([source_of(photo, face)])
        crop = crop_for(frame, face, swapper.card)
        made[region] = swapper.swap(prepared, [crop])[0]
        mask = face_mask(crop, made[region], 0.012)
        # Hair lies outside the face's outline, and its color is not the target's light.
        assert (mask[8, 20:40].max() > 0) == (region != "face")
        assert made[region].own.max() == (region != "face")
    assert not np.array_equal(made["face"].pixels, made["hair"].pixels)
    assert not np.array_equal(made["hair"].pixels, made["both"].pixels)


def test_region_belongs_to_this_method():
    with pytest.raises(UsageError, match="region belongs to the methods rsgan and e4s"):
        SwapOptions(method="graft", region="hair")
    with pytest.raises(UsageError, match="did you mean 'hair'"):
        SwapOptions(method="rsgan", region="hairs")
    with pytest.raises(UsageError, match=r"sosie train rsgan.*none were published"):
        load_method("rsgan")(SwapOptions(method="rsgan"))


def test_a_file_of_another_network_is_refused(untrained, tmp_path):
    onnx = pytest.importorskip("onnx", exc_type=ImportError)
    model = onnx.load(str(untrained("infoswap")))
    (entry,) = (p for p in model.metadata_props if p.key == "sosie.card")
    entry.value = entry.value.replace('"infoswap"', '"rsgan"')
    (tmp_path / "a.safetensors").write_bytes(b"")
    onnx.save(model, str(tmp_path / "a.onnx"))
    with pytest.raises(InputError, match="takes target, source, which no network of"):
        load_method("rsgan")(SwapOptions(method="rsgan", weights=str(tmp_path / "a.safetensors")))
