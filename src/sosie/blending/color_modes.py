"""The color transfers of the field, by the names that it knows them by.

Each moves the colors of the swapped face as a cloud of points onto those of the target, wherever in
the face they are; the light, which differs from place to place, is `color_transfer`'s.

Pixels are RGB float32, h x w x 3, 0..1; weights float32, h x w, 0..1, say where both pictures show
skin. All pixels are moved, and what leaves the range is brought back without changing its hue.
Where the weights are all 0 nothing is.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.blending.color_transfer import in_range
from sosie.types import FloatArray

Matrix = NDArray[np.float64]

# A cloud that is thinner than this in some direction (a deviation, of 1) is taken for as thick:
# else noise would be stretched into color.
_THIN = 1 / 255
# So many pixels tell how a face's colors lie, at so many levels of each axis.
_TOLD_BY, _LEVELS = 8_000, 128
# What becomes of colors is worked out for a table of so many along each axis, and mixed between.
_SIDE = 20
_ROTATIONS, _SLICES, _STEPS = 12, 6, 10
_LAB_RANGE = 100.0


def reinhard(swapped: FloatArray, target: FloatArray, weight: FloatArray) -> FloatArray:
    """`rct`: each axis of Lab gets the target's mean and deviation.

    Reinhard, Ashikhmin, Gooch and Shirley, "Color transfer between images", 2001, eq. 10 and 11; in
    CIE Lab, as is usual now, instead of the paper's own axes.
    """
    if not weight.any():
        return swapped
    ours, theirs = (cv2.cvtColor(one, cv2.COLOR_RGB2LAB) for one in (swapped, target))
    (mean, spread), (to_mean, to_spread) = (_moments(one, weight) for one in (ours, theirs))
    least = _THIN * _LAB_RANGE
    gain = np.sqrt(np.diag(to_spread)) / np.maximum(np.sqrt(np.diag(spread)), least)
    moved = (ours - mean) * gain + to_mean
    return _held(cv2.cvtColor(moved.astype(np.float32), cv2.COLOR_LAB2RGB))


def linear(swapped: FloatArray, target: FloatArray, weight: FloatArray) -> FloatArray:
    """`lct`: the linear map that turns one covariance into the other by their square roots.

    Gatys, Bethge, Hertzmann and Shechtman, "Preserving color in neural artistic style transfer",
    2016: the map that they name after image analogies.
    """

    def between(ours: Matrix, theirs: Matrix) -> Matrix:
        return _root(theirs, _THIN) @ np.linalg.inv(_root(ours, _THIN))

    return _by_covariance(swapped, target, weight, between)


def monge_kantorovich(swapped: FloatArray, target: FloatArray, weight: FloatArray) -> FloatArray:
    """`mkl`: of all such linear maps the one that moves colors least.

    Pitie and Kokaram, "The linear Monge-Kantorovitch linear colour mapping for example-based colour
    transfer", 2007.
    """

    def between(ours: Matrix, theirs: Matrix) -> Matrix:
        root, other = _root(ours, _THIN), _root(theirs, _THIN)
        back = np.linalg.inv(root)
        return back @ _root(root @ other @ other @ root) @ back

    return _by_covariance(swapped, target, weight, between)


def iterative_distribution(
    swapped: FloatArray, target: FloatArray, weight: FloatArray
) -> FloatArray:
    """`idt`: axis by axis, in one rotation of the color space after another, the distribution
    becomes the target's.

    Pitie, Kokaram and Dahyot, "N-dimensional probability density function transfer and its
    application to colour transfer", 2005. The rotations are the same in every run.
    """
    axes = [_rotation(number) for number in range(_ROTATIONS)]
    return _transported(swapped, target, weight, [(one, 1.0) for one in axes])


def sliced_transport(swapped: FloatArray, target: FloatArray, weight: FloatArray) -> FloatArray:
    """`sot`: colors go along several directions at once, by the mean of what each asks for.

    Sliced optimal transport: Bonneel, Rabin, Peyre and Pfister, "Sliced and Radon Wasserstein
    barycenters of measures", 2015. The directions are the same in every run.
    """
    steps = []
    for number in range(_STEPS):
        some = [_rotation(100 + number * _SLICES + k) for k in range(_SLICES // 3)]
        steps.append((np.concatenate(some), 3 / _SLICES))
    return _transported(swapped, target, weight, steps)


MODES = MappingProxyType(
    {
        "rct": reinhard,
        "lct": linear,
        "mkl": monge_kantorovich,
        "idt": iterative_distribution,
        "sot": sliced_transport,
    }
)
"""By the names that `--color` takes."""


def _moments(picture: NDArray[Any], weight: FloatArray) -> tuple[Matrix, Matrix]:
    """Mean and covariance of the colors under a weight: 3; 3 x 3."""
    colors, shares = picture.reshape(-1, 3).astype(np.float64), weight.ravel().astype(np.float64)
    total = max(float(shares.sum()), 1e-6)
    mean = shares @ colors / total
    apart = colors - mean
    return mean, (apart * shares[:, None]).T @ apart / total


def _root(covariance: Matrix, least: float = 0.0) -> Matrix:
    """The symmetric square root, 3 x 3, no direction of which has a deviation below `least`."""
    values, axes = np.linalg.eigh(covariance)
    return np.asarray((axes * np.sqrt(np.maximum(values, least**2))) @ axes.T)


def _by_covariance(
    swapped: FloatArray,
    target: FloatArray,
    weight: FloatArray,
    between: Callable[[Matrix, Matrix], Matrix],
) -> FloatArray:
    """All colors moved by a linear map about the mean. between: from one covariance to another."""
    if not weight.any():
        return swapped
    (mean, spread), (to_mean, to_spread) = (_moments(one, weight) for one in (swapped, target))
    moved = (swapped - mean) @ between(spread, to_spread).T + to_mean
    return _held(moved)


def _transported(
    swapped: FloatArray,
    target: FloatArray,
    weight: FloatArray,
    steps: list[tuple[Matrix, float]],
) -> FloatArray:
    """All colors after some steps, each of which moves them along directions (K x 3) by a share of
    what brings their distribution along each to the target's."""
    if not weight.any():
        return swapped
    told = _sample(weight)
    shares = weight.ravel()[told].astype(np.float64)
    ours, theirs = (one.reshape(-1, 3)[told].astype(np.float64) for one in (swapped, target))
    low, high = ours.min(0), ours.max(0) + _THIN
    lattice = low + _lattice() * (high - low)
    moved = np.concatenate([ours, lattice])
    for directions, share in steps:
        along, wanted = moved @ directions.T, theirs @ directions.T
        for k in range(len(directions)):
            own = _quantiles(along[: len(ours), k], shares)
            levels, place, count = np.unique(own, return_inverse=True, return_counts=True)
            # Pixels of one value, as those that are blown out, go where they go on average.
            change = np.bincount(place, _quantiles(wanted[:, k], shares) - own) / count
            asked = np.interp(along[:, k], levels, change)
            moved += share * asked[:, None] * directions[k]
    table = np.asarray(moved[len(ours) :] - lattice, np.float32)
    return _held(swapped + _looked_up(table, (swapped - low) / (high - low)))


def _lattice() -> NDArray[np.float64]:
    """The places of a table of colors, _SIDE ** 3 x 3, 0..1, the last axis fastest."""
    steps = np.linspace(0, 1, _SIDE)
    places = np.meshgrid(steps, steps, steps, indexing="ij")
    return np.column_stack([one.ravel() for one in places])


def _looked_up(table: FloatArray, places: NDArray[Any]) -> FloatArray:
    """What a table (of `_lattice`) has for colors, h x w x 3, mixed linearly along each axis."""
    at = np.clip(places, 0, 1).astype(np.float32).reshape(-1, 3) * np.float32(_SIDE - 1)
    below = np.minimum(at.astype(np.intp), _SIDE - 2)
    part = at - below.astype(np.float32)
    first = (below[:, 0] * _SIDE + below[:, 1]) * _SIDE + below[:, 2]
    found = np.zeros_like(at)
    for corner in np.ndindex(2, 2, 2):
        step = (corner[0] * _SIDE + corner[1]) * _SIDE + corner[2]
        shares = [part[:, k] if corner[k] else 1 - part[:, k] for k in range(3)]
        found += table[first + step] * (shares[0] * shares[1] * shares[2])[:, None]
    return found.reshape(places.shape)


def _held(pixels: NDArray[Any]) -> FloatArray:
    """RGB of any range in 0..1, with its hue."""
    return np.clip(in_range(np.ascontiguousarray(pixels, np.float32)), 0, 1)


def _sample(weight: FloatArray) -> NDArray[np.intp]:
    """Positions of pixels of some weight, evenly among them."""
    there = np.flatnonzero(weight)
    return there[:: max(1, len(there) // _TOLD_BY)]


def _quantiles(values: NDArray[Any], shares: NDArray[Any]) -> NDArray[np.float64]:
    """Of weighted values the levels below which equal shares of them lie, ascending."""
    order = np.argsort(values, kind="stable")
    heights = np.cumsum(shares[order])
    middles = (heights - 0.5 * shares[order]) / heights[-1]
    return np.asarray(np.interp((np.arange(_LEVELS) + 0.5) / _LEVELS, middles, values[order]))


def _rotation(number: int) -> Matrix:
    """A rotation of the color space, 3 x 3, its rows the axes: the first is none, the others are
    spread evenly (Shoemake, "Uniform random rotations", 1992), each the same in every run."""
    if number == 0:
        return np.eye(3)
    x, y, z, w = (q := np.random.default_rng(number).normal(size=4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
