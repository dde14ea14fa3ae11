"""Something to lay over pictures of one face (colors, its shadow, what its glass bends); and hair
and hats cut out of labeled photos, as such layers.

A `Layer` goes over any picture of the same face, so that a sample and its answer can wear the same
thing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.geometry import mesh

Pixels = NDArray[np.uint8]
Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class Bent:
    """What a lens shows of what is behind it: `matrix` (2 x 3) moves it, within `glass`."""

    glass: Mask
    matrix: NDArray[np.float64]


@dataclass(frozen=True)
class Layer:
    """All arrays are uint8 and as high and wide as the pictures.

    colors: h x w x 3, RGB, multiplied by `alpha`. alpha: how much of what is behind cannot be seen,
    or is added to. shadow: 255 where no shadow of the thing falls, else what light is left.
    shares: part of a face (a field of `FaceParts`) -> the share of each pixel that is that part in
    front of all else. lens_opacity: see `FaceParts`; None where there is no glass.
    """

    colors: Pixels
    alpha: Mask
    shadow: Mask | None
    shares: dict[str, Mask]
    lens_opacity: Mask | None = None
    bent: tuple[Bent, ...] = field(default=())

    @property
    def hides(self) -> Mask:
        """How much of what is behind the thing is no longer in front: the sum of its shares."""
        total = np.zeros_like(self.alpha)
        for share in self.shares.values():
            total = np.asarray(cv2.add(total, share), np.uint8)
        return total

    def over(self, pixels: Pixels) -> Pixels:
        """A picture with the thing before it."""
        for lens in self.bent:
            size = (pixels.shape[1], pixels.shape[0])
            moved = cv2.warpAffine(
                pixels, lens.matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            front = weighted(np.asarray(moved, np.uint8), lens.glass)
            pixels = blend(pixels, front, lens.glass)
        if self.shadow is not None:
            pixels = weighted(pixels, self.shadow)
        return blend(pixels, self.colors, self.alpha)


def blend(pixels: Pixels, front: Pixels, alpha: Mask) -> Pixels:
    """`front`, whose colors are multiplied by alpha (uint8, h x w), over `pixels`."""
    behind = weighted(pixels, np.asarray(cv2.bitwise_not(alpha), np.uint8))
    return np.asarray(cv2.add(front, behind), np.uint8)


def weighted(pixels: Pixels, share: Mask) -> Pixels:
    """The picture multiplied by a share, of which 255 is all."""
    return np.asarray(cv2.multiply(pixels, cv2.merge([share] * 3), scale=1 / 255), np.uint8)


def cast_shadow(mask: Mask, shift: NDArray[np.float64], soft_px: float, depth: float) -> Mask:
    """The light that a thing's mask leaves where its shadow falls, `shift` (x, y) away from it.

    soft_px: deviation of the shadow's edge. depth: 0..1, of the shadow.
    """
    matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
    moved = cv2.warpAffine(mask, matrix, (mask.shape[1], mask.shape[0]))
    soft = cv2.GaussianBlur(moved, (0, 0), max(soft_px, 0.3))
    return np.asarray(cv2.addWeighted(soft, -depth, soft, 0, 255), np.uint8)


# Mesh points of the upper face that bring one head's hair onto another.
_ANCHORS = (10, 67, 297, 54, 284, 127, 356, 234, 454, 168, 152)
_CHEEKS = (50, 280, 4, 151)


@dataclass(frozen=True)
class Donor:
    """Whose hair or hat it is. crop: RGB, uint8, h x w x 3. share: of each pixel, what is cut out,
    uint8, h x w. landmarks: 478 x 3, in the crop's pixels."""

    crop: Pixels
    share: Mask
    landmarks: NDArray[np.float32]


def cutout(
    pixels: Pixels,
    landmarks: NDArray[np.float32],
    donor: Donor,
    part: str,
    rng: np.random.Generator,
) -> Layer:
    """Somebody's hair or hat for the face in a picture (RGB, h x w), in about its light.

    landmarks: 478 x 3, in its pixels. part: `hair` or `hat`, the layer's one share.
    """
    size = (pixels.shape[1], pixels.shape[0])
    matrix = _onto(donor.landmarks, landmarks, rng)
    alpha = np.asarray(cv2.warpAffine(donor.share, matrix, size), np.uint8)
    colors = cv2.warpAffine(donor.crop, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    theirs, own = _skin(donor.crop, donor.landmarks), _skin(pixels, landmarks)
    gain = (own.mean() / max(theirs.mean(), 1)) ** rng.uniform(0.3, 1)
    tone = np.exp(rng.normal(0, 0.15) + rng.normal(0, 0.06, 3))
    colors = cv2.multiply(colors, np.append(np.clip(gain, 0.3, 2.5) * tone, 1.0))
    front = weighted(np.asarray(colors, np.uint8), alpha)
    shadow = None
    if rng.random() < 0.4:
        face = float(np.ptp(landmarks[:, :2], axis=0).max())
        shift = np.array([rng.normal(0, 0.02), abs(rng.normal(0.02, 0.02))]) * face
        soft = float(rng.uniform(0.005, 0.03)) * face
        shadow = cast_shadow(alpha, shift, soft, float(rng.uniform(0.1, 0.5)))
    return Layer(front, alpha, shadow, {part: alpha})


def _onto(
    source: NDArray[np.float32], aim: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float64]:
    """The affine map of a donor's head onto a face, worn a little deeper or higher."""
    points = source[list(_ANCHORS), :2].astype(np.float64)
    wanted = aim[list(_ANCHORS), :2].astype(np.float64)
    if rng.random() < 0.5:
        # Worn the other way round.
        middle = points[:, 0].mean()
        flip = np.diag([-1.0, 1.0])
        points = points[[0, 2, 1, 4, 3, 6, 5, 8, 7, 9, 10]]
        basis = points @ flip
        basis[:, 0] += 2 * middle
    else:
        flip, basis, middle = np.eye(2), points, 0.0
    solved = np.linalg.lstsq(np.column_stack([basis, np.ones(len(basis))]), wanted, rcond=None)[0]
    linear, shift = solved[:2].T, solved[2]
    if flip[0, 0] < 0:
        shift = shift + linear @ np.array([2 * middle, 0.0])
        linear = linear @ flip
    center = wanted.mean(0)
    slack = np.eye(2) * np.exp(rng.normal(0, 0.04)) + rng.normal(0, 0.02, (2, 2))
    face = float(np.ptp(aim[list(mesh.OVAL), :2], axis=0).max())
    down = aim[152, :2] - aim[10, :2]
    down = down / max(float(np.linalg.norm(down)), 1e-6)
    moved = down * rng.normal(0.03, 0.05) * face + rng.normal(0, 0.015, 2) * face
    return np.column_stack([slack @ linear, center + slack @ (shift - center) + moved])


def _skin(pixels: Pixels, landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """The median color of bare skin, 0..255."""
    limit = np.array(pixels.shape[1::-1]) - 1
    x, y = np.clip(np.round(landmarks[list(_CHEEKS), :2]).astype(int), 0, limit).T
    return np.asarray(np.median(pixels[y, x].astype(np.float64), 0))
