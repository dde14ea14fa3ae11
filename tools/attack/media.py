"""Pictures and videos: written with heads that lie, or good ones that were damaged."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tools.attack.damage import Dice, damaged
from tools.attack.pictures import PICTURES, SIDE_PX, WORDS, Made
from tools.attack.trial import Case
from tools.attack.videos import changed_video, good_videos


def _face() -> Any:
    from PIL import Image

    from sosie.app.samples import sample_portraits

    with Image.open(sample_portraits()["hopper"]) as opened:
        return opened.convert("RGB").crop((120, 50, 392, 322)).resize((SIDE_PX, SIDE_PX))


def cases(count: int, seed: int) -> Iterator[tuple[int, Case]]:
    """Three of four are pictures; every sixth goes through the command line."""
    from sosie import FaceSwapper
    from sosie.app.samples import sample_portraits

    swapper = FaceSwapper(sample_portraits()["astronaut"], threads=1)
    face = _face()
    good = good_videos(face)
    for number in range(count):
        dice = Dice(f"media {seed} {number}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, that it writes what it was told to
            ending, content, name = _drawn(number, face, good, dice)
        yield number, _case(name, f"file{ending}", content, swapper, number)


def _drawn(number: int, face: Any, good: Sequence[Made], dice: Dice) -> tuple[str, bytes, str]:
    """The first file that can be made: Pillow cannot write all that it may be told to."""
    while True:
        with suppress(Exception):
            return _made(number, face, good, dice)


def _made(number: int, face: Any, good: Sequence[Made], dice: Dice) -> tuple[str, bytes, str]:
    """A file's ending, its content, and what it is."""
    if number % 4 == 3:
        ending, content = changed_video(good, dice)
        return ending, content, f"video {ending}"
    make = dice.choice(PICTURES)
    ending, content = make(face, dice)
    if dice.random() < 0.15:
        content = damaged(content, content, dice, WORDS)
    if dice.random() < 0.03:
        ending = dice.choice((".png", ".jpg", ".tif", ".webp", ".avif", ".gif", ".bmp", ".mp4"))
    return ending, content, f"picture {make.__name__[1:]}"


def _case(name: str, file: str, content: bytes, swapper: Any, number: int) -> Case:
    def run(folder: Path) -> Sequence[str]:
        from tools.attack.command import sosie

        from sosie import NoFaceError

        path, out = folder / file, folder / "out"
        try:
            if number % 6 == 5:
                wrong = sosie("inspect", path, "--json")
                return wrong or sosie(
                    "dataset", "extract", path, "--out", out / "set", "--size", 112
                )
            if name.startswith("video"):
                swapper.video(path, out / "out.mkv")
            else:
                swapper.photo(path, out / f"out{Path(file).suffix}")
        except NoFaceError:
            left = [path.name for path in out.iterdir()]
            return [f"left {left}"] if left else []
        return [] if any(out.iterdir()) else ["nothing was written"]

    return Case(name, run, lambda folder: (folder / file).write_bytes(content))
