"""A photo moved by FSGAN: its reenactment paints the face, and geometry moves the head around it.

Source: Nirkin et al. 2022, "FSGANv2: Improved Subject Agnostic Face Swapping and Reenactment",
section 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sosie.blending.pixel_math import mixed
from sosie.errors import UsageError
from sosie.geometry import alignment
from sosie.geometry.face_types import box_matrix
from sosie.geometry.head_pose import head_pose
from sosie.methods.base import Source, as_signed, as_unit, soft_edge
from sosie.methods.fsgan.heat_maps import points_98
from sosie.methods.fsgan.soft_mask import soft_erosion
from sosie.methods.fsgan.stages import Networks
from sosie.methods.fsgan.swapper import upright_view
from sosie.methods.parts import licenses_of
from sosie.reenactment.base import Card, DrivingFrame
from sosie.reenactment.mesh import MeshReenactor, refuse_retargeting
from sosie.reenactment.options import ReenactOptions
from sosie.types import FloatArray, Pixels

# Towards the crop's edge the face gives way to what geometry makes over this share of its side.
_EDGE = 0.04


@dataclass(frozen=True)
class _State:
    """The photo, and what geometry keeps of it and of the driver's first frame."""

    photo: Source
    of_mesh: Any


class FsganReenactor:
    """FSGAN's reenactment and segmentation at work. Of the options it uses `weights`, the folder of
    its networks, `motion`, `expression`, `pose`, `provider` and `threads`.

    Raises UsageError where no folder is named, or something is to be retargeted; InputError where a
    network is not there, or another one.
    """

    def __init__(self, options: ReenactOptions) -> None:
        if options.weights is None:
            raise UsageError(
                "The method fsgan needs its networks: train `fsgan_reenactment` and "
                "`fsgan_segmentation`, or import them, and add --weights FOLDER."
            )
        refuse_retargeting(options)
        wanted = ("reenactment", "segmentation")
        folder = Path(options.weights)
        self._networks = Networks(folder, options.provider, options.threads, wanted)
        self._mesh = MeshReenactor(replace(options, method="mesh", weights=None))
        self.card = Card(
            name="fsgan",
            summary="FSGAN's reenactment paints the photo's face as the driver's landmarks say",
            license=licenses_of(self._networks.sessions.values()),
            paper="Nirkin et al. 2022, FSGANv2: Improved Subject Agnostic Face Swapping and "
            "Reenactment",
        )

    @property
    def providers(self) -> Mapping[str, str]:
        """Of both networks."""
        sessions = self._networks.sessions
        return {f"fsgan_{stage}": session.provider for stage, session in sessions.items()}

    def start(self, photo: Source, first: DrivingFrame) -> _State:
        """See `Reenactor`."""
        return _State(photo, self._mesh.start(photo, first))

    def move(self, state: _State, frame: DrivingFrame) -> Pixels:
        """See `Reenactor`."""
        under, moved = self._mesh.moved(state.of_mesh, frame)
        size = self._networks.size_px
        matrix = box_matrix(moved.points, size)
        points = points_98(alignment.transform_points(moved.points, matrix))
        view = as_signed(upright_view(state.photo, head_pose(moved.points).roll, size))
        painted = self._networks.reenact([view], points)[0]
        soft, _ = soft_erosion(self._networks.face(painted))
        share = np.asarray(soft * soft_edge(size, _EDGE), np.float32)
        return _laid(under, as_unit(painted), share, matrix)


def _laid(under: Pixels, crop: FloatArray, share: FloatArray, matrix: alignment.Matrix) -> Pixels:
    """A crop (S x S x 3, 0..1) laid by a share of it (S x S) into a picture. matrix: picture ->
    crop."""
    height, width = under.shape[:2]
    back = alignment.invert(matrix)
    there = np.asarray(alignment.warp(crop, back, width, height), np.float32)
    # Beyond the crop nothing of it is shown.
    shown = alignment.warp(share, back, width, height, border=cv2.BORDER_CONSTANT)
    top = np.float32(np.iinfo(under.dtype).max)
    shown = np.asarray(np.clip(shown, 0, 1), np.float32)
    made = mixed(under.astype(np.float32) / top, there, shown)
    return np.asarray(np.rint(np.clip(made, 0, 1) * top), under.dtype)
