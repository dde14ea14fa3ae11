"""Splits by identity: a person is in one part or the other, on every machine alike."""

from __future__ import annotations

import hashlib


def is_held_out(identity: str) -> bool:
    """True for one identity in five, by the hash of its name: the test people, on whom nothing is
    fitted and nothing chosen."""
    return _digest(identity) % 5 == 0


def is_validation(identity: str) -> bool:
    """True for one in ten of the others: the people on whom the best snapshot is chosen."""
    return not is_held_out(identity) and _digest(identity) // 5 % 10 == 0


def identity_of(group: str, name: str) -> str:
    """The person in a picture of the project's data, as the file's name tells.

    group: `lfw`, `celeba`, `youtube`, `hires` or `clips`; name: the picture's name in its archive.
    LFW and YouTube Faces name the same people alike, so a person is one identity in both. Whether
    somebody is in CelebA too, which numbers people, cannot be told.
    """
    if group == "youtube":
        return f"lfw/{name.rsplit('_', 1)[0]}"
    if group in ("celeba", "lfw"):
        return f"{group}/{name.split('/')[0]}"
    return f"{group}/{name}"


def _digest(identity: str) -> int:
    return int(hashlib.sha256(identity.encode()).hexdigest(), 16)
