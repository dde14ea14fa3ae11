from __future__ import annotations

import dataclasses
import json

import cv2
import numpy as np
import pytest

from sosie.errors import InputError, UsageError
from sosie.evaluation import recognition
from sosie.evaluation.metric import Settings
from sosie.evaluation.metrics import measure_pair
from sosie.evaluation.recognition import open_embedder, open_judges
from sosie.evaluation.sample import AnalyzedImage, Sample, look_at
from sosie.recipes.teachers import TeacherReading


@pytest.fixture(scope="module")
def network_file(tmp_path_factory):
    """Networks whose answer is their picture's mean colors in an 8 x 8 grid, less an offset."""
    onnx = pytest.importorskip("onnx")
    helper, kinds = onnx.helper, onnx.TensorProto
    folder = tmp_path_factory.mktemp("recognisers")

    def make(name, batch="n", side=112, channels_first=True, kernel=28, bias=0.0):
        shape = [batch, 3, side, side] if channels_first else [batch, side, side, 3]
        nodes = []
        if not channels_first:
            nodes.append(helper.make_node("Transpose", ["x"], ["y"], perm=[0, 3, 1, 2]))
        nodes += [
            helper.make_node(
                "AveragePool",
                ["x" if channels_first else "y"],
                ["p"],
                kernel_shape=[kernel] * 2,
                strides=[kernel] * 2,
            ),
            helper.make_node("Flatten", ["p"], ["f"]),
            helper.make_node("Add", ["f", "bias"], ["v"]),
        ]
        graph = helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", kinds.FLOAT, shape)],
            [helper.make_tensor_value_info("v", kinds.FLOAT, None)],
            [helper.make_tensor("bias", kinds.FLOAT, [1], [bias])],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        path = folder / f"{name}.onnx"
        onnx.save(model, path)
        return path

    return make


@pytest.fixture
def plain(model_face):
    def make(*colors):
        face = model_face()
        return [(np.full((256, 256, 3), color, np.uint8), face) for color in colors]

    return make


@pytest.mark.parametrize("channels_first", [True, False])
@pytest.mark.parametrize("batch", ["n", 1, 4])
def test_layouts_and_batches_give_one_answer(channels_first, batch, network_file, plain):
    path = network_file(f"net{channels_first}{batch}", batch, channels_first=channels_first)
    network = open_embedder(f"{path}:range=0..255", 1)
    found = network.embed(plain(*[(k + 1, 100, 0) for k in range(6)]))
    assert found.shape == (6, 48)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    # 16 places a color: the first color's share grows, in order.
    assert np.allclose(found[:, 0] / found[:, 16], np.arange(1, 7) / 100, atol=1e-5)
    assert network.embed([]).shape[0] == 0


@pytest.mark.parametrize(
    ("option", "level"),
    [("", 0.6), (":range=-1..1", 0.6), (":range=0..1", 0.8), (":range=0..255", 204)],
)
def test_the_range_of_pixels(option, level, network_file, plain, monkeypatch):
    network = open_embedder(f"{network_file('ranged')}{option}", 1)
    seen = []
    run = type(network.session).run
    monkeypatch.setattr(type(network.session), "run", lambda s, x: seen.append(x["x"]) or run(s, x))
    network.embed(plain(204))
    assert seen[0].dtype == np.float32
    assert np.allclose(seen[0], level, atol=1e-5)


def test_a_card_beside_the_file_names_it_and_its_range(network_file, plain):
    path = network_file("carded")
    beside = path.with_name("carded.onnx.json")
    beside.write_text(json.dumps({"name": "arc", "range": "0..255"}))
    network = open_embedder(str(path))
    assert (network.name, network.low, network.high) == ("arc", 0, 255)
    assert open_embedder(f"{path}:range=0..1").high == 1
    for text, words in (("{", "not valid JSON"), ('{"size": "9"}', "only the texts")):
        beside.write_text(text)
        with pytest.raises(InputError, match=words):
            open_embedder(str(path))


def test_networks_of_another_kind_are_refused(network_file, plain, tmp_path):
    with pytest.raises(InputError, match=r"takes \? x 3 x 64 x 64"):
        open_embedder(str(network_file("small", side=64)))
    with pytest.raises(InputError, match="no vector of 16 to 4,096"):
        open_embedder(str(network_file("short", kernel=112))).embed(plain(9))
    with pytest.raises(InputError, match="does not exist"):
        open_embedder(str(tmp_path / "none.onnx"))
    with pytest.raises(UsageError, match=r"range '0\.\.2'.*give one of"):
        open_embedder(f"{network_file('fine')}:range=0..2")
    with pytest.raises(UsageError, match="cannot be named 'sosie'"):
        open_embedder(str(network_file("sosie")))


def test_a_range_in_which_a_network_sees_nothing_is_refused(network_file):
    path = network_file("biased", bias=100.0)
    with pytest.raises(UsageError, match=r"pixels in -1\.\.1 .*biased\.onnx:range=0\.\.255`"):
        open_embedder(str(path), 1)
    assert open_embedder(f"{path}:range=0..255", 1).high == 255


def test_a_published_network_tells_two_people_apart(shared_data, astronaut, hopper):
    from sosie.analysis.analyzer import create_analyzer

    path = shared_data.parent / "teachers" / "mobileface_v2.onnx"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    judges = open_judges([f"{path}:range=0..255"], threads=1)
    analyzer = create_analyzer(1)
    photos = [astronaut, astronaut[:, ::-1], hopper]
    a, mirrored, other = (
        look_at(pixels, "", analyzer, judges).identity["mobileface_v2"] for pixels in photos
    )
    assert a @ mirrored > 0.7 > 0.3 > a @ other


class Told:
    """A landmarker that sees a head turned by the picture's first pixel, in degrees; 0: none."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def read(self, pixels: np.ndarray, box: np.ndarray) -> TeacherReading | None:
        angle = np.radians(float(pixels[0, 0, 0]))
        if angle == 0:
            return None
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        rotation = np.eye(3, dtype=np.float32)
        rotation[:2, :2] = turn
        weights = np.full(52, pixels[0, 0, 1] / 100, np.float32)
        return TeacherReading(np.zeros((478, 3), np.float32), weights, rotation, 0.0)


@pytest.mark.parametrize("seen", [True, False])
def test_a_landmarker_judges_pose_and_expression_too(monkeypatch, tmp_path, model_face, seen):
    monkeypatch.setattr(recognition, "LandmarkTeacher", Told)
    file = tmp_path / "face_landmarker.task"
    file.write_bytes(b"network")
    judges = open_judges([], file)
    assert judges.record()["landmarker"]["name"] == "mediapipe"
    face = dataclasses.replace(model_face(), expression=np.zeros(52, np.float32))
    looks = []
    for name, first in (("source", 10), ("target", 10), ("result", 40 if seen else 0)):
        pixels = np.full((256, 256, 3), 20 if name == "result" else 10, np.uint8)
        pixels[0, 0, 0] = first
        (vector,) = judges.landmarker.read([(pixels, face)])
        own = {} if vector is None else {"reading.mediapipe": vector}
        looks.append(AnalyzedImage(pixels, name, face, own))
    found = measure_pair(Sample(*looks), Settings(), ["pose", "expression"])
    if seen:
        assert found.figures["pose_error[mediapipe]"] == pytest.approx(30, abs=1e-3)
        told = found.figures["expression_error[mediapipe]"]
        assert told == pytest.approx(0.1 * np.sqrt(51), rel=1e-4)
    else:
        assert found.figures["pose_error[mediapipe]"] is None
        assert "mediapipe does not see" in found.reasons["pose_error[mediapipe]"]


def test_mediapipes_landmarker_agrees_with_sosies(shared_data, astronaut):
    pytest.importorskip("mediapipe")
    from sosie.analysis.analyzer import create_analyzer

    path = shared_data.parent / "teachers" / "face_landmarker.task"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    judges, analyzer = open_judges([], path), create_analyzer(1)
    plain = look_at(astronaut, "plain", analyzer, judges)
    height, width = astronaut.shape[:2]
    tilt = cv2.getRotationMatrix2D((width / 2, height / 2), 15, 1)
    tilted = look_at(cv2.warpAffine(astronaut, tilt, (width, height)), "tilted", analyzer, judges)
    found = measure_pair(Sample(plain, plain, tilted), Settings(threads=1), ["pose", "expression"])
    assert found.figures["pose_error[mediapipe]"] == pytest.approx(15, abs=3)
    assert found.figures["expression_error[mediapipe]"] < 0.5
    judges.landmarker.close()


def test_what_is_no_landmarker_is_said(tmp_path):
    with pytest.raises(InputError, match="There is no"):
        open_judges([], tmp_path / "face_landmarker.task")
    pytest.importorskip("mediapipe")
    (tmp_path / "bad.task").write_bytes(b"not a network")
    with pytest.raises(InputError, match=r"bad\.task is no network of MediaPipe's"):
        open_judges([], tmp_path / "bad.task")
