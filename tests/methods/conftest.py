"""Painted faces: pictures of the model face with a colour for each mesh point, and their crops."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sosie.face_shape import face_shape
from sosie.geometry import align_matrix, transform_points, warp
from sosie.methods.base import Card, Source
from sosie.types import Crop, Face

SIDE_PX = 256


@pytest.fixture(scope="session")
def paint() -> Callable[..., NDArray[np.uint8]]:
    """A picture of a face, RGB uint8: each triangle in the mean colour of its points, the nearer
    over the farther; holes (eyes, mouth) and surroundings in `background`."""

    def draw(
        face: Face,
        colours: NDArray[np.floating] | tuple[int, int, int],
        background: tuple[int, int, int] = (90, 90, 90),
        side_px: int = SIDE_PX,
    ) -> NDArray[np.uint8]:
        colours = np.broadcast_to(np.asarray(colours, float), (478, 3))
        picture = np.full((side_px, side_px, 3), background, np.uint8)
        triangles = face_shape().triangles
        depth = face.landmarks[triangles, 2].mean(1)
        for triangle in triangles[np.argsort(-depth)]:
            corners = np.round(face.landmarks[triangle, :2] * 16).astype(np.int32)
            a, b, c = corners.astype(int)
            if (b - a)[0] * (c - a)[1] - (b - a)[1] * (c - a)[0] <= 0:
                continue
            colour = tuple(int(value) for value in np.rint(colours[triangle].mean(0)))
            cv2.fillConvexPoly(picture, corners, colour, cv2.LINE_8, 4)
        return picture

    return draw


@pytest.fixture(scope="session")
def source_of() -> Callable[..., Source]:
    """A source photo; all of its face is visible unless `visible` says otherwise."""

    def make(
        pixels: NDArray[np.generic], face: Face, visible: NDArray[np.float32] | None = None
    ) -> Source:
        if visible is None:
            visible = np.ones(pixels.shape[:2], np.float32)
        return Source(pixels, face, visible)

    return make


@pytest.fixture(scope="session")
def crop_for() -> Callable[..., Crop]:
    """What a method sees of a face in a frame: as its card asks, or a window of the frame."""

    def make(
        frame: NDArray[np.generic],
        face: Face,
        card: Card | None = None,
        source: int | None = None,
    ) -> Crop:
        if card is None or card.template is None or card.size_px is None:
            matrix, pixels = np.eye(2, 3), frame
        else:
            matrix = align_matrix(face.points5, card.template, card.size_px)
            pixels = warp(frame, matrix, card.size_px, card.size_px)
        landmarks = transform_points(face.landmarks, matrix)
        visible = np.ones(pixels.shape[:2], np.float32)
        return Crop(pixels, matrix, landmarks, landmarks, visible, face, source)

    return make


@pytest.fixture(scope="session")
def colour_swapper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The least of swappers, as an ONNX file that is called like blendswap_256: in the light and
    shade of the target, the mean colour of the source's picture (of its inner half)."""
    onnx = pytest.importorskip("onnx", exc_type=ImportError)
    from onnx import TensorProto, helper, numpy_helper

    def ints(name: str, *values: int) -> onnx.TensorProto:
        return numpy_helper.from_array(np.array(values, np.int64), name)

    nodes = [
        helper.make_node("Slice", ["source", "from", "to", "sides"], ["inner"]),
        helper.make_node("ReduceMean", ["inner"], ["colour"], axes=[2, 3]),
        helper.make_node("ReduceMean", ["target"], ["grey"], axes=[1]),
        helper.make_node("ReduceMean", ["grey"], ["light"], axes=[1, 2, 3]),
        helper.make_node("Sub", ["grey", "light"], ["shade"]),
        helper.make_node("Mul", ["shade", "little"], ["relief"]),
        helper.make_node("Add", ["colour", "relief"], ["result"]),
    ]
    graph = helper.make_graph(
        nodes,
        "colour",
        [
            helper.make_tensor_value_info("target", TensorProto.FLOAT, [1, 3, 256, 256]),
            helper.make_tensor_value_info("source", TensorProto.FLOAT, [1, 3, 112, 112]),
        ],
        [helper.make_tensor_value_info("result", TensorProto.FLOAT, [1, 3, 256, 256])],
        [
            ints("from", 28, 28),
            ints("to", 84, 84),
            ints("sides", 2, 3),
            numpy_helper.from_array(np.float32([0.01]), "little"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    file = tmp_path_factory.mktemp("onnx") / "blendswap_256.onnx"
    file.write_bytes(model.SerializeToString())
    return file
