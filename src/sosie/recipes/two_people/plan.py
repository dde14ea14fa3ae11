"""What a training of two people decides, with DeepFaceLab's defaults where it has some."""

from __future__ import annotations

from dataclasses import dataclass

from sosie.errors import UsageError, nearest
from sosie.geometry.face_types import FACE_TYPES
from sosie.training.recipe import Plan, require

OPTIMIZERS = ("adabelief", "rmsprop", "adam")

_SWITCHES = (
    *("pretrain", "own_masks", "masked", "random_warp", "uniform_yaw", "flip_source"),
    *("flip_target", "steady"),
)


@dataclass(frozen=True)
class TwoPeoplePlan(Plan):
    """A plan with what all trainings of two people decide. Switches are 0 or 1.

    size_px: side of the crops; face_type: of `FACE_TYPES`, how much is about the face. optimizer:
    of OPTIMIZERS. steady: the rate stays, instead of falling as a cosine. kept: share of the
    weights that take part in a step (learning-rate dropout). period: steps of a cosine of the rate,
    0 for none.
    pretrain: both sides are one mixed set of many people, without bending. own_masks: masks are the
    user's. masked: what is beside the face is not learned.
    random_warp: bend what the network sees. uniform_yaw: all yaws are drawn equally often.
    flip_source, flip_target: mirror some faces of that side. scale: by how much sizes change. hue:
    by how much colors change.
    features: weight of eyes, brows and mouth beside the rest. true_face: weight of a discriminator
    of codes (DF alone). face_style, background_style: 0..100, how far the swapped face takes the
    target's colors, and its surroundings. gan: weight of a discriminator of pictures; gan_patch:
    what it looks at, pixels, 0 for an eighth of the side; gan_base: its width.
    """

    samples: int = 4_000_000
    batch: int = 8
    lr: float = 5e-5
    weight_decay: float = 0.0
    warmup: float = 0.0
    ema: float = 0.0
    clip: float = 1e9
    validate_every: int = 20_000
    size_px: int = 128
    face_type: str = "whole"
    optimizer: str = "adabelief"
    steady: int = 1
    kept: float = 1.0
    period: int = 0
    pretrain: int = 0
    own_masks: int = 0
    masked: int = 1
    random_warp: int = 1
    uniform_yaw: int = 0
    flip_source: int = 0
    flip_target: int = 1
    scale: float = 0.15
    hue: float = 0.0
    features: float = 0.0
    true_face: float = 0.0
    face_style: float = 0.0
    background_style: float = 0.0
    gan: float = 0.0
    gan_patch: int = 0
    gan_base: int = 16

    def require_sense(self) -> None:
        super().require_sense()
        require(self, _SWITCHES, least=0, most=1)
        require(self, ("features", "true_face", "gan", "period", "gan_patch"), least=0)
        require(self, ("face_style", "background_style"), least=0, most=100)
        require(self, ("gan_base",), least=1)
        require(self, ("scale", "hue"), least=0, most=0.5)
        require(self, ("kept",), least=0.01, most=1)
        if self.optimizer == "adam" and (self.kept != 1 or self.period):
            raise UsageError(
                "kept and period belong to adabelief and rmsprop: leave them out, or choose one of "
                "these with optimizer."
            )
        if not self.gan and (self.gan_patch or self.gan_base != TwoPeoplePlan.gan_base):
            raise UsageError("gan_patch and gan_base say how gan works: give gan a weight, too.")
        for name, known in (("optimizer", OPTIMIZERS), ("face_type", tuple(FACE_TYPES))):
            value = getattr(self, name)
            if value not in known:
                raise UsageError(f"Unknown {name} {value!r}: {nearest(value, known)}.")
