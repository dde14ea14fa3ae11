"""Sets of faces of others: tables, settings, plans, pictures, names, links, pipes and archives."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tools.attack.damage import Dice, damaged, extreme, odd_value, with_odd_value
from tools.attack.trial import Case

Change = Callable[[Path, Dice], None]
NAMES = (
    *(
        "../mine.txt",
        "../../mine.txt",
        "/etc/hostname",
        "faces/../../mine.txt",
        "..",
        ".",
        "",
        "~/mine.txt",
    ),
    *(
        "faces/" + "n" * 300,
        "con",
        "a\\..\\b",
        "\u202egnp.x",
        "faces/\n.png",
        "set.json",
        "-rf",
        "x" * 5000,
    ),
)
SMALL = ["samples=4", "batch=2", "width=4", "critic=4"]


def cases(count: int, seed: int) -> Iterator[tuple[int, Case]]:
    """Each is a good set with one to three things made wrong, and all that may be done with it."""
    with tempfile.TemporaryDirectory() as name:
        good = Path(name) / "good"
        make_set(good)
        for number in range(count):
            yield number, _case(good, number, seed)


def make_set(folder: Path) -> None:
    """Two people, from portraits that were turned and lit otherwise."""
    from PIL import Image, ImageEnhance

    from sosie.app.samples import sample_portraits

    with tempfile.TemporaryDirectory() as name:
        for person, path in sample_portraits().items():
            with Image.open(path) as opened:
                portrait = opened.convert("RGB")
            for number in range(4):
                changed = ImageEnhance.Brightness(portrait).enhance(0.7 + 0.15 * number)
                moved = changed.rotate(3 * number, translate=(4 * number, 0))
                (Path(name) / person).mkdir(exist_ok=True)
                moved.save(Path(name) / person / f"{number}.png")
        words = [
            "dataset",
            "extract",
            *sorted(map(str, Path(name).iterdir())),
            "--out",
            str(folder),
        ]
        more = ["--size", "112", "--min-distance", "0"]
        command = [sys.executable, "-m", "sosie.app", *words, *more]
        subprocess.run(command, check=True, capture_output=True)


def _case(good: Path, number: int, seed: int) -> Case:
    dice = Dice(f"sets {seed} {number}")
    change = CHANGES[number % len(CHANGES)]

    def prepare(folder: Path) -> None:
        bad = folder / "out" / "set"
        shutil.copytree(good, bad)
        shutil.copytree(good, folder / "out" / "good")
        _pack(bad, folder / "set.zip", dice)
        for one in (change, *dice.choices(CHANGES, k=dice.choice((0, 0, 0, 1, 2)))):
            with contextlib.suppress(OSError, LookupError, ValueError, TypeError):
                one(bad, dice)

    def run(folder: Path) -> Sequence[str]:
        from tools.attack.command import sosie

        wrong = []
        for words in _commands(folder, folder / "out", number % 5 == 0):
            wrong += sosie(*words)
        return wrong

    return Case(change.__name__[1:], run, prepare)


def _commands(folder: Path, out: Path, with_training: bool) -> list[list[object]]:
    bad, packed = out / "set", folder / "set.zip"
    told: list[list[object]] = [
        ["dataset", "verify", bad], ["dataset", "report", bad], ["dataset", "split", bad],
        ["dataset", "cluster", bad, "--again"], ["dataset", "clean", bad],
        ["dataset", "pack", bad, "--out", out / "packed.zip"], ["dataset", "classify", bad],
        ["dataset", "merge", bad, out / "good", "--out", out / "merged"],
        ["dataset", "verify", packed], ["dataset", "unpack", packed, "--out", out / "unpacked"],
        ["eval", "protocol", "folder", bad / "faces", "-o", out / "pairs.json"],
    ]  # fmt: skip
    if with_training:
        plan = [word for setting in SMALL for word in ("--set", setting)]
        told += [
            [
                "train",
                "simswap",
                "--data",
                data,
                "--run",
                out / name,
                "--preset",
                "small",
                "--workers",
                0,
                *plan,
            ]
            for data, name in ((bad, "run"), (packed, "run2"))
        ]
    return told


def _table(bad: Path, dice: Dice) -> None:
    """A column of other values, type or name, or rows that are no rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = bad / "faces.parquet"
    table = pq.read_table(file)
    for _ in range(dice.choice((1, 1, 3))):
        at = dice.randrange(table.num_columns)
        field, values = table.schema.field(at), table.column(at).to_pylist()
        row = dice.randrange(len(values))
        if pa.types.is_string(field.type):
            values[row] = dice.choice((*NAMES, None))
        elif pa.types.is_list(field.type) or pa.types.is_fixed_size_list(field.type):
            values[row] = dice.choice(
                (
                    [],
                    None,
                    [float("nan")] * len(values[row] or ()),
                    [0.0] * 3,
                    [1e38] * len(values[row] or ()),
                )
            )
        else:
            values[row] = dice.choice((None, 0, -1, 1, 2**31 - 1))
        kind = dice.choice(
            (field.type,) * 5
            + (
                pa.large_string(),
                pa.binary(),
                pa.decimal128(20, 3),
                pa.timestamp("us"),
                pa.list_(pa.string()),
                pa.null(),
            )
        )
        with contextlib.suppress(pa.ArrowException):
            made = pa.array(values, kind) if kind == field.type else pa.nulls(len(values), kind)
            name = field.name if dice.random() < 0.9 else dice.choice((*NAMES, "file", "id"))
            table = table.set_column(at, name, made)
    pq.write_table(table, file, compression=dice.choice(("snappy", "zstd", "none", "gzip")))


def _bytes(bad: Path, dice: Dice) -> None:
    files = [path for path in bad.rglob("*") if path.is_file() and not path.is_symlink()]
    for file in dice.sample(files, dice.choice((1, 1, 3))):
        file.write_bytes(
            damaged(file.read_bytes(), dice.choice(files).read_bytes(), dice, (b"PAR1", b"{", b"]"))
        )


def _settings(bad: Path, dice: Dice) -> None:
    file = bad / "set.json"
    value = json.loads(file.read_text())
    for _ in range(dice.choice((1, 1, 4))):
        value = with_odd_value(value, dice)
    file.write_bytes(json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass"))


def _text(bad: Path, dice: Dice) -> None:
    """What is no JSON, or takes a parser to its ends."""
    content = dice.choice(
        (
            b"",
            b"[" * 200_000,
            b'{"a":' * 50_000,
            b"9" * 10_000,
            b"\xff\xfe{\0}\0",
            b"\xef\xbb\xbf{}",
            b'{"a":1}{"a":2}',
            b"null",
            b"1e999",
            b'"' + b"\\ud800" * 9 + b'"',
            b"{}" + bytes(900),
        )
    )
    (bad / dice.choice(("set.json", ".moves.json"))).write_bytes(content)


def _moves(bad: Path, dice: Dice) -> None:
    """A plan of moves that an earlier run is said to have left."""
    pictures = sorted((bad / "faces").rglob("*.png"))
    ids = [path.stem.split("-")[-1] for path in pictures]
    plan: Any = {
        "to": {dice.choice(ids): dice.choice((*NAMES, "faces/new/x.png")) for _ in range(2)},
        "changes": {
            dice.choice(("person", "rejected", "split", "file")): {
                dice.choice(ids): dice.choice(NAMES)
            }
        },
        "settings": dice.choice(({}, {"cluster": odd_value(dice)}, odd_value(dice))),
    }  # fmt: skip
    plan = with_odd_value(plan, dice) if dice.random() < 0.4 else plan
    (bad / ".moves.json").write_bytes(
        json.dumps(plan, ensure_ascii=False).encode(errors="surrogatepass")
    )


def _links(bad: Path, dice: Dice) -> None:
    """Files, folders and names that are not there yet lead outside, or in a ring."""
    places = list(bad.rglob("*")) + [
        bad / n
        for n in (
            ".lock",
            ".moves.json",
            "report.html",
            "faces/zzz",
            ".journal",
            "doubtful",
            "rejected",
            "classifier.npz",
        )
    ]
    mine = bad.parents[2] / "mine"
    for place in dice.sample(places, dice.choice((1, 1, 3))):
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        place.unlink(missing_ok=True)
        place.symlink_to(
            dice.choice((mine, mine / "mine.txt", place, bad, Path("/dev/zero"), mine / "absent"))
        )


def _kinds(bad: Path, dice: Dice) -> None:
    """Pipes, and folders where a file should be, and the other way round."""
    places = list(bad.rglob("*")) + [
        bad / n
        for n in (".lock", ".moves.json", "report.html", ".journal", "classifier.npz", ".scratch")
    ]
    for place in dice.sample(places, dice.choice((1, 1, 3))):
        was_folder = place.is_dir()
        if was_folder:
            shutil.rmtree(place)
        place.unlink(missing_ok=True)
        how = dice.randrange(3)
        if how == 0:
            os.mkfifo(place)
        elif was_folder or how == 1:
            place.write_bytes(b"x")
        else:
            (place / "inner").mkdir(parents=True)


def _pictures(bad: Path, dice: Dice) -> None:
    """Pictures of other sizes, kinds and depths, empty ones, and ones that take a whole memory."""
    from PIL import Image

    for path in dice.sample(sorted((bad / "faces").rglob("*.png")), 2):
        sides = dice.choice(((1, 1), (112, 3), (9000, 9000), (113, 112), (40_000, 2)))
        mode = dice.choice(("RGB", "RGBA", "L", "I;16", "1", "P"))
        Image.new(mode, sides).save(
            path, dice.choice(("PNG", "PNG", "GIF" if mode in "LP1" else "PNG"))
        )


def _extra(bad: Path, dice: Dice) -> None:
    """People and files that the table does not know, of any name."""
    for number in range(dice.choice((1, 30))):
        folder = (
            bad
            / dice.choice(("faces", "rejected", ".journal", "doubtful", ""))
            / dice.choice(("\u202e", "a b", "<b>", "$(x)", "n" * 200, "-o", "%s", "000"))
        )
        folder.mkdir(parents=True, exist_ok=True)
        name = dice.choice(
            (
                "x.png",
                "\n.png",
                "<script>.png",
                "0-0.png",
                "a" * 250,
                ".hidden.png",
                f"{number}.parquet",
            )
        )
        (folder / name).write_bytes(dice.choice((b"", b"PAR1", dice.randbytes(90))))


def _archive(bad: Path, dice: Dice) -> None:
    """The zip of the set, damaged."""
    file = bad.parents[1] / "set.zip"
    file.write_bytes(
        damaged(file.read_bytes(), file.read_bytes(), dice, (b"PK\5\6", b"PK\1\2", b"PK\6\6"))
    )


def _pack(folder: Path, file: Path, dice: Dice) -> None:
    """A zip of a set; in half of the cases with members that no set has, or heads that lie."""
    odd = dice.random() < 0.5
    with zipfile.ZipFile(file, "w", dice.choice((0, 8))) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())
        for _ in range(dice.choice((1, 3)) if odd else 0):
            about = zipfile.ZipInfo(
                dice.choice((*NAMES, "set.json", "faces.parquet", "faces/000/x.png"))[:60000] or "x"
            )
            about.external_attr = dice.choice((0, 0o120777, 0o010644, 0o104777, 0o040755)) << 16
            about.compress_type = dice.choice((0, 8, 12, 14))
            archive.writestr(about, dice.choice((b"../mine.txt", b"", bytes(80_000_000))))
    if odd:
        content = bytearray(file.read_bytes())
        start = content.rfind(b"PK\1\2")
        put = start + dice.choice((8, 10, 16, 20, 24, 28, 42))
        content[put : put + 2] = extreme(dice, 2).to_bytes(2, "little")
        file.write_bytes(content)


CHANGES: tuple[Change, ...] = (
    _table,
    _bytes,
    _settings,
    _text,
    _moves,
    _links,
    _kinds,
    _pictures,
    _extra,
    _archive,
    _table,
)
