"""LivePortrait's networks as ONNX files in a folder of the user's, told apart by what they take.

Files of several origins circulate: their names differ, and so do those of some inputs. What
`sosie weights import` writes runs the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sosie.errors import InputError
from sosie.models.session import Session, create_session
from sosie.reenactment.portrait.motion import (
    POINTS,
    FaceMotion,
    degrees_of,
    eye_input,
    lip_input,
    rotation,
    stitched,
    stitching_input,
)
from sosie.types import FloatArray, Pixels

SIZE_PX = 512
"""Side of the crop, and of what the published generator paints."""

_SEEN_PX = 256
"""Side of what the networks see of it."""

_MOST_FILES = 32
_MOTION = {"pitch", "yaw", "roll", "t", "exp", "scale", "kp"}
_VOLUME = {"feature_volume", "feature_3d"}
# The driving points come first. In the files that call them so, 'source' takes those.
_PAIRS = (("source", "target"), ("kp_driving", "kp_source"))

Check = Callable[[Session], bool]


@dataclass(frozen=True)
class Role:
    """What a file may be. title: what messages call it. fits: whether a network is one."""

    title: str
    fits: Check


def _sees_face(session: Session) -> bool:
    return len(session.inputs) == 1 and _fits(session, (1, 3, _SEEN_PX, _SEEN_PX))


def _takes(session: Session, numbers: int) -> bool:
    return len(session.inputs) == 1 and _fits(session, (1, numbers))


def _fits(session: Session, wanted: tuple[int, ...]) -> bool:
    """Whether the first input can be of a shape; a file may leave sizes free."""
    shape = next(iter(session.inputs.values()))
    same_length = len(shape) == len(wanted)
    return same_length and all(a in (None, b) for a, b in zip(shape, wanted, strict=True))


def _moves(session: Session) -> bool:
    return len(session.inputs) == 3 and bool(_VOLUME & set(session.inputs)) and _has_pair(session)


def _has_pair(session: Session) -> bool:
    return any(set(pair) <= set(session.inputs) for pair in _PAIRS)


ROLES = {
    "appearance": Role(
        "appearance feature extractor",
        lambda s: _sees_face(s) and len(s.outputs) == 1,
    ),
    "motion": Role(
        "motion extractor",
        lambda s: _sees_face(s) and set(s.outputs) >= _MOTION,
    ),
    "whole": Role(
        "generator (warping and painting in one)",
        lambda s: _moves(s) and len(s.outputs) == 1,
    ),
    "warping": Role("warping module", lambda s: _moves(s) and len(s.outputs) > 1),
    "painting": Role(
        "SPADE generator",
        lambda s: [shape[1:2] for shape in s.inputs.values()] == [(256,)] and len(s.outputs) == 1,
    ),
    "stitching": Role(
        "stitching network",
        lambda s: _takes(s, 6 * POINTS) or (len(s.inputs) == 2 and _has_pair(s)),
    ),
    "lip": Role("network for the lips", lambda s: _takes(s, 3 * POINTS + 2)),
    "eye": Role("network for the eyes", lambda s: _takes(s, 3 * POINTS + 3)),
}
"""What files are looked for."""


class PortraitFiles:
    """The networks of a folder, ready to run. Threads may share it.

    Raises InputError, which says what is there, where the folder lacks one of those that moving a
    face takes, or one of `also` (names in ROLES), or has one twice; UnavailableError where the
    provider does not start.
    """

    def __init__(
        self,
        folder: Path,
        provider: str = "cpu",
        threads: int | None = None,
        also: Sequence[str] = (),
    ) -> None:
        self._folder = folder
        self._files: dict[str, Path] = {}
        self._sessions: dict[str, Session] = {}
        self._others: list[str] = []
        for file in _onnx_files(folder):
            try:
                session = create_session(file, provider, threads)
            except InputError as error:
                # Some that circulate need operators that ONNX Runtime has not, and lie beside one
                # that needs none.
                self._others.append(str(error).rstrip("."))
            else:
                self._add(file, session)
        painters = ("whole",) if "whole" in self._sessions else ("warping", "painting")
        wanted = ("appearance", "motion", *painters, *also)
        missing = [ROLES[role].title for role in wanted if role not in self._sessions]
        if missing:
            raise InputError(
                f"{folder} lacks LivePortrait's {' and '.join(missing)}: it has {self._told()}; "
                f"put the files together in one folder."
            )
        self._sessions = {role: self._sessions[role] for role in wanted}
        self.providers = {
            self._files[role].name: session.provider for role, session in self._sessions.items()
        }

    def appearance(self, face: FloatArray) -> NDArray[Any]:
        """The feature volume of a face, 1 x 32 x 16 x 64 x 64. face: of `seen`."""
        return self._run_one("appearance", face)

    def motion(self, face: FloatArray) -> FaceMotion:
        """Pose and expression of a face. face: of `seen`."""
        session = self._sessions["motion"]
        told = session.run({next(iter(session.inputs)): face})
        sizes = {"t": 3, "scale": 1, "exp": 3 * POINTS, "kp": 3 * POINTS}
        for name, size in sizes.items():
            if told[name].size != size:
                raise self._unfit("motion", f"{told[name].size} numbers as {name}, not {size}")
        values = {name: np.asarray(told[name], np.float64).ravel() for name in sizes}
        return FaceMotion(
            rotation(*(degrees_of(told[name]) for name in ("pitch", "yaw", "roll"))),
            float(values["scale"][0]),
            values["t"],
            values["exp"].reshape(POINTS, 3),
            values["kp"].reshape(POINTS, 3),
        )

    def painted(self, volume: NDArray[Any], driving: FloatArray, own: FloatArray) -> FloatArray:
        """The face of a volume with its keypoints moved to the driving ones: RGB float32, 512 x 512
        x 3, 0..1. driving, own: 21 x 3."""
        role = "whole" if "whole" in self._sessions else "warping"
        session = self._sessions[role]
        given = dict(zip(_pair(session), (driving[None], own[None]), strict=True))
        given[next(iter(_VOLUME & set(session.inputs)))] = volume
        made = session.run(given)
        if role == "whole":
            picture = next(iter(made.values()))
        else:
            features = [one for one in made.values() if one.ndim == 4 and one.shape[1] == 256]
            if len(features) != 1:
                raise self._unfit("warping", "no 256 channels of features")
            role, picture = "painting", self._run_one("painting", features[0])
        if picture.ndim != 4 or picture.shape[:2] != (1, 3) or picture.shape[2] != picture.shape[3]:
            raise self._unfit(role, f"{' x '.join(map(str, picture.shape))} numbers as a picture")
        face = np.clip(picture[0].transpose(1, 2, 0), 0, 1)
        if face.shape[0] != SIZE_PX:
            face = cv2.resize(face, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_CUBIC)
        return np.asarray(np.clip(face, 0, 1), np.float32)

    def stitched(self, own: FloatArray, driving: FloatArray) -> FloatArray:
        """Driving points that fit the picture around the own face: 21 x 3 each."""
        session = self._sessions["stitching"]
        if len(session.inputs) == 2:
            given = dict(zip(_pair(session), (driving[None], own[None]), strict=True))
            points = next(iter(session.run(given).values()))
            return self._points("stitching", points)
        told = self._run_one("stitching", stitching_input(own, driving))
        if told.size != 3 * POINTS + 2:
            raise self._unfit("stitching", f"{told.size} numbers, not {3 * POINTS + 2}")
        return stitched(driving, told)

    def eyes(self, own: FloatArray, ratios: FloatArray, wanted: float) -> FloatArray:
        """By how much the points (21 x 3) move to open the eyes so far; see `eye_input`."""
        return self._points("eye", self._run_one("eye", eye_input(own, ratios, wanted)))

    def lips(self, own: FloatArray, ratio: float, wanted: float) -> FloatArray:
        """By how much the points (21 x 3) move to open the lips so far; see `lip_input`."""
        return self._points("lip", self._run_one("lip", lip_input(own, ratio, wanted)))

    def _run_one(self, role: str, given: NDArray[Any]) -> NDArray[Any]:
        session = self._sessions[role]
        results = session.run({next(iter(session.inputs)): given})
        return next(iter(results.values()))

    def _points(self, role: str, told: NDArray[Any]) -> FloatArray:
        if told.size != 3 * POINTS:
            raise self._unfit(role, f"{told.size} numbers, not {3 * POINTS}")
        return np.asarray(told, np.float32).reshape(POINTS, 3)

    def _unfit(self, role: str, what: str) -> InputError:
        return InputError(
            f"{self._files[role]} gives {what}: it is not LivePortrait's {ROLES[role].title}."
        )

    def _add(self, file: Path, session: Session) -> None:
        found = [role for role, one in ROLES.items() if one.fits(session)]
        if not found:
            takes, gives = ", ".join(session.inputs), ", ".join(session.outputs)
            self._others.append(f"{file.name} (takes {takes}, gives {gives})")
            return
        role = found[0]
        if role in self._files:
            raise InputError(
                f"{self._folder} has two files for LivePortrait's {ROLES[role].title}: "
                f"{self._files[role].name} and {file.name}; move one of them away."
            )
        self._files[role], self._sessions[role] = file, session

    def _told(self) -> str:
        """What the folder has, for messages."""
        known = [f"{ROLES[role].title} ({file.name})" for role, file in self._files.items()]
        return ", ".join([*known, *self._others]) or "no .onnx files"


def seen(crop: Pixels | FloatArray) -> FloatArray:
    """What the networks see of a crop of 512 px: RGB, 1 x 3 x 256 x 256, 0..1.

    crop: 512 x 512 x 3, uint8 or uint16, or float32 in 0..1.
    """
    unit = crop.astype(np.float32)
    if crop.dtype.kind == "u":
        unit /= np.float32(np.iinfo(crop.dtype).max)
    small = cv2.resize(unit, (_SEEN_PX, _SEEN_PX), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small.transpose(2, 0, 1)[None], np.float32)


def _pair(session: Session) -> tuple[str, str]:
    """The names of the driving points and the own ones."""
    return next(pair for pair in _PAIRS if set(pair) <= set(session.inputs))


def _onnx_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(
            f"{folder} is no folder: name the one that holds LivePortrait's ONNX files."
        )
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".onnx")
    if len(files) > _MOST_FILES:
        raise InputError(
            f"{folder} holds {len(files)} .onnx files: put LivePortrait's into a folder of their "
            f"own."
        )
    return files
