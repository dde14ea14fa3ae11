"""What is said of an exception."""

from __future__ import annotations

import errno
import os
import traceback

from sosie.errors import SosieError
from sosie.files import shortened_path

_SYSTEM_SAYS = frozenset(
    getattr(errno, name)
    for name in (
        *("EACCES", "EDQUOT", "EFBIG", "EIO", "ELOOP", "EMFILE", "ENAMETOOLONG", "ENFILE"),
        *("ENODEV", "ENOSPC", "ENOTDIR", "ENXIO", "EPERM", "EROFS", "ESTALE", "ETIMEDOUT"),
    )
    if hasattr(errno, name)
)
"""What a system answers because of a path, a disk or a limit: no fault of the program's."""


def describe(error: Exception) -> str:
    """An error in words: its sentence, and what was added to it on the way (`add_note`).

    What the system refuses is told with the path. Anything else that no one foresaw is a fault of
    Sosie's own, for the user to report. With SOSIE_DEBUG in the environment the traceback of both
    goes to stderr.
    """
    sentence = str(error) if isinstance(error, SosieError) else _unforeseen(error)
    return " ".join([sentence, *getattr(error, "__notes__", ())])


def _unforeseen(error: Exception) -> str:
    if os.environ.get("SOSIE_DEBUG"):
        traceback.print_exception(error)
    if isinstance(error, OSError) and error.filename and error.errno in _SYSTEM_SAYS:
        path = shortened_path(os.fsdecode(error.filename))
        return f"{path} cannot be used ({error.strerror}); check the path, its disk and its rights."
    if isinstance(error, FileNotFoundError) and error.filename is None:
        # What `tempfile` raises after it has tried every folder that it knows.
        return "No folder for temporary files can be written to; make room, or name one in TMPDIR."
    text = " ".join(str(error).split()) or "no message"
    return (
        f"Unexpected {type(error).__name__} ({text}); this is a fault in Sosie, please report it "
        "with what is printed when SOSIE_DEBUG=1 stands in the environment."
    )
