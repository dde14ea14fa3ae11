"""Frame -> faces: the one interface to finding faces and their landmarks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sosie.analysis import beard, detection, embedder, occlusion, parser
from sosie.analysis.beard import Beard
from sosie.analysis.detection import Detection
from sosie.analysis.detector import Detector
from sosie.analysis.embedder import Embedder
from sosie.analysis.landmarker import Landmarker, cut_square
from sosie.analysis.parser import FaceParts, Parser
from sosie.geometry import alignment, head_pose
from sosie.geometry.head_pose import Region
from sosie.models.session import Session
from sosie.models.zoo import open_network
from sosie.types import Face, FloatArray, Pixels


@dataclass(frozen=True)
class Networks:
    """What finds, reads and recognizes faces.

    threads: for the detector, which has the most to do at once; the others take one. provider: on
    which all of them run. providers: of those that were opened so far, by name, on which each does.
    Each property raises InputError where its weight file is damaged, and UnavailableError where the
    provider does not run it.
    """

    threads: int
    provider: str = "cpu"
    providers: dict[str, str] = field(default_factory=dict)

    @cached_property
    def detector(self) -> Detector:
        return Detector(self._open("detector", self.threads), detection.THOROUGH_PX)

    @cached_property
    def landmarker(self) -> Landmarker:
        return Landmarker(self._open("landmarks"))

    @cached_property
    def embedder(self) -> Embedder:
        return Embedder(self._open("identity"))

    @cached_property
    def parser(self) -> Parser:
        return Parser(self._open("parser"))

    def _open(self, name: str, threads: int = 1) -> Session:
        session = open_network(name, self.provider, threads)
        self.providers[name] = session.provider
        return session


_MIN_PRESENCE = 0.5
_MAX_LOOKS = 5
# Landmarks of a picture and of its mirror image that are further apart, as a share of the face's
# diagonal, are not those of a face.
_MAX_DISAGREEMENT = 0.03
# What the detector must say of the face made upright, and the mean of that and of the presence.
_MIN_SEEN, _MIN_SCORE = 0.4, 0.65
# A face of a lower score is read again in squares that are moved, in sizes of the face, tilted and
# scaled a little. On a face the landmarks stay; on a coin, a foot or a hand they follow the square.
# How far they may go in the mean, as a share of the face's diagonal, on a small and on a larger
# one: nearly all faces stay below 0.009, half turned away, behind others or cut off 0.011; those of
# 18 px that are sharp below 0.008. Coins of 20 to 40 px lie between 0.0099 and 0.03.
_SURE = 0.85
_MAX_WANDER_SMALL, _MAX_WANDER, _SMALL_PX = 0.0095, 0.012, 50.0
_MOVED, _TILTED_DEG, _SCALED = 0.04, 8.0, 1.1
# The same for a face that the frame cuts off: with half of it hidden its presence tells less, and
# the detector, which sees the visible half as well as ever, must be surer.
_MIN_CUT_PRESENCE, _MIN_CUT_SEEN = 0.15, 0.6
# More threads than this do not make the detector faster.
_MAX_THREADS = 4


class Analyzer(Protocol):
    """What the rest of Sosie needs of face analysis. Pixels are RGB, H x W x 3, uint8 or uint16."""

    @property
    def providers(self) -> Mapping[str, str]:
        """Of each network that was needed so far, by name, on which provider it runs."""

    def detect(self, pixels: Pixels, *, thorough: bool = True) -> list[Detection]:
        """Where faces may be, best first, overlapping answers merged."""

    def landmarks(self, pixels: Pixels, region: Region) -> Face | None:
        """The face in a region that fits it well, or None where there is none."""

    def confirm(self, pixels: Pixels, region: Region) -> Face | None:
        """The face at a rough place, such as a detection, or None if a closer look finds none."""

    def analyze(
        self,
        pixels: Pixels,
        roi: tuple[int, int, int, int] | None = None,
        *,
        thorough: bool = True,
    ) -> list[Face]:
        """All faces, sorted by their centers from left to right, each once.

        roi: x0, y0, x1, y1, the part of the frame to search; None takes all of it.
        thorough: look for small faces and for heads at any tilt; otherwise for faces of at least
            a sixteenth of the frame's longer side that are tilted by less than about 60 degrees.
        """

    def identify(self, pixels: Pixels, face: Face) -> FloatArray:
        """Whose face it is: float32, 512, unit length; the cosine of two tells how alike they are.

        face: as found in these pixels.
        """

    def visible(self, pixels: Pixels, landmarks: FloatArray) -> FloatArray:
        """What of a face nothing hides, as a view: see `occlusion.visible`.

        landmarks: 478 x 3, as found in these pixels.
        """

    def parts(self, pixels: Pixels, landmarks: FloatArray) -> FaceParts:
        """What of a face's square is skin, and what is hair, spectacles, or another thing.

        landmarks: 478 x 3, as found in these pixels.
        """

    def beard(self, pixels: Pixels, face: Face, parts: FaceParts, scored: bool = True) -> Beard:
        """A face's beard, if it has one.

        face: as found in these pixels; parts: of its square. scored: whether the identity
        network is asked for its score, which is 0 otherwise.
        """


def create_analyzer(threads: int | None = None, provider: str = "cpu") -> Analyzer:
    """The analyzer of this installation.

    threads: processor threads to use; None takes all. provider: on which its networks run. A weight
    file of the package that is damaged raises InputError when it is first needed, and a provider
    that does not run a network UnavailableError.
    """
    count = min(threads or os.cpu_count() or 1, _MAX_THREADS)
    return FaceAnalyzer(Networks(count, provider))


@dataclass(frozen=True)
class FaceAnalyzer:
    """The search for faces over given networks."""

    networks: Networks

    def detect(self, pixels: Pixels, *, thorough: bool = True) -> list[Detection]:
        return detection.find(self.networks.detector, to_8_bit(pixels), thorough)

    @property
    def providers(self) -> Mapping[str, str]:
        return self.networks.providers

    def landmarks(self, pixels: Pixels, region: Region) -> Face | None:
        frame = to_8_bit(pixels)
        square, matrix = cut_square(frame, region)
        read, apart = self.networks.landmarker.read_twice(square[None])
        points = alignment.transform_points(read.points[0], alignment.invert(matrix))
        cut = detection.is_cut(frame, head_pose.region_of(points))
        if read.presence[0] < _least_presence(cut) or apart[0] > _MAX_DISAGREEMENT:
            return None
        return make_face(points, float(read.presence[0]), read.expression[0])

    def confirm(self, pixels: Pixels, region: Region) -> Face | None:
        return self._confirmed(to_8_bit(pixels), region)

    def identify(self, pixels: Pixels, face: Face) -> FloatArray:
        matrix = alignment.align_matrix(face.points5, embedder.TEMPLATE, embedder.SIDE_PX)
        aligned = alignment.crop(to_8_bit(pixels), matrix, embedder.SIDE_PX)
        numbers: FloatArray = self.networks.embedder.embed(aligned[None])[0]
        return numbers

    def analyze(
        self,
        pixels: Pixels,
        roi: tuple[int, int, int, int] | None = None,
        *,
        thorough: bool = True,
    ) -> list[Face]:
        frame = to_8_bit(pixels)
        part, x0, y0 = frame, 0, 0
        if roi is not None:
            x0, y0 = max(roi[0], 0), max(roi[1], 0)
            part = frame[y0 : roi[3], x0 : roi[2]]
        faces = []
        for found in detection.find(self.networks.detector, part, thorough):
            place = replace(found.region, x=found.region.x + x0, y=found.region.y + y0)
            face = self._confirmed(frame, place)
            if face is not None:
                faces.append(face)
        return sorted(without_doubles(faces), key=lambda face: face.center)

    def visible(self, pixels: Pixels, landmarks: FloatArray) -> FloatArray:
        return occlusion.visible(self.parts(pixels, landmarks), landmarks)

    def parts(self, pixels: Pixels, landmarks: FloatArray) -> FaceParts:
        square, _ = parser.cut_square(to_8_bit(pixels), head_pose.region_of(landmarks))
        return self.networks.parser.parts(square[None])[0]

    def beard(self, pixels: Pixels, face: Face, parts: FaceParts, scored: bool = True) -> Beard:
        identity = self.identify(pixels, face) if scored else None
        return beard.find(to_8_bit(pixels), face.landmarks, parts, identity)

    def _confirmed(self, frame: NDArray[np.uint8], region: Region) -> Face | None:
        """The face at a detector's rough place, if both networks see it there, made upright.

        The region is taken from the landmarks found in it until it stays, which also rights a wrong
        tilt. Only the last look must convince: the first square may show half a face.
        """
        for _ in range(_MAX_LOOKS):
            square, matrix = cut_square(frame, region)
            read, apart = self.networks.landmarker.read_twice(square[None])
            points = alignment.transform_points(read.points[0], alignment.invert(matrix))
            before, region = region, head_pose.region_of(points)
            if _settled(before, region):
                break
        cut = detection.is_cut(frame, region)
        if read.presence[0] < _least_presence(cut) or apart[0] > _MAX_DISAGREEMENT:
            return None
        seen = detection.upright_score(self.networks.detector, frame, region)
        score = (float(read.presence[0]) + seen) / 2
        if cut:
            sure = seen >= _MIN_CUT_SEEN
        else:
            sure = (
                seen >= _MIN_SEEN
                and score >= _MIN_SCORE
                and (score >= _SURE or self._stays(frame, region, points))
            )
        return make_face(points, score, read.expression[0]) if sure else None

    def _stays(self, frame: NDArray[np.uint8], region: Region, points: FloatArray) -> bool:
        """Whether landmarks stay where they are when the square is laid otherwise."""
        most = _MAX_WANDER_SMALL if region.size_px < _SMALL_PX else _MAX_WANDER
        return self._wander(frame, region, points) <= most

    def _wander(self, frame: NDArray[np.uint8], region: Region, points: FloatArray) -> float:
        """How far landmarks are, in the mean, from those read in squares laid a little otherwise,
        as a share of the face's diagonal."""
        squares, matrices = zip(*(cut_square(frame, near) for near in _nearby(region)), strict=True)
        read = self.networks.landmarker.read(np.stack(squares)).points
        again = [
            alignment.transform_points(one, alignment.invert(matrix))
            for one, matrix in zip(read, matrices, strict=True)
        ]
        apart = np.linalg.norm((np.stack(again) - points)[..., :2], axis=2).mean()
        diagonal = np.linalg.norm(np.ptp(points[:, :2], axis=0))
        return float(apart / max(float(diagonal), 1e-6))


def _least_presence(cut: bool) -> float:
    return _MIN_CUT_PRESENCE if cut else _MIN_PRESENCE


def _nearby(region: Region) -> list[Region]:
    """A region moved each way, tilted each way, larger and smaller."""
    step = _MOVED * region.size_px
    return [
        replace(region, x=region.x - step),
        replace(region, x=region.x + step),
        replace(region, y=region.y - step),
        replace(region, y=region.y + step),
        replace(region, roll_deg=region.roll_deg - _TILTED_DEG),
        replace(region, roll_deg=region.roll_deg + _TILTED_DEG),
        replace(region, size_px=region.size_px * _SCALED),
        replace(region, size_px=region.size_px / _SCALED),
    ]


def _settled(before: Region, after: Region) -> bool:
    return bool(
        np.hypot(after.x - before.x, after.y - before.y) < 0.05 * after.size_px
        and abs(np.log(after.size_px / before.size_px)) < 0.08
        and abs(head_pose.turned_deg(before.roll_deg, after.roll_deg)) < 5
    )


def make_face(landmarks: FloatArray, score: float, expression: FloatArray | None = None) -> Face:
    """A face record from landmarks in frame coordinates, float32, 478 x 3."""
    return Face(
        box=head_pose.bounds(landmarks),
        points5=head_pose.five_points(landmarks),
        landmarks=landmarks,
        pose=head_pose.head_pose(landmarks),
        score=score,
        expression=expression,
    )


def without_doubles(faces: list[Face]) -> list[Face]:
    """Of faces that cover the same place only the one with the best score, best first."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: face.score, reverse=True):
        if not any(same_place(face, other) for other in kept):
            kept.append(face)
    return kept


def same_place(a: Face, b: Face) -> bool:
    """Whether two faces cover one place: most of the smaller box lies in the other."""
    low, high = np.maximum(a.box[:2], b.box[:2]), np.minimum(a.box[2:], b.box[2:])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    areas = [float(np.prod(face.box[2:] - face.box[:2])) for face in (a, b)]
    return shared > 0.5 * min(areas)


def to_8_bit(pixels: Pixels) -> NDArray[np.uint8]:
    """Pixels as uint8; of uint16 the high byte."""
    if pixels.dtype == np.uint16:
        # Without a copy in 16 bits, which of a large photo is a large one.
        return np.right_shift(pixels, 8, out=np.empty(pixels.shape, np.uint8), casting="unsafe")
    return pixels
