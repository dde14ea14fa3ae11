"""Pictures analyzed once, for all figures: one picture, and the sample of one swap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.analysis.analyzer import Analyzer, FaceAnalyzer, to_8_bit
from sosie.evaluation.metric import OWN, MissingFigureError
from sosie.evaluation.recognition import Judges, aligned, own_view
from sosie.geometry import head_pose
from sosie.geometry.morphable_model import silhouette
from sosie.types import Face, FloatArray, Pixels

LOOK_VERSION = 1
"""Raised whenever faces are found or described otherwise, so that no cache passes what was seen
before for what is seen now."""

Window = tuple[slice, slice]
"""Rows and columns of a picture."""

# A pixel counts as changed where it differs by more than what pictures differ by far from the
# face, where another tool's compression has changed them too.
_NOISE_SHARE, _NOISE_FACTOR = 0.99, 1.5
# How far from the face that is, and how much of the picture must be left to tell, in face boxes and
# as a share.
_FAR, _LEAST_FAR = 2.2, 0.02
# What is taken for compression where the face fills the picture, of 255.
_CLOSE_UP_NOISE = 8.0

# The surroundings of the face that figures about pixels look at, in boxes of the face.
_SURROUNDINGS = 1.8


@dataclass(frozen=True)
class AnalyzedImage:
    """One picture, analyzed once.

    pixels: RGB uint8, H x W x 3. name: of the picture, for people and for telling pictures apart.
    face: the one that is judged; None where none was found.
    vectors: what networks say of the face, to be kept: `identity.NAME`, float32 of unit length, by
    a recognition network (`metric.OWN` is Sosie's); `reading.NAME`, see `Landmarker`; `features`,
    what else Sosie's network sees (`own_view`), for figures of sets. Empty where there is no face,
    or nobody looked yet.
    """

    pixels: NDArray[np.uint8]
    name: str
    face: Face | None
    vectors: Mapping[str, FloatArray] = field(default_factory=dict)

    @property
    def found(self) -> Face:
        """The face. Raises MissingFigureError where there is none."""
        if self.face is None:
            raise MissingFigureError(f"No face was found in {self.name or 'a picture'}.")
        return self.face

    @cached_property
    def identity(self) -> dict[str, FloatArray]:
        """Recognition network's name -> its vector."""
        return self._by("identity.")

    @cached_property
    def readings(self) -> dict[str, FloatArray]:
        """Name of a judge of pose and expression -> what it reads."""
        return self._by("reading.")

    def _by(self, prefix: str) -> dict[str, FloatArray]:
        kept = self.vectors.items()
        return {name.removeprefix(prefix): v for name, v in kept if name.startswith(prefix)}

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """Where the face's surface is: bool, H x W. Raises MissingFigureError without a face."""
        height, width = self.pixels.shape[:2]
        return silhouette(self.found.landmarks, width, height) > 127


@dataclass(frozen=True)
class Sample:
    """The pictures of one swap.

    target and result show the same face before and after; other is a second real photo of the
    source's person, by which the limit of identity is told, or None.
    source_person, target_person: who they are; "" where unknown.
    """

    source: AnalyzedImage
    target: AnalyzedImage
    result: AnalyzedImage
    other: AnalyzedImage | None = None
    source_person: str = ""
    target_person: str = ""

    @cached_property
    def changed(self) -> NDArray[np.bool_] | None:
        """Where the result differs from the target: bool, H x W; None where their sizes differ."""
        if self.target.pixels.shape != self.result.pixels.shape:
            return None
        return changed_mask(self.target, self.result)

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """The face of the target or of the result: bool, H x W. Raises MissingFigureError where
        one of them is missing or the sizes differ."""
        self.require_equal_sizes()
        return self.target.inside | self.result.inside

    @cached_property
    def window(self) -> Window:
        """The rectangle around the face and around all that was changed. Raises as `inside`."""
        self.require_equal_sizes()
        height, width = self.target.pixels.shape[:2]
        rows, columns = surroundings(self.target.found, width, height)
        changed = self.changed
        if changed is None or not changed.any():
            return rows, columns
        x, y, wide, high = cv2.boundingRect(changed.astype(np.uint8))
        return (
            slice(min(rows.start, y), max(rows.stop, y + high)),
            slice(min(columns.start, x), max(columns.stop, x + wide)),
        )

    def require_equal_sizes(self) -> None:
        """Raises MissingFigureError where target and result are not of one size."""
        if self.target.pixels.shape != self.result.pixels.shape:
            sizes = [f"{image.pixels.shape[1]} x {image.pixels.shape[0]}" for image in self._both]
            raise MissingFigureError(
                f"The target is of {sizes[0]} px and the result of {sizes[1]}."
            )

    @property
    def _both(self) -> tuple[AnalyzedImage, AnalyzedImage]:
        return self.target, self.result


def look_at(
    pixels: Pixels,
    name: str,
    analyzer: Analyzer,
    judges: Judges | None = None,
    near: Face | None = None,
) -> AnalyzedImage:
    """Analyze one picture.

    pixels: RGB, H x W x 3, uint8 or uint16. near: a face that is known at this place of a picture
    of the same size, such as the target's for its result: the face there is taken, or else the one
    whose box lies nearest to it. Without it the largest face is taken.
    judges: see `identify`.
    """
    picture = np.ascontiguousarray(to_8_bit(pixels))
    image = AnalyzedImage(picture, name, find_face(picture, analyzer, near))
    return identify([image], analyzer, judges or Judges())[0]


def find_face(picture: NDArray[np.uint8], analyzer: Analyzer, near: Face | None) -> Face | None:
    """The face to judge, or None; see `look_at`."""
    if near is not None:
        face = analyzer.confirm(picture, head_pose.region_of(near.landmarks))
        if face is not None and _apart(face, near) < 0.5:
            return face
    # Small and tilted faces are only looked for where there is no other: that takes longest.
    faces = analyzer.analyze(picture, thorough=False) or analyzer.analyze(picture)
    if near is not None:
        return min(faces, key=lambda face: _apart(face, near), default=None)
    return max(faces, key=lambda face: face.size_px, default=None)


def identify(
    images: Sequence[AnalyzedImage], analyzer: Analyzer, judges: Judges
) -> list[AnalyzedImage]:
    """The pictures with what Sosie's network and the judges see in their faces, all in one run."""
    shown = [(image.pixels, image.face) for image in images if image.face is not None]
    if not shown:
        return list(images)
    found: dict[str, Sequence[FloatArray | None]] = {}
    if isinstance(analyzer, FaceAnalyzer):
        # One run gives the same identities and, for no more, the features of sets.
        crops = np.stack([aligned(pixels, face) for pixels, face in shown])
        view = own_view(crops, analyzer.networks.threads)
        found[f"identity.{OWN}"], found["features"] = list(view.identities), list(view.features)
    else:
        found[f"identity.{OWN}"] = [analyzer.identify(pixels, face) for pixels, face in shown]
    for network in judges.embedders:
        found[f"identity.{network.name}"] = list(network.embed(shown))
    if judges.landmarker is not None:
        found[f"reading.{judges.landmarker.name}"] = judges.landmarker.read(shown)
    numbers = iter(range(len(shown)))
    return [
        image if image.face is None else _described(image, found, next(numbers)) for image in images
    ]


def _described(
    image: AnalyzedImage, found: Mapping[str, Sequence[FloatArray | None]], number: int
) -> AnalyzedImage:
    own = {name: vector for name, all_ in found.items() if (vector := all_[number]) is not None}
    return replace(image, vectors={**image.vectors, **own})


def surroundings(face: Face, width: int, height: int, boxes: float = _SURROUNDINGS) -> Window:
    """The part of a picture around a face: a square of so many times its size, cut at the edges."""
    reach = face.size_px * boxes / 2
    x, y = face.center

    def part(middle: float, size: int) -> slice:
        # At least one pixel, also of a face that lies outside.
        start = min(max(0, int(middle - reach)), size - 1)
        return slice(start, max(start + 1, min(size, int(middle + reach) + 1)))

    return part(y, height), part(x, width)


def changed_mask(target: AnalyzedImage, result: AnalyzedImage) -> NDArray[np.bool_]:
    """Where two pictures of one size differ by more than compression explains: bool, H x W.

    What compression does is told by the differences far from the target's face; where all of those
    are zero, as in a lossless result, every difference counts. Single pixels are cleaned away only
    where there is noise.
    """
    red, green, blue = cv2.split(cv2.absdiff(target.pixels, result.pixels))
    apart = np.asarray(cv2.max(cv2.max(red, green), blue), np.uint8)
    noise = _noise(apart, target.face)
    changed = apart > noise
    if noise > 0:
        kernel = np.ones((3, 3), np.uint8)
        opened = cv2.morphologyEx(changed.astype(np.uint8), cv2.MORPH_OPEN, kernel)
        changed = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8)) > 0
    return np.asarray(changed, np.bool_)


def _noise(apart: NDArray[np.uint8], face: Face | None) -> float:
    """The difference that compression explains, 0..255; 0 where the pictures are lossless."""
    far = np.ones(apart.shape, np.uint8)
    if face is not None:
        far[surroundings(face, apart.shape[1], apart.shape[0], _FAR)] = 0
    if cv2.countNonZero(far) < _LEAST_FAR * far.size:
        # No place is far: in a lossless result most of the rim is still untouched.
        rim = np.concatenate([apart[0], apart[-1], apart[:, 0], apart[:, -1]])
        return 0.0 if np.median(rim) == 0 else _CLOSE_UP_NOISE
    levels = cv2.calcHist([apart], [0], far, [256], [0, 256]).ravel().cumsum()
    return float(np.searchsorted(levels, _NOISE_SHARE * levels[-1])) * _NOISE_FACTOR


def _apart(face: Face, other: Face) -> float:
    """Distance of two faces' boxes, in sizes of the second: of their centers and of their sizes."""
    step = np.hypot(*np.subtract(face.center, other.center))
    return float(step + abs(face.size_px - other.size_px)) / max(other.size_px, 1e-6)
