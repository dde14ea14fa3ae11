"""dlib's face descriptor as a frozen torch module, its weights read from dlib's own file.

dlib runs it at 8 faces a second on a core, torch some thirty times as fast, and on a GPU. The
network is in the public domain, and so is its file, in the package `face_recognition_models`.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own documents call it F
from numpy.typing import NDArray
from torch import nn

from sosie.errors import InputError, UnavailableError
from sosie.geometry import alignment

DLIB_FILE = "dlib_face_recognition_resnet_model_v1.dat"
CHIP_PX = 150

# Channels of each residual unit, in order, and whether it halves the picture.
_UNITS = (
    *((32, False),) * 3,
    *((64, True), (64, False), (64, False), (64, False)),
    *((128, True), (128, False), (128, False)),
    *((256, True), (256, False), (256, False)),
    (256, True),
)
_MEAN = (122.782, 117.001, 104.298)
_SCALE = 256.0
_NUMBERS = 128

# dlib's places, in a chip of 150 px, of the eyes' outer and inner corners (image right, then left)
# and of the point below the nose; and where its landmarks lie on average in a face of the `arcface`
# template at 112 px (4,185 faces of LFW and CelebA).
_CHIP = np.array([[110.96, 46.35], [89.61, 47.90], [37.06, 46.37], [58.41, 47.91], [74.01, 87.78]])
_ALIGNED = np.array(
    [[80.26, 52.71], [66.27, 53.38], [30.94, 53.49], [44.94, 53.70], [56.02, 80.40]]
)


class DlibModule(nn.Module):
    """N x 3 x 150 x 150 float32, RGB 0..255 -> N x 128, float32.

    Two pictures show the same person where the numbers are less than 0.6 apart. Raises InputError
    where the file is not that network's.
    """

    mean: torch.Tensor
    last: torch.Tensor

    def __init__(self, file: Path) -> None:
        super().__init__()
        reader = _Reader(file)
        convolutions = 1 + 2 * len(_UNITS)
        for number in range(convolutions):
            weights, factors = reader.tensor(b"con_4"), reader.tensor(b"affine_")
            gamma, beta = np.split(factors, 2)
            count = len(gamma)
            kernel, bias = weights[:-count].reshape(count, -1), weights[-count:]
            if number == 0:
                kernel = kernel.reshape(count, 3, 7, 7)
            else:
                kernel = kernel.reshape(count, -1, 3, 3)
            # The affine layer after each convolution is folded into it.
            self._keep(f"kernel_{number}", kernel * gamma[:, None, None, None])
            self._keep(f"bias_{number}", bias * gamma + beta)
        self._keep("last", reader.tensor(b"fc_2", skip=2).reshape(-1, _NUMBERS))
        self._keep("mean", np.array(_MEAN, np.float32)[None, :, None, None])

    def _keep(self, name: str, values: NDArray[np.float32]) -> None:
        value = torch.from_numpy(np.array(values, np.float32))
        self.register_buffer(name, value, persistent=False)

    def _conv(self, x: torch.Tensor, number: int, stride: int, padding: int) -> torch.Tensor:
        kernel, bias = getattr(self, f"kernel_{number}"), getattr(self, f"bias_{number}")
        return F.conv2d(x, kernel, bias, stride, padding)

    def forward(self, chips: torch.Tensor) -> torch.Tensor:
        x = F.relu(self._conv((chips - self.mean) / _SCALE, 0, 2, 0))
        x = F.max_pool2d(x, 3, 2)
        number = 1
        for _, halves in _UNITS:
            straight = F.avg_pool2d(x, 2) if halves else x
            branch = F.relu(self._conv(x, number, 2, 0) if halves else self._conv(x, number, 1, 1))
            branch = self._conv(branch, number + 1, 1, 1)
            x = F.relu(_sum_padded(straight, branch))
            number += 2
        with torch.autocast(x.device.type, enabled=False):
            descriptor: torch.Tensor = x.float().mean((2, 3)) @ self.last
        return descriptor


def chip_matrix() -> alignment.Matrix:
    """The `arcface` crop of 112 px -> dlib's chip of 150 px: an enlargement and a shift.

    The chip reaches 10 px below that crop.
    """
    matrix = alignment.fit_similarity(_ALIGNED, _CHIP)
    # The tilt is that of averages, a fraction of a degree, and not meant.
    scale = alignment.scale_of(matrix)
    return np.column_stack([np.eye(2) * scale, _CHIP.mean(0) - scale * _ALIGNED.mean(0)])


def find_dlib_file() -> Path:
    """The network's file in the package `face_recognition_models`. Raises UnavailableError where
    that is not installed."""
    # The package cannot be imported without the old setuptools, and need not be.
    spec = importlib.util.find_spec("face_recognition_models")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "models" / DLIB_FILE
        if path.is_file():
            return path
    raise UnavailableError(
        "Training on this teacher needs its weights: pip install face_recognition_models."
    )


def _sum_padded(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The sum of two tensors; where one has fewer channels, rows or columns it counts as zero."""
    shape = [max(pair) for pair in zip(a.shape, b.shape, strict=True)]

    def padded(x: torch.Tensor) -> torch.Tensor:
        lacking = [big - small for big, small in zip(shape, x.shape, strict=True)]
        return F.pad(x, (0, lacking[3], 0, lacking[2], 0, lacking[1])) if any(lacking) else x

    return padded(a) + padded(b)


class _Reader:
    """Tensors of a dlib network file, in their order.

    A whole number is a byte that counts the bytes which follow, least significant first. A tensor
    is a version, four sizes and its float32 values.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        try:
            self._content = file.read_bytes()
        except OSError as error:
            raise InputError(f"The teacher {file} cannot be read: name its file.") from error
        self._place = 0

    def tensor(self, tag: bytes, skip: int = 0) -> NDArray[np.float32]:
        """The values after the next such tag and `skip` whole numbers, flat."""
        found = self._content.find(tag, self._place)
        if found < 0:
            raise self._error()
        self._place = found + len(tag)
        numbers = [self._number() for _ in range(skip + 5)]
        count = int(np.prod(numbers[-4:]))
        end = self._place + 4 * count
        if numbers[-5] != 2 or not 0 < end <= len(self._content):
            raise self._error()
        values = np.frombuffer(self._content, "<f4", count, self._place)
        self._place = end
        return values

    def _number(self) -> int:
        if self._place >= len(self._content):
            raise self._error()
        length = self._content[self._place]
        start, self._place = self._place + 1, self._place + 1 + length
        return int.from_bytes(self._content[start : self._place], "little")

    def _error(self) -> InputError:
        return InputError(f"{self._file} is not dlib's face descriptor, or it is damaged.")
