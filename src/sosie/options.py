"""The options of a swap: one documented dataclass for the CLI, the Python API and saved JSON."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypedDict

from sosie.errors import UsageError

BLENDS = ("multiband", "poisson", "alpha")
COLORS = ("light", "match", "none")

RENAMED = {"colour": "color"}
"""Options of before -> what they are called now."""
KEPT = ("spectacles", "hat", "hair")
"""What of a source may stay on its face."""


def nearest(value: str, known: Iterable[str]) -> str:
    """A sentence part that names the known values and the one nearest to `value`."""
    known = list(known)
    close = difflib.get_close_matches(value, known, n=1, cutoff=0.5)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"choose one of {', '.join(known)}{hint}"


@dataclass(frozen=True)
class SwapOptions:
    """Every option of `sosie swap`.

    method: `graft`, `mesh`, `onnx`, or one that was trained: `simswap`, `faceshifter`, `ghost`.
    model: file of the swapper, for the method `onnx`.
    weights: snapshot that `sosie train` wrote, for the method that it trained.
    interface: how that swapper is called, where it is not known by its file.
    encoder: ONNX file of the face encoder that the swapper takes its identity from.
    converter: ONNX file that turns embeddings of arcface into those of the swapper's own encoder;
        `none` where the encoder is its own.
    faces: which faces of the target: `largest` (of which a frame shows most), `all`, or positions
        counted from the left, `0,2`;
        left at `largest` where reference photos tell whom to swap.
    keep: what stays on the source's face, of `spectacles`, `hat` and `hair`, or several,
        `spectacles,hat`; all else that hides the face is taken off, by the methods that carry the
        photo's own texture (`graft`, `mesh`).
    shape: how much of the source's inner proportions (brows, eyes, nose, mouth) to carry, 0..1.
    blend: `multiband`, `poisson` or `alpha`.
    color: `light` moves the target's low-frequency light onto the face, `match` its mean and
        deviation, `none` keeps the source's colors. The method `graft` learned the light: with
        another choice it is geometry alone, as `mesh` is.
    mask_feather: width of the mask's soft edge as a share of the face's size, 0..0.5.
    start_s, end_s: part of a video to swap and write, in seconds.
    codec: video encoder, as FFmpeg names it; None takes the one that fits the output's container.
    crf: constant rate factor of the encoder, 0 (best) to 63.
    preset: speed preset of the encoder.
    threads: processor threads; None uses all.
    provider: execution provider for all networks: `cpu`, `cuda`, `coreml`, ...; a network that it
        does not run is an error. `auto` takes the fastest that runs each.
    overwrite: replace an existing output.
    """

    method: str = "graft"
    model: str | None = None
    weights: str | None = None
    interface: str | None = None
    encoder: str | None = None
    converter: str | None = None
    faces: str = "largest"
    keep: str = ""
    shape: float = 1.0
    blend: str = "multiband"
    color: str = "light"
    mask_feather: float = 0.012
    start_s: float | None = None
    end_s: float | None = None
    codec: str | None = None
    crf: int = 18
    preset: str = "veryfast"
    threads: int | None = None
    provider: str = "cpu"
    overwrite: bool = False

    def __post_init__(self) -> None:
        _one_of("blend", self.blend, BLENDS)
        _one_of("color", self.color, COLORS)
        _in_range("shape", self.shape, 0, 1)
        _in_range("mask_feather", self.mask_feather, 0, 0.5)
        _in_range("crf", self.crf, 0, 63)
        if self.threads is not None:
            _in_range("threads", self.threads, 1, 1024)
        start = self.start_s or 0.0
        if not (math.isfinite(start) and start >= 0):
            raise UsageError(f"start must be 0 seconds or more, not {self.start_s}.")
        if self.end_s is not None and not self.end_s > start:
            raise UsageError(f"end ({self.end_s} s) must come after start ({start} s).")
        self.face_positions()
        self.kept()
        if self.weights is not None and self.method in ("graft", "mesh", "onnx"):
            raise UsageError(
                f"weights belong to a trained method (simswap, faceshifter, ghost), not to "
                f"{self.method}: choose the one that was trained with --method, or leave it out."
            )
        for name in ("model", "interface", "encoder", "converter"):
            if getattr(self, name) is not None and self.method != "onnx":
                raise UsageError(
                    f"{name} belongs to the method onnx, not to {self.method}: choose that method, "
                    f"or leave {name} out."
                )

    def face_positions(self) -> tuple[int, ...] | None:
        """Positions from the left, or None where `faces` is `largest` or `all`."""
        if self.faces in ("largest", "all"):
            return None
        try:
            positions = tuple(int(part) for part in self.faces.split(","))
        except ValueError:
            positions = (-1,)
        if min(positions) < 0:
            raise UsageError(
                f"faces must be 'largest', 'all' or positions from the left such as 0,2, "
                f"not {self.faces!r}."
            )
        return positions

    def kept(self) -> tuple[str, ...]:
        """What stays on the source's face."""
        names = tuple(name.strip() for name in self.keep.split(",") if name.strip())
        for name in names:
            _one_of("thing to keep", name, KEPT)
        return names

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SwapOptions:
        """Options from a saved JSON object. Raises UsageError on an unknown key."""
        names = [f.name for f in dataclasses.fields(cls)]
        for key in values:
            if key in RENAMED:
                raise UsageError(f"The option {key!r} is called {RENAMED[key]!r} now.")
            if key not in names:
                raise UsageError(f"Unknown option {key!r}: {nearest(key, names)}.")
        return cls(**values)


class OptionKeywords(TypedDict, total=False):
    """The fields of SwapOptions as keyword arguments of a function, for type checkers."""

    method: str
    model: str | None
    weights: str | None
    interface: str | None
    encoder: str | None
    converter: str | None
    faces: str
    keep: str
    shape: float
    blend: str
    color: str
    mask_feather: float
    start_s: float | None
    end_s: float | None
    codec: str | None
    crf: int
    preset: str
    threads: int | None
    provider: str
    overwrite: bool


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"Unknown {name} {value!r}: {nearest(value, known)}.")


def _in_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UsageError(f"{name} must be between {low} and {high}, not {value}.")
