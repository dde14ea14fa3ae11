"""The options of an extraction: one documented dataclass for the CLI, the Python API and JSON."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import Any

from sosie.errors import UsageError, nearest

PICTURE_FORMATS = ("png", "jpg", "webp")

_ALIASES = {
    "simswap": "arcface_112_v1",
    "ghost": "arcface_112_v1",
    "arcface_112_v2": "arcface",
    "inswapper": "arcface_128",
    "whole_face": "dfl_whole_face",
}
"""What a template is called as well."""

_PARTS = ("align", "size_px", "enlarge", "picture")
"""The options that all pictures of a set share."""


def template_name(text: str) -> str:
    """The template that `text` means: its name, with dashes or underscores, or that of a method
    that uses it. Raises UsageError where it means none."""
    from sosie.geometry.alignment import (
        TEMPLATES,  # not before it is needed: `sosie --help` is to be quick
    )

    name = text.strip().lower().replace("-", "_")
    name = _ALIASES.get(name, name)
    if name not in TEMPLATES:
        raise UsageError(f"Unknown alignment {text!r}: {nearest(name, [*TEMPLATES, *_ALIASES])}.")
    return name


@dataclass(frozen=True)
class ExtractOptions:
    """Every option of `sosie dataset extract`. A rule that is None is not applied.

    align: alignment template: `ffhq`, `arcface`, `dfl_whole_face` or another name in
        `sosie.geometry.alignment.TEMPLATES`.
    size_px: side of the pictures, 112 to 1024.
    enlarge: bring smaller faces to that size too; otherwise their pictures are as large as the face
        is in the frame.
    picture: format of the pictures, `png`, `jpg` or `webp` (both without visible loss).
    every: look at every Nth frame of a video.
    fps: look at this many frames a second instead; None goes by `every`.
    min_face: leave out faces whose square in the frame is smaller: in pixels above 2, otherwise as
        a share of the size.
    per_second: keep at most this many pictures of a face a second: the clearest; None keeps all.
    min_distance: leave out near-duplicates of a face in one shot: pictures whose 64-bit hash
        differs in fewer bits from one of those kept last; 0 keeps all.
    max_tilt_deg: reject heads that are tilted by more degrees.
    min_share: reject faces that fill less of the picture: their longer side as a share of its side.
        Templates that show the face smaller ask for less.
    max_blur_px: reject faces that are blurred more, by focus or motion: the deviation of the blur
        in pixels, with the face brought to 256 at most.
    min_visible: reject faces of which a smaller share is visible, because something covers them or
        the frame cuts them off; it holds for each eye, the nose and the mouth, too.
    max_turn_deg: reject heads that are turned further from the camera; a full profile is 90.
    threads: frames to look at, and pictures to write, at once; None goes by the processor's
        threads.
    """

    align: str = "ffhq"
    size_px: int = 512
    enlarge: bool = False
    picture: str = "png"
    every: int = 5
    fps: float | None = None
    min_face: float = 80.0
    per_second: float | None = 4.0
    min_distance: int = 4
    max_tilt_deg: float | None = 30.0
    min_share: float | None = 0.4
    max_blur_px: float | None = 2.2
    min_visible: float | None = 0.65
    max_turn_deg: float | None = 100.0
    threads: int | None = None

    def __post_init__(self) -> None:
        from sosie.geometry.alignment import template_points

        template_points(self.align, self.size_px)
        if self.picture not in PICTURE_FORMATS:
            raise UsageError(
                f"Unknown picture format {self.picture!r}: "
                f"{nearest(self.picture, PICTURE_FORMATS)}."
            )
        for name, low, high in (
            ("size_px", 112, 1024),
            ("every", 1, 1_000_000),
            ("fps", 0.001, 1000),
            ("min_face", 0, 10_000),
            ("per_second", 0.001, 1000),
            ("min_distance", 0, 64),
            ("max_tilt_deg", 0, 180),
            ("min_share", 0, 1),
            ("max_blur_px", 0, 256),
            ("min_visible", 0, 1),
            ("max_turn_deg", 0, 180),
            ("threads", 1, 1024),
        ):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise UsageError(f"{name} must be between {low} and {high}, not {value}.")

    @property
    def min_face_px(self) -> float:
        """The side below which a face's square in the frame is too small."""
        return self.min_face * self.size_px if self.min_face <= 2 else self.min_face

    def common(self) -> dict[str, Any]:
        """The options that all pictures of a set share."""
        return {name: getattr(self, name) for name in _PARTS}

    def of_input(self) -> dict[str, Any]:
        """The options that decide what an input yields, and may differ from one to the next."""
        values = dataclasses.asdict(self)
        return {k: v for k, v in values.items() if k not in _PARTS and k != "threads"}


def thread_count(options: ExtractOptions) -> int:
    """How many frames are looked at, and pictures written, at once."""
    return options.threads or os.cpu_count() or 1
