"""Is a face of 512 pixels sharper than one of 256 from the same source, enlarged?

    python benchmarks/detail.py [--method graft mesh] [PHOTO ...]

Each photo is swapped into each other one, with the target's face at 256 and at 512 pixels. The
result of 256 is enlarged to 512, and the contrast of what only the larger can show (a band of 0.7
to 1.6 px) is compared over the middle of the face. Without photos the two sample portraits are
taken. The source's own face must have more than 256 pixels, or there is nothing to gain.
"""

from __future__ import annotations

import argparse
import json
from itertools import permutations
from pathlib import Path

import cv2
import numpy as np

import sosie
from sosie.analysis.analyzer import create_analyzer
from sosie.app.samples import sample_portraits
from sosie.geometry import alignment, head_pose
from sosie.media.image import load_photo

_SIZES = (256, 512)
_MARGIN = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, nargs="*")
    parser.add_argument("--method", nargs="+", default=["graft", "mesh"])
    options = parser.parse_args()
    photos = options.photos or list(sample_portraits().values())
    pictures = [load_photo(photo).pixels for photo in photos]
    for method in options.method:
        ratios = [measure(source, target, method) for source, target in permutations(pictures, 2)]
        print(json.dumps({"method": method, "larger over enlarged": [round(r, 2) for r in ratios]}))


def measure(source: np.ndarray, target: np.ndarray, method: str) -> float:
    """Fine contrast of the result at 512 px, over that of the one at 256 px, enlarged."""
    found = create_analyzer().analyze(target)
    region = head_pose.region_of(max(found, key=lambda face: face.size_px).landmarks)
    results = []
    for size in _SIZES:
        matrix = head_pose.square_matrix(region, _MARGIN, round(_MARGIN * size))
        framed = alignment.warp(target, matrix, round(_MARGIN * size), round(_MARGIN * size))
        results.append(sosie.swap_image(source, framed, method=method).image)
    small, large = results
    enlarged = cv2.resize(small, large.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return _fine(large) / _fine(enlarged)


def _fine(picture: np.ndarray) -> float:
    gray = picture.astype(np.float32).mean(2)
    band = cv2.GaussianBlur(gray, (0, 0), 0.7) - cv2.GaussianBlur(gray, (0, 0), 1.6)
    quarter = len(gray) // 4 + len(gray) // 16
    return float(band[quarter:-quarter, quarter:-quarter].std())


if __name__ == "__main__":
    main()
