"""What a set keeps of each face: a row of its table, the table's columns, and both as arrays."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sosie.datasets.markers import SET_FORMAT, VERSION
from sosie.types import FloatArray


@dataclass(frozen=True)
class FaceRow:
    """One face of a set: a row of the table.

    id: 16 hexadecimal digits, from the content of the input, the frame and the face's place in it:
        the same in every run.
    file: the picture, relative to the set's folder, with `/`; its name ends with the id.
    input, input_sha256: the video's or photo's name as it was given, and its content's hash.
    frame: index in the video, from 0; -1 of a photo. time_s: since the video's start; nan of a
    photo.
    scene: number of the shot, from 0. track: number of the person's track, from 0, unique in the
        video; -1 of a photo.
    person: whose face it is, "" where unknown.
    template, size_px: how the picture was aligned, and its side in pixels.
    matrix: pixels of the frame -> pixels of the picture, float64, 2 x 3.
    frame_width, frame_height: of the frame, upright, in pixels.
    box, points5, landmarks: as in `sosie.types.Face`, in pixels of the frame: float32, 4; 5 x 2;
        478 x 3. score: confidence that this is a face, 0..1.
    yaw, pitch, roll: degrees, as in `sosie.types.Pose`.
    face_px: the longer side of the box. sharpness: see `sosie.analysis.quality.sharpness`.
    blur_px: deviation of the blur, in pixels of the face at its own scale (`extract.figures`).
    brightness: mean luma of the face, 0..1. contrast: its standard deviation, 0..1. side_light:
        luma of the image's right half of the face less that of the left, over their sum, -1..1.
    expression: float32, 52, named by `sosie.analysis.landmarker.EXPRESSIONS`.
    visible: share of the face that nothing hides, 0..1.
    identity: float32, 512, unit length.
    phash: 64 bits; the more of them differ between two faces, the less alike the pictures are.
    rejected: why the face was put aside, "" where it was not.
    split: `train`, `test`, or "" where the set is not split.
    """

    id: str
    file: str
    input: str
    input_sha256: str
    frame: int
    time_s: float
    scene: int
    track: int
    person: str
    template: str
    size_px: int
    matrix: NDArray[np.float64]
    frame_width: int
    frame_height: int
    box: FloatArray
    points5: FloatArray
    landmarks: FloatArray
    score: float
    yaw: float
    pitch: float
    roll: float
    face_px: float
    sharpness: float
    blur_px: float
    brightness: float
    contrast: float
    side_light: float
    expression: FloatArray
    visible: float
    identity: FloatArray
    phash: int
    rejected: str = ""
    split: str = ""


_INTEGERS = {
    **dict.fromkeys(("frame", "track"), pa.int64()),
    **dict.fromkeys(("scene", "size_px", "frame_width", "frame_height"), pa.int32()),
    "phash": pa.uint64(),
}
SHAPES = {
    "matrix": (2, 3),
    "box": (4,),
    "points5": (5, 2),
    "landmarks": (478, 3),
    "expression": (52,),
    "identity": (512,),
}
"""Columns that hold an array a face, and its shape; the table has them flat, row by row."""


def _column_type(name: str, annotation: str) -> pa.DataType:
    if name in SHAPES:
        number = pa.float64() if name == "matrix" else pa.float32()
        return pa.list_(number, int(np.prod(SHAPES[name])))
    if name in _INTEGERS:
        return _INTEGERS[name]
    if annotation == "str":
        return pa.string()
    return pa.float64() if name == "time_s" else pa.float32()


SCHEMA = pa.schema(
    [
        pa.field(field.name, _column_type(field.name, str(field.type)), nullable=False)
        for field in dataclasses.fields(FaceRow)
    ],
    metadata={"format": SET_FORMAT, "version": str(VERSION)},
)
"""Of the table: as `FaceRow`, with lists of fixed length for arrays."""

COLUMNS = tuple(SCHEMA.names)


def to_table(rows: list[FaceRow]) -> pa.Table:
    """Rows as a table of SCHEMA. Raises ValueError where an array is not of its shape."""
    columns = []
    for field in SCHEMA:
        values = [getattr(row, field.name) for row in rows]
        if field.name in SHAPES:
            columns.append(_flat(field, values))
        else:
            columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _flat(field: pa.Field, values: list[NDArray[Any]]) -> pa.Array:
    shape = SHAPES[field.name]
    for value in values:
        if np.shape(value) != shape:
            raise ValueError(f"{field.name} must be {shape}, not {np.shape(value)}")
    flat = np.asarray(values, field.type.value_type.to_pandas_dtype()).ravel()
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), type=field.type)


def to_arrays(table: pa.Table) -> dict[str, NDArray[Any]]:
    """Columns as arrays of N rows: text as objects, numbers in their type, arrays N x shape."""
    arrays = {}
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        if name in SHAPES:
            arrays[name] = column.flatten().to_numpy().reshape(-1, *SHAPES[name])
        else:
            arrays[name] = column.to_numpy(zero_copy_only=False)
    return arrays


def to_rows(table: pa.Table) -> list[FaceRow]:
    """The rows of a table that has all columns."""
    arrays = to_arrays(table)
    return [
        FaceRow(**{name: _plain(arrays[name][k]) for name in COLUMNS})
        for k in range(table.num_rows)
    ]


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
