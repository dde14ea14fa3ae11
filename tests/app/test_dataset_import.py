"""Made-up workspaces of DeepFaceLab and faceswap become sets, and nothing in them is run."""

from __future__ import annotations

import os
import pickle
import re
import struct
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sosie.analysis.analyzer import create_analyzer
from sosie.datasets.store import FaceStore
from sosie.geometry import alignment, mesh
from sosie.geometry.face_types import FACE_TYPES, annotated_matrix
from sosie.types import Face

SMALL = ("--size", 112)


def annotated(face: Face) -> NDArray[np.float64]:
    return face.landmarks[list(mesh.ANNOTATED), :2].astype(np.float64)


def encoded(pixels: NDArray[np.uint8], extension: str) -> bytes:
    ok, content = cv2.imencode(extension, pixels[..., ::-1])
    assert ok
    return content.tobytes()


def with_segment(jpeg: bytes, data: bytes, marker: int = 0xEF) -> bytes:
    """A JPEG with one more segment before all others."""
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data + jpeg[2:]


def with_chunk(png: bytes, kind: bytes, data: bytes) -> bytes:
    """A PNG with one more chunk behind its head."""
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return png[:33] + chunk + png[33:]


@pytest.fixture(scope="module")
def found(astronaut, hopper) -> list[tuple[NDArray[np.uint8], Face]]:
    """Two people's portraits and their faces."""
    analyzer = create_analyzer(1)
    return [(pixels, analyzer.analyze(pixels)[0]) for pixels in (astronaut, hopper)]


def aligned(pixels: NDArray[np.uint8], face: Face, kind: str, side: int = 256) -> tuple[Any, Any]:
    """A face as DeepFaceLab cuts it out, and what it writes of it."""
    matrix = annotated_matrix(annotated(face), FACE_TYPES[kind], side)
    told = {
        "face_type": f"{kind}_face",
        "landmarks": alignment.transform_points(annotated(face), matrix).tolist(),
        "source_filename": "00017.png",
        "source_landmarks": annotated(face),
        "image_to_face_mat": matrix,
        "xseg_mask": b"not read",
    }
    return alignment.crop(pixels, matrix, side), told


@pytest.mark.parametrize("kind", FACE_TYPES)
def test_aligned_faces_of_every_type_are_found_again(sosie, found, tmp_path, kind) -> None:
    folder, out = tmp_path / "aligned", tmp_path / "set"
    folder.mkdir()
    (one, first), (two, second) = (aligned(*each, kind) for each in found)
    jpeg = with_segment(encoded(one, ".jpg"), pickle.dumps(first))
    (folder / "00017_0.jpg").write_bytes(jpeg)
    png = with_chunk(encoded(two, ".png"), b"fcWp", pickle.dumps(second, 2))
    (folder / "00018_0.png").write_bytes(png)
    result = sosie("dataset", "import", "dfl", folder, "-o", out, *SMALL, "--person", "anna")
    assert result.code == 0, result
    assert "2 faces added, 0 of them rejected, 2 in the set" in result.out
    read = FaceStore.open(out).read(["file", "input", "person", "landmarks", "template"])
    assert set(read["input"]) == {"00017.png"}
    assert set(read["person"]) == {"anna"}
    assert all(file.startswith("faces/anna/0001") for file in read["file"])
    assert set(read["template"]) == {"dfl_whole_face"}
    for file, points in zip(read["file"], read["landmarks"], strict=True):
        told = np.array((first if "00017" in file else second)["landmarks"])
        off = np.linalg.norm(points[list(mesh.ANNOTATED), :2] - told, axis=1)
        eyes = np.linalg.norm(told[36:42].mean(0) - told[42:48].mean(0))
        # Within the crop itself; a half face lacks brows and chin.
        assert off[17:48].mean() < 0.08 * eyes
    again = sosie("dataset", "import", "dfl", folder, "-o", out, *SMALL, "--person", "anna")
    assert again.code == 0
    assert "0 faces added" in again.out
    assert sosie("dataset", "verify", out).code == 0


def test_the_name_of_the_folder_is_no_person(sosie, found, tmp_path) -> None:
    """A person called as the pictures' folder stays a person when the set is opened again."""
    folder, out = tmp_path / "anna", tmp_path / "set"
    folder.mkdir()
    picture, told = aligned(*found[0], "whole")
    (folder / "a.jpg").write_bytes(with_segment(encoded(picture, ".jpg"), pickle.dumps(told)))
    result = sosie("dataset", "import", "dfl", folder, "-o", out, *SMALL, "--person", "anna")
    assert result.code == 0, result
    store = FaceStore.open(out)
    store.sync()
    assert list(store.read(["person"])["person"]) == ["anna"]


class Command:
    """What a pickle of it would run."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("ran",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({"landmarks": Command()}), "calls posix.mkdir.*nothing of it was run"),
        (pickle.dumps(Command(), 0), "calls posix.mkdir"),
        (b"cposix\nsystem\n(S'mkdir ran'\ntR.", "calls posix.system"),
        (b"cnumpy\nload\n(S'a.npy'\ntR.", "calls numpy.load"),
        (pickle.dumps({"landmarks": [[1, 2]] * 67}), "tells no 68 landmarks"),
        (pickle.dumps({"landmarks": [[float("nan"), 2]] * 68}), "tells no 68 landmarks"),
        (pickle.dumps([1]), "tells no 68 landmarks"),
        (pickle.dumps({"landmarks": np.zeros((68, 2))})[:-40], "no data that can be read"),
        (b"\x80\x04)\x81.", "no data that can be read"),
        (b"", "no data that can be read"),
    ],
    ids=["reduce", "old", "system", "numpy", "few", "nan", "list", "cut", "nonsense", "empty"],
)
def test_a_pickle_that_is_no_data_is_refused(
    refused, found, tmp_path, monkeypatch, content: bytes, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "aligned"
    folder.mkdir()
    picture = encoded(found[0][0][:64, :64], ".jpg")
    (folder / "a.jpg").write_bytes(with_segment(picture, content))
    told = refused(1, "dataset", "import", "dfl", folder, "-o", tmp_path / "set", *SMALL)

    assert re.search(message, told)
    assert "sosie dataset extract" in told
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.xseg", "is a pickle.*masks are measured anew"),
        ("XSeg_256.npy", "a pickle.*export the model there as a DFM"),
        ("me_SAEHD_data.dat", "settings of a model"),
        ("faceset.pak", "unpack it with DeepFaceLab"),
    ],
)
def test_other_files_are_refused_with_what_to_do(
    sosie, refused, found, tmp_path, name: str, message: str
) -> None:

    folder = tmp_path / "aligned"
    folder.mkdir()
    (folder / name).write_bytes(pickle.dumps(Command()))
    arguments = ("dataset", "import", "dfl", folder, "-o", tmp_path / "set", *SMALL)
    assert re.search(message, refused(1, *arguments))
    assert re.search(
        message, refused(1, "dataset", "import", "dfl", folder / name, "-o", tmp_path / "set")
    )
    # Beside faces it is told, and the rest is read.
    picture, told = aligned(*found[0], "whole")
    (folder / "b.jpg").write_bytes(with_segment(encoded(picture, ".jpg"), pickle.dumps(told)))
    result = sosie(*arguments)
    assert result.code == 1
    assert re.search(message, result.err)
    assert len(FaceStore.open(tmp_path / "set")) == 1


def test_a_picture_without_data_is_told_where_to_go(refused, found, tmp_path) -> None:
    (tmp_path / "aligned").mkdir()
    for name in ("a.png", "b.jpg"):
        (tmp_path / "aligned" / name).write_bytes(encoded(found[0][0][:64, :64], name[1:]))
    for tool, called in (("dfl", "DeepFaceLab"), ("faceswap", "faceswap")):
        told = refused(1, "dataset", "import", tool, tmp_path / "aligned", "-o", tmp_path / "set")
        assert f"holds no data of {called}: extract its face with `sosie dataset extract`" in told


def test_words_that_cannot_be_meant_are_refused(refused, tmp_path) -> None:
    arguments = (tmp_path, "-o", tmp_path / "set")
    told = refused(2, "dataset", "import", "faceswp", *arguments)
    assert "choose one of dfl, faceswap (did you mean 'faceswap'?)" in told
    told = refused(2, "dataset", "import", "dfl", *arguments, "--person", "a/b")
    assert "try 'a_b'" in told
    told = refused(1, "dataset", "import", "dfl", tmp_path / "absent", "-o", tmp_path / "set")
    assert "absent does not exist" in told


def test_landmarks_of_nothing_add_no_face(sosie, found, tmp_path) -> None:
    folder = tmp_path / "aligned"
    folder.mkdir()
    for number, points in enumerate((np.zeros((68, 2)), np.random.default_rng(0).random((68, 2)))):
        picture = encoded(np.full((256, 256, 3), 40 + number, np.uint8), ".jpg")
        data = pickle.dumps({"landmarks": points * 200})
        (folder / f"{number}.jpg").write_bytes(with_segment(picture, data))
    result = sosie("dataset", "import", "dfl", folder, "-o", tmp_path / "set", *SMALL)
    assert result.code == 3
    assert "None of the faces" in result.err
    assert not (tmp_path / "set").exists()


def itxt(told: object) -> bytes:
    return b"faceswap\0\0\0\0\0" + str(told).encode()


def test_extracted_faces_of_faceswap(sosie, found, tmp_path) -> None:
    folder, out = tmp_path / "faces", tmp_path / "set"
    folder.mkdir()
    for number, (pixels, face) in enumerate(found):
        picture = alignment.crop(
            pixels, annotated_matrix(annotated(face), FACE_TYPES["head"], 256), 256
        )
        told = {
            "alignments": {"x": 1, "y": 2, "landmarks_xy": annotated(face).tolist(), "mask": {}},
            "source": {"source_filename": f"clip_{number:06}.png", "face_index": 0},
        }
        content = with_chunk(encoded(picture, ".png"), b"iTXt", itxt(told))
        (folder / f"clip_{number:06}_0.png").write_bytes(content)
    result = sosie("dataset", "import", "faceswap", folder, "-o", out, *SMALL)
    assert result.code == 0, result
    read = FaceStore.open(out).read(["input", "person"])
    assert sorted(read["input"]) == ["clip_000000.png", "clip_000001.png"]
    assert set(read["person"]) == {""}


@pytest.mark.parametrize(
    "text", ["__import__('os').mkdir('ran')", "{", "[1]", "{'source': 3}", "(" * 300 + ")" * 300]
)
def test_a_text_that_is_no_literal_is_refused(
    refused, found, tmp_path, monkeypatch, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "faces").mkdir()
    content = with_chunk(encoded(found[0][0][:64, :64], ".png"), b"iTXt", itxt(text))
    (tmp_path / "faces" / "a.png").write_bytes(content)
    told = refused(1, "dataset", "import", "faceswap", "faces", "-o", "set")
    assert "a text that is none of faceswap's" in told
    assert not (tmp_path / "ran").exists()


def alignments(faces: dict[str, list[Any]], protocol: int = 4) -> bytes:
    frames = {
        name: {
            "faces": [
                {"x": 1, "w": 2, "y": 3, "h": 4, "landmarks_xy": one, "mask": {"a": {"mask": b""}}}
                for one in known
            ],
            "video_meta": {},
        }
        for name, known in faces.items()
    }
    return zlib.compress(pickle.dumps({"__meta__": {"version": 2.4}, "__data__": frames}, protocol))


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_frames_with_an_alignment_file(sosie, found, tmp_path, protocol: int) -> None:
    folder, out = tmp_path / "frames", tmp_path / "set"
    folder.mkdir()
    known = {}
    for number, (pixels, face) in enumerate(found):
        (folder / f"f{number}.png").write_bytes(encoded(pixels, ".png"))
        known[f"f{number}.png"] = [annotated(face).astype(np.float32)]
    # One frame has a face more, in the corner, where there is none.
    known["f1.png"].append(known["f1.png"][0] * np.float32(0.2))
    # And the other one of which the tool has four corners alone.
    known["f0.png"].append(np.zeros((4, 2), np.float32))
    (folder / "alignments.fsa").write_bytes(alignments(known, protocol))
    result = sosie("dataset", "import", "faceswap", folder, "-o", out, *SMALL, "--json")
    assert result.code == 0, result
    assert (result.json["faces"], result.json["unconfirmed"]) == (2, 2)
    assert sorted(FaceStore.open(out).read(["input"])["input"]) == ["f0.png", "f1.png"]


def fsa(content: Any) -> Callable[[], bytes]:
    return lambda: zlib.compress(pickle.dumps(content))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: alignments({"clip_000001.png": []}), "1 are not beside it.*dataset extract"),
        (lambda: alignments({"../a.png": [], "b/../a.png": []}), "2 are not beside it"),
        (fsa({"__data__": {"a.png": Command()}}), "calls posix.mkdir"),
        (fsa([]), "no alignment file of faceswap"),
        (fsa({"__data__": {"a.png": {}}}), "a frame without its faces"),
        (lambda: b"not packed", "no alignment file of faceswap"),
        (lambda: alignments({"a.png": []})[:-8], "cut short"),
    ],
    ids=["absent", "outside", "code", "list", "faces", "plain", "cut"],
)
def test_an_alignment_file_that_cannot_be_used(
    refused, tmp_path, monkeypatch, make: Callable[[], bytes], message: str
) -> None:

    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_bytes(encoded(np.zeros((64, 64, 3), np.uint8), ".png"))
    folder = tmp_path / "frames"
    folder.mkdir()
    (folder / "alignments.fsa").write_bytes(make())
    told = refused(1, "dataset", "import", "faceswap", folder, "-o", tmp_path / "set")
    assert re.search(message, told)
    assert not (tmp_path / "ran").exists()
