"""Packages that only evaluation needs: the extra `eval`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sosie.errors import UnavailableError, install_hint

PACKAGES = ("jinja2", "matplotlib", "scipy", "skimage")
"""What the extra installs, by the names that are imported."""


@contextmanager
def extra_packages() -> Iterator[None]:
    """Raises UnavailableError where an import within lacks a package of the extra `eval`."""
    try:
        yield
    except ModuleNotFoundError as error:
        absent = (error.name or "").split(".")[0]
        if absent not in PACKAGES:
            raise
        raise UnavailableError(
            f"This needs the package {absent}, which is not installed: {install_hint('eval')}."
        ) from error
