"""The options of a reenactment: one documented dataclass for the command and the Python API."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sosie.errors import UsageError, nearest

MOTIONS = ("relative", "absolute")
RETARGETED = ("eyes", "lips")
MOST = 1.5
"""So much of the driver's motion may be taken at most."""


@dataclass(frozen=True)
class ReenactOptions:
    """Every option of `sosie reenact`.

    method: what moves the photo, of `reenactor_names`.
    weights: folder or file of the method's weights, for one that has any.
    motion: `relative` adds what changes since the driver's first frame to the photo's own pose and
        expression; `absolute` gives the photo the driver's pose and expression as they are.
    retarget: what the method `portrait` opens as far as the driver's is open, whatever the photo's
        is like: `eyes`, `lips` or both, parted by a comma.
    stitch: whether the method `portrait` keeps shoulders and hair where the photo has them.
    expression, pose: how much of the driver's expression and of its head's turns is taken, 0..1.5.
    faces: which face of the driver: `largest`, or a position counted from the left, `1`.
    start_s, end_s: part of the driver to take, in seconds.
    sequence: frame rate of a driver of numbered images.
    codec, crf, preset: as in `SwapOptions`.
    threads: processor threads; None uses all.
    provider: execution provider for all networks.
    overwrite: replace an existing output.
    """

    method: str = "mesh"
    weights: str | None = None
    motion: str = "relative"
    expression: float = 1.0
    pose: float = 1.0
    retarget: str = ""
    stitch: bool = True
    faces: str = "largest"
    start_s: float | None = None
    end_s: float | None = None
    sequence: str | None = None
    codec: str = "keep"
    crf: int = 18
    preset: str = "veryfast"
    threads: int | None = None
    provider: str = "cpu"
    overwrite: bool = False

    def __post_init__(self) -> None:
        """Raises UsageError on a value that cannot be meant."""
        if self.motion not in MOTIONS:
            raise UsageError(f"Unknown motion {self.motion!r}: {nearest(self.motion, MOTIONS)}.")
        for part in self.retargeted():
            if part not in RETARGETED:
                raise UsageError(f"Unknown part {part!r} to retarget: {nearest(part, RETARGETED)}.")
        for name in ("expression", "pose"):
            share = getattr(self, name)
            if not (math.isfinite(share) and 0 <= share <= MOST):
                raise UsageError(f"{name} must be from 0 to {MOST}, not {share}.")
        if self.faces != "largest" and not self.faces.isdigit():
            raise UsageError(
                f"One face of the driver moves the photo: faces is `largest` or a position from "
                f"the left, as 1, not {self.faces!r}."
            )

    def retargeted(self) -> tuple[str, ...]:
        """The parts that are opened as far as the driver's."""
        return tuple(part.strip() for part in self.retarget.split(",") if part.strip())
