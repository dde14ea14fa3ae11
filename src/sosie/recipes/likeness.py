"""How alike pictures are to frozen networks, with gradients: whose face it is, and LPIPS.

One identity network alone can be pleased by what only it sees; what two of other kinds ask for,
Sosie's and dlib's, is likeness. Pictures are N x 3 x H x W, float32, RGB 0..1.

The perceptual distance is LPIPS on SqueezeNet (Zhang et al. 2018, "The Unreasonable Effectiveness
of Deep Features as a Perceptual Metric"). The weights of the features are a conversion of those
published: distances are not comparable with published ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own documents call it F
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn

from sosie.analysis import embedder
from sosie.geometry import alignment, head_pose
from sosie.models.cards import read_embedded
from sosie.nn.blocks import fast_precision
from sosie.nn.lpips import Lpips
from sosie.recipes.teachers import teacher_file
from sosie.recipes.teachers_dlib import CHIP_PX, DlibModule, chip_matrix, find_dlib_file
from sosie.recipes.teachers_onnx import OnnxModule
from sosie.types import FloatArray

FEATURES_FILE = "squeezenet1_1_features.safetensors"
WEIGHTS_FILE = "lpips_squeeze_lin_v0_1.safetensors"


class PerceptualDistance(nn.Module):
    """N x 3 x H x W twice, float32 RGB in 0..1 -> N distances, 0 for equal pictures.

    Gradients flow to the first picture only, and no weight learns. Raises InputError where a file
    is not among the teachers, or is another network's.
    """

    def __init__(self, teachers: Path) -> None:
        super().__init__()
        features = load_file(teacher_file(teachers, FEATURES_FILE))
        weights = load_file(teacher_file(teachers, WEIGHTS_FILE))
        self._network = Lpips("squeeze", caffe=True)
        self._network.load(features, weights)

    def forward(self, pictures: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
        return self._network.distances(pictures, answers)


class PictureFeatures(nn.Module):
    """SqueezeNet's features of pictures, N x 3 x H x W, RGB 0..1: after conv1, fire3, fire5, fire6
    to fire9, N x C x h x w each, of unit length over channels. Gradients flow to the pictures.

    Raises InputError where the file is not among the teachers, or is another network's.
    """

    def __init__(self, teachers: Path) -> None:
        super().__init__()
        self._network = Lpips("squeeze", caffe=True)
        self._network.load_backbone(load_file(teacher_file(teachers, FEATURES_FILE)))

    def forward(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        found: list[torch.Tensor] = self._network(pictures)
        return found


@dataclass(frozen=True)
class Judges:
    """The frozen networks that losses look through. identity: Sosie's own, aligned faces -> 512
    numbers; landmarks: Sosie's own (`analysis.landmarker`); dlib: chips of faces -> 128."""

    perceptual: nn.Module
    identity: nn.Module
    landmarks: nn.Module
    dlib: nn.Module

    @classmethod
    def opened(cls, teachers: Path) -> Judges:
        """Those of the package, and of the teachers. Raises InputError where a file lacks."""
        judges = cls(
            PerceptualDistance(teachers),
            OnnxModule(read_embedded("identity")),
            OnnxModule(read_embedded("landmarks")),
            DlibModule(find_dlib_file()),
        )
        for judge in vars(judges).values():
            judge.requires_grad_(False).eval()
        return judges

    def to(self, device: torch.device) -> Judges:
        """The same, moved."""
        return Judges(*(network.to(device) for network in vars(self).values()))


_AT_ONCE = 32
# How far a face is moved, turned and scaled at random before it is looked at: pixels of the crop,
# radians, share.
_SHIFT_PX, _TURN, _SCALE = 1.5, 0.04, 0.03


def aligned_faces(
    pictures: torch.Tensor, matrices: torch.Tensor, side_px: int, halve: bool = True
) -> torch.Tensor:
    """Crops of the square, N x 3 x side_px x side_px, by matrices from the crop to the square
    (N x 2 x 3, pixels). halve: the square is halved first, so that little aliases."""
    halved = F.avg_pool2d(pictures, 2) if halve else pictures
    height, width = pictures.shape[2:]
    steps = torch.arange(side_px, device=pictures.device, dtype=torch.float32)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    places = torch.stack([x, y, torch.ones_like(x)], -1)  # h x w x 3
    at = torch.einsum("nij,hwj->nhwi", matrices, places)
    grid = torch.stack([(2 * at[..., 0] + 1) / width, (2 * at[..., 1] + 1) / height], -1) - 1
    return F.grid_sample(halved, grid, "bilinear", "border", align_corners=False)


def jittered(matrices: torch.Tensor) -> torch.Tensor:
    """Matrices from a crop (N x 2 x 3), each laid a little off, about the crop's middle."""
    count, device = len(matrices), matrices.device
    turn = _TURN * torch.randn(count, device=device)
    scale = torch.exp(_SCALE * torch.randn(count, device=device))
    cosine, sine = scale * turn.cos(), scale * turn.sin()
    middle = embedder.SIDE_PX / 2
    shift = middle + _SHIFT_PX * torch.randn(2, count, device=device)
    x = shift[0] - middle * (cosine - sine)
    y = shift[1] - middle * (sine + cosine)
    own = torch.stack([cosine, -sine, x, sine, cosine, y], 1).reshape(count, 2, 3)
    return _composed(matrices, own)


def identified(
    pictures: torch.Tensor, aligned: torch.Tensor, network: nn.Module, channels_last: bool = True
) -> torch.Tensor:
    """Numbers of an identity network for faces (`aligned`: N x 2 x 3, from its crop to the
    picture), of unit length: N x K. network: crops in 0..255 -> N x K; they are N x H x W x 3, or
    without `channels_last` N x 3 x H x W."""
    faces = aligned_faces(pictures, aligned, embedder.SIDE_PX).clamp(0, 1) * 255
    with fast_precision(faces.device):
        (numbers,) = network(faces.permute(0, 2, 3, 1) if channels_last else faces)
    return F.normalize(numbers.float(), dim=1)


def described(pictures: torch.Tensor, aligned: torch.Tensor, dlib: nn.Module) -> torch.Tensor:
    """dlib's numbers for the same faces, of unit length: N x 128."""
    chip = np.vstack([chip_matrix(), (0, 0, 1)])
    back = torch.from_numpy(np.linalg.inv(chip)[:2].astype(np.float32)).to(pictures.device)
    chips = aligned_faces(pictures, _composed(aligned, back.expand(len(aligned), 2, 3)), CHIP_PX)
    return F.normalize(dlib(chips.clamp(0, 1) * 255), dim=1)


def describe_all(
    crops: Sequence[NDArray[np.uint8]], landmarks: Sequence[FloatArray], dlib: nn.Module
) -> NDArray[np.float32]:
    """dlib's numbers for faces as they are: N x 128. crops: RGB; landmarks: 478 x 3 in each."""

    def parts() -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(crops), _AT_ONCE):
            some = np.stack([np.asarray(crop) for crop in crops[start : start + _AT_ONCE]])
            onto = [aligned_matrix(points) for points in landmarks[start : start + _AT_ONCE]]
            pictures = torch.from_numpy(some).permute(0, 3, 1, 2).float() / 255
            with torch.no_grad():
                yield described(pictures, torch.from_numpy(np.stack(onto)), dlib).numpy()

    return np.concatenate(list(parts()))


def aligned_matrix(landmarks: FloatArray) -> NDArray[np.float32]:
    """From the identity network's crop to the picture that landmarks (478 x 3) lie in: 2 x 3."""
    five = head_pose.five_points(landmarks)
    onto = alignment.align_matrix(five, embedder.TEMPLATE, embedder.SIDE_PX)
    return alignment.invert(onto).astype(np.float32)


def _composed(second: torch.Tensor, first: torch.Tensor) -> torch.Tensor:
    """N x 2 x 3: what `first` does, then `second`."""
    linear = second[:, :, :2] @ first
    return torch.cat([linear[..., :2], linear[..., 2:] + second[:, :, 2:]], 2)
