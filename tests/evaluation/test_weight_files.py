from __future__ import annotations

import hashlib
import pickle

import pytest

from sosie.errors import InputError, UnavailableError
from sosie.evaluation.weight_files import (
    FOLDER_VARIABLE,
    WeightFile,
    are_present,
    find_weights,
    load_tensors,
)

CONTENT = b"weights"
CARD = WeightFile("net.pth", hashlib.sha256(CONTENT).hexdigest(), "https://example.org/net", "MIT")


def test_a_file_is_found_where_the_option_or_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    assert not are_present([CARD], None)
    (tmp_path / CARD.file).write_bytes(CONTENT)
    assert find_weights(CARD, tmp_path) == tmp_path / CARD.file
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert are_present([CARD], None)
    assert find_weights(CARD, None) == tmp_path / CARD.file


def test_an_absent_file_is_told_with_where_to_get_it(tmp_path, monkeypatch):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    for folder in (None, tmp_path):
        with pytest.raises(UnavailableError, match=r"net\.pth.*https://example.org/net.*MIT"):
            find_weights(CARD, folder)


def test_another_file_of_that_name_is_refused(tmp_path):
    (tmp_path / CARD.file).write_bytes(b"other")
    with pytest.raises(InputError, match=r"not net\.pth as published"):
        find_weights(CARD, tmp_path)


def test_a_pickle_that_runs_code_is_not_run(tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    trace = tmp_path / "trace"

    class Bomb:
        def __reduce__(self):
            return (type(trace).touch, (trace,))

    path = tmp_path / "bomb.pth"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match="cannot be read"):
        load_tensors(path)
    assert not trace.exists()


def test_only_named_tensors_are_taken(tmp_path):
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")
    tensors = {"a": torch.arange(3.0)}
    torch.save(tensors, tmp_path / "good.pth")
    safetensors.save_file(tensors, tmp_path / "good.safetensors")
    for name in ("good.pth", "good.safetensors"):
        assert load_tensors(tmp_path / name)["a"].tolist() == [0, 1, 2]
    torch.save({"a": torch.zeros(1), "epoch": 3}, tmp_path / "state.pth")
    with pytest.raises(InputError, match="more than named tensors"):
        load_tensors(tmp_path / "state.pth")
