"""Something to lay over pictures of one face: colors, its shadow, what its glass bends."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

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
            front = cv2.multiply(moved, cv2.merge([lens.glass] * 3), scale=1 / 255)
            pixels = blend(pixels, np.asarray(front, np.uint8), lens.glass)
        if self.shadow is not None:
            dimmed = cv2.multiply(pixels, cv2.merge([self.shadow] * 3), scale=1 / 255)
            pixels = np.asarray(dimmed, np.uint8)
        return blend(pixels, self.colors, self.alpha)


def blend(pixels: Pixels, front: Pixels, alpha: Mask) -> Pixels:
    """`front`, whose colors are multiplied by alpha (uint8, h x w), over `pixels`."""
    behind = cv2.multiply(pixels, cv2.bitwise_not(cv2.merge([alpha] * 3)), scale=1 / 255)
    return np.asarray(cv2.add(front, behind), np.uint8)


def cast_shadow(mask: Mask, shift: NDArray[np.float64], soft_px: float, depth: float) -> Mask:
    """The light that a thing's mask leaves where its shadow falls, `shift` (x, y) away from it.

    soft_px: deviation of the shadow's edge. depth: 0..1, of the shadow.
    """
    matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]])
    moved = cv2.warpAffine(mask, matrix, (mask.shape[1], mask.shape[0]))
    soft = cv2.GaussianBlur(moved, (0, 0), max(soft_px, 0.3))
    return np.asarray(cv2.addWeighted(soft, -depth, soft, 0, 255), np.uint8)
