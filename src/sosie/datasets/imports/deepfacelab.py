"""DeepFaceLab's aligned faces: JPEG and PNG that hold a pickle of what is known of each.

Kept of it are the 68 points of the face in the picture, by which it is found again, and the name of
the frame that it was cut from. A set has no place for its masks; landmarks, pose and all else are
measured anew.
"""

from __future__ import annotations

from pathlib import Path

from sosie.datasets.hints import Hint
from sosie.datasets.imports import containers, pickled
from sosie.datasets.imports.refusals import not_of
from sosie.errors import InputError

_APP15, _CHUNK = 0xEF, b"fcWp"
_POINTS = (68, 2)
_REMEDY = "extract the faces anew with `sosie dataset extract`"


def read_hint(path: Path) -> Hint:
    """What DeepFaceLab knew of an aligned face. Raises InputError where the picture holds none of
    its data, or such that cannot be read as data."""
    content = containers.read_picture(path)
    found: bytes | None = None
    if content.startswith(containers.JPEG):
        segments = containers.jpeg_segments(content)
        found = next((data for marker, data in segments if marker == _APP15), None)
    elif content.startswith(containers.PNG):
        chunks = containers.png_chunks(content)
        found = next((data for kind, data in chunks if kind == _CHUNK), None)
    if found is None:
        raise not_of(path, "DeepFaceLab")
    told = pickled.parse(found, str(path), _REMEDY)
    points = pickled.numbers(pickled.entry(told, "landmarks"), _POINTS)
    if points is None:
        raise InputError(
            f"{path} holds data that tells no 68 landmarks of the face, as DeepFaceLab's does: "
            f"{_REMEDY}."
        )
    return Hint(pickled.text(pickled.entry(told, "source_filename")), (points,))
