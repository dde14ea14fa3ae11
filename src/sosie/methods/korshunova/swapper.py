"""The swap of a network that paints everybody as one person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sosie.errors import InputError
from sosie.methods.base import Card, Source, nearest_pose, soft_edge
from sosie.methods.weights import trained_facts
from sosie.models.session import Session
from sosie.types import Crop, Pose, SwappedCrop

# Towards the crop's edge the swapped face gives way to the target over this share of its side.
_EDGE = 0.08


class KorshunovaSwapper:
    """The target's crop, painted. Who the source is, is in the weights: source photos say nothing
    more. Raises InputError where the file is damaged."""

    def __init__(self, file: Path, session: Session) -> None:
        """file: the ONNX file of a snapshot; session: the same, opened."""
        self._file, self._session = file, session
        facts = trained_facts(file, session)
        if set(session.inputs) != {"target"}:
            raise InputError(f"{file} takes more than a picture: train one with `sosie train`.")
        self.providers = {"korshunova": session.provider}
        self.card = Card(
            name="korshunova",
            summary=f"one person's network that was trained with Sosie: {file.name}",
            license=str(facts["license"]),
            paper=str(facts["paper"]),
            template=str(facts["template"]),
            size_px=int(facts["size_px"]),
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
        target = np.ascontiguousarray(np.stack(unit).transpose(0, 3, 1, 2), np.float32)
        made = next(iter(self._session.run({"target": target}).values()))
        if made.shape != target.shape:
            raise InputError(
                f"{self._file} gives {made.shape} numbers instead of {target.shape}: it is damaged."
            )
        pictures = np.clip(made.transpose(0, 2, 3, 1), 0, 1).astype(np.float32)
        mask = soft_edge(target.shape[-1], _EDGE)
        return [SwappedCrop(one, mask, np.zeros_like(mask)) for one in pictures]
