"""The table of processors. To add one, write its file and its line here.

Another package brings a processor by an entry point in the group `sosie.processors`: its name is
what `--processor` takes, and it names a PROCESSOR as the table does.
"""

from __future__ import annotations

from typing import cast

from sosie.options import SwapOptions
from sosie.plugins import load_part, names_of
from sosie.processors.base import Factory, Processor, Request

GROUP = "sosie.processors"
"""The group of entry points by which other packages bring processors."""

TABLE = {
    "sharpen": "sosie.processors.sharpen:PROCESSOR",
    "onnx": "sosie.processors.onnx:PROCESSOR",
    "expression": "sosie.reenactment.restorer:PROCESSOR",
}


def create_processor(text: str, options: SwapOptions) -> Processor:
    """The processor that a user asked for, as `NAME`, `NAME:VALUE` or with settings behind.

    Only its own module is imported. Raises UsageError on a name that neither TABLE nor an installed
    package has and on settings that it does not have, UnavailableError where it cannot be loaded.
    """
    request = Request.parsed(text)
    factory = cast(Factory, load_part("processor", request.name, TABLE, GROUP))
    return factory(request, options)


def processor_names() -> list[str]:
    """The names that `--processor` takes, those of other packages last."""
    return names_of(TABLE, GROUP)
