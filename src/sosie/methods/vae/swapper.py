"""The swap of a trained space: the target's latent, moved from one person's mean to another's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sosie.errors import UsageError
from sosie.methods.base import Card, Source, nearest_pose, soft_edge
from sosie.methods.vae.latent import LatentSpace
from sosie.models.session import Session
from sosie.types import Crop, Pose, SwappedCrop

SOURCE, TARGET = "source", "target"
"""What the two people are called whom a training of two sets learned, as `recipes.own_faces` has
it."""

# Towards the crop's edge the swapped face gives way to the target over this share of its side.
_EDGE = 0.08


class VaeSwapper:
    """z + (mean of the source - mean of the target), decoded.

    Who the source is, is in the weights: source photos say nothing more. Raises UsageError where
    the weights are of one set, and InputError where their file is damaged.
    """

    def __init__(self, file: Path, session: Session, text: str) -> None:
        """As `LatentSpace`."""
        self._space = LatentSpace(file, session, text)
        people = self._space.people
        if set(people) != {SOURCE, TARGET}:
            raise UsageError(
                f"{file} learned one set of faces, and a swap takes two people: train with `sosie "
                f"train vae --source FOLDER --target FOLDER`; `sosie latent` walks in this one."
            )
        self._shift = people[SOURCE] - people[TARGET]
        self.providers = {"vae": session.provider}
        card = self._space.card
        self.card = Card(
            name="vae",
            summary=f"an autoencoder of two people that was trained with Sosie: {file.name}",
            license=card.license,
            paper=card.paper,
            template=card.template,
            size_px=card.size_px,
            drafts=0,
        )

    def prepare(self, sources: Sequence[Source]) -> tuple[Pose, ...]:
        """The poses of the source photos, of which nothing else is taken."""
        return tuple(one.face.pose for one in sources)

    def choose(self, prepared: Sequence[Pose], crop: Crop, before: int | None = None) -> int:
        """Which source photo is nearest to the target's head pose, for the report."""
        return nearest_pose(prepared, crop.face.pose, before) if prepared else 0

    def swap(self, prepared: Sequence[Pose], crops: Sequence[Crop]) -> list[SwappedCrop]:  # noqa: ARG002 - the contract
        """All crops in one run."""
        if not crops:
            return []
        unit = [one.pixels.astype(np.float32) / np.iinfo(one.pixels.dtype).max for one in crops]
        made = self._space.moved(np.stack(unit), self._shift)
        mask = soft_edge(self._space.card.size_px, _EDGE)
        return [SwappedCrop(one, mask, np.zeros_like(mask)) for one in made]
