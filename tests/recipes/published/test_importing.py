"""`sosie weights import`: from a published checkpoint to a snapshot and an ONNX file."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", exc_type=ImportError)

from safetensors import SafetensorError  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from torch import nn  # noqa: E402

from sosie.errors import InputError, OutputError, SosieError, UsageError  # noqa: E402
from sosie.models.session import create_session  # noqa: E402
from sosie.recipes.published import files  # noqa: E402
from sosie.recipes.published.files import (  # noqa: E402
    SnapshotCard,
    WithEmbeddingMap,
    export,
    load_snapshot,
    make_card,
    save_snapshot,
)
from sosie.recipes.published.importing import import_weights  # noqa: E402
from sosie.recipes.published.networks import find_published, published_shapes  # noqa: E402

SMALL = "simswap_disc"


def weights_of(name: str) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    shapes = published_shapes(name)
    return {key: torch.rand(shape) * 0.1 + 0.01 for key, shape in shapes.items()}


def hollow(name: str) -> dict[str, torch.Tensor]:
    """Weights of the right shapes that take no room, in memory or in a file."""
    return {key: torch.zeros(()).expand(shape) for key, shape in published_shapes(name).items()}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("published") / "latest_net_D.pth"
    torch.save({"epoch": 7, "netD": weights_of(SMALL)}, file)
    return file


def test_what_was_published_is_what_runs(checkpoint, tmp_path):
    done = import_weights("simswap", checkpoint, tmp_path)
    assert 0 <= done.deviation < 1
    assert done.card.network == SMALL
    assert (done.card.origin, len(done.card.sha256)) == ("latest_net_D.pth", 64)
    assert done.card.license == find_published(SMALL).license
    network, card = load_snapshot(done.snapshot)
    assert card.network == SMALL
    picture = np.random.default_rng(1).random((2, 3, 224, 224), np.float32)
    session = create_session(done.onnx)
    assert session.inputs == {"picture": (None, 3, 224, 224)}
    results = session.run({"picture": picture})
    with torch.no_grad():
        expected = network(torch.from_numpy(picture))
    assert list(results) == list(card.outputs)
    for ours, theirs in zip(results.values(), expected, strict=True):
        assert np.allclose(ours, theirs.numpy(), atol=1e-4 * float(theirs.std()))
    state = network.state_dict()
    published = weights_of(SMALL)
    for own, value in state.items():
        theirs = published[find_published(SMALL).published_name(own)]
        assert torch.equal(value, theirs.to(value.dtype))


def test_both_files_carry_the_card(checkpoint, tmp_path):
    done = import_weights("simswap", checkpoint, tmp_path)
    import onnx

    (entry,) = onnx.load(str(done.onnx)).metadata_props
    assert entry.key == "sosie.card"
    stored = json.loads(entry.value)
    assert stored == json.loads(done.card.to_json())
    assert stored["value_range"] == find_published(SMALL).value_range


def test_older_files_lack_counters_that_nobody_reads(tmp_path):
    state = weights_of(SMALL)
    without = {key: v for key, v in state.items() if not key.endswith("num_batches_tracked")}
    assert len(without) < len(state)
    torch.save(without, tmp_path / "old.pth")
    assert import_weights("simswap", tmp_path / "old.pth", tmp_path).card.network == SMALL


def test_the_averaged_weights_are_taken(tmp_path):
    file = tmp_path / "both.pth"
    raw, averaged = weights_of(SMALL), weights_of(SMALL)
    averaged["down1.0.bias"] += 1
    torch.save({"net_d": raw, "net_d_ema": averaged}, file)
    done = import_weights("simswap", file, tmp_path)
    bias = load_snapshot(done.snapshot)[0].state_dict()["layers.0.0.bias"]
    assert torch.equal(bias, averaged["down1.0.bias"])
    torch.save({"a": raw, "b": averaged}, file)
    with pytest.raises(InputError, match=r"simswap_disc more than once \(in a, b\)"):
        import_weights("simswap", file, tmp_path)


def test_blendswaps_running_averages_are_told_from_the_rest():
    entry = find_published("blendswap")
    state = {"G.a": 1, "G_ema.a": 2, "mask_head_ema.b": 3, "Z_e.1.fc.weight": 4, "E_ema.c": 5}
    assert entry.from_file(state) == {"G.a": 2, "mask_head.b": 3, "E.c": 5}
    assert entry.from_file({"G.a": 1, "D.x": 2}) == {"G.a": 1}
    assert entry.from_file({"x": 1}) == {"x": 1}


def test_a_layout_of_two_networks_is_not_guessed(tmp_path):
    file = tmp_path / "latest_net_G.pth"
    torch.save(hollow("simswap224_official"), file)
    with pytest.raises(UsageError, match=r"simswap224_official and simswap_train_fix.*--network"):
        import_weights("simswap", file, tmp_path)


def test_of_a_file_with_several_networks_one_is_named(tmp_path):
    file = tmp_path / "stitching_retargeting_module.pth"
    parts = {"retarget_shoulder": "stitching", "retarget_mouth": "lip", "retarget_eye": "eye"}
    torch.save(
        {
            part: {f"module.{key}": v for key, v in weights_of(f"liveportrait_{name}").items()}
            for part, name in parts.items()
        },
        file,
    )
    with pytest.raises(
        UsageError, match=r"holds liveportrait_eye, .*lip, .*stitching: .*--network"
    ):
        import_weights("portrait", file, tmp_path)
    done = import_weights("portrait", file, tmp_path, network="liveportrait_lip")
    assert create_session(done.onnx).inputs == {"input": (None, 65)}


def test_a_wrong_file_is_refused_with_what_it_seems_to_be(tmp_path):
    file = tmp_path / "backbone.pth"
    torch.save(hollow("arcface_iresnet100"), file)
    with pytest.raises(InputError, match="not a network of simswap: it seems to be arcface_ires"):
        import_weights("simswap", file, tmp_path)
    less = dict(list(hollow("simswap512_official").items())[3:])
    torch.save(less, file)
    with pytest.raises(InputError, match="it is most like simswap512_official, of which it has 98"):
        import_weights("simswap", file, tmp_path)
    with pytest.raises(InputError, match="not simswap_disc: it is most like simswap512"):
        import_weights("simswap", file, tmp_path, network=SMALL)
    assert not list(tmp_path.glob("*.onnx"))


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    state = weights_of(SMALL)
    state["down2.0.weight"][3, 1] = torch.nan
    torch.save(state, tmp_path / "failed.pth")
    with pytest.raises(InputError, match=r"not finite \(in down2\.0\.weight\)"):
        import_weights("simswap", tmp_path / "failed.pth", tmp_path)


def test_wrong_words_are_answered(checkpoint, tmp_path):
    with pytest.raises(UsageError, match="did you mean 'simswap'"):
        import_weights("simswp", checkpoint, tmp_path)
    with pytest.raises(UsageError, match="did you mean 'simswap_disc'"):
        import_weights("simswap", checkpoint, tmp_path, network="simswap_disk")
    wrong = tmp_path / "map.npy"
    np.save(wrong, np.zeros((512, 2)))
    with pytest.raises(InputError, match="512 x 512"):
        import_weights("simswap", checkpoint, tmp_path, embedding_map=wrong)
    absent = tmp_path / "absent.npy"
    with pytest.raises(InputError, match=r"no \.npy file"):
        import_weights("simswap", checkpoint, tmp_path, embedding_map=absent)
    with pytest.raises(InputError, match="no embedding map as its last constant"):
        import_weights("simswap", checkpoint, tmp_path, embedding_map=absent.with_suffix(".onnx"))
    np.save(wrong, np.eye(512))
    with pytest.raises(UsageError, match="takes no embedding map"):
        import_weights("simswap", checkpoint, tmp_path, embedding_map=wrong)


def test_results_are_not_replaced_unless_told(checkpoint, tmp_path):
    (tmp_path / f"{SMALL}.onnx").write_text("mine")
    with pytest.raises(OutputError, match="--overwrite"):
        import_weights("simswap", checkpoint, tmp_path)
    assert (tmp_path / f"{SMALL}.onnx").read_text() == "mine"
    assert import_weights("simswap", checkpoint, tmp_path, overwrite=True).onnx.stat().st_size > 4e6


def test_a_full_disk_leaves_nothing_half_written(checkpoint, tmp_path, monkeypatch):
    def write_half(tensors, file, metadata):
        Path(file).write_bytes(b"half of it")
        raise SafetensorError("I/O error: No space left on device")

    monkeypatch.setattr(files, "save_file", write_half)
    with pytest.raises(OutputError, match=r"No space left on device.*make room"):
        import_weights("simswap", checkpoint, tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        import_weights("simswap", checkpoint, tmp_path / "file" / "new")


class Mixer(nn.Module):
    """The least of swappers: it answers with the identity itself."""

    def forward(self, target: torch.Tensor, identity: torch.Tensor) -> torch.Tensor:
        return target.mean((2, 3))[:, :1] * 0 + identity


def card_of(inputs: dict[str, tuple[int, ...]]) -> SnapshotCard:
    texts = ("network", "method", "summary", "paper", "license")
    treatment = ("value_range", "alignment", "embedding")
    fields = dict.fromkeys((*texts, *treatment), "x")
    return SnapshotCard(
        **fields, inputs=inputs, outputs=("out",), parameters=0, origin="x", sha256="x"
    )


def test_the_embedding_map_comes_before_the_swapper(tmp_path):
    matrix = np.random.default_rng(0).normal(size=(512, 512)).astype(np.float32)
    network = WithEmbeddingMap(Mixer(), matrix).eval()
    file = tmp_path / "mapped.onnx"
    export(network, card_of({"target": (1, 3, 8, 8), "embedding": (1, 512)}), file)
    embedding = np.random.default_rng(1).normal(size=(3, 512)).astype(np.float32)
    target = np.zeros((3, 3, 8, 8), np.float32)
    result = create_session(file).run({"target": target, "embedding": embedding})["out"]
    expected = embedding @ matrix
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.allclose(result, expected, atol=1e-5)


def test_an_export_that_computes_something_else_leaves_no_file(tmp_path, monkeypatch):
    class Other:
        def run(self, inputs):
            return {"out": np.zeros((1, 512), np.float32)}

    monkeypatch.setattr(files, "create_session", lambda file: Other())
    file = tmp_path / "mixed.onnx"
    with pytest.raises(SosieError, match="something else than torch"):
        export(Mixer(), card_of({"target": (1, 3, 8, 8), "identity": (1, 512)}), file)
    assert list(tmp_path.iterdir()) == []


def test_only_snapshots_are_loaded_as_such(tmp_path):
    file = tmp_path / "a.safetensors"
    file.write_bytes(b"nothing")
    with pytest.raises(InputError, match="no snapshot"):
        load_snapshot(file)
    other = nn.Linear(2, 2)
    save_snapshot(other, make_card(SMALL, other, "x.pth", "0" * 64, False), file)
    with pytest.raises(InputError, match="not those of simswap_disc"):
        load_snapshot(file)


@pytest.mark.parametrize(
    "change",
    [
        *({"network": name} for name in (None, [], {}, 3, "none of them", "../" + SMALL)),
        *({key: value} for key in ("inputs", "outputs", "license") for value in (None, 3, [[]])),
        *({"parameters": "many"}, {"embedding_map": 1}, {"more": 1}),
    ],
)
def test_a_card_of_another_form_is_refused(tmp_path, change):
    file = tmp_path / "a.safetensors"
    other = nn.Linear(2, 2)
    card = make_card(SMALL, other, "x.pth", "0" * 64, False)
    told = json.dumps(json.loads(card.to_json()) | change)
    save_file(other.state_dict(), file, {"sosie.card": told})
    with pytest.raises(InputError, match="import"):
        load_snapshot(file)


def test_a_card_that_nests_without_end_is_refused(tmp_path):
    file = tmp_path / "a.safetensors"
    save_file({"a": torch.ones(1)}, file, {"sosie.card": "[" * 100_000})
    with pytest.raises(InputError, match="no snapshot"):
        load_snapshot(file)


def test_pipes_and_devices_are_not_read(checkpoint, tmp_path):
    pipe = tmp_path / "pipe.safetensors"
    os.mkfifo(pipe)
    for file in (pipe, Path("/dev/zero"), tmp_path):
        with pytest.raises(InputError, match=r"is a (pipe|device|folder)"):
            import_weights("simswap", file, tmp_path)
    with pytest.raises(InputError, match="is a pipe"):
        load_snapshot(pipe)
    for name in ("map.npy", "map.onnx"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(InputError):
            import_weights("simswap", checkpoint, tmp_path, embedding_map=tmp_path / name)


def header(shape: str, dtype: str = "'<f4'") -> bytes:
    text = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x05\x06" + bytes(18),
        header("(512, 512)"),
        header("(1099511627776, 1099511627776)"),
        header("(512, 512)", "'|O'") + bytes(8 * 512 * 512),
        header("(512, 512)", "[('a', '<f4')]") + bytes(4 * 512 * 512),
        header("(512, 512)", "'<c8'") + bytes(8 * 512 * 512),
        header("(512, 512)") + b"\xff" * (4 * 512 * 512),
        header("-" * 9000 + "1"),
        header("(" * 900),
    ],
)
@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_what_is_no_embedding_map_is_refused(checkpoint, tmp_path, content):
    file = tmp_path / "map.npy"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"512 x 512|not finite"):
        import_weights("simswap", checkpoint, tmp_path, embedding_map=file)


def test_complex_weights_are_refused(tmp_path):
    file = tmp_path / "complex.pth"
    torch.save({key: value + 0j for key, value in weights_of(SMALL).items()}, file)
    with pytest.raises(InputError, match="complex numbers"):
        import_weights("simswap", file, tmp_path)


def test_the_command_tells_what_to_know(checkpoint, tmp_path, capsys, monkeypatch):
    from sosie.app.cli.entry import run

    arguments = ["weights", "import", "simswap", str(checkpoint), "-o", str(tmp_path)]
    assert run(arguments) == 0
    text = capsys.readouterr().out
    entry = find_published(SMALL)
    for words in (SMALL, entry.license, entry.value_range, entry.alignment, f"{SMALL}.onnx"):
        assert words in text
    assert "swap with" not in text  # it is no swapper
    monkeypatch.setattr("sosie.app.cli.weights.INTERFACES", {SMALL: None})
    assert run([*arguments, "--overwrite"]) == 0
    snapshot = tmp_path / f"{SMALL}.safetensors"
    assert f"swap with --method simswap --weights {snapshot}" in capsys.readouterr().out
    assert run([*arguments, "--overwrite", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["card"]["network"] == SMALL
    assert Path(report["snapshot"]).is_file()
    assert run([*arguments[:2], "ghost", *arguments[3:]]) in (1, 2)
    assert run(arguments) == 1
    assert "--overwrite" in capsys.readouterr().err


def test_a_checkpoint_with_the_description_of_its_network_is_read(tmp_path):
    """FSGAN's: the weights, and a text that would make the network."""
    file = tmp_path / "discriminator.pth"
    torch.save({"state_dict": weights_of("fsgan_disc"), "arch": "res_unet.Critic()"}, file)
    done = import_weights("fsgan", file, tmp_path / "out")
    assert done.card.network == "fsgan_disc"
    assert done.deviation < 1
