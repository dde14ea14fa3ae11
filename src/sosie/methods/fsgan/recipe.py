"""What the recipes of FSGAN's three generators share.

The published recipe has two VGG-19 for its features; see `losses` for what stands in for them. It
trains at half of the size with batches of 48 and then of 24; here all have one size.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sosie.datasets.people import Pair, Pairs
from sosie.errors import UsageError
from sosie.geometry.face_types import BOX
from sosie.methods.fsgan.heat_maps import mirrored
from sosie.methods.fsgan.losses import FaceFeatures, critic_loss, fooled_loss, heat_maps
from sosie.methods.fsgan.network import INPUTS, Critic, PyramidGenerator, halved
from sosie.methods.fsgan.samples import Faces, open_faces
from sosie.nn.blocks import fast_precision, lay_channels_last
from sosie.recipes.swapper.model_file import LICENSE, SwapperCard, export_checked
from sosie.training.log import grid
from sosie.training.recipe import Materials, Phase, Plan, Recipe, require

Batch = dict[str, torch.Tensor]

PAPER = "Nirkin et al. 2022, FSGANv2: Improved Subject Agnostic Face Swapping and Reenactment"

_VALIDATED, _PREVIEWED, _AT_ONCE = 48, 6, 16

_HALVINGS_BEFORE, _HALVINGS_AFTER = 2.4, 5.0
"""So many times ten epochs are trained at half of the size, and at the whole: after each ten the
rate is halved."""


@dataclass(frozen=True)
class FsganPlan(Plan):
    """A plan with what FSGAN's networks decide; as it stands, the published one of the reenactment.

    size_px: side of the crops. width: channels at full size. most: channels at most. flat: residual
    blocks behind each join. critic: channels of the discriminators' first layer. half_until: until
    this share of the samples crops are half as large, the fine part does not learn, and the rate is
    2.5 times as high. The rest are weights of losses. finetune: 1 for a network that is fine-tuned
    on one person by the published rule, 2 by Sosie's own.
    """

    samples: int = 47_040_000
    batch: int = 24
    lr: float = 4e-5
    weight_decay: float = 0.0
    clip: float = 1e9
    validate_every: int = 480_000
    size_px: int = 256
    width: int = 128
    most: int = 1024
    flat: int = 2
    critic: int = 64
    pixel: float = 0.1
    identity: float = 0.5
    attribute: float = 0.5
    adversarial: float = 0.001
    half_until: float = 0.49
    finetune: int = 0

    def require_sense(self) -> None:
        super().require_sense()
        require(self, ("pixel", "identity", "attribute", "adversarial"), least=0)
        require(self, ("half_until",), least=0, most=1)
        require(self, ("width", "most", "flat", "critic"), least=1)
        require(self, ("finetune",), least=0, most=2)
        require(self, ("size_px",), least=32, most=1024)
        if self.size_px % 16:
            raise UsageError(f"size_px must be a multiple of 16, not {self.size_px}.")

    def pace(self, progress: float) -> float:
        """Share of the rate: halved after every ten epochs at each of both sizes."""
        if self.finetune:
            return 1.0
        if progress < self.half_until:
            return float(2.5 * 0.5 ** math.floor(_HALVINGS_BEFORE * progress / self.half_until))
        rest = (progress - self.half_until) / max(1 - self.half_until, 1e-9)
        return float(0.5 ** math.floor(_HALVINGS_AFTER * min(rest, 0.999)))


_SMALL: dict[str, Any] = {
    "samples": 24_000,
    "batch": 8,
    "lr": 4e-4,
    "clip": 10.0,
    "ema": 0.998,
    "validate_every": 2_400,
    "size_px": 64,
    "width": 16,
    "most": 128,
    "flat": 1,
    "critic": 16,
    "pixel": 1.0,
    "half_until": 0.0,
}


def small(plan: FsganPlan, **changes: Any) -> FsganPlan:
    """A plan for a processor: crops of 64 px, narrow networks, faster learning."""
    return replace(plan, **(_SMALL | changes))


@dataclass(frozen=True)
class Task:
    """What a generator is given of a batch, N x C x S x S and at half of that; what it should make
    of it, N x 3 x S x S; what the critic is shown as real; and where the face in it is, N x 2 x 3,
    identity network's crop -> picture. All pictures -1..1."""

    full: torch.Tensor
    half: torch.Tensor
    wanted: torch.Tensor
    real: torch.Tensor
    aligned: torch.Tensor


class Learner(nn.Module):
    """A generator and its critic."""

    def __init__(self, inputs: int, plan: FsganPlan) -> None:
        super().__init__()
        self.generator = PyramidGenerator(inputs, plan.width, plan.most, plan.flat)
        self.critic = Critic(plan.critic)


class GeneratorRecipe(Recipe):
    """A recipe of one of the generators; `stage` is a key of INPUTS. same: share of the pairs that
    show one person."""

    stage: ClassVar[str]
    same: ClassVar[float]
    plan: ClassVar[FsganPlan]
    origins: ClassVar[Mapping[str, str]] = {
        "given": "faces that drive one another",
        "sosie": "features of who somebody is, in place of VGG-19's",
        "sosie_landmarks": "where the landmarks of each face are",
        "sosie_parser": "what of each picture is face",
    }
    keeps_snapshot: ClassVar[bool] = True
    license: ClassVar[str] = LICENSE

    def __init__(self, materials: Materials, chosen: Plan | None = None) -> None:
        super().__init__(materials, chosen)
        self.settings = cast(FsganPlan, self.chosen)

    @classmethod
    def plan_with(cls, plan: Plan, settings: Mapping[str, str]) -> Plan:
        for name in ("warmup", "finetune"):
            if name in settings:
                raise UsageError(f"{cls.name} has no use for {name}: leave it out.")
        return super().plan_with(plan, settings)

    def uses(self) -> Mapping[str, str]:
        if not self.settings.attribute:
            return self.origins
        return {**self.origins, "squeezenet": "features of what is seen, in place of VGG-19's"}

    def prepare(self) -> None:
        # Cut the faces out, and refuse what is missing, before the first step.
        self.features  # noqa: B018
        self.pairs  # noqa: B018
        self.held_out  # noqa: B018

    def network(self) -> nn.Module:
        learner = Learner(INPUTS[self.stage], self.settings)
        lay_channels_last(learner)
        return learner

    @abc.abstractmethod
    def task(self, batch: Batch) -> Task:
        """What is asked of the generator."""

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, NDArray[Any]]:  # noqa: ARG002
        return self.of_pair(self.pairs.draw(rng), rng)

    def of_pair(
        self, pair: Pair, rng: np.random.Generator | None, faces: Faces | None = None
    ) -> dict[str, NDArray[Any]]:
        """source, target: uint8, S x S x 3. points: of the target, 98 x 2. aligned: of the target,
        2 x 3. seed: of what else is drawn. rng: mirrors half of them; None mirrors none. faces:
        that the pair is of; None takes those of the data."""
        faces, size = faces or self.faces, self.settings.size_px
        source, target = (faces.people.faces[row] for row in (pair.source, pair.target))
        points, aligned = faces.points[pair.target], faces.aligned[pair.target]
        seed = pair.target if rng is None else int(rng.integers(2**31))
        if rng is not None and rng.random() < 0.5:
            source, target, points = source[:, ::-1], target[:, ::-1], mirrored(points, size)
            aligned = np.array(aligned, np.float32)
            aligned[0] = (0, 0, size - 1) - aligned[0]
        return {
            "source": np.array(source),
            "target": np.array(target),
            "points": np.array(points, np.float32),
            "aligned": np.array(aligned, np.float32),
            "seed": np.int64(seed),  # type: ignore[dict-item]
        }

    def phases(self) -> tuple[Phase, ...]:
        plan = self.settings
        rule: dict[str, Any] = {"betas": (0.5, 0.999), "decoupled": False, "pace": plan.pace}
        learned = Phase("generator", self._generate, ("generator",), **rule)
        if not plan.adversarial:
            return (learned,)
        return (learned, Phase("critic", self._judge, ("critic",), rate=0.1, **rule))

    def _generate(
        self, network: nn.Module, batch: Batch, progress: float
    ) -> dict[str, torch.Tensor]:
        learner, plan = cast(Learner, network), self.settings
        with torch.no_grad():
            task = self.task(batch)
        wanted, aligned, real = task.wanted, task.aligned, task.real
        with fast_precision(wanted.device):
            if progress < plan.half_until:
                made = learner.generator.coarse(task.half)
                wanted, real = halved(wanted), halved(real)
                aligned = (aligned + _CORNER.to(aligned.device)) / 2 - _CORNER.to(aligned.device)
            else:
                made = cast(torch.Tensor, learner.generator(task.full, task.half))
        made = made.float()
        # The critic, whose turn is next, sees what has just been made.
        batch["made"], batch["real"] = made.detach(), real
        return self.terms(learner, made, wanted, aligned)

    def terms(
        self,
        learner: Learner,
        made: torch.Tensor,
        wanted: torch.Tensor,
        aligned: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """The weighted losses of what the generator made."""
        plan, features = self.settings, self.features.to(made.device)
        terms = {"pixel": plan.pixel * (made - wanted).abs().mean()}
        if plan.identity:
            terms["identity"] = plan.identity * features.identity(made, wanted, aligned)
        if plan.attribute:
            terms["attribute"] = plan.attribute * features.attribute(made, wanted)
        if plan.adversarial:
            with fast_precision(made.device):
                judged = learner.critic(made)
            terms["adversarial"] = plan.adversarial * fooled_loss(judged)
        return terms

    def _judge(self, network: nn.Module, batch: Batch, progress: float) -> dict[str, torch.Tensor]:  # noqa: ARG002
        critic = cast(Learner, network).critic
        with fast_precision(batch["made"].device):
            real, made = critic(batch["real"]), critic(batch["made"])
        return {"told_apart": critic_loss(real, made)}

    def validate(self, network: nn.Module) -> dict[str, float]:
        """On people who were held out. similarity: of what is made to what is wanted (cosine of
        identities). error: mean absolute difference, of 0..1."""
        return self.figures(cast(Learner, network).generator, self.held_out)

    def figures(
        self, generator: nn.Module, pairs: list[Pair], faces: Faces | None = None
    ) -> dict[str, float]:
        """The figures of some pairs; see `of_pair`."""
        found = []
        for start in range(0, len(pairs), _AT_ONCE):
            task, made = self.made(generator, pairs[start : start + _AT_ONCE], faces)
            features = self.features.to(made.device)
            alike = features.embed(made, task.aligned) * features.embed(task.wanted, task.aligned)
            error = (made - task.wanted).abs().mean((1, 2, 3)) / 2
            found.append(torch.stack([alike.sum(1), error]))
        similarity, apart = torch.cat(found, 1).mean(1).tolist()
        return {"score": similarity - 4 * apart, "similarity": similarity, "error": apart}

    def preview(self, network: nn.Module) -> NDArray[np.uint8]:
        """Rows of what is given (its first picture), what is wanted, and what is made."""
        return self.shown(network, self.held_out)

    def shown(
        self, network: nn.Module, pairs: list[Pair], faces: Faces | None = None
    ) -> NDArray[np.uint8]:
        """The same of some pairs; see `of_pair`."""
        generator = cast(Learner, network).generator
        task, made = self.made(generator, pairs[:_PREVIEWED], faces)
        columns = [as_pixels(one) for one in (task.full[:, :3], task.wanted, made)]
        return grid([[column[row] for column in columns] for row in range(len(made))])

    def made(
        self, generator: nn.Module, pairs: list[Pair], faces: Faces | None = None
    ) -> tuple[Task, torch.Tensor]:
        """What is asked in some pairs, and what the generator makes; see `of_pair`."""
        device = next(generator.parameters()).device
        samples = [self.of_pair(pair, None, faces) for pair in pairs]
        batch = {
            key: torch.from_numpy(np.stack([one[key] for one in samples])).to(device)
            for key in samples[0]
        }
        task = self.task(batch)
        return task, cast(torch.Tensor, generator(task.full, task.half))

    def export(self, network: nn.Module, file: Path) -> None:
        """The generator as `sosie swap --method fsgan` runs it."""
        side, channels = self.settings.size_px, INPUTS[self.stage]
        rng = np.random.default_rng(0)
        inputs = {
            name: rng.uniform(-1, 1, (2, channels, px, px)).astype(np.float32)
            for name, px in (("full", side), ("half", side // 2))
        }
        told = asdict(SwapperCard("fsgan", BOX, side, -1.0, PAPER)) | {"stage": self.stage}
        export_checked(cast(Learner, network).generator, inputs, ("picture",), told, file)

    def weights_of_published(
        self, name: str, weights: Mapping[str, torch.Tensor]
    ) -> dict[str, torch.Tensor]:
        known = {f"fsgan_{self.stage}_v2": "generator", "fsgan_disc": "critic"}
        if name not in known:
            raise UsageError(
                f"A training of {self.name} cannot begin with {name}: of the published networks it "
                f"takes {' and '.join(known)}."
            )
        return {f"{known[name]}.{key}": value for key, value in weights.items()}

    @cached_property
    def faces(self) -> Faces:
        materials = self.materials
        return open_faces(materials.data, materials.cache, self.settings.size_px, materials.workers)

    @cached_property
    def pairs(self) -> Pairs:
        people = self.faces.people
        return Pairs(people.people, people.split()[0], self.same)

    @cached_property
    def held_out(self) -> list[Pair]:
        """The pairs that figures are of."""
        people = self.faces.people
        rows = people.split()[1]
        drawn, rng = Pairs(people.people, rows, self.same), np.random.default_rng(0)
        return [drawn.draw(rng) for _ in range(min(_VALIDATED, 4 * len(rows)))]

    @cached_property
    def features(self) -> FaceFeatures:
        teachers = self.materials.teachers if self.settings.attribute else None
        return FaceFeatures(teachers)


_CORNER = torch.tensor([[0.0, 0.0, 0.5], [0.0, 0.0, 0.5]])
"""From a pixel's center to its corner, which halving leaves where it is."""


def as_pictures(crops: torch.Tensor) -> torch.Tensor:
    """uint8, N x S x S x 3 -> N x 3 x S x S, -1..1."""
    return crops.permute(0, 3, 1, 2).float() / 127.5 - 1


def as_pixels(pictures: torch.Tensor) -> NDArray[np.uint8]:
    """The way back."""
    unit = ((pictures.float() + 1) / 2).clamp(0, 1)
    return (unit * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def driven(source: torch.Tensor, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What the reenactment is given, at both sizes: the source (N x 3 x S x S), then a map of each
    of the target's points (N x 98 x 2)."""
    size = int(source.shape[-1])
    full, half = (heat_maps(points, size, px) for px in (size, size // 2))
    return torch.cat([source, full], 1), torch.cat([halved(source), half], 1)
