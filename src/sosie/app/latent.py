"""Ways through a trained space of faces, drawn: as a sheet, an animation or a video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sosie.analysis.analyzer import Analyzer, create_analyzer
from sosie.analysis.selection import select_faces
from sosie.errors import InputError, NoFaceError, UsageError, nearest
from sosie.media.image import load_photo
from sosie.media.image_write import photo_format, save_photo
from sosie.media.photo import array_photo
from sosie.media.picture_loop import MOVING, write_loop
from sosie.media.sheet import draw_sheet
from sosie.methods.vae.latent import LatentSpace
from sosie.types import FloatArray

FPS = 24
_TILE_PX, _LOOP_PX = 112, 256
_LETTERS = 9
"""Of a photo's name so many letters, the last, stand above its picture."""
_COLUMNS = 8
_FARTHEST = 3.0
"""So far is gone along a direction, in standard deviations of what the photos have."""


@dataclass(frozen=True)
class Ways:
    """What is to be shown. rows: a label, and pictures, N x S x S x 3, 0..1, of one number each.
    columns: what stands above the pictures, N. is_round: whether each row ends where it began."""

    rows: list[tuple[str, FloatArray]]
    columns: list[str]
    is_round: bool = False


class Places:
    """Points of a space that a user names: photos, and people whom it learned."""

    def __init__(self, space: LatentSpace) -> None:
        self._space = space
        self._analyzer: Analyzer | None = None

    def crop(self, photo: Path) -> FloatArray:
        """The largest face of a photo as the space sees it. Raises InputError where it cannot be
        read, NoFaceError where it shows no face."""
        self._analyzer = self._analyzer or create_analyzer()
        pixels = load_photo(photo).pixels
        try:
            face = select_faces(self._analyzer.analyze(pixels), "largest", pixels)[0]
        except NoFaceError as error:
            raise NoFaceError(f"{photo}: {error}") from None
        return self._space.crop(pixels, face.points5)

    def find(self, name: str) -> FloatArray:
        """The latent, L, of a photo, or the mean one of a person."""
        people = self._space.people
        if name in people and not Path(name).is_file():
            return people[name]
        if Path(name).is_file():
            latents = self._space.encode(self.crop(Path(name))[None])
            return np.asarray(latents[0])
        told = nearest(name, people) if len(people) <= _TOLD else f"it learned {len(people)} people"
        raise InputError(
            f"{name} is neither a photo nor a person whom these weights learned: {told}."
        )


_TOLD = 20


def reconstructed(space: LatentSpace, photos: Sequence[Path]) -> Ways:
    """Each photo's face as the space sees it, and made again of its latent: for a sheet."""
    places = Places(space)
    crops = np.stack([places.crop(photo) for photo in photos])
    rows = [("photos", crops), ("made again", space.decode(space.encode(crops)))]
    return Ways(rows, [photo.stem[-_LETTERS:] for photo in photos])


def walk(space: LatentSpace, names: Sequence[str], steps: int) -> Ways:
    """The straight way from each place to the next: `steps` pictures each. Raises UsageError where
    there are fewer than two places."""
    if len(names) < 2:
        raise UsageError("A walk has two places at least: name photos, or people of the weights.")
    places = Places(space)
    found = [places.find(name) for name in names]
    share = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
    rows = [
        (f"{Path(a[0]).stem} to {Path(b[0]).stem}", space.decode(a[1] * (1 - share) + b[1] * share))
        for a, b in pairwise(zip(names, found, strict=True))
    ]
    return Ways(rows, [f"{one:.0%}" for one in share[:, 0].tolist()])


def varied(
    space: LatentSpace, name: str, along: Sequence[str], steps: int, is_round: bool = False
) -> Ways:
    """A place moved along directions, 3 standard deviations each way: `steps` pictures each.

    along: names of attributes; none takes all. is_round: go from the place up, down and back to it,
    for what moves. Raises UsageError on one that the space lacks.
    """
    known = space.directions
    if not known:
        raise InputError("These weights know no directions: they learned too few faces.")
    for one in along:
        if one not in known:
            raise UsageError(f"Unknown attribute {one!r}: {nearest(one, known)}.")
    start = Places(space).find(name)
    far = np.linspace(-_FARTHEST, _FARTHEST, steps, dtype=np.float32)[:, None]
    if is_round:
        turn = np.linspace(0, 2 * np.pi, 2 * steps, endpoint=False, dtype=np.float32)
        far = _FARTHEST * np.sin(turn)[:, None]
    rows = [(one, space.decode(start + far * known[one])) for one in along or known]
    return Ways(rows, [f"{one:+.1f}" for one in far[:, 0].tolist()], is_round)


def steps_for(output: Path) -> int:
    """How many pictures a way has: a sheet's row, or a second and a half of what moves."""
    return FPS * 3 // 2 if is_moving(output) else _COLUMNS


def is_moving(output: Path) -> bool:
    """Whether a file with this ending moves. Raises UsageError where it is none that is written."""
    if output.suffix.lower() in MOVING:
        return True
    photo_format(output)
    return False


def draw(ways: Ways, output: Path, overwrite: bool) -> None:
    """Write the ways. A sheet has a line for each; what moves goes there and back.

    Raises OutputError where the file cannot be written.
    """
    if is_moving(output):
        way = [_large(one) for _, pictures in ways.rows for one in pictures]
        back = [] if ways.is_round else way[-2:0:-1]
        write_loop([*way, *back], output, FPS, overwrite)
        return
    shown = [[_tile(one) for one in pictures] for _, pictures in ways.rows]
    sheet = draw_sheet(ways.columns, shown, [label for label, _ in ways.rows])
    save_photo(array_photo(sheet), output, overwrite=overwrite)


def _tile(picture: FloatArray) -> Image.Image:
    return Image.fromarray(_resized(picture, _TILE_PX))


def _large(picture: FloatArray) -> NDArray[np.uint8]:
    return _resized(picture, _LOOP_PX)


def _resized(picture: FloatArray, side: int) -> NDArray[np.uint8]:
    size = cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.rint(np.clip(size, 0, 1) * 255), np.uint8)
