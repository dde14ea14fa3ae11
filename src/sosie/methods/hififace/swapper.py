"""A HifiFace that was trained with Sosie, at work: who the source is, and both faces' shapes."""

from __future__ import annotations

import numpy as np

from sosie.methods.base import Source
from sosie.methods.hififace.shape import MODES, source_shape, target_numbers
from sosie.methods.weights import TrainedSwapper
from sosie.types import Crop, FloatArray


class HifiFaceSwapper(TrainedSwapper):
    """As `TrainedSwapper`; the generator takes the vector of shape, expression, pose, identity."""

    def known(self, source: Source) -> FloatArray:
        """The source's shape and identity: 1 x (MODES + 512)."""
        return np.concatenate([source_shape(source.face.landmarks), self.identity(source)], 1)

    def told(self, known: FloatArray, crop: Crop) -> dict[str, FloatArray]:
        shape, identity = known[:, :MODES], known[:, MODES:]
        vector = np.concatenate([shape, target_numbers(crop.landmarks), identity], 1)
        return {"vector": np.asarray(vector, np.float32)}
