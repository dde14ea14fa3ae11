"""What the packages of the extra `datasets` are needed for says so where one is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sosie.errors import UnavailableError, install_hint

_EXTRA = ("pyarrow", "sklearn", "scipy")


@contextmanager
def dataset_packages() -> Iterator[None]:
    """Raises UnavailableError where what is done within lacks a package of the extra `datasets`."""
    try:
        yield
    except ImportError as error:
        absent = (error.name or "").split(".")[0]
        if absent not in _EXTRA:
            raise
        raise UnavailableError(
            f"This needs the package {absent}, which is not installed: {install_hint('datasets')}."
        ) from error
