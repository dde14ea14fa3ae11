"""Which options belong to which methods, and how a list of values is read."""

from __future__ import annotations

from sosie.errors import UsageError, nearest

_OF_TWO_PEOPLE = ("deepfacelab", "deepfakes")
ONLY_FOR = {
    "model": ("onnx", "dfm"),
    "face_type": ("dfm",),
    "region": ("rsgan", "e4s"),
    "code_trajectory": ("fslsd",),
    "flow_trajectory": ("fslsd",),
    "direction": _OF_TWO_PEOPLE,
    "expression": ("graft", "mesh"),
}
"""Options that only some methods have a use for."""
OF_PUBLISHED = ("interface", "encoder", "converter", "face_model")
"""Options of a published swapper."""
NOT_FOR = {
    "weights": ("graft", "mesh", "onnx", "dfm"),
    **dict.fromkeys(OF_PUBLISHED, ("graft", "mesh", "dfm", *_OF_TWO_PEOPLE)),
}
"""Options that all methods but these may have a use for."""


def values_in(text: str) -> tuple[str, ...]:
    """The values of an option that takes several, parted by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    """Raises UsageError where a value is none of those that are known."""
    if value not in known:
        raise UsageError(f"Unknown {name} {value!r}: {nearest(value, known)}.")
