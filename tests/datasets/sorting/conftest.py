"""Sets of people who do not exist: their faces are directions about a person's own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sosie.datasets.store import FaceStore

SIDE_PX = 16


def _people(
    counts: Mapping[str, int], spread: float, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.str_]]:
    """Identities, N x 512, with a mean cosine of 1 / (1 + spread**2) within a person and about 0.2
    between people, as those of the identity network have; and whose each is, in random order."""
    rng = np.random.default_rng(seed)
    common = _unit(rng.normal(size=512))
    own = {name: _unit(rng.normal(size=512)) for name in counts}
    names = rng.permutation([name for name, number in counts.items() for _ in range(number)])
    centers = np.stack([_unit(np.sqrt(0.3) * common + np.sqrt(0.7) * own[name]) for name in names])
    noise = rng.normal(size=centers.shape)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    found = centers + spread * noise
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found.astype(np.float32), names


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / np.linalg.norm(vector)


@pytest.fixture(scope="session")
def people() -> Callable[..., tuple[NDArray[np.float32], NDArray[np.str_]]]:
    """`people({"anna": 8, "ben": 3}, spread=0.7, seed=0)`: identities and whose they are."""

    def make(counts, spread=0.7, seed=0):
        return _people(counts, spread, seed)

    return make


@pytest.fixture
def face_set(tmp_path, row_of) -> Callable[..., tuple[FaceStore, dict[str, str]]]:
    """A set with these faces, still unsorted, each a photo: the store and id -> whose it is.

    changes: columns of all rows, each a list of N or one value.
    """

    def make(identities, names, folder="set", **changes):
        rows = []
        for number, identity in enumerate(identities):
            own = {k: v[number] if isinstance(v, list) else v for k, v in changes.items()}
            sha = own.pop(
                "input_sha256", hashlib.sha256(folder.encode() + identity.tobytes()).hexdigest()
            )
            face = hashlib.sha256(f"{sha} {number}".encode()).hexdigest()[:16]
            row = row_of(
                number,
                **{
                    "id": face,
                    "file": f"faces/photos/{number:04}-{face}.png",
                    "input_sha256": sha,
                    "track": -1,
                    "frame": -1,
                    "identity": identity,
                    "matrix": np.array([[1.0, 0, 0], [0, 1, 0]]),
                    "phash": _hash(face),
                    **own,
                },
            )
            rows.append(row)
        store = FaceStore.create(
            tmp_path / folder, {"inputs": [{"sha256": "0", "folder": "photos"}]}
        )
        for row in rows:
            _paint(store.folder / row.file, row.phash)
        store.append(rows)
        store.merge()
        return store, {row.id: str(name) for row, name in zip(rows, names, strict=True)}

    return make


def _hash(face: str) -> int:
    return int.from_bytes(hashlib.sha256(face.encode()).digest()[:8], "big")


def _paint(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE_PX, SIDE_PX, 3), np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def whereabouts() -> Callable[[Path], dict[str, str]]:
    """Every picture of a set's folder: id -> place, as it lies on disk."""

    def find(folder: Path) -> dict[str, str]:
        return {
            path.stem.rpartition("-")[2]: path.relative_to(folder).as_posix()
            for path in sorted(folder.rglob("*.png"))
        }

    return find
