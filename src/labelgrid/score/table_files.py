"""Reads and writes score tables: Parquet files with a stamp and one row per image.

Loads pyarrow, which the base install lacks: a project without scores gets on without this module.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from labelgrid.basics.array_types import Array
from labelgrid.basics.errors import ProjectError
from labelgrid.basics.files import atomic_write, open_regular
from labelgrid.basics.type_names import Json, Texts
from labelgrid.ledger.grid import Cell
from labelgrid.score.table import Axis, Table

#: The column with the reasons why images could not be read; no statistic has this name.
FAULT = "image/fault"
#: The number of values that are read at once; small, because Arrow buffers several such batches of
#: a row group.
VALUES_AT_ONCE = 2**18
#: The largest number of values for each byte of a file, and of any file; one that claims more is
#: refused before it is read.
WIDEST = 16
FEWEST = 2**24
#: The same of the bytes of a column as its pages unpack to.
UNPACKED = 256
#: The most bytes of a name or a fault.
LONGEST = 2**16


def write_table(table: Table, path: Path) -> None:
    """Write a table atomically.

    Axis "cell" becomes one column `name/task` per task, axis "image" a column `name`, axis
    "feature" a column `name` of vectors.
    """
    with table_parts(path, max(len(table.images), 1)) as parts:
        parts.add(table)


@contextmanager
def table_parts(path: Path, rows: int) -> Iterator["TableParts"]:
    """Write a table part by part; the file is there when the block succeeds.

    Args:
        path: the path of the file.
        rows: the number of rows that are together in the file, whatever the parts are.
    """
    with atomic_write(path, durable=True) as temporary:
        parts = TableParts(temporary, rows)
        yield parts
        parts.end()


class TableParts:
    """Writes the parts of a table, as `table_parts` says."""

    def __init__(self, path: Path, rows: int) -> None:
        self._path = path
        self._rows = rows
        self._rest: pa.Table | None = None
        self._writer: pq.ParquetWriter | None = None

    def add(self, part: Table) -> None:
        """Add rows; a part without images may lack the statistics."""
        rows = _arrow(part)
        if self._rest is not None and not len(rows):
            return
        if self._rest is not None and len(self._rest):
            rows = pa.concat_tables([self._rest, rows]).combine_chunks()
        whole = len(rows) // self._rows * self._rows
        if whole:
            self._write(rows.slice(0, whole))
        self._rest = rows.slice(whole)

    def end(self) -> None:
        """Write the last rows, and close the file; no file if nothing was added."""
        if self._rest is not None and (len(self._rest) or self._writer is None):
            self._write(self._rest)
        if self._writer:
            self._writer.close()

    def _write(self, rows: pa.Table) -> None:
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._path, rows.schema, use_dictionary=False, write_page_checksum=True
            )
        self._writer.write_table(rows, self._rows)


def _arrow(table: Table) -> pa.Table:
    columns: dict[str, pa.Array] = {"image": pa.array(list(table.images), pa.string())}
    if table.faults:
        columns[FAULT] = pa.array(map(table.faults.get, table.images), pa.string())
    shapes = {}
    for name, values in table.statistics.items():
        axis = table.axes[name]
        if axis == "cell":
            for index, task in enumerate(table.tasks):
                columns[f"{name}/{task}"] = pa.array(values[:, index])
        elif axis == "image":
            columns[name] = pa.array(values)
        else:
            flat = pa.array(np.ascontiguousarray(values, np.float32).reshape(-1))
            columns[name] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
        shapes[name] = {"axis": axis, "width": values.shape[1] if values.ndim > 1 else 1}
    metadata = {"stamp": dict(table.stamp), "tasks": list(table.tasks), "statistics": shapes}
    return pa.table(columns).replace_schema_metadata({"labelgrid": json.dumps(metadata)})


def read_table(path: Path) -> Table:
    """Read a table, each statistic directly into one array.

    Raises:
        ProjectError: the file is not a score table.
    """
    with reading(path), _opened(path) as (file, size):
        return _read(file, size)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[pq.ParquetFile, int]]:
    """Open a table, and say how many bytes it has.

    Names are read as a dictionary: a long name that comes often is in memory once.
    """
    with open_regular(path) as source:
        texts = [name for name in ("image", FAULT) if name in pq.read_schema(source).names]
        source.seek(0)
        file = pq.ParquetFile(source, page_checksum_verification=True, read_dictionary=texts)
        size = os.fstat(source.fileno()).st_size
        is_long = file.metadata.num_rows > max(FEWEST, WIDEST * size)
        groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
        unpacked = sum(group.total_byte_size for group in groups)
        if is_long or unpacked > max(8 * FEWEST, UNPACKED * size):
            raise ValueError("it unpacks to far more than a table holds")
        with file:
            yield file, size


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn every error of a damaged or foreign file into a `ProjectError`."""
    try:
        yield
    except Exception as error:  # Arrow, JSON and NumPy raise many types
        raise ProjectError(
            f"The score table cannot be read ({type(error).__name__}).",
            where=path,
            next_step="Remove it and run `labelgrid score` again.",
        ) from error


def _read(file: pq.ParquetFile, size: int) -> Table:
    head = _head(file.schema_arrow)
    count = file.metadata.num_rows
    tasks = tuple(head["tasks"])
    axes: dict[str, Axis] = {}
    widths: dict[str, int] = {}
    columns_of: dict[str, list[str]] = {}
    for name, entry in head["statistics"].items():
        axes[name], widths[name] = _shape(entry, len(tasks))
        columns_of[name] = _columns_of(name, file.schema_arrow.names)
    row_width = sum(widths.values())
    if count * max(row_width, 1) > max(FEWEST, WIDEST * size):
        raise ValueError("the widths of the statistics are not those of the columns")
    values = {name: _empty(axes[name], count, width) for name, width in widths.items()}
    images: list[str] = []
    faults: dict[str, str] = {}
    for batch in _batches(file, row_width):
        rows = slice(len(images), len(images) + len(batch))
        for name, columns in columns_of.items():
            if axes[name] == "feature" and columns == [name]:
                values[name][rows] = batch[name].flatten().to_numpy().reshape(len(batch), -1)
            else:
                values[name][rows] = _stacked(batch, columns, axes[name])
        names = _texts(batch["image"])
        images += names
        if FAULT in batch.schema.names:
            reasons = zip(names, _texts(batch[FAULT]), strict=True)
            faults |= {image_id: reason for image_id, reason in reasons if reason is not None}
    are_names = all(type(image_id) is str for image_id in images)
    if not are_names or len(images) != count or len(set(images)) != count:
        raise ValueError("the images are not distinct names")
    return Table(
        images=images,
        statistics=values,
        tasks=tasks,
        stamp=head["stamp"],
        axes=axes,
        faults=faults,
    )


def _stacked(rows: Any, columns: Sequence[str], axis: Axis) -> Array:
    arrays = [rows[column].to_numpy() for column in columns]
    return arrays[0] if axis == "image" else np.stack(arrays, 1)


def _batches(
    file: pq.ParquetFile, row_width: int, columns: list[str] | None = None
) -> Iterator[pa.RecordBatch]:
    # Arrow keeps no more than one row group in memory.
    rows = max(1, VALUES_AT_ONCE // max(row_width, 1))
    for group in range(file.metadata.num_row_groups):
        yield from file.iter_batches(rows, row_groups=[group], columns=columns)


def _columns_of(name: str, columns: Sequence[str]) -> list[str]:
    prefix = f"{name}/"
    return [column for column in columns if column == name or column.startswith(prefix)]


def _texts(column: Any) -> list[Any]:
    """The texts of a column, none longer than a name or a fault."""
    texts = column.dictionary if pa.types.is_dictionary(column.type) else column
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        raise ValueError(f"a column has {texts.type} and not texts")
    _check_lengths(texts)
    return column.to_pylist()


def _check_lengths(values: Any) -> None:
    if values.nbytes <= LONGEST:
        return
    import pyarrow.compute as pc  # slow to load, and few pools have so many names

    if (pc.max(pc.binary_length(values)).as_py() or 0) > LONGEST:
        raise ValueError("a name is far too long")


def _shape(entry: Any, tasks: int) -> tuple[Axis, int]:
    # Tables of the first version store the width only, and features as float columns.
    if isinstance(entry, int):
        return ("cell" if entry == tasks else "feature"), entry
    axis = entry["axis"]
    width = entry["width"]
    if axis not in get_args(Axis) or (axis == "cell" and width != tasks):
        raise ValueError("a statistic has another shape")
    return axis, width


def _empty(axis: Axis, count: int, width: int) -> Array:
    if axis == "image":
        return np.empty(count)
    return np.empty((count, width), np.float32 if axis == "feature" else np.float64)


def statistic_names(path: Path) -> list[str]:
    """The names of a table's statistics of images and cells, without their values.

    Raises:
        ProjectError: the file is not a score table.
    """
    with reading(path):
        head = _read_head(path)
        entries = head["statistics"].items()
        count = len(head["tasks"])
        names = []
        for name, entry in entries:
            if _shape(entry, count)[0] != "feature":
                names.append(name)
        return names


def _read_head(path: Path) -> Json:
    with open_regular(path) as source:
        return _head(pq.read_schema(source))


def _head(schema: pa.Schema) -> Json:
    """The tasks, the stamp, and the axes and widths of statistics, as `_arrow` writes them."""
    head: Json = json.loads(schema.metadata[b"labelgrid"])
    return head


def read_statistic(path: Path, name: str) -> Table:
    """Read the table of one statistic of images or cells, without the rest of the file.

    Raises:
        ProjectError: the file is not a score table, or lacks the statistic.
    """
    with reading(path), _opened(path) as (file, _):
        head = _head(file.schema_arrow)
        tasks = tuple(head["tasks"])
        axis, _ = _shape(head["statistics"][name], len(tasks))
        columns = _columns_of(name, file.schema_arrow.names)
        rows = file.read(["image", *columns])
        return Table(
            images=[name for chunk in rows["image"].chunks for name in _texts(chunk)],
            statistics={name: _stacked(rows, columns, axis)},
            tasks=tasks,
            stamp=head["stamp"],
            axes={name: axis},
        )


def holds_statistic(path: Path, name: str) -> bool:
    """Whether a score table holds a statistic, by its head alone.

    Raises:
        ProjectError: the file is not a score table.
    """
    with reading(path):
        return name in _read_head(path)["statistics"]


def read_component(path: Path, name: str, task: str, number: int) -> dict[str, float]:
    """Read one number of each image, by id, from a statistic with equally many for each task.

    Args:
        path: the path of the table.
        name: the name of the statistic, whose axis is "feature".
        task: the task; a task that the table lacks has no numbers.
        number: the place of the number in the task's; the rest is not kept in memory.

    Raises:
        ProjectError: the file is not a score table, or lacks the statistic.
    """
    import pyarrow.compute as pc  # slow to load

    numbers: dict[str, float] = {}
    with reading(path), _opened(path) as (file, _):
        head = _head(file.schema_arrow)
        tasks = head["tasks"]
        width = head["statistics"][name]["width"] // len(tasks)
        if task not in tasks or number >= width:
            return {}
        place = tasks.index(task) * width + number
        for batch in _batches(file, width, ["image", name]):
            values = pc.list_element(batch[name], place).to_pylist()
            numbers.update(zip(_texts(batch["image"]), values, strict=True))
    return numbers


def read_cell(path: Path, cell: Cell) -> dict[str, float]:
    """Read the statistics of a cell and of its image; empty without a row of the image.

    Raises:
        ProjectError: the file is not a score table.
    """
    names = statistic_names(path)
    with reading(path), _opened(path) as (file, _), open_regular(path) as source:
        present = file.schema_arrow.names
        columns = {}
        for name in names:
            column = name if name in present else f"{name}/{cell.task}"
            if column in present:  # the task may be newer than the scores
                columns[name] = column
        for batch in file.iter_batches(columns=["image"]):
            _check_lengths(batch["image"].dictionary)
        wanted = [("image", "=", cell.image_id)]
        rows = pq.read_table(
            source, columns=list(columns.values()), filters=wanted, read_dictionary=["image"]
        )
    if not rows.num_rows:
        return {}
    return {name: rows[column][0].as_py() for name, column in columns.items()}


def read_stamp(path: Path) -> Texts:
    """Read the stamp of a score table, without its values.

    Raises:
        ProjectError: the file is not a score table.
    """
    with reading(path), open_regular(path) as source:
        metadata = pq.read_schema(source).metadata or {}
        values = json.loads(metadata.get(b"labelgrid", b"{}"))
        return dict(values.get("stamp", {}))
