"""Cluster photos of people whom no network was trained on, labels hidden, and judge the result.

    python benchmarks/clustering.py DATA_FOLDER [--group celeba] [--part test] [--from 5]
    python benchmarks/clustering.py --made 10000

DATA_FOLDER holds `celeba-*.zip` or `lfw-*.zip`, a folder an identity. Each photo's face nearest to
its middle is taken, as the labels mean that one. Figures, all in percent:

- pairwise: of the pairs of photos that share a group the share that share a person (precision), of
  those that share a person the share that share a group (recall), and their harmonic mean;
- B-cubed: the same, as a mean over photos (Bagga and Baldwin, "Entity-based cross-document
  coreferencing using the vector space model", 1998).

`--made` clusters so many random identities instead, with a mean cosine of 0.66 within a person and
0.2 between people, 33 faces each, for the time and the memory.
"""

from __future__ import annotations

import argparse
import io
import resource
import time
import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sosie.analysis.analyzer import create_analyzer
from sosie.datasets.linkage import CUT, cut, linkage
from sosie.datasets.scratch_arrays import Scratch, parts
from sosie.datasets.split import identity_of, is_held_out, is_validation
from sosie.types import FloatArray


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--group", choices=("celeba", "lfw"), default="celeba")
    parser.add_argument("--part", choices=("test", "validation", "train"), default="test")
    parser.add_argument("--from", dest="least", type=int, default=1, help="photos a person")
    parser.add_argument("--made", type=int, help="identities to make")
    options = parser.parse_args()
    identities: FloatArray | Scratch
    if options.made:
        identities, people = made(options.made)
    elif options.data is None:
        parser.error("give DATA_FOLDER or --made")
    else:
        identities, people = photographed(options.data, options.group, options.part, options.least)
    before, started, busy = peak_mb(), time.perf_counter(), time.process_time()
    groups = cut(np.arange(len(people)), linkage(identities), CUT)
    took, worked = time.perf_counter() - started, time.process_time() - busy
    print(f"{len(people)} photos of {len(set(people))} people in {len(set(groups))} groups")
    print(f"{took:.1f} s, {worked:.1f} s of a processor; peak {peak_mb()} MB, {before} MB before")
    for name, figures in (
        ("pairwise", pairwise(groups, people)),
        ("B-cubed", b_cubed(groups, people)),
    ):
        precision, recall = (100 * figure for figure in figures)
        mean = 2 * precision * recall / (precision + recall)
        print(f"{name}: precision {precision:.1f}, recall {recall:.1f}, F1 {mean:.1f}")


def photographed(
    data: Path, group: str, part: str, least: int
) -> tuple[FloatArray, NDArray[np.str_]]:
    """Identities of the photos of a part's people who have enough, and whose they are."""
    analyzer = create_analyzer()
    names: list[tuple[Path, str, str]] = []
    for path in sorted(data.glob(f"{group}-*.zip")):
        with zipfile.ZipFile(path) as archive:
            inside = sorted(name for name in archive.namelist() if not name.endswith("/"))
        owners = ((name, identity_of(group, name)) for name in inside)
        names += [(path, name, person) for name, person in owners if part_of(person) == part]
    found, people = [], []
    archives = {path: zipfile.ZipFile(path) for path in sorted({path for path, *_ in names})}
    for path, name, person in names:
        pixels = np.array(Image.open(io.BytesIO(archives[path].read(name))).convert("RGB"))
        middle = np.array(pixels.shape[1::-1]) / 2
        faces = analyzer.analyze(pixels)
        if faces:
            face = min(faces, key=lambda f: np.hypot(*(f.center - middle)) - 0.3 * f.size_px)
            found.append(analyzer.identify(pixels, face))
            people.append(person)
    counts = Counter(people)
    enough = [k for k, person in enumerate(people) if counts[person] >= least]
    return np.stack([found[k] for k in enough]), np.array([people[k] for k in enough])


def part_of(person: str) -> str:
    """The part that a person is in."""
    if is_held_out(person):
        return "test"
    return "validation" if is_validation(person) else "train"


def made(number: int) -> tuple[Scratch, NDArray[np.str_]]:
    """Random identities, on disk where they are many."""
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, max(number // 33, 1), number)
    centers = _units(rng.normal(size=(numbers.max() + 1, 512)))
    common = _units(rng.normal(size=(1, 512)))
    kept = Scratch((number, 512))
    for part in parts(number):
        found = np.sqrt(0.2) * common + np.sqrt(0.46) * centers[numbers[part]]
        found += np.sqrt(0.34) * _units(rng.normal(size=(len(found), 512)))
        kept.put(np.arange(part.start, part.stop), _units(found).astype(np.float32))
    return kept, numbers.astype(str)


def _units(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def pairwise(groups: NDArray[np.intp], people: NDArray[np.str_]) -> tuple[float, float]:
    """Precision and recall of pairs."""
    both, own, real = (_sizes(keys) for keys in (zip(groups, people, strict=True), groups, people))
    pairs = [float((sizes * (sizes - 1)).sum()) for sizes in (both, own, real)]
    return pairs[0] / max(pairs[1], 1), pairs[0] / max(pairs[2], 1)


def b_cubed(groups: NDArray[np.intp], people: NDArray[np.str_]) -> tuple[float, float]:
    """Precision and recall of photos."""
    shared = Counter(zip(groups.tolist(), people.tolist(), strict=True))
    own, real = Counter(groups.tolist()), Counter(people.tolist())
    precision = sum(count**2 / own[group] for (group, _), count in shared.items())
    recall = sum(count**2 / real[person] for (_, person), count in shared.items())
    return precision / len(people), recall / len(people)


def _sizes(keys: Iterable[object]) -> NDArray[np.int64]:
    return np.array(list(Counter(map(str, keys)).values()))


def peak_mb() -> int:
    """Most memory that the process had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
