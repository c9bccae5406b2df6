"""How statistics are kept: Parquet with a stamp, one row an image. Loads no torch."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from labelgrid.errors import ProjectError
from labelgrid.files import atomic_write

#: The name of the file that holds a pool's.
FILE = "scores.parquet"


@dataclass(frozen=True)
class Table:
    """Statistics by name, arrays [n, t] (or [n, d]), of n images in the order of their ids.

    Args:
        stamp: which model, recipe and pool the numbers are of.
    """

    images: Sequence[str]
    statistics: Mapping[str, NDArray[np.float64]]
    tasks: tuple[str, ...]
    stamp: Mapping[str, str]

    @staticmethod
    def concatenate(parts: Sequence["Table"], tasks: tuple[str, ...], stamp: Mapping[str, str]) -> "Table":
        """Parts one after another."""
        images = [name for part in parts for name in part.images]
        names = parts[0].statistics if parts else {}
        joined = {name: np.concatenate([part.statistics[name] for part in parts]) for name in names}
        return Table(images, joined, tasks, stamp)

    def aligned(self, images: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        """The statistics at the rows of `images`; NaN for an image that was not scored."""
        place = {name: row for row, name in enumerate(self.images)}
        rows = np.array([place.get(name, -1) for name in images], np.intp)
        aligned = {}
        for name, values in self.statistics.items():
            out = np.full((len(images), values.shape[1]), np.nan)
            out[rows >= 0] = values[rows[rows >= 0]]
            aligned[name] = out
        return aligned


def write_table(table: Table, path: Path) -> None:
    """Write atomically; a column a statistic and task, `name/task`, so that other tools can read it."""
    columns: dict[str, pa.Array] = {"image": pa.array(list(table.images), pa.string())}
    shapes = {}
    for name, values in table.statistics.items():
        shapes[name] = values.shape[1]
        labels = table.tasks if values.shape[1] == len(table.tasks) else [str(i) for i in range(values.shape[1])]
        columns |= {f"{name}/{label}": pa.array(values[:, i]) for i, label in enumerate(labels)}
    kept = {"stamp": dict(table.stamp), "tasks": list(table.tasks), "statistics": shapes}
    with atomic_write(path, durable=True) as temporary:
        pq.write_table(pa.table(columns).replace_schema_metadata({"labelgrid": json.dumps(kept)}), temporary)


def read_table(path: Path) -> Table:
    """The table in a file.

    Raises:
        ProjectError: the file is not a score table.
    """
    try:
        raw = pq.read_table(path)
        kept = json.loads(raw.schema.metadata[b"labelgrid"])
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise ProjectError(
            f"The score table cannot be read ({type(error).__name__}).",
            where=str(path),
            next_step="Remove it and run `labelgrid score` again.",
        ) from error
    statistics = {}
    for name, width in kept["statistics"].items():
        own = [column for column in raw.column_names if column.startswith(f"{name}/")]
        statistics[name] = np.stack([raw[column].to_numpy() for column in own], 1).reshape(len(raw), width)
    return Table(raw["image"].to_pylist(), statistics, tuple(kept["tasks"]), kept["stamp"])


def read_stamp(path: Path) -> Mapping[str, str]:
    """The stamp of a score table, without its numbers."""
    metadata = pq.read_schema(path).metadata or {}
    stamp: Mapping[str, str] = json.loads(metadata.get(b"labelgrid", b"{}")).get("stamp", {})
    return stamp
