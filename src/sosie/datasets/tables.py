"""The table of a set of faces: how it is written, and read where others may have written it.

What pandas, polars and others make of the columns (texts as dictionaries, wider numbers, columns
that may be empty) is brought to the types of `SCHEMA`; anything else is an InputError that names
the table and what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sosie import foreign
from sosie.datasets.face_rows import SCHEMA, SHAPES, to_arrays
from sosie.datasets.markers import FOLDERS, PICTURES
from sosie.errors import InputError
from sosie.output import atomic_output

# Among what a face has are 512 figures that no compression makes much smaller.
_LEAST_ROW_BYTES, _SPARE_ROWS = 256, 256
_MOST_ROW_BYTES, _SPARE_BYTES = 1 << 16, 64 << 20

_OPTIONAL = ("person", "rejected", "split", "input")
"""Texts that may be null, which is the same as empty."""

_MAY_BE_NAN = ("time_s",)
_LENGTHS = (0.9, 1.1)
"""Between these is the length of an identity, which is 1 but for rounding."""

BATCH_ROWS = 512
"""How many faces are read and written at a time."""


@dataclass(frozen=True)
class PackedTable:
    """A table that is no file of its own: its open stream, its length in bytes, and its name."""

    stream: IO[bytes]
    size_bytes: int
    name: str


def row_count(source: Path) -> int:
    """How many faces a table has. See `tables`."""
    with _reading(str(source)), _opened(source) as file:
        return int(file.metadata.num_rows)


def tables(
    source: Path | PackedTable, columns: Sequence[str], rows: int = BATCH_ROWS, strict: bool = True
) -> Iterator[pa.Table]:
    """Parts of a table of at most `rows` rows, with these columns in the types of SCHEMA.

    strict: whether figures must be finite, and identities of unit length. Raises InputError where
    the table is damaged, claims more than its length can hold, or is not that of a set.
    """
    name = source.name if isinstance(source, PackedTable) else str(source)
    with _reading(name):
        file = _opened(source)
    with file:
        # Of all groups of rows at once the reader would keep what it has read.
        for group in range(file.num_row_groups):
            with _reading(name):
                batches = file.iter_batches(rows, row_groups=[group], columns=list(columns))
            while True:
                with _reading(name):
                    batch = next(batches, None)
                    if batch is None:
                        break
                    table = _checked(pa.Table.from_batches([batch]), columns, strict)
                yield table


def write_table(path: Path, tables: Iterator[pa.Table]) -> None:
    """A table of SCHEMA in the place of the one that is there, whole or not at all."""
    with (
        atomic_output(path, overwrite=True) as pending,
        pq.ParquetWriter(pending.path, SCHEMA, compression="zstd") as writer,
    ):
        for table in _in_batches(tables):
            writer.write_table(table.replace_schema_metadata(SCHEMA.metadata))


def _in_batches(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The same rows in tables of one size, so that the same faces make the same file however they
    came together."""
    waiting = SCHEMA.empty_table()
    for table in tables:
        waiting = pa.concat_tables([waiting, table.replace_schema_metadata(SCHEMA.metadata)])
        while waiting.num_rows >= BATCH_ROWS:
            yield waiting.slice(0, BATCH_ROWS).combine_chunks()
            waiting = waiting.slice(BATCH_ROWS)
    if waiting.num_rows:
        yield waiting.combine_chunks()


def metadata(source: Path) -> Mapping[bytes, bytes]:
    """What is written beside a table's columns."""
    _size(source)
    with _reading(str(source)):
        return dict(pq.read_schema(source).metadata or {})


def _opened(source: Path | PackedTable) -> pq.ParquetFile:
    """An open table, which can hold what it claims to."""
    if isinstance(source, PackedTable):
        file = pq.ParquetFile(source.stream)
        _check_claims(file, source.size_bytes, source.name)
        return file
    size, file = _size(source), pq.ParquetFile(source)
    try:
        _check_claims(file, size, str(source))
    except InputError:
        file.close()
        raise
    return file


def _size(path: Path) -> int:
    """The length of a table's file in bytes."""
    try:
        if path.is_file():
            return path.stat().st_size
        raise InputError(f"{path} is not a regular file; restore it from a copy.")
    except OSError as error:
        reason = error.strerror
        raise InputError(f"{path} cannot be read ({reason}); restore it from a copy.") from error


@contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, MemoryError, *foreign.BROKEN) as error:
        raise InputError(
            f"{name} is damaged or no table of faces: {foreign.reason(error)}; restore it from a "
            f"copy."
        ) from error


def _check_claims(file: pq.ParquetFile, size_bytes: int, name: str) -> None:
    about = file.metadata
    number = int(about.num_rows)
    groups = [about.row_group(k) for k in range(about.num_row_groups)]
    held = sum(group.total_byte_size for group in groups)
    fits = 0 <= number <= size_bytes // _LEAST_ROW_BYTES + _SPARE_ROWS
    fits &= number == sum(group.num_rows for group in groups)
    if not fits or not 0 <= held <= number * _MOST_ROW_BYTES + _SPARE_BYTES:
        raise InputError(
            f"{name} claims to hold {number:,} faces in {held / 1e6:,.0f} MB, which is not what a "
            f"file of {size_bytes / 1e6:,.1f} MB can be; restore it from a copy."
        )


def _checked(table: pa.Table, columns: Sequence[str], strict: bool) -> pa.Table:
    """The columns in the types of SCHEMA. Raises ValueError where they cannot be."""
    arrays = []
    for column in columns:
        found = table.schema.get_all_field_indices(column)
        if len(found) != 1:
            raise ValueError(f"it has {'no' if not found else 'several'} columns {column!r}")
        field = SCHEMA.field(column)
        read = _list_column if column in SHAPES else _plain_column
        try:
            arrays.append(read(table.column(found[0]).combine_chunks(), field))
        except (pa.ArrowException, TypeError) as error:
            raise ValueError(f"column {column}: {foreign.reason(error)}") from error
    fields = [SCHEMA.field(column) for column in columns]
    checked = pa.Table.from_arrays(arrays, schema=pa.schema(fields, SCHEMA.metadata))
    checked.validate(full=True)
    _check_texts(checked)
    if strict:
        _check_figures(checked)
    return checked


def _plain_column(column: pa.Array, field: pa.Field) -> pa.Array:
    is_text = pa.types.is_string(field.type)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if column.null_count:
        if is_text and field.name in _OPTIONAL:
            column = column.cast(field.type).fill_null("")
        elif field.name in _MAY_BE_NAN:
            column = column.cast(field.type).fill_null(float("nan"))
        else:
            raise ValueError(f"column {field.name} has rows without a value")
    allowed = _is_text if is_text else _is_number
    if not allowed(column.type):
        raise ValueError(f"column {field.name} is of {column.type}, not {field.type}")
    # Rounding is no loss here, but a part of a whole number, or one too large, is.
    return column.cast(field.type, safe=not pa.types.is_floating(field.type))


def _list_column(column: pa.Array, field: pa.Field) -> pa.Array:
    wanted = field.type.list_size
    kind = column.type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not is_list and not pa.types.is_fixed_size_list(kind):
        raise ValueError(f"column {field.name} is of {kind}, not a list of {wanted} numbers")
    if column.null_count:
        raise ValueError(f"column {field.name} has rows without a value")
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    if set(lengths) - {wanted}:
        odd = next(iter(set(lengths) - {wanted}))
        raise ValueError(f"column {field.name} has lists of {odd} numbers, not {wanted}")
    values = column.flatten()
    if values.null_count or not _is_number(values.type):
        raise ValueError(f"column {field.name} holds values that are no numbers")
    values = values.cast(field.type.value_type, safe=False)
    return pa.FixedSizeListArray.from_arrays(values, type=field.type)


def _is_text(kind: pa.DataType) -> bool:
    view = getattr(pa.types, "is_string_view", lambda _: False)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or view(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _check_texts(table: pa.Table) -> None:
    names = set(table.column_names)
    for column in names & {"person", "rejected"}:
        for name in pc.unique(table[column]).to_pylist():
            _check_name(name, f"{column} {foreign.shown(name)}", name == "")
    if "id" in names:
        for face in table["id"].to_pylist():
            _check_name(face, f"id {foreign.shown(face)}")
    if "file" in names:
        for file in table["file"].to_pylist():
            check_place(file)


def _check_name(name: str, words: str, is_fine: bool = False) -> None:
    if not is_fine and ("/" in name or not foreign.is_inside(name)):
        raise ValueError(f"{words} cannot be the name of a folder")


def check_place(file: object) -> None:
    """Raises ValueError where a text is no place of a picture within a set."""
    fits = isinstance(file, str) and foreign.is_inside(file) and file.split("/")[0] in FOLDERS
    if not fits or "/" not in str(file) or not str(file).endswith(PICTURES):
        raise ValueError(f"{foreign.shown(file)} is no picture in its folders {', '.join(FOLDERS)}")


def _check_figures(table: pa.Table) -> None:
    columns: Collection[str] = [
        name
        for name in table.column_names
        if name in SHAPES
        or (pa.types.is_floating(SCHEMA.field(name).type) and name not in _MAY_BE_NAN)
    ]
    arrays: dict[str, NDArray[Any]] = to_arrays(table.select(list(columns)))
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise ValueError(f"column {name} holds values that are no finite numbers")
    if "identity" in arrays and table.num_rows:
        lengths = np.linalg.norm(arrays["identity"].astype(np.float64), axis=1)
        if not (_LENGTHS[0] <= lengths.min() and lengths.max() <= _LENGTHS[1]):
            raise ValueError("column identity holds vectors that are not of unit length")
    for name in set(table.column_names) & {"size_px", "frame_width", "frame_height"}:
        least = pc.min(table[name]).as_py()
        if least is not None and least < 1:
            raise ValueError(f"column {name} holds a size of {least} pixels")
