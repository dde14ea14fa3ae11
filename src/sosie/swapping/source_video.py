"""A video as a source: frames of it that show the person in poses that differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sosie.analysis.analyzer import Analyzer
from sosie.analysis.selection import SAME_PERSON
from sosie.errors import NoFaceError
from sosie.geometry import mesh
from sosie.media.targets import open_target
from sosie.swapping.face import close_up
from sosie.types import Face, Pixels

MOST_LOOKED_AT = 120
"""So many frames are looked at, evenly over the video."""

# Of a video that does not tell how many it has.
_USUAL_FRAMES = 3000

MOST_VIEWS = 16

# An open mouth, and shut eyes, count as so many degrees: of frames in one pose the calm one wins.
_OPEN_DEG, _OPEN_EYE = 100.0, 0.2

_APART_DEG = 5.0
"""A frame whose yaw and pitch are nearer than this to those of one that is taken is left out."""


def views_of(path: Path, analyzer: Analyzer) -> list[tuple[str, Pixels, Face]]:
    """The name of up to `MOST_VIEWS` frames, the pixels around the face and the face in them
    (`close_up`), from the most frontal and calmest one on.

    The person is whom the largest face of most frames shows; others are left out. Raises InputError
    where the video cannot be read, NoFaceError where it shows no face.
    """
    found: list[tuple[float, Pixels, Face]] = []
    with open_target(path) as video:
        step = max(1, -(-(video.expected_frames or _USUAL_FRAMES) // MOST_LOOKED_AT))
        for number, frame in enumerate(video.frames()):
            if number % step:
                continue
            pixels = frame.to_rgb()
            faces = analyzer.analyze(pixels, thorough=False)
            if faces:
                largest = max(faces, key=lambda face: face.size_px)
                part, face, _ = close_up(pixels, largest)
                # A copy, so that the rest of the frame can go.
                found.append((frame.time_s, np.ascontiguousarray(part), face))
    if not found:
        raise NoFaceError(f"{path}: no face was found in the frames that were looked at.")
    identities = np.stack([analyzer.identify(pixels, face) for _, pixels, face in found])
    middle = np.median(identities, axis=0)
    alike = identities @ (middle / max(float(np.linalg.norm(middle)), 1e-9)) >= SAME_PERSON
    own = [one for one, same in zip(found, alike, strict=True) if same] or found
    own.sort(key=lambda one: _restlessness_deg(one[2]))
    taken: list[tuple[float, Pixels, Face]] = []
    for one in own:
        poses = [(other.pose.yaw, other.pose.pitch) for _, _, other in taken]
        pose = one[2].pose
        if all(np.hypot(pose.yaw - y, pose.pitch - p) >= _APART_DEG for y, p in poses):
            taken.append(one)
    return [
        (f"{path} at {time_s:.2f} s", pixels, face) for time_s, pixels, face in taken[:MOST_VIEWS]
    ]


def _restlessness_deg(face: Face) -> float:
    """How far a face is from looking straight ahead with a shut mouth and open eyes."""
    eyes = [mesh.opening(face.landmarks, ring) for ring in (mesh.RIGHT_EYE, mesh.LEFT_EYE)]
    shut = max(0.0, _OPEN_EYE - min(eyes))
    mouth = mesh.opening(face.landmarks, mesh.INNER_LIPS)
    return float(np.hypot(face.pose.yaw, face.pose.pitch)) + _OPEN_DEG * (mouth + shut)
