"""Judge swaps by eye, blind: results of several versions among untouched photos, in numbered cells.

    python tools/blind_look.py draw DATA_FOLDER --out SETS [--seed 1] [--count 60]
    python tools/blind_look.py swap SETS --set hard --out VERSION       # once with each version
    python tools/blind_look.py sheets SETS --set hard --versions A B --out SHEETS --key KEY.json
    python tools/blind_look.py tally KEY.json ANSWERS.csv ANSWERS.csv

`draw` takes three sets of pairs of held-out people, once and for all: `hard` (the source or the
target has spectacles, a hat or a thing on the face, hair over more than 8 % of it, hard light, or
is turned by more than 35 degrees), `clear` (neither has), and `matched` (clear, with skin of like
tone, and the most alike to the identity network, which brings age and sex near). `swap` swaps a
set with the Sosie that is installed. `sheets` lays the results of all versions and the untouched
targets out as shuffled cells; the key says what each is, and does not go to the viewers.

Each viewer writes a CSV of `cell,passes,fault`: the number, 1 where it would pass for an untouched
photo and 0 where not, and the main fault, one of hair, glasses, light, color, blur, seam, geometry,
thing. `tally` tells by version and viewer how many pass, what the faults are, how many of the
controls pass, and in how many cells the viewers agree. Rates hold within one look only.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import sosie
from sosie.analysis import occlusion
from sosie.analysis.analyzer import Analyzer, create_analyzer
from sosie.analysis.parser import SIDE_PX
from sosie.analysis.parser import square_matrix as parser_square
from sosie.datasets.split import identity_of, is_held_out
from sosie.errors import NoFaceError
from sosie.geometry.alignment import warp
from sosie.geometry.head_pose import region_of, square_matrix
from sosie.types import Face

SETS = ("hard", "clear", "matched")
FAULTS = ("hair", "glasses", "light", "color", "blur", "seam", "geometry", "thing")
_GROUPS = {"celeba": "celeba-*.zip", "hires": "hires.zip"}
# At most so many pictures of one person, and so many in all, are looked at.
_EACH, _MOST = 2, 700
_HAIR, _LAID, _TURNED_DEG, _ONE_SIDED, _MIN_FACE_PX = 0.08, 0.02, 35.0, 0.15, 110.0
# Clear faces have no more hair over them, and are turned by no more.
_LITTLE_HAIR, _LITTLE_DEG = 0.04, 25.0
# How far tones of matched faces may be apart, of 1.
_LIKE_TONE = 0.08
_CELL_PX, _COLUMNS, _ROWS, _AROUND = 360, 4, 3, 1.7


@dataclass(frozen=True)
class Look:
    """A picture of a held-out person, and what was found in it.

    tone: mean color of its skin, 3, 0..1. hard: whether anything makes it hard; clear: whether
    nothing does, by a stricter measure. identity: 512 numbers.
    """

    archive: str
    name: str
    person: str
    tone: NDArray[np.float32]
    identity: NDArray[np.float32]
    hard: bool
    clear: bool


def held_out_pictures(data: Path, seed: int) -> Iterable[tuple[str, str, str]]:
    """Archive, name and person of held-out pictures, shuffled."""
    found: list[tuple[str, str, str]] = []
    for group, pattern in _GROUPS.items():
        for path in sorted(data.glob(pattern)):
            with zipfile.ZipFile(path) as opened:
                for name in sorted(opened.namelist()):
                    person = identity_of(group, name)
                    if name.endswith(".webp") and is_held_out(person):
                        found.append((path.name, name, person))
    random.Random(seed).shuffle(found)
    seen: Counter[str] = Counter()
    for entry in found:
        seen[entry[2]] += 1
        if seen[entry[2]] <= _EACH:
            yield entry


def picture_of(data: Path, archive: str, name: str) -> NDArray[np.uint8]:
    """A picture of an archive, RGB."""
    with zipfile.ZipFile(data / archive) as opened:
        encoded = np.frombuffer(opened.read(name), np.uint8)
    return np.ascontiguousarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR)[:, :, ::-1], np.uint8)


def look_at(
    analyzer: Analyzer, pixels: NDArray[np.uint8], entry: tuple[str, str, str]
) -> Look | None:
    """None where there is no face, or a small one."""
    faces = analyzer.analyze(pixels)
    face = max(faces, key=lambda one: one.size_px, default=None)
    if face is None or face.size_px < _MIN_FACE_PX:
        return None
    parts = analyzer.parts(pixels, face.landmarks)
    laid = occlusion.shares(parts, face.landmarks)
    matrix = parser_square(region_of(face.landmarks))
    square = warp(pixels, matrix, SIDE_PX, SIDE_PX).astype(np.float32) / 255
    skin = (parts.skin > 0.7) & (occlusion.surface(face.landmarks) > 0)
    if skin.sum() < 500:
        return None
    columns = np.nonzero(skin)[1]
    left = skin & (np.arange(SIDE_PX)[None] < np.median(columns))
    sides = [float(square[side].mean()) for side in (left, skin & ~left)]
    worn = max(laid["spectacles"], laid["hat"], laid["thing"])
    turned = abs(face.pose.yaw)
    one_sided = abs(sides[0] - sides[1])
    hard = worn > _LAID or laid["hair"] > _HAIR or turned > _TURNED_DEG or one_sided > _ONE_SIDED
    clear = not hard and laid["hair"] < _LITTLE_HAIR and turned < _LITTLE_DEG
    tone = np.asarray(square[skin].mean(0), np.float32)
    return Look(*entry, tone, analyzer.identify(pixels, face), hard, clear)


def draw(data: Path, out: Path, seed: int, count: int) -> None:
    """Draw the three sets and write them with their pictures."""
    analyzer = create_analyzer()
    looks: list[Look] = []
    for number, entry in enumerate(held_out_pictures(data, seed)):
        if number == _MOST:
            break
        found = look_at(analyzer, picture_of(data, entry[0], entry[1]), entry)
        if found is not None:
            looks.append(found)
    pairs = {
        "hard": hard_pairs(looks, count, seed),
        "clear": other_pairs([one for one in looks if one.clear], count, seed),
        "matched": matched_pairs([one for one in looks if one.clear], count),
    }
    out.mkdir(parents=True, exist_ok=True)
    listed = {}
    for name, chosen in pairs.items():
        listed[name] = []
        for number, both in enumerate(chosen):
            row = {}
            for role, one in zip(("source", "target"), both, strict=True):
                file = f"{name}-{number:03}-{role}.png"
                pixels = picture_of(data, one.archive, one.name)
                cv2.imwrite(str(out / file), pixels[:, :, ::-1])
                row |= {role: file, f"{role}_from": f"{one.archive}/{one.name}"}
            listed[name].append(row)
        print(f"{name}: {len(chosen)} pairs")
    (out / "sets.json").write_text(json.dumps(listed, indent=1))


def hard_pairs(looks: Sequence[Look], count: int, seed: int) -> list[tuple[Look, Look]]:
    """A hard face and another, by turns as source and as target."""
    hard = [one for one in looks if one.hard]
    easy = [one for one in looks if not one.hard]
    random.Random(seed).shuffle(easy)
    pairs = []
    for number, one in enumerate(hard):
        other = next((e for e in easy if e.person != one.person), None)
        if other is None or len(pairs) == count:
            break
        easy.remove(other)
        pairs.append((one, other) if number % 2 == 0 else (other, one))
    return pairs


def other_pairs(looks: Sequence[Look], count: int, seed: int) -> list[tuple[Look, Look]]:
    """Pairs of different people; a picture may come up once as source and once as target."""
    rng = random.Random(seed + 1)
    sources, targets = rng.sample(looks, len(looks)), rng.sample(looks, len(looks))
    pairs = [(s, t) for s, t in zip(sources, targets, strict=True) if s.person != t.person]
    return pairs[:count]


def matched_pairs(looks: Sequence[Look], count: int) -> list[tuple[Look, Look]]:
    """The most alike faces of different people with like tones, each target once."""
    if not looks:
        return []
    alike = np.stack([one.identity for one in looks])
    alike = alike @ alike.T
    order = np.argsort(-alike, axis=None)
    used: set[int] = set()
    pairs: list[tuple[Look, Look]] = []
    for flat in order:
        source, target = divmod(int(flat), len(looks))
        one, other = looks[source], looks[target]
        if one.person == other.person or target in used:
            continue
        if np.abs(one.tone - other.tone).max() > _LIKE_TONE:
            continue
        used.add(target)
        pairs.append((one, other))
        if len(pairs) == count:
            break
    return pairs


def swap_set(sets: Path, name: str, out: Path) -> None:
    """Swap one set; a pair that cannot be swapped leaves no file, and is said."""
    out.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(json.loads((sets / "sets.json").read_text())[name]):
        try:
            made = sosie.swap_image(sets / row["source"], sets / row["target"])
        except NoFaceError as error:
            print(f"{number}: {error}")
            continue
        cv2.imwrite(str(out / f"{name}-{number:03}.png"), made.image[:, :, ::-1])


def lay_out(
    sets: Path, name: str, versions: Sequence[Path], out: Path, key: Path, seed: int
) -> None:
    """Sheets of shuffled cells, and the key."""
    rows = json.loads((sets / "sets.json").read_text())[name]
    analyzer = create_analyzer()
    cells: list[dict[str, object]] = []
    pictures: list[NDArray[np.uint8]] = []
    for number, row in enumerate(rows):
        target = _read(sets / row["target"])
        faces = analyzer.analyze(target)
        if not faces:
            continue
        face = max(faces, key=lambda one: one.size_px)
        shown = {"control": target}
        for version in versions:
            file = version / f"{name}-{number:03}.png"
            if file.exists():
                shown[version.name] = _read(file)
        for version_name, picture in shown.items():
            cells.append({"version": version_name, "pair": number})
            pictures.append(_cell(picture, face))
    order = list(range(len(cells)))
    random.Random(seed).shuffle(order)
    out.mkdir(parents=True, exist_ok=True)
    page = _COLUMNS * _ROWS
    for start in range(0, len(order), page):
        sheet = _sheet([pictures[k] for k in order[start : start + page]], start)
        cv2.imwrite(str(out / f"sheet-{start // page:02}.png"), sheet[:, :, ::-1])
    shuffled = {str(place): cells[k] for place, k in enumerate(order)}
    key.write_text(json.dumps({"set": name, "cells": shuffled}, indent=1))
    print(f"{len(order)} cells on {-(-len(order) // page)} sheets in {out}")


def _read(path: Path) -> NDArray[np.uint8]:
    return np.ascontiguousarray(cv2.imread(str(path), cv2.IMREAD_COLOR)[:, :, ::-1], np.uint8)


def _cell(picture: NDArray[np.uint8], face: Face) -> NDArray[np.uint8]:
    matrix = square_matrix(region_of(face.landmarks), _AROUND, _CELL_PX)
    cut = warp(picture, matrix, _CELL_PX, _CELL_PX, cv2.BORDER_CONSTANT)
    return np.asarray(cut, np.uint8)


def _sheet(pictures: Sequence[NDArray[np.uint8]], first: int) -> NDArray[np.uint8]:
    label_px = 28
    step = _CELL_PX + label_px
    sheet = np.full((step * _ROWS, _CELL_PX * _COLUMNS, 3), 245, np.uint8)
    for place, picture in enumerate(pictures):
        y, x = step * (place // _COLUMNS), _CELL_PX * (place % _COLUMNS)
        sheet[y + label_px : y + step, x : x + _CELL_PX] = picture
        where = (x + 8, y + label_px - 8)
        cv2.putText(sheet, str(first + place), where, cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 0, 0), 2)
    return sheet


def read_answers(text: str) -> dict[str, tuple[bool, str]]:
    """Cell -> passes, fault. Raises ValueError on anything else."""
    answers = {}
    for row in csv.DictReader(io.StringIO(text)):
        passes, fault = row["passes"].strip(), (row.get("fault") or "").strip()
        if passes not in ("0", "1") or (passes == "0" and fault not in FAULTS):
            raise ValueError(
                f"cell {row['cell']}: write 1, or 0 and one of {', '.join(FAULTS)}, not "
                f"{passes!r} and {fault!r}"
            )
        answers[row["cell"].strip()] = (passes == "1", fault if passes == "0" else "")
    return answers


def tally(
    cells: dict[str, dict[str, object]], viewers: Sequence[dict[str, tuple[bool, str]]]
) -> dict[str, object]:
    """What the viewers said, by version: shares that pass and faults; and how far they agree."""
    absent = [cell for cell in cells if any(cell not in viewer for viewer in viewers)]
    if absent:
        raise ValueError(f"cells without an answer of every viewer: {', '.join(absent[:8])}")
    told: dict[str, object] = {}
    for version in sorted({str(cell["version"]) for cell in cells.values()}):
        own = [number for number, cell in cells.items() if cell["version"] == version]
        told[version] = {
            "cells": len(own),
            "passes": [sum(v[k][0] for k in own) / len(own) for v in viewers],
            "faults": [dict(Counter(v[k][1] for k in own if not v[k][0])) for v in viewers],
        }
    if len(viewers) > 1:
        same = [len({viewer[k][0] for viewer in viewers}) == 1 for k in cells]
        told["agreement"] = sum(same) / len(same)
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("draw")
    one.add_argument("data", type=Path)
    one.add_argument("--out", type=Path, required=True)
    one.add_argument("--seed", type=int, default=1)
    one.add_argument("--count", type=int, default=60)
    two = commands.add_parser("swap")
    two.add_argument("sets", type=Path)
    two.add_argument("--set", choices=SETS, required=True, dest="name")
    two.add_argument("--out", type=Path, required=True)
    three = commands.add_parser("sheets")
    three.add_argument("sets", type=Path)
    three.add_argument("--set", choices=SETS, required=True, dest="name")
    three.add_argument("--versions", type=Path, nargs="+", required=True)
    three.add_argument("--out", type=Path, required=True)
    three.add_argument("--key", type=Path, required=True)
    three.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    four = commands.add_parser("tally")
    four.add_argument("key", type=Path)
    four.add_argument("answers", type=Path, nargs="+")
    given = parser.parse_args()
    if given.command == "draw":
        draw(given.data, given.out, given.seed, given.count)
    elif given.command == "swap":
        swap_set(given.sets, given.name, given.out)
    elif given.command == "sheets":
        lay_out(given.sets, given.name, given.versions, given.out, given.key, given.seed)
    else:
        try:
            viewers = [read_answers(path.read_text()) for path in given.answers]
            print(json.dumps(tally(json.loads(given.key.read_text())["cells"], viewers), indent=1))
        except ValueError as error:
            parser.error(str(error))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
