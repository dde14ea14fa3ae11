"""A source that was saved is the same source, and its file can do nothing else."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sosie import FaceSwapper, InputError, OutputError, UsageError
from sosie.swapping.identity_file import load_identity


@pytest.fixture(scope="module")
def saved(hopper_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("identity") / "me.sosie"
    FaceSwapper(hopper_path, method="mesh").save(path)
    return path


def test_a_saved_source_swaps_as_its_photo_does(
    saved: Path, hopper_path: Path, astronaut_path: Path
) -> None:
    by_photo = FaceSwapper(hopper_path, method="mesh").image(astronaut_path)
    by_file = FaceSwapper(saved, method="mesh").image(astronaut_path)
    apart = np.abs(by_photo.image.astype(int) - by_file.image)
    # Cut out of its photo, a face lies elsewhere, and floating point rounds otherwise.
    assert apart.max() <= 2
    assert (apart > 1).mean() < 1e-4
    assert by_file.report.faces[0].source_photo == hopper_path.name


def test_a_file_holds_no_path(saved: Path, hopper_path: Path) -> None:
    content = saved.read_bytes()
    assert hopper_path.name.encode() in content
    assert str(hopper_path.parent).encode() not in content


def test_a_saved_source_can_be_saved_again(saved: Path, tmp_path: Path) -> None:
    FaceSwapper(saved, method="mesh").save(tmp_path / "again.sosie")
    assert (tmp_path / "again.sosie").read_bytes() == saved.read_bytes()


def test_an_existing_file_and_another_ending_are_refused(
    saved: Path, hopper_path: Path, tmp_path: Path
) -> None:
    swapper = FaceSwapper(hopper_path, method="mesh")
    with pytest.raises(OutputError, match="exists"):
        swapper.save(saved)
    with pytest.raises(UsageError, match=r"me\.sosie"):
        swapper.save(tmp_path / "me.npz")
    assert list(tmp_path.iterdir()) == []


def test_several_people_do_not_go_into_one_file(
    hopper_path: Path, astronaut_path: Path, tmp_path: Path
) -> None:
    people = {hopper_path: astronaut_path, astronaut_path: hopper_path}
    with pytest.raises(UsageError, match="one person"):
        FaceSwapper(None, method="mesh", people=people).save(tmp_path / "us.sosie")


def rewritten(saved: Path, path: Path, change: Any) -> Path:
    from safetensors import safe_open
    from safetensors.numpy import save_file

    with safe_open(saved, "numpy") as opened:
        card = json.loads(opened.metadata()["sosie.identity"])
        arrays = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    card = change(card, arrays) or card
    save_file(arrays, path, metadata={"sosie.identity": json.dumps(card)})
    return path


CHANGES: dict[str, Any] = {
    "another format": lambda card, arrays: card | {"format": 2},
    "no photo": lambda card, arrays: card | {"photos": []},
    "photos that are no names": lambda card, arrays: card | {"photos": [1]},
    "more photos than arrays": lambda card, arrays: card | {"photos": ["a", "b"]},
    "a card that is a list": lambda card, arrays: ["format", 1],
    "no landmarks": lambda card, arrays: arrays.__delitem__("0.landmarks"),
    "landmarks that are no numbers": lambda card, arrays: arrays["0.landmarks"].fill(np.nan),
    "another mask": lambda card, arrays: arrays.update({"0.visible": np.ones((3, 3), np.float32)}),
    "pixels in floats": lambda card, arrays: arrays.update(
        {"0.pixels": arrays["0.pixels"].astype(np.float32)}
    ),
    "no pixels": lambda card, arrays: arrays.update(
        {"0.pixels": np.zeros((0, 4, 3), np.uint8), "0.visible": np.zeros((0, 4), np.float32)}
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_tampered_file_is_refused_in_a_sentence(saved: Path, tmp_path: Path, what: str) -> None:
    path = rewritten(saved, tmp_path / "other.sosie", CHANGES[what])
    with pytest.raises(InputError, match="identity file"):
        FaceSwapper(path, method="mesh")


def test_what_is_no_identity_file_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"\x80\x04.", b"\xff" * 64):
        path = tmp_path / "bad.sosie"
        path.write_bytes(content)
        with pytest.raises(InputError, match="identity file"):
            FaceSwapper(path, method="mesh")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_a_pipe_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "me.sosie")
    with pytest.raises(InputError, match="is a pipe and not a file"):
        load_identity(tmp_path / "me.sosie")
