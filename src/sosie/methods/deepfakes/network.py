"""The network that gave face swapping its name: one encoder, and a decoder for each of two people.

There is no paper. Facts from the public program faceswap, whose model "original" it is. As in its
"phaze-a", the dense layers may be a person's own and the decoder common, with a style that both
share, residual blocks and noise. Pictures are N x 3 x S x S, BGR, 0..1; masks N x 1 x S x S.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from sosie.errors import UsageError, nearest
from sosie.nn.depth_blocks import (
    Residual,
    depth_to_space,
    leaky,
    residual_leaky,
    start_weights,
)
from sosie.recipes.two_people.network import FULL_MORPH, Pictured, TwoPeople

SPLITS = ("decoders", "dense")
_HALVINGS = 4
_TINY = 1e-6


@dataclass(frozen=True)
class Form:
    """What distinguishes the networks; the defaults are the published ones.

    size_px: a multiple of 16. width: channels behind the first convolution; they double with each
    of the four. ae: numbers of the code. split: what each person has alone, of SPLITS: a decoder,
    or the dense layers before a common one.

    The rest is phaze-a's. style: width of three dense layers that both people share, whose answer
    scales and shifts what a decoder is given; 0 for none. residual: whether each of a decoder's
    levels but the last has a residual block. noise: deviation of noise that is added in training
    behind each level of a decoder.
    """

    size_px: int = 64
    width: int = 128
    ae: int = 1024
    split: str = "decoders"
    style: int = 0
    residual: int = 0
    noise: float = 0.0

    def require_sense(self) -> None:
        """Raises UsageError where no network can be built so."""
        if self.style < 0 or self.residual not in (0, 1) or not 0 <= self.noise < 1:
            raise UsageError(
                f"style must be 0 or more, residual 0 or 1, and noise from 0 to below 1, not "
                f"{self.style}, {self.residual} and {self.noise}."
            )
        multiple = 2**_HALVINGS
        if self.size_px < multiple or self.size_px % multiple:
            raise UsageError(f"size_px must be a multiple of {multiple}, not {self.size_px}.")
        if self.width < 2 or self.width % 2 or self.ae < 1:
            raise UsageError(
                f"width must be even and 2 or more, and ae 1 or more, not {self.width} and "
                f"{self.ae}."
            )
        if self.split not in SPLITS:
            raise UsageError(f"Unknown split {self.split!r}: {nearest(self.split, SPLITS)}.")


class Upscale(nn.Module):
    """N x in x H x W -> N x out x 2H x 2W."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4 * out_channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return depth_to_space(leaky(self.conv(x)))


class Encoder(nn.Module):
    """N x 3 x S x S -> N x 8 width x S/16 x S/16."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        widths = [3, *(form.width * 2**step for step in range(_HALVINGS))]
        self.down = nn.ModuleList(nn.Conv2d(a, b, 5, 2) for a, b in pairwise(widths))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for down in self.down:
            # TensorFlow's "same": an even map gets one row before and two behind.
            x = leaky(down(functional.pad(x, (1, 2, 1, 2))))
        return x


class Dense(nn.Module):
    """Through few numbers and back: N x 8 width x h x h -> N x 4 width x 2h x 2h."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        channels, self._low = form.width * 2 ** (_HALVINGS - 1), form.size_px // 2**_HALVINGS
        self._channels = channels
        numbers = self._low**2 * channels
        self.squeeze = nn.Linear(numbers, form.ae)
        self.widen = nn.Linear(form.ae, numbers)
        self.up = Upscale(channels, channels // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # The published dense layers count place by place, all channels of each.
        code = self.squeeze(x.permute(0, 2, 3, 1).flatten(1))
        x = self.widen(code).reshape(-1, self._low, self._low, self._channels)
        grown: torch.Tensor = self.up(x.permute(0, 3, 1, 2))
        return grown


class Style(nn.Module):
    """Phaze-a's G-block: what the encoder found, through three dense layers, sets mean and
    deviation of each channel of what a decoder is given (as AdaIN: Huang and Belongie 2017)."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        numbers = (form.size_px // 2**_HALVINGS) ** 2 * form.width * 2 ** (_HALVINGS - 1)
        widths = (numbers, form.style, form.style, form.style)
        self.dense = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.scale = nn.Linear(form.style, 4 * form.width)
        self.shift = nn.Linear(form.style, 4 * form.width)

    def forward(self, found: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
        style = found.flatten(1)
        for dense in self.dense:
            style = leaky(dense(style))
        centered = code - code.mean((2, 3), keepdim=True)
        spread = centered.square().mean((2, 3), keepdim=True)
        scale, shift = (layer(style)[..., None, None] for layer in (self.scale, self.shift))
        styled: torch.Tensor = centered * torch.rsqrt(spread + _TINY) * (1 + scale) + shift
        return styled


class Decoder(nn.Module):
    """N x 4 width x S/8 x S/8 -> a face and its mask, by two branches alike; residual blocks and
    noise are the face's alone."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        widths = [form.width * 4, form.width * 2, form.width, form.width // 2]
        self.face = nn.ModuleList(Upscale(a, b) for a, b in pairwise(widths))
        self.mask = nn.ModuleList(Upscale(a, b) for a, b in pairwise(widths))
        self.face_out = nn.Conv2d(widths[-1], 3, 5, padding=2)
        self.mask_out = nn.Conv2d(widths[-1], 1, 5, padding=2)
        self._noise = form.noise
        if form.residual:
            self.residual = nn.ModuleList(Residual(w, residual_leaky) for w in widths[1:-1])

    def forward(self, code: torch.Tensor) -> Pictured:
        face = mask = code
        residual = [*getattr(self, "residual", ())]
        for level, up in enumerate(self.face):
            face = up(face)
            if level < len(residual):
                face = residual[level](face)
            if self.training and self._noise:
                face = face + self._noise * torch.randn_like(face)
        for up in self.mask:
            mask = up(mask)
        return torch.sigmoid(self.face_out(face)), torch.sigmoid(self.mask_out(mask))


class Original(TwoPeople):
    """One encoder, and for each person a decoder (`decoder_a` of the source, `decoder_b` of the
    target) or dense layers of their own (`dense_a`, `dense_b`)."""

    def __init__(self, form: Form | None = None) -> None:
        super().__init__()
        self.form = form or Form()
        self.form.require_sense()
        self.encoder = Encoder(self.form)
        if self.form.split == "dense":
            self.dense_a, self.dense_b = Dense(self.form), Dense(self.form)
            self.decoder = Decoder(self.form)
        else:
            self.dense = Dense(self.form)
            self.decoder_a, self.decoder_b = Decoder(self.form), Decoder(self.form)
        if self.form.style:
            self.style = Style(self.form)
        start_weights(self)

    def of_source(self, pictures: torch.Tensor) -> Pictured:
        return self._made(pictures, "a")

    def of_target(self, pictures: torch.Tensor) -> Pictured:
        return self._made(pictures, "b")

    def swapped(self, pictures: torch.Tensor, morph: float | torch.Tensor = FULL_MORPH) -> Pictured:
        del morph
        return self._made(pictures, "a")

    def _made(self, pictures: torch.Tensor, whose: str) -> Pictured:
        x = self.encoder(pictures)
        is_dense = self.form.split == "dense"
        code = self.get_submodule(f"dense_{whose}" if is_dense else "dense")(x)
        if self.form.style:
            code = self.style(x, code)
        made: Pictured = self.get_submodule("decoder" if is_dense else f"decoder_{whose}")(code)
        return made
