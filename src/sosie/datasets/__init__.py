"""Sets of faces: extracted, sorted, cleaned, packed, reported, and read by trainings."""

from __future__ import annotations

from contextlib import AbstractContextManager

from sosie.errors import needs_extra


def dataset_packages() -> AbstractContextManager[None]:
    """Raises UnavailableError where what is done within lacks a package of the extra `datasets`."""
    return needs_extra("datasets", ("jinja2", "pyarrow", "sklearn", "scipy"))
