"""Method `dfm`: networks of one person that users have on disk as DFM files, run as they are.

DFM is the ONNX form in which DeepFaceLab exports a trained model and DeepFaceLive reads it: who is
put in is in the weights, and the file says nothing of the crop that it was trained on.
"""

from __future__ import annotations

from pathlib import Path

from sosie.errors import UsageError
from sosie.methods.dfm.swapper import DfmSwapper
from sosie.models.session import create_session
from sosie.options import SwapOptions


def open_model(options: SwapOptions) -> DfmSwapper:
    """The swapper of the options `model` and `face_type`; see `DfmSwapper`."""
    if options.model is None:
        raise UsageError("The method dfm needs a model of one person: add --model FILE.dfm.")
    file = Path(options.model)
    return DfmSwapper(file, create_session(file, options.provider, options.threads), options)


METHOD = open_model
