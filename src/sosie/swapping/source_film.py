"""A film as a source: frames of it that show the person in poses that differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sosie.analysis.analyzer import Analyzer
from sosie.analysis.selection import SAME_PERSON
from sosie.errors import NoFaceError
from sosie.media.targets import open_target
from sosie.types import Face, Pixels

MOST_LOOKED_AT = 120
"""So many frames are looked at, evenly over the film."""

MOST_VIEWS = 16

_APART_DEG = 5.0
"""A frame whose yaw and pitch are nearer than this to those of one that is taken is left out."""


def views_of(film: Path, analyzer: Analyzer) -> list[tuple[str, Pixels, Face]]:
    """The name, the pixels and the face of up to `MOST_VIEWS` frames, from the most frontal one on.

    The person is whom the largest face of most frames shows; others are left out. Raises InputError
    where the film cannot be read, NoFaceError where it shows no face.
    """
    found: list[tuple[float, Pixels, Face]] = []
    with open_target(film) as video:
        step = max(1, -(-(video.info.frame_count or 0) // MOST_LOOKED_AT))
        for number, frame in enumerate(video.frames()):
            if number % step:
                continue
            pixels = frame.to_rgb()
            faces = analyzer.analyze(pixels, thorough=False)
            if faces:
                largest = max(faces, key=lambda face: face.size_px)
                found.append((frame.time_s, pixels, largest))
    if not found:
        raise NoFaceError(f"{film}: no face was found in the frames that were looked at.")
    identities = np.stack([analyzer.identify(pixels, face) for _, pixels, face in found])
    middle = np.median(identities, axis=0)
    alike = identities @ (middle / max(float(np.linalg.norm(middle)), 1e-9)) >= SAME_PERSON
    own = [one for one, same in zip(found, alike, strict=True) if same] or found
    own.sort(key=lambda one: float(np.hypot(one[2].pose.yaw, one[2].pose.pitch)))
    taken: list[tuple[float, Pixels, Face]] = []
    for one in own:
        poses = [(other.pose.yaw, other.pose.pitch) for _, _, other in taken]
        pose = one[2].pose
        if all(np.hypot(pose.yaw - y, pose.pitch - p) >= _APART_DEG for y, p in poses):
            taken.append(one)
    return [
        (f"{film} at {time_s:.2f} s", pixels, face) for time_s, pixels, face in taken[:MOST_VIEWS]
    ]
