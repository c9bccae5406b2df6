"""How statistics are kept: Parquet with a stamp, one row an image, read and written part by part. Loads no torch."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from labelgrid.errors import ProjectError
from labelgrid.files import atomic_write

#: The name of the file that holds a pool's.
FILE = "scores.parquet"
#: What a statistic's numbers are of: each cell, float64 [n, t]; each image, float64 [n]; or a vector of features an
#: image, float32 [n, d].
Axis = Literal["cell", "image", "feature"]
#: Numbers that are read at once: few, since Arrow holds several such batches.
NUMBERS = 2**18


@dataclass(frozen=True)
class Table:
    """Statistics of n images by name.

    Args:
        images: n image ids.
        statistics: arrays with a row an image, shaped as their axis says.
        tasks: t names, the columns of statistics of cells.
        stamp: which model, recipe and pool the numbers are of.
        axes: by statistic.
    """

    images: Sequence[str]
    statistics: Mapping[str, NDArray[Any]]
    tasks: tuple[str, ...]
    stamp: Mapping[str, str]
    axes: Mapping[str, Axis]

    def aligned(self, images: Sequence[str]) -> dict[str, NDArray[Any]]:
        """The statistics at the rows of `images`; NaN for an image that was not scored."""
        if list(images) == list(self.images):
            return dict(self.statistics)  # features of a large pool are not copied
        place = {name: row for row, name in enumerate(self.images)}
        rows = np.array([place.get(name, -1) for name in images], np.intp)
        aligned = {}
        for name, values in self.statistics.items():
            out = np.full((len(images), *values.shape[1:]), np.nan, values.dtype)
            out[rows >= 0] = values[rows[rows >= 0]]
            aligned[name] = out
        return aligned


def write_table(table: Table, path: Path) -> None:
    """Write atomically.

    A statistic of cells is a column a task, `name/task`; one of images a column `name`; features are a column of
    vectors.
    """
    write_tables([table], path)


def write_tables(tables: Iterable[Table], path: Path) -> None:
    """Write the rows of several tables of the same statistics, at least one, one after another, atomically."""
    with atomic_write(path, durable=True) as temporary:
        writer = None
        for table in tables:
            rows = _arrow(table)
            writer = writer or pq.ParquetWriter(temporary, rows.schema, use_dictionary=False)
            writer.write_table(rows)
        if writer:
            writer.close()


def _arrow(table: Table) -> pa.Table:
    columns: dict[str, pa.Array] = {"image": pa.array(list(table.images), pa.string())}
    kept = {}
    for name, values in table.statistics.items():
        axis = table.axes[name]
        columns |= _columns(name, axis, values, table.tasks)
        kept[name] = {"axis": axis, "width": values.shape[1] if values.ndim > 1 else 1}
    said = {"stamp": dict(table.stamp), "tasks": list(table.tasks), "statistics": kept}
    return pa.table(columns).replace_schema_metadata({"labelgrid": json.dumps(said)})


def _columns(name: str, axis: Axis, values: NDArray[Any], tasks: Sequence[str]) -> dict[str, pa.Array]:
    if axis == "cell":
        return {f"{name}/{task}": pa.array(values[:, i]) for i, task in enumerate(tasks)}
    if axis == "image":
        return {name: pa.array(values)}
    flat = pa.array(np.ascontiguousarray(values, np.float32).reshape(-1))
    return {name: pa.FixedSizeListArray.from_arrays(flat, values.shape[1])}


def read_table(path: Path) -> Table:
    """The table in a file, each statistic read straight into one array.

    Raises:
        ProjectError: the file is not a score table.
    """
    try:
        with pq.ParquetFile(path) as file:
            return _read(file)
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise ProjectError(
            f"The score table cannot be read ({type(error).__name__}).",
            where=str(path),
            next_step="Remove it and run `labelgrid score` again.",
        ) from error


def _read(file: pq.ParquetFile) -> Table:
    kept, count = json.loads(file.schema_arrow.metadata[b"labelgrid"]), file.metadata.num_rows
    tasks, names = tuple(kept["tasks"]), file.schema_arrow.names
    about = {name: _shape(said, len(tasks)) for name, said in kept["statistics"].items()}
    axes = {name: axis for name, (axis, _) in about.items()}
    values = {name: _empty(axis, count, width) for name, (axis, width) in about.items()}
    own = {name: [column for column in names if column == name or column.startswith(f"{name}/")] for name in about}
    images: list[str] = []
    widest = sum(width for _, width in about.values())
    for batch in file.iter_batches(max(1, NUMBERS // max(widest, 1))):
        rows = slice(len(images), len(images) + len(batch))
        for name, columns in own.items():
            if axes[name] == "feature" and columns == [name]:
                values[name][rows] = batch[name].flatten().to_numpy().reshape(len(batch), -1)
            else:
                found = [batch[column].to_numpy() for column in columns]
                values[name][rows] = found[0] if axes[name] == "image" else np.stack(found, 1)
        images += batch["image"].to_pylist()
    return Table(images, values, tasks, kept["stamp"], axes)


def _shape(said: Any, tasks: int) -> tuple[Axis, int]:
    """A statistic's axis and width. Tables of the first version keep widths alone: columns of floats."""
    if isinstance(said, int):
        return ("cell" if said == tasks else "feature"), said
    return said["axis"], said["width"]


def _empty(axis: Axis, count: int, width: int) -> NDArray[Any]:
    if axis == "image":
        return np.empty(count)
    return np.empty((count, width), np.float32 if axis == "feature" else np.float64)


def read_stamp(path: Path) -> Mapping[str, str]:
    """The stamp of a score table, without its numbers."""
    metadata = pq.read_schema(path).metadata or {}
    stamp: Mapping[str, str] = json.loads(metadata.get(b"labelgrid", b"{}")).get("stamp", {})
    return stamp
