"""What brings a source photo into the pose and expression of a target, for methods that take the
photo's own shapes."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol

from sosie.analysis.parser import FaceParts
from sosie.methods.base import Source
from sosie.types import FloatArray, Pixels


class Mover(Protocol):
    """A mover at work. It keeps nothing between calls."""

    def start(self, photo: Source) -> Any:
        """All that depends on the photo alone."""

    def move(
        self, state: Any, pixels: Pixels, landmarks: FloatArray, parts: FaceParts
    ) -> tuple[Pixels, FloatArray]:
        """The photo, its face in the target's pose and expression, and where its landmarks went
        (478 x 3), in its own pixels.

        state: of `start`. pixels: of the target, RGB, uint8. landmarks: its face's, 478 x 3. parts:
        what is seen of that face and before it.
        """


def mesh_mover() -> Mover:
    """The mover over the face mesh. It is loaded by its name, as a processor is, since reenactment
    is itself built on what methods are."""
    found: Mover = import_module("sosie.reenactment.onto_target").MeshMover()
    return found
