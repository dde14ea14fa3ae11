"""The two portraits, both in the public domain, that packages of the `demo` extra carry."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from sosie.errors import UnavailableError

_FILES = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "hopper": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
}


def sample_portraits() -> dict[str, Path]:
    """`astronaut` (Eileen Collins) and `hopper` (Grace Hopper), each a path to its photo.

    The packages are found but not imported. Raises UnavailableError where one is not installed.
    """
    return {name: _locate(package, file) for name, (package, file) in _FILES.items()}


def _locate(package: str, file: str) -> Path:
    spec = find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        path = Path(folder) / file
        if path.is_file():
            return path
    raise UnavailableError(
        f"The sample portrait {file} of the package {package} is not installed; "
        f"run `pip install 'sosie[demo]'`."
    )
