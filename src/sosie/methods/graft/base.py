"""What the methods share that carry a source's texture onto the target's geometry."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from sosie.methods.base import Source, nearest_pose
from sosie.methods.graft.completion import complete
from sosie.methods.graft.source_texture import PreparedPhoto, cut_out, prepare_photo
from sosie.types import Crop, SwappedCrop


class CarriedSwapper(ABC):
    """All of a `Swapper` but its card and the swap of one crop.

    keep: what stays on a source's face, of `options.KEPT`.
    """

    keep: tuple[str, ...] = ()

    @property
    def providers(self) -> Mapping[str, str]:
        """None: geometry needs no network."""
        return {}

    def prepare(self, sources: Sequence[Source]) -> tuple[PreparedPhoto, ...]:
        """Texture pyramids of each source photo, made whole."""
        made = complete([cut_out(source) for source in sources], self.keep)
        return tuple(prepare_photo(one.source, one.fill) for one in made)

    def choose(
        self, prepared: Sequence[PreparedPhoto], crop: Crop, before: int | None = None
    ) -> int:
        """Which source photo is nearest to the target's head pose."""
        return nearest_pose([photo.pose for photo in prepared], crop.face.pose, before)

    def swap(self, prepared: Sequence[PreparedPhoto], crops: Sequence[Crop]) -> list[SwappedCrop]:
        """Each crop's face with the texture of the photo that suits it, or that it names."""
        chosen = [self.choose(prepared, c) if c.source is None else c.source for c in crops]
        return [
            self.swap_one(prepared[number], crop)
            for number, crop in zip(chosen, crops, strict=True)
        ]

    @abstractmethod
    def swap_one(self, photo: PreparedPhoto, crop: Crop) -> SwappedCrop:
        """One crop's face with the texture of one photo."""
