"""What teachers and people say of a picture, as planes."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from sosie.errors import InputError
from sosie.recipes.parser import labels
from sosie.recipes.parser.labels import CROP_PX, PLANES
from sosie.recipes.teachers import PARTS
from sosie.training.recipe import Materials

SIDE = 120


def told(planes: np.ndarray, name: str) -> np.ndarray:
    return planes[..., PLANES.index(name)]


def test_planes_share_out_what_is_labeled():
    shown = np.zeros((SIDE, SIDE), np.uint8)
    for row, part in enumerate(("skin", "nose", "left ear", "spectacles", "hat", "neck")):
        shown[20 * row : 20 * (row + 1)] = PARTS.index(part)
    planes = labels.planes_of(shown, np.zeros((SIDE, SIDE), np.float32))
    assert (told(planes, "skin")[:60] == 1).all()
    assert (told(planes, "spectacles")[60:80] == 1).all()
    assert (told(planes, "hat")[80:100] == 1).all()
    assert planes[100:].max() == 0
    assert planes.sum(-1).max() == 1


def test_strands_are_followed_at_the_edge_of_hair_and_nowhere_else():
    """The parser's hair ends at column 60, beside skin; strands reach in, and a dark eye far away
    is taken for hair."""
    shown = np.full((SIDE, SIDE), PARTS.index("skin"), np.uint8)
    shown[:, :60] = PARTS.index("hair")
    hair = np.zeros((SIDE, SIDE), np.float32)
    hair[50, :66] = 0.8
    hair[80:90, 100:110] = 1.0
    hair[20:30, 56:60] = 0.25
    planes = labels.planes_of(shown, hair)
    assert told(planes, "hair")[50, 60:66] == pytest.approx(0.8)
    assert told(planes, "skin")[50, 60:66] == pytest.approx(0.2)
    # Between strands the skin beside them is seen.
    assert told(planes, "skin")[24, 57] == pytest.approx(0.75)
    assert told(planes, "hair")[80:90, 100:110].max() == 0
    # What the hair network overlooks in the midst of hair is hair.
    assert told(planes, "hair")[:, :40].min() == 1


def test_peoples_labels_are_read_by_their_colors():
    colors = np.array([[c >> 16, (c >> 8) & 255, c & 255] for c in labels._THEIRS], np.uint8)
    rows = np.repeat(np.arange(len(PARTS)), 4)
    picture = np.repeat(colors[rows][:, None], len(rows), 1)
    buffer = io.BytesIO()
    Image.fromarray(picture).convert("P", palette=Image.Palette.ADAPTIVE).save(buffer, "PNG")
    png = np.frombuffer(buffer.getvalue(), np.uint8)
    side = len(rows)
    found = labels.labels_of(png, (side, side), np.eye(2, 3), side)
    assert np.array_equal(found[:, 0], rows)
    # Of a picture twice as large, and half of it.
    matrix = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    larger = labels.labels_of(png, (2 * side, 2 * side), matrix, side)
    assert np.array_equal(larger[::2, 0], rows[: side // 2])


@pytest.fixture
def materials(tmp_path: Path) -> Materials:
    return Materials(tmp_path, tmp_path, tmp_path / "cache", workers=0)


def test_without_a_teacher_it_says_which(materials):
    with pytest.raises(InputError, match=r"yunet_n_640_640\.onnx"):
        labels.open_labeled(materials)


def test_pictures_are_labeled_once(materials, tmp_path, face_set, model_face, monkeypatch):
    """One picture of people's and two of the cache: crops, planes and where they are from."""
    points = model_face(unit_px=60, center=(160, 150)).landmarks
    picture = np.full((300, 320, 3), 120, np.uint8)
    picture[:150] = 40
    encoded = {
        ending: cv2.imencode(ending, picture)[1].tobytes() for ending in (".jpg", ".webp", ".png")
    }
    skin = np.full((300, 320, 3), (0, 0, 0xCC), np.uint8)
    with zipfile.ZipFile(tmp_path / labels.ARCHIVE, "w") as archive:
        archive.writestr("images/one.jpg", encoded[".jpg"])
        archive.writestr("labels/one.png", cv2.imencode(".png", skin)[1].tobytes())
    with zipfile.ZipFile(tmp_path / "hires.zip", "w") as archive:
        for name in ("a.webp", "b.webp"):
            archive.writestr(name, encoded[".webp"])
    for name in (labels.DETECTOR_FILE, labels.LANDMARKER_FILE, labels.PARTS_FILE, labels.HAIR_FILE):
        (tmp_path / name).write_bytes(b"")
    faces = face_set(
        np.repeat(picture[None, :224, :224], 2, 0),
        [points, points],
        people=np.array(["hires/a.webp", "hires/b.webp"]),
        names=np.array(["a.webp", "b.webp"]),
    )

    class Teacher:
        side_px = 100

        def __init__(self, answer):
            self._answer = answer

        def read(self, square):
            assert square.shape == (100, 100, 3)
            return np.full((100, 100), self._answer)

    monkeypatch.setattr(labels, "open_faces", lambda materials: faces)
    monkeypatch.setattr(labels, "landmarks_of", lambda pixels, teachers: points)
    monkeypatch.setattr(
        labels,
        "_labellers",
        lambda teachers: (Teacher(np.uint8(PARTS.index("hat"))), Teacher(np.float32(0))),
    )
    monkeypatch.setattr(labels, "ProcessPoolExecutor", _InThisProcess)
    made = labels.open_labeled(materials)
    assert made.people.tolist() == ["celebamask/one", "hires/a.webp", "hires/b.webp"]
    assert made.groups.tolist() == ["celebamask", "hires", "hires"]
    assert made.crops.shape == (3, CROP_PX, CROP_PX, 3)
    middle = made.planes[:, CROP_PX // 2, CROP_PX // 2]
    assert middle.tolist() == [[255, 0, 0, 0], [0, 0, 0, 255], [0, 0, 0, 255]]
    # The face fills its share of the crop, in its middle.
    low, high = made.landmarks[1, :, :2].min(0), made.landmarks[1, :, :2].max(0)
    assert (high - low).max() == pytest.approx(CROP_PX / labels.CROP_FACES, rel=0.01)
    monkeypatch.setattr(labels, "_label_part", lambda *_: pytest.fail("labeled again"))
    assert np.array_equal(labels.open_labeled(materials).planes, made.planes)


class _InThisProcess:
    """Stands for a pool of processes."""

    def __init__(self, *_, **__) -> None:
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_) -> None:
        pass

    def submit(self, function, *values):
        from concurrent.futures import Future

        future = Future()
        future.set_result(function(*values))
        return future
