"""Photos of two people, chosen by identity: whoever was not chosen keeps every pixel, each of the
others gets their own source, and what cannot be meant is refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

import sosie
from sosie.errors import InputError, NoFaceError, UsageError
from sosie.options import SwapOptions
from sosie.pipeline import FaceSwapper, swap_image

Pixels = np.ndarray
LEFT, RIGHT = np.s_[:, :290], np.s_[:, 290:]


@pytest.fixture(scope="module")
def pair(astronaut: Pixels, hopper: Pixels) -> Pixels:
    """Two people side by side: the astronaut left, the smaller admiral right; 300 x 520."""
    picture = np.full((300, 520, 3), (130, 140, 150), np.uint8)
    picture[20:280, 10:270] = astronaut[20:280, 90:350]
    small = cv2.resize(hopper[60:420, 90:450], (160, 160), interpolation=cv2.INTER_AREA)
    picture[60:220, 320:480] = small
    return picture


@pytest.fixture(scope="module")
def green(hopper: Pixels) -> Pixels:
    return np.rint(hopper * np.array([0.4, 1.0, 0.4])).astype(np.uint8)


@pytest.fixture(scope="module")
def blue(astronaut: Pixels) -> Pixels:
    return np.rint(astronaut * np.array([0.4, 0.4, 1.0])).astype(np.uint8)


def tint(before: Pixels, after: Pixels) -> str:
    """The color that a change of pixels leans to, or `none` where none has changed."""
    different = (before != after).any(-1)
    if not different.any():
        return "none"
    change = after[different].astype(int).mean(0) - before[different].astype(int).mean(0)
    return ("red", "green", "blue")[int(np.argmax(change))]


# Who is swapped.


def test_only_the_person_of_the_reference(
    by_look: Any, pair: Pixels, green: Pixels, astronaut: Pixels, hopper: Pixels
) -> None:
    for reference, swapped, other in ((astronaut, LEFT, RIGHT), (hopper, RIGHT, LEFT)):
        result = swap_image(green, pair, reference=reference, color="none")
        assert len(result.faces) == 1
        assert tint(pair[swapped], result.image[swapped]) == "green"
        assert np.array_equal(pair[other], result.image[other])
        (face,) = result.report.faces
        assert face.reference == "reference 0"
        assert face.source_photo == "source 0"
        assert face.similarity > 0.9
    # The same face by its position: the same pixels.
    by_position = swap_image(green, pair, faces="1", color="none")
    assert np.array_equal(by_position.image, result.image)
    assert by_position.report.faces[0].similarity is None
    assert by_position.report.people == ()


def test_each_person_gets_their_own_source(
    by_look: Any, pair: Pixels, green: Pixels, blue: Pixels, astronaut: Pixels, hopper: Pixels
) -> None:
    people = [(hopper, blue), (astronaut, green)]
    result = swap_image(None, pair, people=people, color="none")
    assert tint(pair[LEFT], result.image[LEFT]) == "green"
    assert tint(pair[RIGHT], result.image[RIGHT]) == "blue"
    assert [face.reference for face in result.report.faces] == ["reference 1", "reference 0"]
    # Exactly what each alone would have got.
    alone = [swap_image(s, pair, reference=r, color="none").image for r, s in people]
    assert np.array_equal(result.image[RIGHT], alone[0][RIGHT])
    assert np.array_equal(result.image[LEFT], alone[1][LEFT])
    # Changing sources changes the colors.
    other = swap_image(None, pair, people=[(hopper, green), (astronaut, blue)], color="none")
    assert tint(pair[LEFT], other.image[LEFT]) == "blue"
    assert tint(pair[RIGHT], other.image[RIGHT]) == "green"


def test_a_person_may_have_several_source_photos(
    by_look: Any, pair: Pixels, green: Pixels, astronaut_path: Path, tmp_path: Path
) -> None:
    photos = []
    for name, pixels in (("a.png", green), ("b.png", np.ascontiguousarray(green[:, ::-1]))):
        Image.fromarray(pixels).save(tmp_path / name)
        photos.append(tmp_path / name)
    results = [
        swap_image(None, pair, people={astronaut_path: order}, color="none")
        for order in (photos, photos[::-1])
    ]
    (one,), (other,) = (result.report.faces for result in results)
    assert np.array_equal(results[0].image, results[1].image)
    assert one.source == 1 - other.source
    assert one.source_photo == other.source_photo == str(photos[one.source])
    assert results[0].report.people[0].source_photos == tuple(map(str, photos))


def test_depth_and_alpha_are_kept(
    by_look: Any, pair: Pixels, green: Pixels, hopper: Pixels
) -> None:
    alpha = np.random.default_rng(0).integers(0, 65535, pair.shape[:2]).astype(np.uint16)
    deep = np.dstack([pair.astype(np.uint16) * 257, alpha])
    result = swap_image(green, deep, reference=hopper, color="none")
    assert result.image.dtype == np.uint16
    assert np.array_equal(result.image[LEFT], deep[LEFT])
    assert np.array_equal(result.image[..., 3], alpha)
    assert tint(deep[RIGHT][..., :3], result.image[RIGHT][..., :3]) == "green"


def test_faces_that_overlap_are_not_painted_over(
    by_look: Any, green: Pixels, astronaut: Pixels, hopper: Pixels
) -> None:
    """The admiral stands before the astronaut; the astronaut alone is swapped."""
    from sosie.analysis.analyzer import create_analyzer
    from sosie.geometry import mesh
    from sosie.geometry.alignment import fill_polygon

    picture = astronaut[:300, 60:400].copy()
    small = cv2.resize(hopper, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    left = 205
    picture[75:235, left : left + 80] = small[40:200, 85:165]
    faces = create_analyzer(2).analyze(picture)
    assert len(faces) == 2
    assert faces[1].box[0] < faces[0].box[2]
    outline = faces[1].landmarks[list(mesh.OVAL), :2]
    inside = fill_polygon(outline, *picture.shape[1::-1], antialiased=False) > 0
    result = swap_image(green, picture, reference=astronaut, color="none")
    assert np.array_equal(picture[inside], result.image[inside])
    assert tint(picture[:, :190], result.image[:, :190]) == "green"


# Reports.


def test_the_report_names_references_and_sources(
    by_look: Any,
    pair: Pixels,
    green: Pixels,
    astronaut_path: Path,
    hopper_path: Path,
    tmp_path: Path,
) -> None:
    target, source = tmp_path / "pair.png", tmp_path / "green.png"
    Image.fromarray(pair).save(target)
    Image.fromarray(green).save(source)
    swap = FaceSwapper(None, people={str(hopper_path): source, astronaut_path: [source, source]})
    report = swap.photo(target, tmp_path / "out.png")
    told = json.loads(json.dumps(dataclasses.asdict(report)))
    assert [face["reference"] for face in told["faces"]] == [str(astronaut_path), str(hopper_path)]
    assert {face["source_photo"] for face in told["faces"]} == {str(source)}
    assert told["people"] == [
        {
            "reference": str(hopper_path),
            "source_photos": [str(source)],
            "face_count": 1,
            "similarity": told["faces"][1]["similarity"],
        },
        {
            "reference": str(astronaut_path),
            "source_photos": [str(source)] * 2,
            "face_count": 1,
            "similarity": told["faces"][0]["similarity"],
        },
    ]
    assert told["notes"] == []


def test_a_reference_with_several_faces_means_the_largest_and_a_note_says_so(
    by_look: Any, pair: Pixels, green: Pixels, astronaut: Pixels, tmp_path: Path
) -> None:
    both = tmp_path / "both.png"
    Image.fromarray(pair).save(both)
    result = swap_image(green, pair, reference=both, color="none")
    assert tint(pair[LEFT], result.image[LEFT]) == "green"
    assert np.array_equal(pair[RIGHT], result.image[RIGHT])
    assert result.report.notes == (f"{both} shows 2 faces; the largest is taken for the person.",)


# Nobody there.


def test_nobody_alike_is_said_with_the_best_similarity_and_what_to_do(
    by_look: Any, astronaut_path: Path, hopper_path: Path, green: Pixels, tmp_path: Path
) -> None:
    swap = FaceSwapper(green, reference=hopper_path)
    with pytest.raises(NoFaceError) as caught:
        swap.photo(astronaut_path, tmp_path / "out.png")
    message = str(caught.value)
    assert message.startswith(f"{astronaut_path}: Nobody like {hopper_path} was found: ")
    assert "a similarity of 0." in message
    assert "frontal photo of the person as reference" in message
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(NoFaceError, match="No face was found"):
        swap.image(np.full((200, 200, 3), 120, np.uint8))


def test_one_absent_person_is_noted_and_the_others_are_swapped(
    by_look: Any, astronaut: Pixels, hopper_path: Path, green: Pixels, blue: Pixels
) -> None:
    people = [(hopper_path, blue), (astronaut, green)]
    result = swap_image(None, astronaut, people=people, color="none")
    assert tint(astronaut, result.image) == "green"
    assert [person.face_count for person in result.report.people] == [0, 1]
    (note,) = result.report.notes
    assert note.startswith(f"Nobody like {hopper_path} was found: the face most alike has")


# What is refused.


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"source": "a", "people": {"b": "c"}}, "either a map or a source"),
        ({"reference": "a", "people": {"b": "c"}}, "write the reference into it"),
        ({}, "No source was given"),
        ({"reference": "a"}, "No source was given"),
        ({"source": []}, "No source was given"),
        ({"people": {}}, "map is empty"),
        ({"people": ["a.jpg=b.jpg"]}, "pairs of a reference and a source"),
        ({"people": [("a.jpg", "b.jpg", "c.jpg")]}, "pairs of a reference and a source"),
        ({"people": {"a": []}}, "No source was given"),
        ({"people": [("a", "b"), ("c", [])]}, "No source was given"),
        ({"source": "a", "reference": "b", "faces": "all"}, "faces 'all' cannot be obeyed"),
        ({"people": {"a": "b"}, "faces": "0,1"}, "faces '0,1' cannot be obeyed"),
    ],
)
def test_what_cannot_be_meant_together(
    given: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sosie.pipeline.create_analyzer", None)  # refused before any work
    options = SwapOptions(faces=given.pop("faces", "largest"))
    with pytest.raises(UsageError, match=words):
        FaceSwapper(given.pop("source", None), options, **given)


def test_two_references_of_one_person(
    by_look: Any, astronaut: Pixels, astronaut_path: Path, hopper_path: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again.png"
    Image.fromarray(cv2.resize(astronaut, (300, 300), interpolation=cv2.INTER_AREA)).save(again)
    people = {astronaut_path: hopper_path, again: hopper_path}
    with pytest.raises(UsageError, match="show the same person") as caught:
        FaceSwapper(None, people=people)
    assert str(astronaut_path) in str(caught.value)
    assert str(again) in str(caught.value)


def test_references_that_cannot_be_used(by_look: Any, green: Pixels, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.jpg does not exist"):
        FaceSwapper(green, reference=tmp_path / "absent.jpg")
    wall = tmp_path / "wall.png"
    Image.fromarray(np.full((100, 100, 3), 120, np.uint8)).save(wall)
    with pytest.raises(NoFaceError, match=r"wall\.png: No face was found"):
        FaceSwapper(None, people={wall: green})
    with pytest.raises(NoFaceError, match=r"reference 0: No face was found"):
        FaceSwapper(green, reference=np.full((100, 100, 3), 120, np.uint8))


def test_an_output_that_is_a_reference(
    by_look: Any, green: Pixels, astronaut_path: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.png"
    copy.write_bytes(astronaut_path.read_bytes())
    before = copy.read_bytes()
    swap = FaceSwapper(green, SwapOptions(overwrite=True), reference=copy)
    with pytest.raises(UsageError, match="also an input"):
        swap.photo(astronaut_path, copy)
    assert copy.read_bytes() == before


def test_the_functions_for_users_take_them(
    by_look: Any, green: Pixels, pair: Pixels, hopper: Pixels, tmp_path: Path
) -> None:
    assert len(sosie.swap_image(green, pair, reference=hopper).faces) == 1
    assert len(sosie.swap_image(None, pair, people=[(hopper, green)]).faces) == 1
    for function in (sosie.swap_image, sosie.swap_video):
        assert "reference" in (function.__doc__ or "")
        assert "people" in (function.__doc__ or "")
