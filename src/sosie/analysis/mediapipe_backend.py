"""The face networks that MediaPipe's wheel carries. Nothing else in Sosie knows MediaPipe.

Only the compiled core is loaded, by its file: the package's own `__init__` imports plotting and
audio libraries that cost half a second. Two small graphs turn a square of pixels into the raw
numbers of a network; where to look, and what the numbers mean for a frame, is decided elsewhere.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import queue
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sosie.analysis.networks import DetectedSquare, FaceNetworks
from sosie.errors import UnavailableError

_CORE = "mediapipe.python._framework_bindings"
_INSTALL = "install it with 'pip install mediapipe==0.10.21'"
_DETECTOR_PX = 192
_DETECTOR_STRIDE_PX = 4
_SECOND_PX = 128
_MESH_PX = 192

_INFERENCE = """
input_stream: "image"
num_threads: 1
node {{
  calculator: "ImageToTensorCalculator"
  input_stream: "IMAGE:image"
  output_stream: "TENSORS:input"
  options {{ [mediapipe.ImageToTensorCalculatorOptions.ext] {{
    output_tensor_width: {side} output_tensor_height: {side}
    output_tensor_float_range {{ min: {low} max: 1.0 }}
  }} }}
}}
node {{
  calculator: "TfLiteCustomOpResolverCalculator"
  output_side_packet: "OP_RESOLVER:operators"
}}
node {{
  calculator: "InferenceCalculatorCpu"
  input_stream: "TENSORS:input"
  input_side_packet: "OP_RESOLVER:operators"
  output_stream: "TENSORS:output"
  options {{ [mediapipe.InferenceCalculatorOptions.ext] {{
    model_path: "{model}"
    delegate {{ xnnpack {{ num_threads: 1 }} }}
  }} }}
}}
node {{
  calculator: "SplitTensorVectorCalculator"
  input_stream: "output"
  output_stream: "first"
  output_stream: "second"
  options {{ [mediapipe.SplitVectorCalculatorOptions.ext] {{
    ranges: {{ begin: 0 end: {split} }} ranges: {{ begin: {split} end: {end} }}
  }} }}
}}
node {{
  calculator: "TensorsToFloatsCalculator"
  input_stream: "TENSORS:second"
  output_stream: "FLOATS:scores"
}}
output_stream: "values"
output_stream: "scores"
"""

_RAW_VALUES = """
node {
  calculator: "TensorsToFloatsCalculator"
  input_stream: "TENSORS:first"
  output_stream: "FLOATS:values"
}
"""

# The mesh's lips, eyes and irises come in tensors of their own; the subgraph puts them in place.
_MESH_VALUES = """
node {
  calculator: "TensorsToFaceLandmarksWithAttention"
  input_stream: "TENSORS:first"
  output_stream: "LANDMARKS:landmarks"
}
node {
  calculator: "ImagePropertiesCalculator"
  input_stream: "IMAGE:image"
  output_stream: "SIZE:size"
}
node {
  calculator: "LandmarksToTensorCalculator"
  input_stream: "NORM_LANDMARKS:landmarks"
  input_stream: "IMAGE_SIZE:size"
  output_stream: "TENSORS:points"
  options { [mediapipe.LandmarksToTensorCalculatorOptions.ext] {
    attributes: [X, Y, Z] flatten: true
  } }
}
node {
  calculator: "TensorsToFloatsCalculator"
  input_stream: "TENSORS:points"
  output_stream: "FLOATS:values"
}
"""


# More detectors at once than this gain little: a photo has some tens of views.
_MAX_DETECTORS = 4


def load_networks(threads: int | None) -> FaceNetworks:
    """The networks, the detector's squares spread over `threads` (None: all processors).

    Raises UnavailableError where MediaPipe is missing.
    """
    return MediapipeNetworks(min(threads or os.cpu_count() or 1, _MAX_DETECTORS))


class MediapipeNetworks:
    """BlazeFace at full and at short range, and the face mesh with attention."""

    detector_px = _DETECTOR_PX
    second_px = _SECOND_PX
    mesh_px = _MESH_PX

    def __init__(self, threads: int) -> None:
        core, folder = _load_core()

        def graph(model: str, values: str, **settings: float) -> _Graph:
            path = folder / "modules" / model
            if not path.is_file():
                raise UnavailableError(f"The installed mediapipe lacks {path.name}: {_INSTALL}.")
            return _Graph(core, _INFERENCE.format(model=path, **settings) + values)

        detector = {"low": -1.0, "split": 1, "end": 2}
        # A graph works on one thread, whatever it is told: several squares need several graphs.
        self._idle: queue.SimpleQueue[_Graph] = queue.SimpleQueue()
        for _ in range(threads):
            self._idle.put(
                graph(
                    "face_detection/face_detection_full_range_sparse.tflite",
                    _RAW_VALUES,
                    side=_DETECTOR_PX,
                    **detector,
                )
            )
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="sosie-detect")
        self._second = graph(
            "face_detection/face_detection_short_range.tflite",
            _RAW_VALUES,
            side=_SECOND_PX,
            **detector,
        )
        self._mesh = graph(
            "face_landmark/face_landmark_with_attention.tflite",
            _MESH_VALUES,
            side=_MESH_PX,
            low=0.0,
            split=6,
            end=7,
        )
        cells = _DETECTOR_PX // _DETECTOR_STRIDE_PX
        rows, columns = np.mgrid[:cells, :cells]
        self._anchors = (np.stack([columns, rows], -1).reshape(-1, 2) + 0.5) * _DETECTOR_STRIDE_PX

    def detect(
        self, squares: Sequence[NDArray[np.uint8]], min_score: float
    ) -> list[list[DetectedSquare]]:
        if len(squares) == 1:
            return [self._detect(squares[0], min_score)]
        return list(self._pool.map(lambda square: self._detect(square, min_score), squares))

    def _detect(self, square: NDArray[np.uint8], min_score: float) -> list[DetectedSquare]:
        detector = self._idle.get()
        try:
            values, logits = detector(square)
        finally:
            self._idle.put(detector)
        scores = _sigmoid(logits)
        found = np.flatnonzero(scores >= min_score)
        # A row: box centre x, y, width, height, then six points: the eyes (image left first),
        # nose, mouth, ears; centres and points relative to the anchor, all in pixels.
        rows = values.reshape(len(scores), 16)[found]
        points = rows.reshape(len(found), 8, 2)
        points[:, [0, 2, 3, 4, 5, 6, 7]] += self._anchors[found, None]
        squares = []
        for score, point in zip(scores[found], points, strict=True):
            eye_line = point[3] - point[2]
            squares.append(
                DetectedSquare(
                    x=float(point[0, 0]),
                    y=float(point[0, 1]),
                    size_px=float(point[1].max()),
                    roll_deg=float(np.degrees(np.arctan2(eye_line[1], eye_line[0]))),
                    score=float(score),
                )
            )
        return squares

    def second_opinion(self, square: NDArray[np.uint8]) -> float:
        _, logits = self._second(square)
        return float(_sigmoid(logits).max())

    def mesh(self, square: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
        values, logit = self._mesh(square)
        points = values.reshape(478, 3)
        # The network counts from the corner of the first pixel, Sosie from its centre.
        points[:, :2] -= 0.5
        return points, float(_sigmoid(logit)[0])


class _Graph:
    """A graph from one image to two lists of floats. Calls from several threads take turns."""

    def __init__(self, core: Any, config: str) -> None:
        self._core = core
        self._lock = threading.Lock()
        self._results: dict[str, Any] = {}
        self._count = 0
        with _quiet_stderr():
            self._graph = core.calculator_graph.CalculatorGraph(graph_config=config)
            for name in ("values", "scores"):
                self._graph.observe_output_stream(name, self._results.__setitem__)
            self._graph.start_run()
            self._graph.wait_until_idle()

    def __call__(
        self, square: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        core = self._core
        with self._lock:
            self._count += 1
            image = core._packet_creator._create_image_frame_from_pixel_data(
                core.image_frame.ImageFormat.SRGB, np.ascontiguousarray(square), True
            )
            packet = image.at(core.timestamp.Timestamp(self._count))
            self._graph.add_packet_to_input_stream("image", packet)
            self._graph.wait_until_idle()
            read = core._packet_getter.get_float_list
            return (
                np.array(read(self._results["values"]), np.float32),
                np.array(read(self._results["scores"]), np.float32),
            )


def _load_core() -> tuple[Any, Path]:
    """MediaPipe's compiled module and the package's folder."""
    spec = importlib.util.find_spec("mediapipe")
    if spec is None or not spec.submodule_search_locations:
        raise UnavailableError(f"Faces are found with mediapipe, which is missing: {_INSTALL}.")
    folder = Path(spec.submodule_search_locations[0])
    if _CORE in sys.modules:
        return sys.modules[_CORE], folder
    files = sorted((folder / "python").glob("_framework_bindings*"))
    if not files:
        raise UnavailableError(f"The installed mediapipe has no compiled core: {_INSTALL}.")
    os.environ.setdefault("GLOG_minloglevel", "2")
    # Under its own full name, so that a later `import mediapipe` finds it and does not load twice.
    core_spec = importlib.util.spec_from_file_location(_CORE, files[0])
    if core_spec is None or core_spec.loader is None:
        raise UnavailableError(f"The installed mediapipe cannot be loaded: {_INSTALL}.")
    core = importlib.util.module_from_spec(core_spec)
    sys.modules[_CORE] = core
    core_spec.loader.exec_module(core)
    return core, folder


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """TensorFlow Lite greets on file descriptor 2 whatever the log level: mute it for a moment.

    What goes wrong meanwhile is raised as an exception, so no message is lost.
    """
    try:
        saved = os.dup(2)
    except OSError:  # no standard error at all, nothing to mute
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(nowhere)
        os.close(saved)


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -80, 80))), np.float32)
