"""People named by photos of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sosie.analysis.analyzer import Analyzer
from sosie.analysis.selection import select_faces
from sosie.errors import NoFaceError
from sosie.media.image import load_photo
from sosie.types import FloatArray


def read_references(
    named: Sequence[tuple[str, Path]], analyzer: Analyzer
) -> tuple[dict[str, FloatArray], list[str]]:
    """name -> identity, float32, 512, unit length: the mean over that name's photos. And notes on
    photos that show several faces, of which the largest counts.

    Raises InputError where a photo cannot be read, NoFaceError where it shows no face.
    """
    sums: dict[str, FloatArray] = {}
    notes = []
    for name, path in named:
        pixels = load_photo(path).pixels
        found = analyzer.analyze(pixels)
        try:
            face = select_faces(found, "largest", pixels)[0]
        except NoFaceError as error:
            raise NoFaceError(f"{path}: {error}") from None
        if len(found) > 1:
            notes.append(f"{path} shows {len(found)} faces; the largest is taken for {name}.")
        sums[name] = sums.get(name, 0) + analyzer.identify(pixels, face)
    return {name: np.asarray(s / np.linalg.norm(s), np.float32) for name, s in sums.items()}, notes
