"""What the network is asked for: the known answer, or, across people, a likeness and a light.

Pictures are N x 3 x H x W, float32, 0..1; masks N x 1 x H x W, 0..1. All terms are means over the
samples that they apply to, and 0 where there are none.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own documents call it F
from torch import nn

from sosie.analysis.landmarker import SIDE_PX as LANDMARKS_PX
from sosie.methods.graft.network import applied
from sosie.methods.graft.samples import CROSS
from sosie.methods.graft.view import CHANNELS, MARGIN
from sosie.nn.blocks import fast_precision
from sosie.recipes.likeness import (
    Judges,
    aligned_faces,
    described,
    identified,
    jittered,
)
from sosie.training.losses import discriminator_loss, generator_loss

# Weights of the terms: color at full size and blurred twice over, edges, the perceptual distance;
# likeness to the source by two networks and, above what strangers have, to the target; light, the
# seam, and detail where geometry knew better; the target's expression, and features where they are
# meant to be; to be taken for a photo.
_COLOR, _COARSE, _EDGES, _PERCEPTUAL = 3.0, 6.0, 2.0, 3.0
_LIKENESS, _ALIKE, _LEAK, _LIGHT, _SEAM, _DETAIL = 6.5, 6.0, 5.0, 3.0, 0.7, 0.1
_EXPRESSION, _PLACES, _ADVERSARIAL = 3.5, 0.8, 0.5
_STRANGERS = 0.1
# Weight of the amount of fine detail about each place, and how far about, in pixels. Without it
# detail fades: what does not fit to the pixel costs less when it is faint.
_GRAIN, _KEPT_GRAIN, _GRAIN_PX = 20.0, 8.0, 16
# Likeness where the answer is known: the answer asks for it too, but what fits to the pixel only on
# average washes a person out.
_KNOWN_LIKENESS = 1.5
# The light that must agree varies over this share of the square; it is compared at this size.
_LIGHT_SIGMA, _LIGHT_PX = 0.2 / MARGIN, 32
_KNOWN, _SHOWN, _OWN = ([CHANNELS.index(name)] for name in ("known", "shown", "own"))
# Width of the band along the face's edge in which the seam is judged, in pixels of a quarter size.
_BAND_PX = 5


@dataclass(frozen=True)
class Batch:
    """A batch of samples (`training.swap.samples`) and what the network made of them.

    target: what is to be, or, of a cross, what was. face, known, own: masks of where the face is
    seen, where the draft is the source's texture, and where the target's own parts. base: the
    draft; result: the corrected one; joined: the same in the target. detail: what the network
    added, N x 3 x H x W. aligned: N x 2 x 3, from the identity network's crop to the square. cross:
    bool, N: whether the answer is unknown.
    """

    target: torch.Tensor
    face: torch.Tensor
    known: torch.Tensor
    own: torch.Tensor
    base: torch.Tensor
    result: torch.Tensor
    joined: torch.Tensor
    detail: torch.Tensor
    aligned: torch.Tensor
    cross: torch.Tensor


def corrected(network: nn.Module, batch: dict[str, torch.Tensor]) -> Batch:
    """Run the network on a batch of samples."""
    shown = batch["shown"]
    with fast_precision(shown.device):
        light, detail = network(shown)
    result = applied(shown, light, detail)
    masks = shown.permute(0, 3, 1, 2).float() / 255
    target = batch["target"].permute(0, 3, 1, 2).float() / 255
    face = masks[:, _SHOWN]
    # Overshoot is cut off at the end; here it must keep a gradient.
    joined = target + (result - target) * face
    return Batch(
        target,
        face,
        masks[:, _KNOWN],
        masks[:, _OWN],
        masks[:, :3],
        result,
        joined,
        detail.float(),
        batch["aligned"],
        batch["kind"] == CROSS,
    )


def graft_losses(
    made: Batch,
    batch: dict[str, torch.Tensor],
    judges: Judges,
    judge: nn.Module,
) -> dict[str, torch.Tensor]:
    """The weighted terms. judge: of `GraftLearner`."""
    terms = {"detail": _DETAIL * (made.detail.abs() * made.known * made.face).mean()}
    known, cross = ~made.cross, made.cross
    share = float(known.float().mean())
    if share > 0:
        face = made.face[known]
        ours, answer = made.joined[known], made.target[known]
        area = face.mean().clamp_min(0.01)
        off = ours - answer
        terms["color"] = share * _COLOR * off.abs().mean() / area
        terms["edges"] = share * _EDGES * _edges(off) / area
        terms["coarse"] = share * _COARSE * _coarse(off) / area
        terms["grain"] = share * _GRAIN * (_grain(ours) - _grain(answer)).abs().mean() / area
        half = [F.avg_pool2d(picture, 2) for picture in (ours, answer)]
        terms["perceptual"] = share * _PERCEPTUAL * _mean(judges.perceptual, *half)
    with fast_precision(made.joined.device):
        taken = judge(F.avg_pool2d(made.joined, 2))
    terms["adversarial"] = _ADVERSARIAL * generator_loss("hinge", [taken])
    likeness, leak = likenesses(made, batch, judges)
    weight = torch.where(cross, _LIKENESS, _KNOWN_LIKENESS)
    terms["likeness"] = (weight * (1 - likeness)).mean()
    if share < 1:
        alike = likeness_by_dlib(made, batch, judges)
        rest = 1 - share
        terms["alike"] = rest * _ALIKE * (1 - alike).mean()
        terms["leak"] = rest * _LEAK * F.relu(leak[cross] - _STRANGERS).mean()
        terms["light"] = rest * _LIGHT * light_difference(made)[cross].mean()
        terms["seam"] = rest * _SEAM * seam(made)[cross].mean()
        expression, places = misread(made, batch, judges.landmarks)
        terms["expression"] = rest * _EXPRESSION * expression.mean()
        terms["places"] = rest * _PLACES * places.mean()
        weight = F.avg_pool2d(made.face * made.known, _GRAIN_PX)[cross]
        off = (_grain(made.result[cross]) - _grain(made.base[cross])).abs() * weight
        faded = rest * _KEPT_GRAIN * off.mean() / weight.mean().clamp_min(0.01)
        terms["grain"] = terms.get("grain", 0) + faded
    return terms


def judge_losses(
    made: torch.Tensor, target: torch.Tensor, judge: nn.Module
) -> dict[str, torch.Tensor]:
    """How badly the judge tells swaps from photos, both N x 3 x H x W."""
    with fast_precision(target.device):
        real, fake = (judge(F.avg_pool2d(pictures, 2)) for pictures in (target, made))
    return {"told_apart": discriminator_loss("hinge", [real], [fake])}


def _mean(perceptual: nn.Module, ours: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
    with fast_precision(ours.device):
        distances: torch.Tensor = perceptual(ours.clamp(0, 1), answer)
    return distances.float().mean()


def likenesses(
    made: Batch, batch: dict[str, torch.Tensor], judges: Judges
) -> tuple[torch.Tensor, torch.Tensor]:
    """The cosine of the results' identities with the sources' and with the targets', N each, by
    Sosie's network. The faces are looked at a little askew."""
    numbers = identified(made.joined, jittered(made.aligned), judges.identity)
    return (numbers * batch["source_identity"]).sum(1), (numbers * batch["target_identity"]).sum(1)


def likeness_by_dlib(made: Batch, batch: dict[str, torch.Tensor], judges: Judges) -> torch.Tensor:
    """The cosine of the results' identities with the sources' by dlib's network, of the crosses."""
    cross = made.cross
    numbers = described(made.joined[cross], jittered(made.aligned[cross]), judges.dlib)
    others = numbers - batch["dlib_mean"][cross]
    return F.cosine_similarity(others, batch["source_dlib"][cross])


def misread(
    made: Batch, batch: dict[str, torch.Tensor], landmarks: nn.Module
) -> tuple[torch.Tensor, torch.Tensor]:
    """How far the results' expression weights are from the targets' (Euclidean), and their points
    from where they are meant to be (mean, pixels of the landmark network), of the crosses."""
    cross = made.cross
    looked, moved = batch["looked"][cross], batch["moved"][cross]
    with torch.no_grad():
        there, _, weights = _read(made.target[cross], looked, landmarks)
    points, _, ours = _read(made.joined[cross], looked, landmarks)
    expression = (ours - weights).square().sum(1).add(1e-4).sqrt()
    return expression, (points - there - moved).square().sum(2).add(1e-2).sqrt().mean(1)


def _read(
    pictures: torch.Tensor, looked: torch.Tensor, landmarks: nn.Module
) -> tuple[torch.Tensor, ...]:
    squares = aligned_faces(pictures, looked, LANDMARKS_PX)
    answer: tuple[torch.Tensor, ...] = landmarks(squares.clamp(0, 1).permute(0, 2, 3, 1) * 255)
    return answer


def light_difference(made: Batch) -> torch.Tensor:
    """Mean difference of the slow light of result and target over the skin, N, 0..1."""
    weight = made.face * (1 - made.own)
    step = made.face.shape[2] // _LIGHT_PX
    small = F.avg_pool2d(weight, step)
    spread = _slow(small) + 1e-4
    apart = _slow(F.avg_pool2d((made.result - made.target) * weight, step)) / spread
    return (apart.abs() * small).sum((1, 2, 3)) / (3 * small.sum((1, 2, 3)) + 1e-4)


def _slow(pictures: torch.Tensor) -> torch.Tensor:
    """Pictures blurred over _LIGHT_SIGMA of their side."""
    side = pictures.shape[2]
    steps = torch.arange(side, device=pictures.device, dtype=torch.float32)
    apart = (steps[:, None] - steps[None, :]) / (_LIGHT_SIGMA * side)
    kernel = torch.exp(-0.5 * apart.square())
    kernel = kernel / kernel.sum(1).max()
    return kernel @ pictures @ kernel.T


def seam(made: Batch) -> torch.Tensor:
    """Mean difference of result and target, both blurred a little, just within the face's edge: N,
    0..1."""
    ours, theirs, face = (F.avg_pool2d(p, 4) for p in (made.result, made.target, made.face))
    inner = -F.max_pool2d(-face, 2 * _BAND_PX + 1, 1, _BAND_PX)
    band = (face - inner).clamp_min(0)
    apart = F.avg_pool2d((ours - theirs) * face, 5, 1, 2) / (F.avg_pool2d(face, 5, 1, 2) + 1e-3)
    # What stands out is hair or a shadow of the target: beyond this it counts no more.
    apart = apart.abs().clamp_max(0.2)
    return (apart * band).sum((1, 2, 3)) / (3 * band.sum((1, 2, 3)) + 1e-4)


def _coarse(apart: torch.Tensor) -> torch.Tensor:
    """Mean size of what is left of a difference after a blur over 4 px and over 16 px."""
    return (F.avg_pool2d(apart, 4).abs().mean() + F.avg_pool2d(apart, 16).abs().mean()) / 2


def _grain(pictures: torch.Tensor) -> torch.Tensor:
    """Mean size of what is finer than 5 px, in squares of _GRAIN_PX."""
    fine = pictures - F.avg_pool2d(pictures, 5, 1, 2, count_include_pad=False)
    return F.avg_pool2d(fine.abs(), _GRAIN_PX)


def _edges(apart: torch.Tensor) -> torch.Tensor:
    """Mean size of the slopes of a difference, at half the size."""
    small = F.avg_pool2d(apart, 2)
    across, down = small[..., 1:] - small[..., :-1], small[..., 1:, :] - small[..., :-1, :]
    return across.abs().mean() + down.abs().mean()
