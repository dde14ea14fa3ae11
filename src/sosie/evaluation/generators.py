"""What makes the results of a run: the methods of `sosie.methods`, and those that bound them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sosie.analysis.analyzer import Analyzer, to_8_bit
from sosie.analysis.selection import select_faces
from sosie.errors import NoFaceError, UsageError
from sosie.evaluation import baselines
from sosie.media.image import load_photo
from sosie.methods import TABLE
from sosie.options import SwapOptions, nearest
from sosie.pipeline import FaceSwapper
from sosie.types import Face, Pixels


@dataclass(frozen=True)
class Made:
    """The result of one pair.

    pixels: RGB uint8, H x W x 3. source: which of the pair's sources was taken. source_face,
    target_face: the face in it, and the one that was swapped; None where they were not looked for.
    cost: milliseconds by stage.
    """

    pixels: NDArray[np.uint8]
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
    return [*TABLE, *baselines.BOUNDS]


def require_method(name: str) -> None:
    """Raises UsageError for a name that is not among `method_names`."""
    if name not in method_names():
        raise UsageError(f"Unknown method {name!r}: {nearest(name, method_names())}.")


def create_maker(name: str, options: SwapOptions, analyzer: Analyzer) -> Maker:
    """The maker of that name. Raises UsageError for an unknown one."""
    require_method(name)
    if name in baselines.BOUNDS:
        return BoundMaker(name, analyzer)
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
    """A trivial method of `bounds`."""

    name: str
    analyzer: Analyzer

    def make(self, sources: Sequence[Path], target: Path) -> Made:
        source, onto = (read_plain(path) for path in (sources[0], target))
        start = time.perf_counter()
        faces: tuple[Face | None, Face | None] = (None, None)
        if self.name in baselines.FACELESS:
            pixels = baselines.FACELESS[self.name](source, onto)
        else:
            own, other = self._face(sources[0], source), self._face(target, onto)
            pixels, faces = baselines.paste_face(source, onto, own, other), (own, other)
        return Made(pixels, 0, *faces, {"frame_ms": 1000 * (time.perf_counter() - start)})

    def _face(self, path: Path, pixels: NDArray[np.uint8]) -> Face:
        try:
            return select_faces(self.analyzer.analyze(pixels), "largest", pixels)[0]
        except NoFaceError as error:
            raise NoFaceError(f"{path}: {error}") from None


def _largest(faces: Sequence[Face]) -> Face:
    return max(faces, key=lambda face: face.size_px)


def read_plain(path: Path) -> NDArray[np.uint8]:
    """The pixels of a photo as `plain` has them. Raises InputError where it cannot be read."""
    return plain(load_photo(path).pixels)


def plain(pixels: Pixels) -> NDArray[np.uint8]:
    """RGB uint8 of RGB or RGBA in any depth; contiguous."""
    return np.ascontiguousarray(to_8_bit(pixels[..., :3]))
