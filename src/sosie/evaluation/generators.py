"""Where the results of a run come from: a method of `sosie.methods`, a trivial one that bounds what
a swap can reach, or another tool.

`target` changes nothing: attributes and realism can be no better, identity no worse. `source` is
another photo of nobody but the source: identity can be no better. `paste` puts the source's face
onto the target's by the five points alone: what a swap is without any method.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.analyzer import Analyzer, to_8_bit
from sosie.analysis.selection import select_faces
from sosie.errors import InputError, NoFaceError, UsageError, nearest
from sosie.evaluation.dataset_index import PICTURES
from sosie.evaluation.pairs import Pair
from sosie.geometry import alignment
from sosie.geometry.morphable_model import silhouette
from sosie.media.image import load_photo
from sosie.methods import TABLE, load_method
from sosie.options import SwapOptions
from sosie.pipeline import FaceSwapper
from sosie.types import Face, Pixels

Picture = NDArray[np.uint8]
"""RGB, H x W x 3."""


@dataclass(frozen=True)
class Made:
    """The result of one pair.

    pixels: RGB uint8, H x W x 3. source: which of the pair's sources was taken. source_face,
    target_face: the face in it, and the one that was swapped; None where they were not looked for.
    cost: milliseconds by stage.
    """

    pixels: Picture
    source: int = 0
    source_face: Face | None = None
    target_face: Face | None = None
    cost: dict[str, float] = field(default_factory=dict)


class Maker(Protocol):
    """Makes results."""

    def make(self, sources: Sequence[Path], target: Path) -> Made:
        """The result for photos of one person and a target.

        Raises InputError where a picture cannot be read, NoFaceError where one shows no face.
        """


def method_names() -> list[str]:
    """Every name that `create_maker` takes."""
    return [*TABLE, *BOUNDS]


def require_method(name: str) -> None:
    """Raises UsageError for a name that is not among `method_names`."""
    if name not in method_names():
        raise UsageError(f"Unknown method {name!r}: {nearest(name, method_names())}.")


def create_maker(name: str, options: SwapOptions, analyzer: Analyzer) -> Maker:
    """The maker of that name. Raises UsageError for an unknown one, and the method's own errors
    where it cannot begin: without its weights no pair could be swapped."""
    require_method(name)
    if name in BOUNDS:
        return BoundMaker(name, analyzer)
    load_method(name)(replace(options, method=name))
    return SwapMaker(name, replace(options, method=name), analyzer)


@dataclass(frozen=True)
class SwapMaker:
    """A method of Sosie's, by the pipeline that users run."""

    name: str
    options: SwapOptions
    analyzer: Analyzer

    def make(self, sources: Sequence[Path], target: Path) -> Made:
        witness = Witness(self.analyzer)
        start = time.perf_counter()
        job = FaceSwapper(list(sources), self.options, analyzer=witness)
        ready = time.perf_counter()
        result = job.image(target)
        report = result.report
        done = report.seconds
        stages = {f"{stage}_ms": 1000 * value for stage, value in done.items() if stage != "total"}
        swapping = sum(done.get(stage, 0.0) for stage in ("aim", "swap", "process", "compose"))
        cost = {
            "source_ms": 1000 * (ready - start),
            **stages,
            "face_ms": 1000 * swapping / max(report.face_count, 1),
            "frame_ms": 1000 * done["total"],
        }
        taken = report.faces[0].source
        swapped = _largest(result.faces)
        return Made(plain(result.image), taken, _largest(witness.seen[taken]), swapped, cost)


class Witness:
    """An analyzer that remembers the faces that it was asked for, so that what is judged need not
    be searched again.

    seen: the faces of each picture that was analyzed, in that order.
    """

    def __init__(self, analyzer: Analyzer) -> None:
        self._analyzer = analyzer
        self.seen: list[list[Face]] = []

    def analyze(
        self,
        pixels: Pixels,
        roi: tuple[int, int, int, int] | None = None,
        *,
        thorough: bool = True,
    ) -> list[Face]:
        """As `Analyzer.analyze`."""
        found = self._analyzer.analyze(pixels, roi, thorough=thorough)
        self.seen.append(found)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._analyzer, name)


@dataclass(frozen=True)
class BoundMaker:
    """A trivial method that bounds the others."""

    name: str
    analyzer: Analyzer

    def make(self, sources: Sequence[Path], target: Path) -> Made:
        source, onto = (read_plain(path) for path in (sources[0], target))
        start = time.perf_counter()
        faces: tuple[Face | None, Face | None] = (None, None)
        if self.name in FACELESS:
            pixels = FACELESS[self.name](source, onto)
        else:
            own, other = self._face(sources[0], source), self._face(target, onto)
            pixels, faces = paste_face(source, onto, own, other), (own, other)
        return Made(pixels, 0, *faces, {"frame_ms": 1000 * (time.perf_counter() - start)})

    def _face(self, path: Path, pixels: Picture) -> Face:
        try:
            return select_faces(self.analyzer.analyze(pixels), "largest", pixels)[0]
        except NoFaceError as error:
            raise NoFaceError(f"{path}: {error}") from None


def _largest(faces: Sequence[Face]) -> Face:
    return max(faces, key=lambda face: face.size_px)


def read_plain(path: Path) -> Picture:
    """The pixels of a photo as `plain` has them. Raises InputError where it cannot be read."""
    return plain(load_photo(path).pixels)


def plain(pixels: Pixels) -> Picture:
    """RGB uint8 of RGB or RGBA in any depth; contiguous."""
    return np.ascontiguousarray(to_8_bit(pixels[..., :3]))


def keep_target(source: Picture, target: Picture) -> Picture:
    """The target itself."""
    del source
    return target


def show_source(source: Picture, target: Picture) -> Picture:
    """The source photo in the target's size: as large as it fits, in the middle, its border
    repeated around it. Nothing of the target is in it."""
    height, width = target.shape[:2]
    scale = min(width / source.shape[1], height / source.shape[0])
    # Pixel centers are whole numbers, so that the pictures' middles are half a pixel off theirs.
    x, y = (
        (whole - 1) / 2 - scale * (part - 1) / 2
        for whole, part in zip((width, height), source.shape[1::-1], strict=True)
    )
    matrix = np.array([[scale, 0, x], [0, scale, y]])
    return np.asarray(alignment.warp(source, matrix, width, height), np.uint8)


def paste_face(source: Picture, target: Picture, source_face: Face, target_face: Face) -> Picture:
    """The source's face on the target, fitted by a similarity of the five points, cut along its own
    outline, in its own light."""
    height, width = target.shape[:2]
    matrix = alignment.fit_similarity(source_face.points5, target_face.points5)
    moved = alignment.warp(source, matrix, width, height).astype(np.float32)
    outline = silhouette(
        alignment.transform_points(source_face.landmarks, matrix), width, height
    ).astype(np.float32)
    # Nothing is there to be pasted beyond the source photo's own edge.
    there = np.full(source.shape[:2], 255, np.uint8)
    inside = alignment.warp(there, matrix, width, height, cv2.BORDER_CONSTANT)
    weight = np.minimum(outline, inside.astype(np.float32))[..., None] / 255
    return np.asarray(np.rint(moved * weight + target * (1 - weight)), np.uint8)


FACELESS: dict[str, Callable[[Picture, Picture], Picture]] = {
    "target": keep_target,
    "source": show_source,
}
"""Those that look for no face."""

PASTE = "paste"

BOUNDS = (*FACELESS, PASTE)
"""The names of all of them."""


class OutsideResults:
    """A folder of results that another tool made.

    names: what a result is called, without its ending: `{id}`, `{source}` and `{target}` stand for
    the pair's id and the names of its pictures without theirs, as in `{target}_{source}`.

    Raises InputError where the folder is not there or holds no picture, UsageError where `names`
    has other fields or none.
    """

    def __init__(self, folder: Path, names: str = "{id}") -> None:
        if not folder.is_dir():
            raise InputError(f"There is no folder {folder}; give the one with the results.")
        if _filled(names, "a", "b", "c") == names:
            raise UsageError(f"Results cannot all be named {names!r}; use {{id}} in it.")
        self._folder = folder
        self._names = names
        self._files: dict[str, list[Path]] = defaultdict(list)
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in PICTURES and path.is_file() and path.name[0] != ".":
                self._files[path.stem].append(path)
        if not self._files:
            raise InputError(f"{folder} holds no picture; give the folder with the results.")

    def find(self, pair: Pair, sources: Sequence[Path], target: Path) -> tuple[Path, Made]:
        """A pair's result, read. Raises InputError where there is none, there are several, or it
        cannot be read."""
        del sources, target
        source, onto = (PurePosixPath(name).stem for name in (pair.sources[0], pair.target))
        stem = _filled(self._names, pair.id, source, onto)
        files = self._files.get(stem, [])
        if not files:
            raise InputError(f"There is no result {stem}.png (or .jpg, .webp ...) for the pair.")
        if len(files) > 1:
            raise InputError(
                f"There are several results for the pair: {', '.join(f.name for f in files)}; "
                f"keep one."
            )
        return files[0], Made(read_plain(files[0]))


def _filled(names: str, pair: str, source: str, target: str) -> str:
    try:
        return names.format(id=pair, source=source, target=target)
    except (KeyError, IndexError, ValueError) as error:
        raise UsageError(
            f"The names {names!r} cannot be filled in; use {{id}}, {{source}} and {{target}}."
        ) from error
