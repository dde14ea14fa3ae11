"""What the engine does with what hides a face, in the photos put in and in the target."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sosie import records
from sosie.analysis import occlusion
from sosie.analysis.analyzer import create_analyzer
from sosie.analysis.beard import LOOKS, Beard
from sosie.analysis.parser import SIDE_PX, FaceParts, square_matrix
from sosie.blending.composer import compose
from sosie.blending.paste import paste
from sosie.geometry import mesh
from sosie.geometry.alignment import fill_polygon, scale_of, transform_points
from sosie.geometry.head_pose import region_of
from sosie.geometry.morphable_model import silhouette
from sosie.methods.base import Card, Source
from sosie.options import SwapOptions
from sosie.swapping.face import LARGE_FACE_PX, Engine, FaceMemory, close_up, source_of
from sosie.swapping.frame import STATE_CLASSES
from sosie.timing import Stopwatch
from sosie.types import Crop, Face, FloatArray, Patch, Pixels, SwappedCrop

ModelFace = Callable[..., Face]
GRAY = np.full((256, 256, 3), 90, np.uint8)


class White:
    """A method that makes everything white, and remembers what it was shown."""

    card = Card("white", "", "", "", None, None)

    def __init__(self, options: SwapOptions) -> None:
        self.sources: list[Source] = []
        self.crops: list[Crop] = []

    def prepare(self, sources: Sequence[Source]) -> None:
        self.sources += sources

    def choose(self, prepared: Any, crop: Crop, before: int | None = None) -> int:
        return 0

    def swap(self, prepared: Any, crops: Sequence[Crop]) -> list[SwappedCrop]:
        self.crops += crops
        ones = [np.ones(crop.pixels.shape[:2], np.float32) for crop in crops]
        return [SwappedCrop(np.dstack([one] * 3), one, np.zeros_like(one)) for one in ones]


class Told:
    """An analyzer that is told what each half of a face is, look by look."""

    def __init__(self, *parts: FaceParts) -> None:
        self._parts = list(parts)
        self.looks = 0
        self.scored: list[bool] = []
        self.bearded, self.score = np.zeros((SIDE_PX, SIDE_PX), np.float32), -9.0

    def parts(self, pixels: np.ndarray, landmarks: FloatArray) -> FaceParts:
        self.looks += 1
        return self._parts[min(self.looks, len(self._parts)) - 1]

    def visible(self, pixels: np.ndarray, landmarks: FloatArray) -> FloatArray:
        return occlusion.visible(self.parts(pixels, landmarks), landmarks)

    def beard(self, pixels: np.ndarray, face: Face, parts: FaceParts, scored: bool = True) -> Beard:
        self.scored.append(scored)
        return Beard(self.bearded, self.score if scored else 0.0)


@pytest.fixture
def white(monkeypatch: pytest.MonkeyPatch) -> list[White]:
    """Engines swap by `White`; the methods that they made."""
    made: list[White] = []

    def make(options: SwapOptions) -> White:
        made.append(White(options))
        return made[-1]

    monkeypatch.setattr("sosie.swapping.face.load_method", lambda name: make)
    return made


def told(left: str = "skin", right: str = "skin") -> FaceParts:
    """What the image's left and right half of the face are; a lens is clear."""
    planes = np.zeros((8, SIDE_PX, SIDE_PX), np.float32)
    names = [field.name for field in fields(FaceParts)]
    planes[names.index(left), :, : SIDE_PX // 2] = 1
    planes[names.index(right), :, SIDE_PX // 2 :] = 1
    return FaceParts(*planes)


def cheeks(face: Face | Crop) -> tuple[Any, Any]:
    """Rows and columns of the middles of both cheeks, the image's left one first."""
    x, y = np.round(face.landmarks[[50, 280], :2]).astype(int).T
    return y, x


def test_what_hides_a_source_is_told_in_its_photos_pixels(
    white: list[White], model_face: ModelFace
) -> None:
    face = model_face(unit_px=25, center=(200, 70))
    photo = np.zeros((160, 300, 3), np.uint16)
    source = source_of(photo, face, Told(told(left="hair")))
    Engine([[source]], SwapOptions(), Told(told()))
    visible = white[0].sources[0].visible
    assert visible.shape == (160, 300)
    assert visible[cheeks(face)].tolist() == [0, 1]
    assert visible[:, :100].min() == 1


def test_a_lens_is_no_hole_in_a_source(white: list[White], model_face: ModelFace) -> None:
    """Through a clear lens the person put in is seen."""
    face = model_face()
    source = source_of(np.zeros((256, 256, 3), np.uint8), face, Told(told(right="lens")))
    assert source.visible[cheeks(face)].tolist() == [1, 1]


def test_a_beard_stays_unless_it_is_to_be_removed(
    white: list[White], model_face: ModelFace
) -> None:
    face = model_face(unit_px=60, center=(128, 120))
    analyzer = Told(told())
    analyzer.score = 3.0
    analyzer.bearded[:, : SIDE_PX // 2] = 1
    for remove, left in (("", 90), ("beard", 255)):
        options = SwapOptions(blend="alpha", color="none", texture="none", remove=remove)
        frame = GRAY.copy()
        engine = Engine([[]], options, analyzer)
        paste(frame, engine.swap_face(GRAY, face, FaceMemory(), Stopwatch(), seen=False))
        assert frame[cheeks(face)][:, 0].tolist() == [left, 255]


def test_whether_a_face_has_a_beard_is_asked_in_its_first_looks_alone(
    white: list[White], model_face: ModelFace
) -> None:
    """One look that takes a shadow for one makes no beard of it, and later ones change nothing."""
    analyzer = Told(told())
    analyzer.bearded[:] = 1
    engine = Engine([[]], SwapOptions(blend="alpha", color="none"), analyzer)
    memory, frame = FaceMemory(), GRAY.copy()
    face = model_face(unit_px=60, center=(128, 120))
    for number in range(4 * LOOKS):
        analyzer.score = 2.0 if number in (2, 3) else -4.0
        paste(frame, engine.swap_face(GRAY, face, memory, Stopwatch(), seen=False))
    assert frame[cheeks(face)][:, 0].tolist() == [255, 255]
    assert analyzer.scored == [True] * LOOKS
    analyzer.score = 2.0
    analyzer.scored.clear()
    memory = FaceMemory()
    for _ in range(4 * LOOKS):
        engine.swap_face(GRAY, face, memory, Stopwatch(), seen=False)
    assert analyzer.scored == [True] * LOOKS + [False] * LOOKS


def test_all_that_a_video_remembers_of_a_face_can_be_kept_and_read_again() -> None:
    """What a resumed run cannot read would be told only then."""
    known = {one.__name__ for one in STATE_CLASSES}
    hints = get_type_hints(FaceMemory).values()
    kinds = {one for hint in hints for one in (get_args(hint) or (hint,)) if is_dataclass(one)}
    assert len(kinds) >= 5
    assert {one.__name__ for one in kinds} <= known


class Counting(White):
    """A method that carries how often in a row it has swapped a face, and from which photo."""

    card = dataclasses.replace(White.card, carries=True)

    def choose(self, prepared: Any, crop: Crop, before: int | None = None) -> int:
        return int(crop.pixels[0, 0, 0] > 100)

    def swap(self, prepared: Any, crops: Sequence[Crop]) -> list[SwappedCrop]:
        return [
            dataclasses.replace(made, carried={"count": crop.carried.get("count", np.zeros(1)) + 1})
            for made, crop in zip(super().swap(prepared, crops), crops, strict=True)
        ]


def test_what_a_method_carries_comes_back_until_another_photo_is_taken(
    monkeypatch: pytest.MonkeyPatch, model_face: ModelFace
) -> None:
    monkeypatch.setattr("sosie.swapping.face.load_method", lambda name: Counting)
    options, face = SwapOptions(blend="alpha", color="none"), model_face(unit_px=60)
    engine, bright = Engine([[]], options, Told(told())), GRAY + 60
    memory = FaceMemory()

    def count(frame: Pixels, way: str = "swap_face") -> float:
        getattr(engine, way)(frame, face, memory, Stopwatch(), seen=False)
        return float(memory.carried["count"][0])

    assert [count(GRAY), count(GRAY)] == [1, 2]
    # Another process that goes on, or that only finds what is remembered.
    kept = records.pack(memory)
    assert [count(GRAY), count(bright), count(bright), count(GRAY)] == [3, 1, 2, 1]
    memory = records.unpack(kept, STATE_CLASSES)
    assert [count(GRAY, "follow_face"), count(GRAY)] == [3, 4]


class Worn:
    """A face with round spectacles in a picture, and a swap of it by a method that makes all of one
    gray.

    skin, glass: gray of the face, and of what is seen through the lenses, 0..255, with noise.
    """

    def __init__(self, face: Face, opacity: float, skin: int = 120, glass: int = 120) -> None:
        self.face = face
        rows, columns = np.indices((SIDE_PX, SIDE_PX))
        matrix = square_matrix(region_of(face.landmarks))
        eyes = [transform_points(face.landmarks[list(e)], matrix)[:, :2].mean(0) for e in EYES]
        apart = np.min([np.hypot(columns - x, rows - y - 6) for x, y in eyes], axis=0)
        planes = {"lens": apart <= 16, "frame": (apart > 16) & (apart < 19)}
        planes["skin"] = apart >= 19
        names = [field.name for field in fields(FaceParts)]
        shares = [planes.get(name, np.zeros_like(apart)).astype(np.float32) for name in names[:-1]]
        self.parts = FaceParts(*shares, np.full(apart.shape, opacity, np.float32))
        rows, columns = np.indices((256, 256))
        eyes = [face.landmarks[list(eye), :2].mean(0) for eye in EYES]
        unit = 1 / scale_of(matrix)
        apart = np.min([np.hypot(columns - x, rows - y - 6 * unit) for x, y in eyes], axis=0) / unit
        self.rim, self.lens, self.beside = (apart > 16) & (apart < 19), apart < 11, apart > 24
        self.beside &= cv2.erode(silhouette(face.landmarks, 256, 256), np.ones((25, 25))) > 0
        noise = np.random.default_rng(3).integers(-3, 4, (256, 256, 1))
        gray = np.where(apart < 17.5, glass, skin)
        self.picture = (np.where(self.rim, 30, gray)[..., None] + noise).repeat(3, 2)
        self.picture = self.picture.astype(np.uint8)

    def swapped(self, monkeypatch: pytest.MonkeyPatch, gray: float) -> NDArray[np.uint8]:
        white_swap = White.swap

        def even(self: White, prepared: Any, crops: Sequence[Crop]) -> list[SwappedCrop]:
            made = white_swap(self, prepared, crops)
            return [replace(one, pixels=one.pixels * np.float32(gray / 255)) for one in made]

        monkeypatch.setattr(White, "swap", even)
        options = SwapOptions(blend="alpha", color="none", texture="none")
        engine = Engine([[]], options, Told(self.parts))
        frame = self.picture.copy()
        paste(frame, engine.swap_face(frame, self.face, FaceMemory(), Stopwatch(), seen=False))
        return frame


EYES = (mesh.RIGHT_EYE, mesh.LEFT_EYE)


def test_under_a_clear_lens_are_the_swapped_eyes_and_over_them_the_targets_rims(
    white: list[White], model_face: ModelFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    worn = Worn(model_face(), 0.08)
    frame = worn.swapped(monkeypatch, 60)
    np.testing.assert_array_equal(frame[worn.rim], worn.picture[worn.rim])
    assert np.abs(frame[worn.lens].astype(int) - 60).max() <= 1
    assert np.abs(frame[worn.beside].astype(int) - 60).max() <= 1


def test_sunglasses_stay_whole(
    white: list[White], model_face: ModelFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    worn = Worn(model_face(), 0.9, glass=20)
    frame = worn.swapped(monkeypatch, 60)
    kept = worn.rim | worn.lens
    np.testing.assert_array_equal(frame[kept], worn.picture[kept])
    assert np.abs(frame[worn.beside].astype(int) - 60).max() <= 1


def test_a_lens_tints_the_swapped_eyes_as_it_tints_the_targets(
    white: list[White], model_face: ModelFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the open eyes: they are the target's own, and have come through the lens."""
    face = model_face()
    worn = Worn(face, 0.2, glass=60)
    frame = worn.swapped(monkeypatch, 150)
    eyes = np.maximum(*(fill_polygon(face.landmarks[list(e), :2], 256, 256) for e in EYES))
    lids = worn.lens & (cv2.dilate(eyes, np.ones((11, 11))) == 0)
    assert lids.sum() > 200
    assert np.abs(frame[lids].astype(int) - 60).max() <= 4
    assert np.abs(frame[worn.beside].astype(int) - 150).max() <= 1


def test_what_a_lens_reflects_stays(
    white: list[White], model_face: ModelFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    worn = Worn(model_face(), 0.08)
    x, y = np.round(worn.face.landmarks[145, :2]).astype(int)
    glare = (slice(y + 8, y + 14), slice(x - 5, x + 6))
    assert worn.lens[glare].all()
    worn.picture[glare] = 230
    frame = worn.swapped(monkeypatch, 60)
    added = frame[glare].astype(int)[2:-2, 2:-2] - 60
    assert np.abs(added - (230 - 120)).max() < 12
    far = worn.lens.copy()
    far[y : y + 22, x - 14 : x + 15] = False
    assert np.abs(frame[far].astype(int) - 60).max() <= 1


def test_what_hides_the_target_stays(white: list[White], model_face: ModelFace) -> None:
    face = model_face()
    engine = Engine([[]], SwapOptions(blend="alpha", color="none"), Told(told(right="thing")))
    patch = engine.swap_face(GRAY, face, FaceMemory(), Stopwatch(), seen=False)
    frame = GRAY.copy()
    height, width = patch.mask.shape
    frame[patch.y : patch.y + height, patch.x : patch.x + width] = patch.pixels
    assert frame[cheeks(face)].tolist() == [[255] * 3, [90] * 3]


def test_a_video_is_looked_at_in_every_other_frame_and_averaged(
    white: list[White], model_face: ModelFace
) -> None:
    face = model_face()
    analyzer = Told(told(), told(left="hair"))
    engine = Engine([[]], SwapOptions(), analyzer)
    memory = FaceMemory()
    shares = []
    for _ in range(9):
        engine.swap_face(GRAY, face, memory, Stopwatch(), seen=False)
        shares.append(float(memory.visible[96, 60]))
    assert analyzer.looks == 5
    assert shares[:2] == [1, 1]
    # A hand that comes in is believed within a few looks, and not at one blow.
    assert shares == sorted(shares, reverse=True)
    assert any(0.1 < share < 0.9 for share in shares)
    assert shares[-1] < 0.1
    assert memory.visible[96, 135] == 1


@pytest.mark.parametrize("drafts", [0, 1, 2])
def test_a_method_is_drafted_as_often_as_its_card_says(
    drafts: int,
    white: list[White],
    model_face: ModelFace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A draft is a run more, which a network that goes nowhere else would be paid for nothing."""
    monkeypatch.setattr(White, "card", replace(White.card, drafts=drafts))
    read = model_face(yaw=3)
    monkeypatch.setattr(Told, "landmarks", lambda *_: read, raising=False)
    monkeypatch.setattr("sosie.swapping.refinement._LOST", 1e9)
    engine = Engine([[]], SwapOptions(), Told(told()))
    engine.swap_face(GRAY, model_face(), FaceMemory(), Stopwatch())
    assert len(white[0].crops) == drafts + 1


@pytest.mark.parametrize("drawn", [False, True])
def test_a_video_reads_its_results_instead_of_drafts(
    drawn: bool, white: list[White], model_face: ModelFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where somebody drew the mask, the result may hardly show the face: a draft does."""
    read: list[Pixels] = []

    def landmarks(_: Told, pixels: Pixels, __: Any) -> Face:
        read.append(pixels)
        return model_face(yaw=3)

    monkeypatch.setattr(White, "card", replace(White.card, drafts=1))
    monkeypatch.setattr(Told, "landmarks", landmarks, raising=False)
    monkeypatch.setattr("sosie.swapping.refinement._LOST", 1e9)
    engine = Engine([[]], SwapOptions(blend="alpha", color="none"), Told(told()))
    memory = FaceMemory()
    mask = np.zeros(GRAY.shape[:2], np.float32) if drawn else None
    corrections = []
    for _ in range(5):
        engine.swap_face(GRAY, model_face(), memory, Stopwatch(), drawn=mask)
        corrections.append(float(np.abs(memory.refinement.correction).max()))
    assert len(read) == 2  # on the first and on the fourth frame
    assert len(white[0].crops) == 5 + (2 if drawn else 1)
    assert read[-1].max() == 255
    assert corrections[0] == corrections[2] != corrections[3] == corrections[4] > 0


def test_a_swap_looks_no_further_than_it_says(
    astronaut: NDArray[np.uint8], hopper: NDArray[np.uint8]
) -> None:
    """A tilted face, whose squares reach furthest."""
    analyzer = create_analyzer(1)
    turn = cv2.getRotationMatrix2D((256, 256), 40, 0.6)
    target = np.asarray(cv2.warpAffine(astronaut, turn, (512, 512)), np.uint8)
    (face,), (source,) = analyzer.analyze(target), analyzer.analyze(hopper)
    engine = Engine([[source_of(hopper, source, analyzer)]], SwapOptions(), analyzer)
    x0, y0, x1, y1 = engine.looked_at(face, target.shape) or (0, 0, 512, 512)
    assert (x1 - x0) * (y1 - y0) < 512 * 512 / 2
    part = np.full_like(target, 255)
    part[y0:y1, x0:x1] = target[y0:y1, x0:x1]
    made = []
    for pixels in (target, part):
        memory = FaceMemory()
        made.append([engine.swap_face(pixels, face, memory, Stopwatch()) for _ in range(5)])
    for whole, seen in zip(*made, strict=True):
        np.testing.assert_array_equal(whole.pixels[whole.mask], seen.pixels[seen.mask])


def test_a_large_face_is_swapped_in_a_reduced_copy(
    monkeypatch: pytest.MonkeyPatch, astronaut: NDArray[np.uint8], hopper: NDArray[np.uint8]
) -> None:
    """Its patch is nearly the same, and nothing outside the face's outline changes."""
    analyzer = create_analyzer(1)
    (face,), (source,) = analyzer.analyze(astronaut), analyzer.analyze(hopper)
    engine = Engine([[source_of(hopper, source, analyzer)]], SwapOptions(), analyzer)
    whole = engine.swap_face(astronaut, face, FaceMemory(), Stopwatch())
    monkeypatch.setattr("sosie.swapping.face.LARGE_FACE_PX", 80)
    shown = []

    def seen(pixels: Pixels, *rest: Any) -> Patch:
        shown.append(pixels.shape)
        return compose(pixels, *rest)

    monkeypatch.setattr("sosie.swapping.face.compose", seen)
    patch = engine.swap_face(astronaut, face, FaceMemory(), Stopwatch())
    assert max(max(shape) for shape in shown) < 4.5 * 80
    before = astronaut.astype(float)
    direct, reduced = astronaut.copy(), astronaut.copy()
    paste(direct, whole)
    paste(reduced, patch)
    changed = np.abs(direct - before).max(2) > 8
    apart = np.abs(reduced.astype(float) - direct)[changed].mean()
    assert apart < 0.4 * np.abs(before - direct)[changed].mean()
    outline = fill_polygon(face.landmarks[list(mesh.OVAL), :2], 512, 512)
    beyond = cv2.dilate(outline, np.ones((7, 7), np.uint8)) == 0
    np.testing.assert_array_equal(reduced[beyond], astronaut[beyond])
    # The edge is as unseen as that of the whole patch.
    assert edge_step(patch, before) < 1.3 * edge_step(whole, before)


def edge_step(patch: Patch, before: NDArray[Any]) -> float:
    """By how much a patch's outermost pixels differ from what was there, in the mean."""
    inner = cv2.erode(patch.mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    height, width = patch.mask.shape
    there = before[patch.y : patch.y + height, patch.x : patch.x + width]
    return float(np.abs(patch.pixels - there)[patch.mask & ~inner].mean())


@pytest.mark.parametrize(("unit_px", "largest"), [(60, 1000), (900, 4 * LARGE_FACE_PX)])
def test_of_a_photo_only_what_is_around_the_face_is_kept(
    model_face: ModelFace, unit_px: float, largest: int
) -> None:
    face = model_face(unit_px=unit_px, center=(2000, 1500))
    part, there, matrix = close_up(np.zeros((3000, 4000, 3), np.uint8), face)
    assert max(part.shape) < largest
    assert there.size_px == pytest.approx(min(face.size_px, LARGE_FACE_PX), rel=1e-4)
    points = transform_points(face.landmarks, matrix)
    np.testing.assert_allclose(there.landmarks, points)
    assert part.shape[1] > there.center[0] > 0 < there.center[1] < part.shape[0]


def test_a_face_of_3000_px_takes_bounded_memory(
    run_python: Callable[[str], str], hopper_path: Path, astronaut_path: Path
) -> None:
    peak_mb = run_python(
        "import cv2\n"
        "from sosie import swap_image\n"
        "from sosie.media.image import load_photo\n"
        f"pixels = load_photo({str(hopper_path)!r}).pixels[120:400, 130:390]\n"
        "pixels = cv2.resize(pixels, (3900, 4200), interpolation=cv2.INTER_CUBIC)\n"
        f"result = swap_image({str(astronaut_path)!r}, pixels, threads=1)\n"
        "assert result.faces[0].size_px > 2500, result.faces[0].size_px\n"
        "rows = open('/proc/self/status').read().split();"
        "print(int(rows[rows.index('VmHWM:') + 1]) // 1024)\n"
    )
    assert int(peak_mb) < 1000


def test_a_gray_target_gets_a_gray_face(
    white: list[White], model_face: ModelFace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pink(self: White, prepared: Any, crops: Sequence[Crop]) -> list[SwappedCrop]:
        return [
            replace(made, pixels=made.pixels * np.array([1, 0.5, 0.6], np.float32))
            for made in swap(self, prepared, crops)
        ]

    swap = White.swap
    monkeypatch.setattr(White, "swap", pink)
    face = model_face()
    engine = Engine([[(GRAY, face)]], SwapOptions(), Told(told()))
    for colored in (False, True):
        target = GRAY.copy()
        if colored:
            target[..., 2] = np.arange(256, dtype=np.uint8)
        patch = engine.swap_face(target, face, FaceMemory(), Stopwatch(), seen=False)
        inside = patch.pixels[patch.mask].astype(int)
        assert (np.ptp(inside, axis=1).max() > 20) == colored
