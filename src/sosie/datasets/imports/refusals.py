"""Files of other tools that are never read, with what to do instead."""

from __future__ import annotations

from pathlib import Path

from sosie.errors import InputError

_PICKLE = "is a pickle, a program that Python would run to read it"
_REFUSED = {
    ".xseg": f"{_PICKLE}; the faces need none: masks are measured anew",
    ".npy": f"may be {_PICKLE.removeprefix('is ')}; weights of DeepFaceLab are not read from it: "
    "export the model there as a DFM, and run that with --method dfm",
    ".dat": f"{_PICKLE}; it holds settings of a model, and no faces",
    ".pak": "is a packed set; unpack it with DeepFaceLab first",
    ".pkl": f"{_PICKLE}; faces are read from the pictures themselves",
}


def refusal(path: Path) -> str | None:
    """Why a file is not read, in one sentence; None where it may be a picture or of no use."""
    reason = _REFUSED.get(path.suffix.lower())
    return None if reason is None else f"{path} {reason}."


def not_of(path: Path, tool: str) -> InputError:
    """For a picture that holds none of a tool's data."""
    return InputError(
        f"{path} holds no data of {tool}: extract its face with `sosie dataset extract`."
    )
