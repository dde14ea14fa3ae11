"""Fit the model of face texture that `sosie.methods.graft.texture_model` reads, and write its card.

    python tools/fit_face_texture.py DATA_FOLDER TEACHERS_FOLDER --cache CACHE_FOLDER
        --out src/sosie/models/files/face_texture.npz [--workers 2] [--directions 90]

The folders are those of `sosie train parser`, which shares the cache of labeled faces. What is
done:

1. Unwrap every labeled face of people who are not held out, with the weight of each pixel: skin
   that is not seen too much from the side.
2. Keep larger faces that show most of themselves and are hardly turned.
3. Principal directions of these and their mirror images. What a face hides is at first the mean in
   its tone, then what the directions tell, round by round.
4. Measure on people who are held out: parts of their faces are hidden and filled in.

The archive goes to --out and the card beside it; the figures go to standard output as well.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.geometry.head_pose import head_pose
from sosie.methods.graft import unwrap
from sosie.methods.graft.source_texture import seen_share
from sosie.methods.graft.texture_model import TextureModel, pack, unpack
from sosie.recipes.parser.labels import LabeledFaces, open_labeled
from sosie.recipes.teachers import HAIR_FILE, LANDMARKER_FILE, PARTS_FILE
from sosie.training.recipe import Materials

# Faces as large as the layout needs.
_GROUPS = ("hires", "celeba", "celebamask")
# A face that is fitted shows so much of its middle and is turned by no more; one that is measured
# shows more, so that there is something to hide.
_SHOWN, _TURNED_DEG = 0.72, 32.0
_SHOWN_TEST, _TURNED_TEST_DEG = 0.85, 28.0
# The parser's edge of skin is left out, in pixels of its crop; the layout's, in pixels of that.
_EDGE_PX, _MIDDLE_PX = 2, 5
_ROUNDS, _FIRST_DIRECTIONS = 8, 20
# The variance a pixel has as if it were one alone; of 0.02, 0.1, 0.3 and 1 the best on people left
# out.
_NOISE = 0.1
_TEST_FACES = 60

_DATA = (
    ("CelebA", "research use only"),
    ("FFHQ", "CC BY-NC-SA 4.0"),
    ("people who do not exist, made by StyleGAN2", "non-commercial use only"),
    ("generated portraits", "CC0-1.0"),
    ("CelebAMask-HQ", "non-commercial research"),
)
_USE_OF_DATA = "a linear model of texture was estimated from its faces; no picture is stored"
_TEACHERS = (
    (LANDMARKER_FILE, "Apache-2.0", "landmarks of the pictures"),
    (PARTS_FILE, "labels of CelebAMask-HQ: non-commercial research", "what of a picture is skin"),
    (HAIR_FILE, "Apache-2.0", "how much of a pixel is hair"),
)


@dataclass(frozen=True)
class Textures:
    """Unwrapped faces: N x HEIGHT x WIDTH x 3, 0..1, and the weight of each pixel, 0..1."""

    pixels: NDArray[np.float32]
    weights: NDArray[np.float32]


def read(faces: LabeledFaces) -> tuple[Textures, Textures]:
    """Steps 1 and 2: those that are fitted on, and those that are measured."""
    depth_px = cv2.distanceTransform(unwrap.inside().astype(np.uint8), cv2.DIST_L2, 5)
    middle = depth_px > _MIDDLE_PX
    kept: dict[bool, tuple[list[np.ndarray], list[np.ndarray]]] = {
        False: ([], []),
        True: ([], []),
    }
    side = 2 * _EDGE_PX + 1
    for row in np.flatnonzero(np.isin(faces.groups, _GROUPS)):
        points, test = faces.landmarks[row], bool(faces.test[row])
        turned = abs(head_pose(points).yaw)
        if turned > (_TURNED_TEST_DEG if test else _TURNED_DEG):
            continue
        skin = cv2.erode(faces.planes[row, ..., 0], np.ones((side, side), np.uint8))
        flat = unwrap.unwrap(np.dstack([faces.crops[row], skin]), points) / 255
        weight = flat[..., 3] * unwrap.spread(seen_share(points)) * unwrap.inside()
        if (weight[middle] > 0.5).mean() > (_SHOWN_TEST if test else _SHOWN):
            kept[test][0].append(flat[..., :3])
            kept[test][1].append(weight)
    fitted, measured = (
        Textures(np.array(pixels, np.float32), np.array(weights, np.float32))
        for pixels, weights in (kept[False], kept[True])
    )
    return fitted, measured


def directions(
    textures: NDArray[np.float32], count: int
) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float64]]:
    """Mean, orthonormal rows and variances of textures and their mirror images.

    Each direction is alike on both sides or opposite, so that the two kinds are found apart.
    """
    flipped = textures[:, :, ::-1]
    alike, opposite = (textures + flipped) / 2, (textures - flipped) / 2
    mean = alike.mean(0)
    found: list[tuple[float, NDArray[np.float64]]] = []
    for part in (alike - mean, opposite):
        rows = (part * unwrap.inside()[..., None]).reshape(len(part), -1)
        variances, vectors = np.linalg.eigh(rows @ rows.T / len(rows))
        for number in np.argsort(-variances)[:count]:
            row = vectors[:, number] @ rows
            found.append((float(variances[number]), row / max(np.linalg.norm(row), 1e-9)))
    found.sort(key=lambda pair: -pair[0])
    return (
        mean,
        np.array([row for _, row in found[:count]]),
        np.array([variance for variance, _ in found[:count]]),
    )


def fit(textures: Textures, count: int) -> tuple[TextureModel, float]:
    """Step 3: the model, and the share of the variance that its directions explain."""
    shown = textures.weights[..., None] * unwrap.inside()[..., None]
    mean = (textures.pixels * shown).sum(0) / np.maximum(shown.sum(0), 1)
    mean = (mean + mean[:, ::-1]) / 2
    tones = ((textures.pixels - mean) * shown).sum((1, 2), keepdims=True)
    whole = mean + tones / np.maximum(shown.sum((1, 2), keepdims=True), 1)
    explained = 0.0
    for turn in range(_ROUNDS):
        filled = textures.pixels * shown + (1 - shown) * whole
        mean, rows, variances = directions(filled, _FIRST_DIRECTIONS if turn < 2 else count)
        apart = (filled - mean).reshape(len(filled), -1)
        explained = float(variances.sum() / ((apart**2).sum() / len(apart)))
        whole = ((apart @ rows.T) @ rows).reshape(filled.shape) + mean
    basis = (rows * np.sqrt(variances)[:, None]).reshape(count, *mean.shape)
    return TextureModel(mean, np.asarray(basis, np.float32), _NOISE), explained


def errors(model: TextureModel, textures: Textures) -> dict[str, float]:
    """Step 4: mean absolute error of what is filled in, in gray levels, by what is hidden."""
    rows, columns = np.indices((unwrap.HEIGHT, unwrap.WIDTH))
    half = columns >= unwrap.WIDTH // 2
    parts = {
        "half of the forehead": half & (rows < 38),
        "a band of spectacles": (rows >= 30) & (rows < 52),
        "a fringe": rows < 26,
        "half of the face": half,
    }
    figures = {}
    for name, part in parts.items():
        missed = []
        for pixels, weight in zip(textures.pixels, textures.weights, strict=True):
            told, _ = model.fill(pixels, weight * ~part)
            judged = part & (weight > 0.7)
            missed.append(np.abs(told - pixels)[judged].mean() * 255)
        figures[f"error under {name} (gray levels)"] = float(np.mean(missed))
    return figures


def card(content: bytes, file: str, figures: dict[str, float]) -> dict[str, object]:
    """What `sosie.models.cards.Card` reads."""
    return {
        "name": Path(file).stem,
        "file": file,
        "sha256": hashlib.sha256(content).hexdigest(),
        "summary": "Linear model of the unwrapped texture of faces, which fills in what hides a "
        "source's face.",
        "license": "Apache-2.0",
        "data": [
            {"name": name, "license": license_name, "use": _USE_OF_DATA}
            for name, license_name in _DATA
        ],
        "teachers": [
            {"name": name, "license": license_name, "use": use}
            for name, license_name, use in _TEACHERS
        ],
        "date": date.today().isoformat(),
        "figures": figures,
        "remake": "python tools/fit_face_texture.py DATA_FOLDER TEACHERS_FOLDER "
        f"--cache CACHE_FOLDER --out src/sosie/models/files/{file}",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("teachers", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="the archive to write, .npz")
    parser.add_argument("--cache", type=Path, required=True, help="folder for the faces")
    parser.add_argument("--workers", type=int, default=2, help="processes that read faces")
    parser.add_argument("--directions", type=int, default=90)
    arguments = parser.parse_args()
    if arguments.out.suffix != ".npz":
        parser.error(f"--out {arguments.out} does not end in .npz")
    fitted, measured = read(
        open_labeled(
            Materials(arguments.data, arguments.teachers, arguments.cache, arguments.workers)
        )
    )
    model, explained = fit(fitted, arguments.directions)
    stored = io.BytesIO()
    np.savez_compressed(stored, **pack(model))
    content = stored.getvalue()
    some = Textures(measured.pixels[:_TEST_FACES], measured.weights[:_TEST_FACES])
    figures = {
        **errors(unpack(content), some),
        "variance_explained": explained,
        "directions": arguments.directions,
        "faces": len(fitted.pixels),
        "test_faces": len(some.pixels),
    }
    figures = {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in figures.items()}
    described = json.dumps(card(content, arguments.out.name, figures), indent=2) + "\n"
    arguments.out.write_bytes(content)
    arguments.out.with_suffix(".json").write_text(described, encoding="utf-8")
    print(json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
