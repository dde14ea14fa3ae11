"""A source photo moved into a target's pose and expression, as swaps want it: see
`sosie.methods.movers`."""

from __future__ import annotations

from typing import Any

from sosie.analysis.analyzer import make_face
from sosie.analysis.parser import FaceParts
from sosie.methods.base import Source
from sosie.reenactment.base import DrivingFrame
from sosie.reenactment.mesh import MeshReenactor
from sosie.reenactment.options import ReenactOptions
from sosie.types import FloatArray, Pixels


class MeshMover:
    """The reenactor `mesh` with the target as its driver, whose pose and expression the photo gets
    as they are."""

    def __init__(self) -> None:
        self._reenactor = MeshReenactor(ReenactOptions(motion="absolute"))

    def start(self, photo: Source) -> Any:
        """See `Mover`."""
        # Motion that is absolute begins nowhere: the photo stands for the first frame.
        return self._reenactor.start(photo, DrivingFrame(photo.pixels, photo.face))

    def move(
        self, state: Any, pixels: Pixels, landmarks: FloatArray, parts: FaceParts
    ) -> tuple[Pixels, FloatArray]:
        """See `Mover`."""
        frame = DrivingFrame(pixels, make_face(landmarks, 1.0), parts)
        made, moved = self._reenactor.moved(state, frame)
        return made, moved.points
