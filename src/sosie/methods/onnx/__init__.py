"""Method `onnx`: published swappers that users have on disk as ONNX files, run as they are."""

from __future__ import annotations

from pathlib import Path

from sosie.errors import UsageError
from sosie.methods.imported import PublishedSwapper, interface_name
from sosie.models.session import create_session
from sosie.options import SwapOptions


def open_model(options: SwapOptions) -> PublishedSwapper:
    """The swapper of the options `model` and `interface`; see `PublishedSwapper`."""
    if options.model is None:
        raise UsageError("The method onnx needs a swapper: add --model FILE.onnx.")
    file = Path(options.model)
    session = create_session(file, options.provider, options.threads)
    name = interface_name(file, session, options.interface)
    return PublishedSwapper("onnx", file, session, name, options)


METHOD = open_model
