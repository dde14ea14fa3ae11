"""Places that the shipped detector takes for faces and that are none.

They are collars, knots of scarves, ears, fists and emblems, which pictures drawn at random seldom
show. At run time the landmark network looks only where the detector sees something, so it learns
its `presence` from them, and the next detector learns to leave them alone.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sosie.analysis import detection
from sosie.analysis.detector import Detector
from sosie.datasets.array_files import save_arrays
from sosie.errors import InputError
from sosie.geometry.head_pose import Region
from sosie.models.cards import read_embedded
from sosie.models.session import create_session
from sosie.recipes.detector.pictures import PictureSet, open_pictures
from sosie.training.recipe import Materials

# Scores that are looked at: lower ones the run time leaves alone, and much higher ones are faces
# that the teacher of the labels has missed.
_LEAST, _MOST = 0.2, 0.75
_LEAST_PX = 20.0
# A place is apart from a face if, across or down, it is further away than this share of its size,
# from the rim of the face's box.
_APART = 0.35
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mistaken:
    """Places in pictures. rows: of `pictures`, N. regions: float32, N x 4, as `Region`."""

    pictures: PictureSet
    rows: NDArray[np.int64]
    regions: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rows)

    def place(self, number: int) -> tuple[NDArray[np.uint8], Region]:
        """A picture, RGB uint8, not to be written to, and the place in it."""
        pixels = self.pictures.pixels(int(self.rows[number]))
        return pixels, Region(*map(float, self.regions[number]))


def open_mistaken(materials: Materials) -> Mistaken:
    """The places in the pictures of the training people; they are looked for first where need be.

    Raises InputError where an archive, a teacher or the shipped detector is absent.
    """
    pictures = open_pictures(materials)
    weights = read_embedded("detector")
    key = repr((1, pictures.sizes.tobytes(), hashlib.sha256(weights).hexdigest()))
    file = materials.cache / f"mistaken-{hashlib.sha256(key.encode()).hexdigest()[:12]}.npz"
    if not file.exists():
        detector = Detector(create_session(weights, threads=1), detection.THOROUGH_PX)
        save_arrays(file, find_mistaken(detector, pictures))
    with np.load(file, allow_pickle=False) as kept:
        return Mistaken(pictures, kept["rows"], kept["regions"])


def find_mistaken(detector: Detector, pictures: PictureSet) -> dict[str, NDArray[np.generic]]:
    """`rows` and `regions` of `Mistaken`, in all pictures that are not for validation."""
    rows, regions = [], []
    for row in np.flatnonzero(~pictures.validation):
        boxes = pictures.faces(int(row)).boxes
        for found in detection.find(detector, pictures.pixels(int(row)), False, _LEAST):
            region = found.region
            if found.score < _MOST and region.size_px >= _LEAST_PX and _is_apart(region, boxes):
                rows.append(int(row))
                regions.append((region.x, region.y, region.size_px, region.roll_deg))
    if not rows:
        raise InputError("The detector errs in none of the pictures: are they those of the data?")
    _log.info("%d places that the detector takes for faces", len(rows))
    return {"rows": np.array(rows, np.int64), "regions": np.array(regions, np.float32)}


def _is_apart(region: Region, boxes: NDArray[np.float32]) -> bool:
    """Whether a place shows none of the faces, sure or not, in boxes of N x 4."""
    reach = _APART * region.size_px
    x = (boxes[:, 0] < region.x + reach) & (boxes[:, 2] > region.x - reach)
    y = (boxes[:, 1] < region.y + reach) & (boxes[:, 3] > region.y - reach)
    return not bool((x & y).any())
