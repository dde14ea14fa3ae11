"""DeepFaceLab's autoencoders of two people: DF, LIAE and AMP.

Source: Perov et al. 2020, "DeepFaceLab: Integrated, flexible and extensible face-swapping
framework", section 3.2, and facts of the published program. One encoder sees both people. DF has a
decoder a person; LIAE has one decoder, and one of its two inner networks for both people, one for
the target's alone; AMP mixes the channels of two inner networks, more or less of the source's.

Pictures are N x 3 x S x S, BGR, 0..1; masks N x 1 x S x S.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from sosie.errors import UsageError
from sosie.nn.depth_blocks import (
    Activation,
    Downscale,
    Downscales,
    Residual,
    Upscale,
    cosine_unit,
    depth_to_space,
    leaky,
    pixel_norm,
    residual_leaky,
    start_weights,
)
from sosie.recipes.two_people.network import FULL_MORPH, Merging, Pictured, TwoPeople

__all__ = ["OPTIONS", "Amp", "Autoencoder", "Df", "Form", "Kind", "Liae", "Merging", "build"]

Kind = Literal["df", "liae", "amp"]
OPTIONS = "udtc"


@dataclass(frozen=True)
class Form:
    """What distinguishes the published networks.

    kind: df, liae or amp. options: letters of OPTIONS: `u` gives the code a fixed length, `d`
    doubles the result's size at little cost, `t` is a deeper encoder and decoder, `c` another
    activation. AMP has `t`, `d` and its own kind of `u`; for it `options` may be "" or "c".
    size_px: a multiple of 16, or of 32 with `d`, `t` and AMP.
    ae: numbers of the code. e, d, dm: width of the encoder, the decoder and its masks' branch.
    inter: channels of AMP's inner networks; the others do not have it.
    """

    kind: Kind = "liae"
    options: str = "ud"
    size_px: int = 128
    ae: int = 256
    e: int = 64
    d: int = 64
    dm: int = 22
    inter: int = 1024

    def has(self, option: str) -> bool:
        """Whether one of OPTIONS is on."""
        return option in self.options or (self.kind == "amp" and option in "td")

    @property
    def multiple(self) -> int:
        """What the size has to be a multiple of."""
        return 32 if self.has("d") or self.has("t") else 16

    def require_sense(self) -> None:
        """Raises UsageError where no network can be built so."""
        unknown = sorted(set(self.options) - set(OPTIONS))
        if unknown:
            raise UsageError(
                f"Unknown option {unknown[0]!r} of DeepFaceLab's networks: choose letters of "
                f"{OPTIONS}."
            )
        if self.size_px < self.multiple or self.size_px % self.multiple:
            raise UsageError(
                f"size_px must be a multiple of {self.multiple} for this network, not "
                f"{self.size_px}."
            )
        for name in ("ae", "e", "d", "dm", "inter"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be 1 or more, not {getattr(self, name)}.")

    def activations(self) -> tuple[Activation, Activation]:
        """Those of the layers and of the residual blocks."""
        return (cosine_unit, cosine_unit) if self.has("c") else (leaky, residual_leaky)


class Encoder(nn.Module):
    """N x 3 x S x S -> the code, N x numbers."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        act, residual_act = form.activations()
        e = form.e
        self._deep = form.has("t")
        if self._deep:
            self.down1: nn.Module = Downscale(3, e, act)
            self.res1 = Residual(e, residual_act)
            self.down2 = Downscale(e, 2 * e, act)
            self.down3 = Downscale(2 * e, 4 * e, act)
            self.down4 = Downscale(4 * e, 8 * e, act)
            self.down5 = Downscale(8 * e, 8 * e, act)
            self.res5 = Residual(8 * e, residual_act)
        else:
            self.down1 = Downscales((e, 2 * e, 4 * e, 8 * e), act)
        low = form.size_px // (32 if self._deep else 16)
        self.numbers = 8 * e * low * low
        self._normed = form.has("u") or form.kind == "amp"
        if form.kind == "amp":
            self.dense1 = nn.Linear(self.numbers, form.ae)
        self._dense = form.kind == "amp"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.down1(x)
        if self._deep:
            x = self.down4(self.down3(self.down2(self.res1(x))))
            x = self.res5(self.down5(x))
        code = x.flatten(1)
        if self._normed:
            code = pixel_norm(code)
        if self._dense:
            code = self.dense1(code)
        return code


class Inter(nn.Module):
    """Code N x numbers -> the decoder's map, N x channels x h x h."""

    def __init__(self, form: Form, numbers: int, channels: int) -> None:
        super().__init__()
        self._side = form.size_px // (32 if form.has("d") else 16)
        self._channels = channels
        self.dense1 = nn.Linear(numbers, form.ae)
        self.dense2 = nn.Linear(form.ae, self._side**2 * channels)
        self.side = self._side
        self._grown = not form.has("t")
        if self._grown:
            self.upscale1 = Upscale(channels, channels, form.activations()[0])
            self.side *= 2

    def forward(self, code: torch.Tensor) -> torch.Tensor:
        x: torch.Tensor = self.dense2(self.dense1(code)).reshape(
            -1, self._channels, self._side, self._side
        )
        if self._grown:
            x = self.upscale1(x)
        return x


class AmpInter(nn.Module):
    """Code N x ae -> AMP's map of one person, N x inter x S/32 x S/32."""

    def __init__(self, form: Form) -> None:
        super().__init__()
        self._side, self._channels = form.size_px // 32, form.inter
        self.dense2 = nn.Linear(form.ae, self._side**2 * form.inter)

    def forward(self, code: torch.Tensor) -> torch.Tensor:
        x: torch.Tensor = self.dense2(code)
        return x.reshape(-1, self._channels, self._side, self._side)


class Decoder(nn.Module):
    """Map N x channels x h x h -> a face and its mask.

    Their branches have no layer in common: the mask's is narrower, and has no residual blocks.
    """

    def __init__(self, form: Form, channels: int) -> None:
        super().__init__()
        act, residual_act = form.activations()
        steps = (8, 8, 4, 2) if form.has("t") else (8, 4, 2)
        self._doubled, self._steps = form.has("d"), len(steps)
        before, mask_before = channels, channels
        for place, times in enumerate(steps):
            width, mask_width = times * form.d, times * form.dm
            self.add_module(f"upscale{place}", Upscale(before, width, act))
            self.add_module(f"res{place}", Residual(width, residual_act))
            self.add_module(f"upscalem{place}", Upscale(mask_before, mask_width, act))
            before, mask_before = width, mask_width
        self.out_conv = nn.Conv2d(before, 3, 1)
        if self._doubled:
            self.out_conv1 = nn.Conv2d(before, 3, 3, padding=1)
            self.out_conv2 = nn.Conv2d(before, 3, 3, padding=1)
            self.out_conv3 = nn.Conv2d(before, 3, 3, padding=1)
            self.add_module(f"upscalem{len(steps)}", Upscale(mask_before, form.dm, act))
            mask_before = form.dm
        self.out_convm = nn.Conv2d(mask_before, 1, 1)

    def forward(self, code: torch.Tensor) -> Pictured:
        face = mask = code
        for place in range(self._steps):
            face = self.get_submodule(f"upscale{place}")(face)
            face = self.get_submodule(f"res{place}")(face)
        for place in range(self._steps + self._doubled):
            mask = self.get_submodule(f"upscalem{place}")(mask)
        if self._doubled:
            heads = (self.out_conv, self.out_conv1, self.out_conv2, self.out_conv3)
            face = depth_to_space(torch.cat([head(face) for head in heads], 1))
        else:
            face = self.out_conv(face)
        return torch.sigmoid(face), torch.sigmoid(self.out_convm(mask))


class Autoencoder(TwoPeople, abc.ABC):
    """What the three kinds have in common.

    form: what it was built by. inner: names of the children between encoder and decoders.
    """

    inner: tuple[str, ...]

    def __init__(self, form: Form) -> None:
        super().__init__()
        form.require_sense()
        self.form = form
        self.encoder = Encoder(form)


class Df(Autoencoder):
    """One inner network and two decoders."""

    inner = ("inter",)

    def __init__(self, form: Form) -> None:
        super().__init__(form)
        self.inter = Inter(form, self.encoder.numbers, form.ae)
        self.decoder_src = Decoder(form, form.ae)
        self.decoder_dst = Decoder(form, form.ae)
        start_weights(self)

    def codes(self, pictures: torch.Tensor) -> torch.Tensor:
        """Maps of what pictures show, without whose face it is, N x ae x h x h."""
        code: torch.Tensor = self.inter(self.encoder(pictures))
        return code

    def of_source(self, pictures: torch.Tensor) -> Pictured:
        found: Pictured = self.decoder_src(self.codes(pictures))
        return found

    def of_target(self, pictures: torch.Tensor) -> Pictured:
        found: Pictured = self.decoder_dst(self.codes(pictures))
        return found

    def swapped(self, pictures: torch.Tensor, morph: float | torch.Tensor = FULL_MORPH) -> Pictured:
        del morph
        return self.of_source(pictures)


class Liae(Autoencoder):
    """Two inner networks, `inter_AB` of both people and `inter_B` of the target's, one decoder."""

    inner = ("inter_AB", "inter_B")

    def __init__(self, form: Form) -> None:
        super().__init__(form)
        self.inter_AB = Inter(form, self.encoder.numbers, 2 * form.ae)
        self.inter_B = Inter(form, self.encoder.numbers, 2 * form.ae)
        self.decoder = Decoder(form, 4 * form.ae)
        start_weights(self)

    def of_source(self, pictures: torch.Tensor) -> Pictured:
        both = self.inter_AB(self.encoder(pictures))
        found: Pictured = self.decoder(torch.cat([both, both], 1))
        return found

    def of_target(self, pictures: torch.Tensor) -> Pictured:
        code = self.encoder(pictures)
        found: Pictured = self.decoder(torch.cat([self.inter_B(code), self.inter_AB(code)], 1))
        return found

    def swapped(self, pictures: torch.Tensor, morph: float | torch.Tensor = FULL_MORPH) -> Pictured:
        del morph
        return self.of_source(pictures)


class Amp(Autoencoder):
    """Two inner networks whose channels are mixed, one decoder."""

    inner = ("inter_src", "inter_dst")

    def __init__(self, form: Form) -> None:
        super().__init__(form)
        self.inter_src, self.inter_dst = AmpInter(form), AmpInter(form)
        self.decoder = Decoder(form, form.inter)
        start_weights(self)

    def mixed(self, pictures: torch.Tensor, of_source: torch.Tensor) -> Pictured:
        """A face of mixed channels. of_source: 1 where a channel is the source's, of a shape that
        fits N x inter x 1 x 1."""
        code = self.encoder(pictures)
        mixture = torch.lerp(self.inter_dst(code), self.inter_src(code), of_source.to(code.dtype))
        found: Pictured = self.decoder(mixture)
        return found

    def of_source(self, pictures: torch.Tensor) -> Pictured:
        """As the source learns: a random half of the channels is the source's."""
        shares = torch.rand(len(pictures), self.form.inter, device=pictures.device)
        ranks = shares.argsort(1).argsort(1)
        return self.mixed(pictures, (ranks < self.form.inter // 2)[:, :, None, None])

    def of_target(self, pictures: torch.Tensor) -> Pictured:
        found: Pictured = self.decoder(self.inter_dst(self.encoder(pictures)))
        return found

    def swapped(self, pictures: torch.Tensor, morph: float | torch.Tensor = FULL_MORPH) -> Pictured:
        places = torch.arange(self.form.inter, device=pictures.device)
        if isinstance(morph, torch.Tensor):
            first = torch.floor(self.form.inter * morph).reshape(-1, 1, 1, 1)
        else:
            first = torch.full((1, 1, 1, 1), int(self.form.inter * morph), device=pictures.device)
        return self.mixed(pictures, places[None, :, None, None] < first)


_KINDS: dict[str, type[Autoencoder]] = {"df": Df, "liae": Liae, "amp": Amp}


def build(form: Form) -> Autoencoder:
    """An untrained network. Raises UsageError where the form makes no sense."""
    if form.kind not in _KINDS:
        raise UsageError(f"Unknown kind {form.kind!r}: choose one of {', '.join(_KINDS)}.")
    return _KINDS[form.kind](form)
