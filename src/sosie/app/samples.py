"""The two portraits, both in the public domain, that the package carries."""

from __future__ import annotations

from pathlib import Path

from sosie.errors import UnavailableError

_FOLDER = Path(__file__).parent / "portraits"
_FILES = {"astronaut": "astronaut.png", "hopper": "hopper.jpg"}


def sample_portraits() -> dict[str, Path]:
    """`astronaut` (Eileen Collins) and `hopper` (Grace Hopper), each a path to its photo.

    Raises UnavailableError where the installation lacks one.
    """
    return {name: _require(_FOLDER / file) for name, file in _FILES.items()}


def _require(path: Path) -> Path:
    if not path.is_file():
        raise UnavailableError(
            f"The sample portrait {path.name} is missing from this installation; install Sosie "
            f"again."
        )
    return path
