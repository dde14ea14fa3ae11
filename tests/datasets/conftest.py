"""Faces for a set that were never in a picture, and sets made of them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sosie.datasets.face_rows import FaceRow
from sosie.datasets.store import FaceStore


def _row_of(number: int, **changes: Any) -> FaceRow:
    """A face with random figures, the same for the same number."""
    rng = np.random.default_rng(number)
    identity = rng.normal(size=512)
    face = hashlib.sha256(str(number).encode()).hexdigest()[:16]
    row = FaceRow(
        id=face,
        file=f"faces/video/{number:06}-{face}.png",
        input="video.mp4",
        input_sha256="0" * 64,
        frame=number,
        time_s=number / 25,
        scene=0,
        track=number // 10,
        person="",
        template="ffhq",
        size_px=16,
        matrix=rng.normal(size=(2, 3)),
        frame_width=640,
        frame_height=360,
        box=rng.random(4, np.float32),
        points5=rng.random((5, 2), np.float32),
        landmarks=rng.random((478, 3), np.float32),
        score=0.5,
        yaw=1.0,
        pitch=2.0,
        roll=3.0,
        face_px=100.0,
        sharpness=0.125,
        blur_px=0.75,
        brightness=0.5,
        contrast=0.25,
        side_light=-0.5,
        expression=rng.random(52, np.float32),
        visible=1.0,
        identity=(identity / np.linalg.norm(identity)).astype(np.float32),
        phash=2**63 + number,
    )
    return dataclasses.replace(row, **changes)


def _put_pictures(folder: Path, rows: Sequence[FaceRow]) -> None:
    """A gray picture for each row, where it says."""
    for row in rows:
        path = folder / row.file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), (row.frame % 256,) * 3).save(path)


@pytest.fixture
def row_of() -> Callable[..., FaceRow]:
    return _row_of


@pytest.fixture
def put_pictures() -> Callable[[Path, Sequence[FaceRow]], None]:
    return _put_pictures


@pytest.fixture
def make_set(tmp_path: Path) -> Callable[..., FaceStore]:
    """A set of so many faces, or of these rows, with pictures."""

    def make(rows: int | Sequence[FaceRow], name: str = "set") -> FaceStore:
        chosen = [_row_of(k) for k in range(rows)] if isinstance(rows, int) else list(rows)
        store = FaceStore.create(tmp_path / name, {"inputs": [{"sha256": "0", "folder": "film"}]})
        _put_pictures(store.folder, chosen)
        store.append(chosen)
        store.merge()
        return store

    return make
