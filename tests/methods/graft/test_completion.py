"""A source made whole: what hides it goes, what is seen stays to the bit."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sosie.analysis.analyzer import create_analyzer
from sosie.analysis.occlusion import surface
from sosie.analysis.parser import SIDE_PX, FaceParts, square_matrix
from sosie.geometry.alignment import invert, warp
from sosie.geometry.head_pose import region_of
from sosie.methods.base import Source
from sosie.methods.graft import unwrap
from sosie.methods.graft.completion import complete
from sosie.methods.graft.source_texture import cut_out
from sosie.methods.graft.texture_model import TextureModel, pack, texture_model
from sosie.types import Face

NOTHING = np.zeros((SIDE_PX, SIDE_PX), np.float32)
FREE = FaceParts(NOTHING + 1, *[NOTHING] * 7)


@pytest.fixture(scope="module")
def photo(astronaut: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], Face]:
    picture = cv2.resize(astronaut[0:260, 110:370], (520, 520), interpolation=cv2.INTER_CUBIC)
    (face,) = create_analyzer(1).analyze(picture)
    return picture, face


def source(pixels: NDArray[np.uint8], face: Face, parts: FaceParts) -> Source:
    return Source(pixels, face, np.ones(pixels.shape[:2], np.float32), parts)


def laid_over(picture: NDArray[np.uint8], face: Face, view: NDArray[np.float32]) -> np.ndarray:
    """A view of the face's square in the picture."""
    height, width = picture.shape[:2]
    matrix = invert(square_matrix(region_of(face.landmarks)))
    return warp(view, matrix, width, height, cv2.BORDER_CONSTANT)


def worn(photo: tuple[NDArray[np.uint8], Face], kind: str) -> tuple[Source, NDArray[np.bool_]]:
    """The photo with green spectacles, or green hair over half of the forehead, and where."""
    picture, face = photo
    view = NOTHING.copy()
    if kind == "frame":
        cv2.rectangle(view, (40, 70), (152, 100), 1, 7)
        cv2.line(view, (96, 70), (96, 100), 1, 7)
    else:
        view[20:70, 100:180] = 1
    there = laid_over(picture, face, view)[..., None]
    pixels = np.rint(picture + (np.array([0, 255, 0]) - picture) * there).astype(np.uint8)
    parts = replace(FREE, skin=1 - view, **{kind: view})
    return source(pixels, face, parts), there[..., 0] > 0.5


@pytest.mark.parametrize("kind", ["frame", "hair"])
def test_what_hides_the_face_is_replaced_by_skin(
    photo: tuple[NDArray[np.uint8], Face], kind: str
) -> None:
    hidden_by, there = worn(photo, kind)
    made = complete([hidden_by])[0]
    inside = made.source.visible == 1
    whole = made.source.pixels
    shown = there & (made.hidden > 0.99)
    assert shown.sum() > 500
    # Nothing green is left, and what is there is as the photo is without it.
    green = whole[shown].astype(int)
    assert (green[:, 1] > green[:, 0]).mean() < 0.02
    missed = np.abs(whole[shown].astype(int) - photo[0][shown]).mean()
    assert missed < 40
    # What is seen is the photo's own, to the bit.
    untouched = made.hidden == 0
    assert np.array_equal(whole[untouched], hidden_by.pixels[untouched])
    assert inside.mean() > 0.1


@pytest.mark.parametrize("sure", [True, False])
def test_what_lies_at_the_edge_of_the_face_is_replaced_too(
    photo: tuple[NDArray[np.uint8], Face], sure: bool
) -> None:
    """A green collar and hair beside the face reach a little into its outline; whether the parser
    is sure of what they are makes no difference."""
    picture, face = photo
    inside = surface(face.landmarks)
    collar = inside - cv2.erode(inside, np.ones((3, 3), np.uint8))
    view = np.asarray(cv2.dilate(collar, np.ones((5, 5), np.uint8)), np.float32)
    there = laid_over(picture, face, view)[..., None]
    pixels = np.rint(picture + (np.array([0, 255, 0]) - picture) * there).astype(np.uint8)
    told = {"beyond": view} if sure else {"beyond": 0.4 * view, "thing": 0.35 * view}
    worn = source(pixels, face, replace(FREE, skin=1 - view, **told))
    whole = complete([worn])[0].source.pixels
    on_face = (laid_over(picture, face, inside.astype(np.float32)) > 0.5) & (there[..., 0] > 0.5)
    green = whole[on_face].astype(int)
    assert on_face.sum() > 1000
    assert (green[:, 1] > green[:, 0] + 40).mean() < 0.02


def test_strands_that_the_parser_calls_skin_go_with_the_hair(
    photo: tuple[NDArray[np.uint8], Face],
) -> None:
    """Dark strands go on below a fringe that is told; a line of the same dark that hangs on no hair
    stays: it may be a scar."""
    picture, face = photo
    told, strands, apart = NOTHING.copy(), NOTHING.copy(), NOTHING.copy()
    told[30:46, 60:140] = 1
    strands[46:56, 84:87] = strands[46:56, 96:99] = 1
    apart[62:65, 84:100] = 1
    laid = [laid_over(picture, face, view)[..., None] for view in (told, strands, apart)]
    pixels = picture.astype(np.float32)
    for there in laid:
        pixels = pixels + (np.array([50, 30, 20]) - pixels) * there
    worn = source(np.rint(pixels).astype(np.uint8), face, replace(FREE, skin=1 - told, hair=told))
    made = complete([worn])[0]
    thin, alone = (there[..., 0] > 0.9 for there in laid[1:])
    assert thin.sum() > 50
    assert made.source.pixels[thin].mean() > 90
    assert np.array_equal(made.source.pixels[alone], worn.pixels[alone])


def test_what_is_to_stay_stays(photo: tuple[NDArray[np.uint8], Face]) -> None:
    hidden_by, _ = worn(photo, "frame")
    made = complete([hidden_by], keep=("spectacles",))[0]
    assert made.hidden.max() < 0.01
    assert np.array_equal(made.source.pixels, hidden_by.pixels)


def test_a_face_that_nothing_hides_is_left_alone(photo: tuple[NDArray[np.uint8], Face]) -> None:
    made = complete([source(*photo, FREE)])[0]
    assert np.array_equal(made.source.pixels, photo[0])


def test_another_photo_tells_what_one_hides(photo: tuple[NDArray[np.uint8], Face]) -> None:
    """A scar under the hair, that no model can know, in the light of the photo it is put into."""
    picture, face = photo
    view = NOTHING.copy()
    cv2.line(view, (112, 40), (130, 62), 1, 5)
    scar = laid_over(picture, face, view)[..., None]
    scarred = np.rint(picture * (1 - 0.6 * scar)).astype(np.uint8)
    brighter = np.clip(scarred.astype(int) + 25, 0, 255).astype(np.uint8)
    hidden_by, _ = worn((scarred, face), "hair")
    place = scar[..., 0] > 0.9
    beside = (cv2.dilate(place.astype(np.uint8), np.ones((31, 31))) > 0) & (scar[..., 0] == 0)

    def depth(made: NDArray[np.uint8]) -> float:
        return float(made[beside].mean() - made[place].mean())

    alone = complete([hidden_by])[0].source.pixels
    both = complete([hidden_by, source(brighter, face, FREE)])[0].source.pixels
    assert depth(alone) < 0.35 * depth(scarred)
    assert depth(both) > 0.6 * depth(scarred)
    assert both[beside].mean() == pytest.approx(float(scarred[beside].mean()), abs=12)


def test_nothing_is_made_of_a_face_that_is_not_seen(photo: tuple[NDArray[np.uint8], Face]) -> None:
    made = complete([source(*photo, replace(FREE, skin=NOTHING, thing=NOTHING + 1))])[0]
    assert made.fill is None
    assert np.array_equal(made.source.pixels, photo[0])


def test_the_model_tells_half_a_face_from_the_other(photo: tuple[NDArray[np.uint8], Face]) -> None:
    one = cut_out(source(*photo, FREE))
    matrix = square_matrix(region_of(one.face.landmarks))
    square = warp(one.pixels, matrix, SIDE_PX, SIDE_PX).astype(np.float32) / 255
    from sosie.geometry.alignment import transform_points

    texture = unwrap.unwrap(square, transform_points(one.face.landmarks, matrix))
    weight = unwrap.inside().astype(np.float32)
    half = weight.copy()
    half[:, unwrap.WIDTH // 2 :] = 0
    told, trust = texture_model().fill(texture, half)
    judged = (weight > 0) & (half == 0)
    plain = np.abs(texture_model().mean - texture)[judged].mean()
    assert np.abs(told - texture)[judged].mean() < 0.7 * plain
    assert (trust <= half + 1e-6).all()


def test_a_file_of_the_model_holds_it() -> None:
    import io

    from sosie.methods.graft.texture_model import unpack

    rng = np.random.default_rng(0)
    mean = rng.random((unwrap.HEIGHT, unwrap.WIDTH, 3)).astype(np.float32)
    basis = rng.normal(0, 0.1, (3, *mean.shape)).astype(np.float32)
    mean = (mean + mean[:, ::-1]) / 2
    basis[0] += basis[0][:, ::-1]
    basis[1] -= basis[1][:, ::-1]
    basis[2] += basis[2][:, ::-1]
    stored = io.BytesIO()
    np.savez(stored, **pack(TextureModel(mean, basis, 0.1)))
    again = unpack(stored.getvalue())
    assert np.abs(again.mean - mean).max() < 1e-3
    assert np.abs(again.basis - basis).max() < 0.01
