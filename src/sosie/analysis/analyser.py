"""Frame -> faces: the one interface to finding faces and their landmarks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sosie import geometry
from sosie.analysis import recogniser, search, topology
from sosie.analysis.networks import FaceNetworks
from sosie.analysis.recogniser import Recogniser
from sosie.analysis.search import Detection
from sosie.analysis.topology import Region
from sosie.runtime import create_session
from sosie.types import Face, FloatArray, Pixels
from sosie.weights import read_embedded

# The mesh network was trained on squares half as large again as the landmarks' bounds.
_MESH_MARGIN = 1.5
_MIN_PRESENCE, _HOPELESS_PRESENCE = 0.5, 0.1
_MAX_LOOKS = 5
# Mean distance of a mesh from that of the mirror image, as a share of the mesh's diagonal: on
# photos 0.006, in one of a hundred above 0.016; on things that are no faces mostly above 0.03.
_MAX_DISAGREEMENT = 0.03
# What a face must score on the mean of both detectors; the second one alone rules out most else.
_MIN_SCORE, _HOPELESS_SCORE = 0.58, 0.5
_SECOND_MARGINS = (2.2, 3.0)


class Analyser(Protocol):
    """What the rest of Sosie needs of face analysis. Pixels are RGB, H x W x 3, uint8 or uint16."""

    def detect(self, pixels: Pixels, *, thorough: bool = True) -> list[Detection]:
        """Where faces may be, best first, overlapping answers merged."""

    def landmarks(self, pixels: Pixels, region: Region) -> Face | None:
        """The face in a region that fits it well, or None where there is none."""

    def confirm(self, pixels: Pixels, region: Region) -> Face | None:
        """The face at a rough place, such as a detection, or None if a closer look finds none."""

    def analyse(
        self,
        pixels: Pixels,
        roi: tuple[int, int, int, int] | None = None,
        *,
        thorough: bool = True,
    ) -> list[Face]:
        """All faces, sorted by their centres from left to right, each once.

        roi: x0, y0, x1, y1, the part of the frame to search; None takes all of it.
        thorough: look for small faces and for heads at any tilt; otherwise for faces of at least
            a sixteenth of the frame's longer side that are tilted by less than about 60 degrees.
        """

    def identify(self, pixels: Pixels, face: Face) -> FloatArray:
        """Whose face it is: float32, 512, unit length; the cosine of two tells how alike they are.

        face: as found in these pixels.
        """


def create_analyser(threads: int | None = None) -> Analyser:
    """The analyser of this installation.

    threads: processor threads to use; None takes all.
    Raises UnavailableError where mediapipe is not installed.
    """
    from sosie.analysis.mediapipe_backend import load_networks

    return FaceAnalyser(load_networks(threads))


@dataclass(frozen=True)
class FaceAnalyser:
    """The search for faces over given networks."""

    networks: FaceNetworks

    @cached_property
    def _recogniser(self) -> Recogniser:
        return Recogniser(create_session(read_embedded("identity"), threads=1))

    def detect(self, pixels: Pixels, *, thorough: bool = True) -> list[Detection]:
        return search.find(self.networks, to_8_bit(pixels), thorough)

    def landmarks(self, pixels: Pixels, region: Region) -> Face | None:
        return self._landmarks(to_8_bit(pixels), region)

    def confirm(self, pixels: Pixels, region: Region) -> Face | None:
        return self._confirmed(to_8_bit(pixels), region)

    def identify(self, pixels: Pixels, face: Face) -> FloatArray:
        matrix = geometry.align_matrix(face.points5, recogniser.TEMPLATE, recogniser.SIDE_PX)
        aligned = geometry.crop(to_8_bit(pixels), matrix, recogniser.SIDE_PX)
        numbers: FloatArray = self._recogniser.embed(aligned[None])[0]
        return numbers

    def analyse(
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
        for found in search.find(self.networks, part, thorough):
            place = replace(found.region, x=found.region.x + x0, y=found.region.y + y0)
            face = self._confirmed(frame, place)
            if face is not None:
                faces.append(face)
        return sorted(without_doubles(faces), key=lambda face: face.centre)

    def _confirmed(self, frame: NDArray[np.uint8], region: Region) -> Face | None:
        """The face at a detector's rough square, if both detectors see it there, made upright.

        The region is taken from the mesh found in it until it stays, which also rights a wrong
        tilt. Only the last mesh must convince: the first square may show half a face.
        """
        side = self.networks.mesh_px
        for _ in range(_MAX_LOOKS):
            square, back = _cut(frame, region, _MESH_MARGIN, side)
            points, presence = self.networks.mesh(square)
            before, region = region, topology.region_of(geometry.transform_points(points, back))
            if _settled(before, region):
                break
        if presence < _HOPELESS_PRESENCE:
            return None
        face = self._landmarks(frame, region)
        if face is None:
            return None
        region = topology.region_of(face.landmarks)
        second = self._second_opinion(frame, region)
        if second < _HOPELESS_SCORE:
            return None
        score = (second + search.upright_score(self.networks, frame, region)) / 2
        return replace(face, score=score) if score >= _MIN_SCORE else None

    def _second_opinion(self, frame: NDArray[np.uint8], region: Region) -> float:
        side = self.networks.second_px
        squares = [_cut(frame, region, margin, side)[0] for margin in _SECOND_MARGINS]
        return float(np.mean([self.networks.second_opinion(square) for square in squares]))

    def _landmarks(self, frame: NDArray[np.uint8], region: Region) -> Face | None:
        """The mean of the mesh of a square and of its mirror image, which must agree."""
        side = self.networks.mesh_px
        square, back = _cut(frame, region, _MESH_MARGIN, side)
        points, presence = self.networks.mesh(square)
        if presence < _MIN_PRESENCE:
            return None
        mirrored = self.networks.mesh(square[:, ::-1])[0][topology.MIRROR]
        mirrored[:, 0] = side - 1 - mirrored[:, 0]
        apart = np.linalg.norm(points[:, :2] - mirrored[:, :2], axis=1).mean()
        if apart > _MAX_DISAGREEMENT * np.linalg.norm(np.ptp(points[:, :2], axis=0)):
            return None
        return make_face(geometry.transform_points((points + mirrored) / 2, back), presence)


def _settled(before: Region, after: Region) -> bool:
    return bool(
        np.hypot(after.x - before.x, after.y - before.y) < 0.05 * after.size_px
        and abs(np.log(after.size_px / before.size_px)) < 0.08
        and abs(topology.turned_deg(before.roll_deg, after.roll_deg)) < 5
    )


def _cut(
    frame: NDArray[np.uint8], region: Region, margin: float, side: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The region, made upright and larger by `margin`, and the way from there to the frame."""
    to_square = search.square_matrix(
        region.x, region.y, region.size_px * margin, region.roll_deg, side
    )
    square = geometry.warp(frame, to_square, side, side)
    return np.asarray(square, np.uint8), geometry.invert(to_square)


def make_face(landmarks: FloatArray, score: float) -> Face:
    """A face record from landmarks in frame coordinates, float32, 478 x 3."""
    return Face(
        box=topology.bounds(landmarks),
        points5=topology.five_points(landmarks),
        landmarks=landmarks,
        pose=topology.head_pose(landmarks),
        score=score,
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
        return np.asarray(pixels >> 8, np.uint8)
    return pixels
