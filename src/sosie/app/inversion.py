"""A face as a generator's codes, drawn again and moved along directions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sosie.analysis import embedder
from sosie.analysis.analyzer import Analyzer, create_analyzer, to_8_bit
from sosie.analysis.embedder import Embedder
from sosie.analysis.selection import select_faces
from sosie.errors import InputError, NoFaceError, UsageError, nearest
from sosie.geometry import alignment
from sosie.geometry.head_pose import region_of
from sosie.media.image import load_photo
from sosie.methods.megafs import directions
from sosie.methods.megafs.codes import TEMPLATE, Codes, Networks
from sosie.methods.megafs.files import part_file
from sosie.models.zoo import open_network
from sosie.types import FloatArray, Pixels

COMPONENTS = 16
"""So many principal components have a name."""

_EDIT = re.compile(r"([^=]+)=([-+]?\d+(?:\.\d*)?|[-+]?\.\d+)")
_LAYERS = re.compile(r"(\d+)(?:-(\d+))?")
_MOST = 100.0


@dataclass(frozen=True)
class Inversion:
    """codes: as the picture has them, edits included. picture: RGB uint8, S x S x 3. pixels: mean
    absolute difference of the face that is drawn again, before any edit, from the photo's, 0..1.
    identity: cosine of both. landmarks: mean distance of theirs, as a share of the face's size;
    None where no face is seen in it. All three are None of codes that were read."""

    codes: Codes
    picture: Pixels
    pixels: float | None = None
    identity: float | None = None
    landmarks: float | None = None


class Inverter:
    """Encoder and generator in a folder. Raises InputError where they are not there."""

    def __init__(self, weights: Path, provider: str = "cpu") -> None:
        self._folder, self._provider = weights, provider
        self._networks = Networks(weights, provider, None, ("encoder", "generator"))

    def invert(self, face: Path, edits: Sequence[FloatArray] = ()) -> Inversion:
        """The largest face of a photo, or codes that were written before, moved by all edits.

        Raises InputError where it cannot be read, NoFaceError where it shows no face.
        """
        networks = self._networks
        if face.suffix.lower() == ".safetensors":
            side = networks.seen_px
            like = networks.encode(np.zeros((side, side, 3), np.uint8))
            return Inversion(*self._moved(directions.read_codes(face, like), edits))
        analyzer = create_analyzer(provider=self._provider)
        pixels = load_photo(face).pixels
        try:
            found = select_faces(analyzer.analyze(pixels), "largest", pixels)[0]
        except NoFaceError as error:
            raise NoFaceError(f"{face}: {error}") from None
        matrix = alignment.align_matrix(found.points5, TEMPLATE, networks.size_px)
        landmarks = alignment.transform_points(found.landmarks, matrix)
        crop = to_8_bit(networks.crop(pixels, found.points5))
        codes = networks.encode(crop)
        again = _as_pixels(networks.draw(codes))
        apart = np.abs(again.astype(np.float32) - crop).mean() / 255
        identity = self._alike(crop, again)
        moved = _landmark_distance(analyzer, landmarks, again)
        return Inversion(*self._moved(codes, edits), float(apart), identity, moved)

    def edits(
        self, wanted: Sequence[str], file: Path | None, layers: str | None
    ) -> list[FloatArray]:
        """Movements, C x L each, from `NAME=STRENGTH`, of the directions in a file or, without one,
        of the generator's components. layers: `4-8`, which they are limited to; None takes all.

        Raises UsageError on other words, or a direction that is not there.
        """
        if not wanted:
            if file is not None or layers is not None:
                raise UsageError("There is nothing to edit: add --edit NAME=STRENGTH.")
            return []
        count = self._networks.count
        first, last = _layers(layers, count)
        known = self._directions(file)
        made = []
        for text in wanted:
            match = _EDIT.fullmatch(text.strip())
            if not match or abs(float(match[2])) > _MOST:
                raise UsageError(
                    f"{text!r} is no edit; write NAME=STRENGTH, as pc1=1.5, with a strength of "
                    f"{_MOST:g} at most."
                )
            name, strength = match[1].strip(), float(match[2])
            if name not in known:
                raise UsageError(f"Unknown direction {name!r}: {nearest(name, known)}.")
            made.append(strength * directions.limited(known[name], count, first, last))
        return made

    def _directions(self, file: Path | None) -> dict[str, FloatArray]:
        networks = self._networks
        if file is not None:
            return directions.read_directions(file, networks.count, networks.latent)
        snapshot = part_file(self._folder, "generator", ".safetensors")
        found = directions.components(snapshot, COMPONENTS)
        if any(len(one) != networks.latent for one in found.values()):
            raise InputError(f"{snapshot} is not what the generator beside it was written of.")
        return found

    def _moved(self, codes: Codes, edits: Sequence[FloatArray]) -> tuple[Codes, Pixels]:
        for edit in edits:
            codes = codes.moved(edit)
        return codes, _as_pixels(self._networks.draw(codes))

    def _alike(self, crop: Pixels, again: Pixels) -> float:
        """The cosine of who is seen in two crops."""
        side = self._networks.size_px
        points = alignment.template_points(TEMPLATE, side)
        matrix = alignment.align_matrix(points, embedder.TEMPLATE, embedder.SIDE_PX)
        faces = [alignment.crop(x, matrix, embedder.SIDE_PX) for x in (crop, again)]
        network = Embedder(open_network("identity", self._provider, 1))
        one, other = network.embed(np.asarray(np.stack(faces), np.uint8))
        return float(one @ other)


def _landmark_distance(analyzer: Analyzer, landmarks: FloatArray, picture: Pixels) -> float | None:
    """How far the landmarks of a picture are from those that it should have."""
    found = analyzer.landmarks(picture, region_of(landmarks))
    if found is None:
        return None
    size = float(np.ptp(landmarks[:, :2], axis=0).max())
    apart = np.linalg.norm(found.landmarks[:, :2] - landmarks[:, :2], axis=1)
    return float(apart.mean() / size)


def _as_pixels(picture: FloatArray) -> Pixels:
    return np.asarray(np.rint(picture * 255), np.uint8)


def _layers(text: str | None, count: int) -> tuple[int, int]:
    """The first and the last layer of `4-8`, or of one number."""
    if text is None:
        return 0, count - 1
    match = _LAYERS.fullmatch(text.strip())
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
    if not first <= last < count:
        raise UsageError(
            f"{text!r} names no layers; write one as 3, or some as 4-8, from 0 to {count - 1}."
        )
    return first, last
