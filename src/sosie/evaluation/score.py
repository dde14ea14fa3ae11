"""One pair and its result -> all figures of it, with nothing analyzed or measured twice."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sosie.analysis.analyzer import Analyzer, make_face
from sosie.evaluation import metrics
from sosie.evaluation.cache import Cache, key_of, pack_vectors, unpack_vectors
from sosie.evaluation.environment import packages, weight_digests
from sosie.evaluation.metric import SampleFeatures, Settings
from sosie.evaluation.metrics import Scored
from sosie.evaluation.recognition import Judges
from sosie.evaluation.sample import LOOK_VERSION, AnalyzedImage, Sample, find_face, identify
from sosie.types import Face, FloatArray

A = TypeVar("A")
B = TypeVar("B")

# Faces of a target whose pixels differ by less than this, of 255, were not swapped.
_UNTOUCHED = 1.0
# Faces that a recognition network is given at once.
_BATCH = 8


@dataclass(frozen=True)
class Shot:
    """A picture to be judged. name: as the list of pairs has it. pixels: RGB uint8, H x W x 3.
    face: the one to be judged, where it is known already."""

    name: str
    pixels: NDArray[np.uint8]
    face: Face | None = None

    @cached_property
    def key(self) -> str:
        """The digest of its pixels."""
        return key_of(self.pixels)


@dataclass(frozen=True)
class Material:
    """What is judged of one pair. result: None where there is none, so that the pair only takes
    part in what is said of the whole set."""

    pair: str
    source: Shot
    target: Shot
    result: Shot | None
    other: Shot | None = None
    source_person: str = ""
    target_person: str = ""

    @property
    def shots(self) -> dict[str, Shot]:
        """The pictures that are there, by their part in the pair."""
        named = {
            "source": self.source,
            "target": self.target,
            "result": self.result,
            "other": self.other,
        }
        return {part: shot for part, shot in named.items() if shot is not None}

    def features(self, vectors: Mapping[str, FloatArray]) -> SampleFeatures:
        """What figures of sets need of the pair."""
        return SampleFeatures(
            pair=self.pair,
            source=self.source.name,
            target=self.target.name,
            source_person=self.source_person or self.source.name,
            target_person=self.target_person or self.target.name,
            other="" if self.other is None else self.other.name,
            vectors=vectors,
        )


@dataclass(frozen=True)
class Score:
    """What was found of one pair.

    no_face: the parts (`source`, `target`, `result`, `other`) whose pictures show no face.
    boxes: part -> x0, y0, x1, y1 of its face, pixels, to a tenth.
    milliseconds: what the scoring took; of pairs scored together, their mean.
    """

    scored: Scored
    features: SampleFeatures
    no_face: tuple[str, ...]
    boxes: dict[str, tuple[float, ...]] = field(default_factory=dict)
    milliseconds: float = 0.0


class Scorer:
    """Scores pairs with one analyzer, set of networks and settings, several at once.

    cache: for what was found of the same pictures before. The networks of the analysis take one
    thread each, so that it is the pairs that are spread over `settings.threads`.
    """

    def __init__(
        self,
        analyzer: Analyzer,
        settings: Settings,
        judges: Judges | None = None,
        cache: Cache | None = None,
    ) -> None:
        self._analyzer = analyzer
        self._settings = settings
        self._judges = judges or Judges()
        self._cache = cache or Cache()
        self._workers = ThreadPoolExecutor(settings.threads or os.cpu_count() or 1)
        # What decides about faces, and with them about figures.
        self._looking = key_of(LOOK_VERSION, weight_digests(), packages(), self._judges.record())
        self._measuring = key_of(
            self._looking, metrics.versions(), settings, _weight_files(settings)
        )

    def score(self, materials: Sequence[Material]) -> list[Score]:
        """The figures of each pair. The networks run on all of them together."""
        start = time.perf_counter()
        keys = [self._key(material) for material in materials]
        kept = [self._kept(m, key) for m, key in zip(materials, keys, strict=True)]
        new = [m for m, known in zip(materials, kept, strict=True) if known is None]
        fresh = iter(self._measure(new))
        scores = [known or next(fresh) for known in kept]
        for key, known, score in zip(keys, kept, scores, strict=True):
            if known is None:
                self._cache.put("scores", key, _packed(score))
        spent = 1000 * (time.perf_counter() - start) / max(len(materials), 1)
        return [replace(score, milliseconds=spent) for score in scores]

    def _measure(self, materials: Sequence[Material]) -> list[Score]:
        found = self._each(self._analyzed, materials)
        images = iter(self._identified(list(chain.from_iterable(found))))
        seen = [
            (material, {part: next(images) for part in material.shots}) for material in materials
        ]
        return self._each(self._measure_one, seen)

    def _measure_one(self, seen: tuple[Material, dict[str, AnalyzedImage]]) -> Score:
        material, parts = seen
        result = parts.get("result")
        # Without a result, what is described is a picture of nobody.
        sample = Sample(
            source=parts["source"],
            target=parts["target"],
            result=result or AnalyzedImage(parts["target"].pixels, "", None),
            other=parts.get("other"),
            source_person=material.source_person,
            target_person=material.target_person,
        )
        scored = metrics.measure_pair(sample, self._settings) if result else Scored()
        vectors = metrics.describe_pair(sample, self._settings)
        if result is None:
            vectors = {name: v for name, v in vectors.items() if not name.startswith("result.")}
        faces = {part: image.face for part, image in parts.items()}
        no_face = tuple(part for part, face in faces.items() if face is None)
        boxes = {
            part: tuple(round(float(edge), 1) for edge in face.box)
            for part, face in faces.items()
            if face is not None
        }
        return Score(scored, material.features(vectors), no_face, boxes)

    def _each(self, work: Callable[[A], B], items: Iterable[A]) -> list[B]:
        return list(self._workers.map(work, items))

    def _analyzed(self, material: Material) -> list[tuple[Shot, AnalyzedImage]]:
        """Each picture of a pair, analyzed, in the order of `Material.shots`."""
        images = []
        target = self._target_face(material)
        for part, shot in material.shots.items():
            if part == "target":
                face = target
            elif part == "result":
                near = target if shot.pixels.shape == material.target.pixels.shape else None
                face = self._result_face(shot, material.target, near)
            else:
                face = shot.face or max(self._faces(shot), key=_size, default=None)
            images.append((shot, AnalyzedImage(shot.pixels, shot.name, face)))
        return images

    def _target_face(self, material: Material) -> Face | None:
        """The face of the target that was swapped, as far as can be told: the one that was changed
        most, or the largest."""
        target, result = material.target, material.result
        if target.face is not None:
            return target.face
        faces = self._faces(target)
        if len(faces) > 1 and result is not None and result.pixels.shape == target.pixels.shape:
            changes = [_change(face, target.pixels, result.pixels) for face in faces]
            if max(changes) > _UNTOUCHED:
                return faces[int(np.argmax(changes))]
        return max(faces, key=_size, default=None)

    def _result_face(self, shot: Shot, target: Shot, near: Face | None) -> Face | None:
        if near is not None and shot.key == target.key:
            return near
        if near is None:
            return max(self._faces(shot), key=_size, default=None)
        return find_face(shot.pixels, self._analyzer, near)

    def _faces(self, shot: Shot) -> list[Face]:
        """All faces of a picture, small and tilted ones only where there is no other."""
        key = key_of(self._looking, shot.key)
        kept = self._cache.get("faces", key)
        if kept is None:
            found = self._analyzer.analyze(shot.pixels, thorough=False)
            found = found or self._analyzer.analyze(shot.pixels)
            kept = _face_arrays(found)
            self._cache.put("faces", key, kept)
        return _faces_of(kept)

    def _identified(self, images: Sequence[tuple[Shot, AnalyzedImage]]) -> list[AnalyzedImage]:
        """The looks with what networks see in their faces, each face described once."""
        keys = [
            "" if image.face is None else key_of(self._looking, shot.key, image.face.landmarks)
            for shot, image in images
        ]
        known: dict[str, Mapping[str, NDArray[Any]] | None] = {
            key: self._cache.get("identities", key) for key in dict.fromkeys(keys) if key
        }
        new = {
            key: image
            for key, (_, image) in zip(keys, images, strict=True)
            if key and known[key] is None
        }
        found = self._each(self._identify, _parts(list(new.values()), _BATCH))
        for key, image in zip(new, chain.from_iterable(found), strict=True):
            known[key] = image.vectors
            self._cache.put("identities", key, image.vectors)
        return [
            replace(image, vectors=known[key] or {}) if key else image
            for key, (_, image) in zip(keys, images, strict=True)
        ]

    def _identify(self, images: Sequence[AnalyzedImage]) -> list[AnalyzedImage]:
        return identify(images, self._analyzer, self._judges)

    def _key(self, material: Material) -> str:
        shots = {
            part: (shot.name, shot.key, None if shot.face is None else key_of(shot.face.landmarks))
            for part, shot in material.shots.items()
        }
        people = (material.source_person, material.target_person)
        return key_of(self._measuring, material.pair, sorted(shots.items()), people)

    def _kept(self, material: Material, key: str) -> Score | None:
        kept = self._cache.get("scores", key)
        return None if kept is None else _unpacked(kept, material)


def _parts(items: Sequence[A], size: int) -> list[Sequence[A]]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def _change(face: Face, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    """How much the inside of a face's box was changed on average, 0..255."""
    height, width = before.shape[:2]
    x0, y0, x1, y1 = np.clip(face.box, 0, (width, height, width, height)).astype(int)
    if x1 <= x0 or y1 <= y0:
        return 0.0
    part = np.s_[y0:y1, x0:x1]
    return float(np.abs(before[part].astype(np.int16) - after[part]).mean())


def _size(face: Face) -> float:
    return face.size_px


def _weight_files(settings: Settings) -> list[tuple[str, int, int]]:
    """What lies in the folder of weights: a file more may be a figure more."""
    folder = settings.weights or os.environ.get("SOSIE_WEIGHTS")
    if not folder or not Path(folder).is_dir():
        return []
    stats = [(path.name, path.stat()) for path in Path(folder).iterdir() if path.is_file()]
    return sorted((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def _face_arrays(faces: Sequence[Face]) -> dict[str, NDArray[Any]]:
    if not faces:
        return {"count": np.array(0)}
    weights = [face.expression for face in faces]
    kept: dict[str, NDArray[Any]] = {
        "count": np.array(len(faces)),
        "landmarks": np.stack([face.landmarks for face in faces]),
        "scores": np.array([face.score for face in faces]),
    }
    if all(weight is not None for weight in weights):
        kept["expressions"] = np.stack([weight for weight in weights if weight is not None])
    return kept


def _faces_of(kept: dict[str, NDArray[Any]]) -> list[Face]:
    weights = kept.get("expressions")
    return [
        make_face(
            kept["landmarks"][k],
            float(kept["scores"][k]),
            None if weights is None else weights[k],
        )
        for k in range(int(kept["count"]))
    ]


def _packed(score: Score) -> dict[str, NDArray[Any]]:
    text = json.dumps(
        {
            "figures": score.scored.figures,
            "reasons": score.scored.reasons,
            "no_face": score.no_face,
            "boxes": score.boxes,
        }
    )
    text_array = np.frombuffer(text.encode(), np.uint8)
    return {"text": text_array, **pack_vectors(score.features.vectors)}


def _unpacked(kept: dict[str, NDArray[Any]], material: Material) -> Score:
    told = json.loads(kept["text"].tobytes())
    boxes = {part: tuple(box) for part, box in told["boxes"].items()}
    scored = Scored(told["figures"], told["reasons"])
    return Score(scored, material.features(unpack_vectors(kept)), tuple(told["no_face"]), boxes)
