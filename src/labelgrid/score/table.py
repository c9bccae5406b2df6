"""Defines the table of a pool's statistics: one row per image, under a stamp.

`table_files` reads and writes its file. Loads no torch and no pyarrow.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from labelgrid.basics.array_types import Array
from labelgrid.basics.shown import Shown
from labelgrid.basics.type_names import Texts
from labelgrid.basics.words import count_text, join_names

#: The file name of a pool's score table.
FILE = "scores.parquet"
#: The file name of the statistics that only explain the picks.
EXPLAINING = "explaining.parquet"
#: What a statistic's values belong to: cells, float64 [n, t]; images, float64 [n]; or one feature
#: vector per image, float32 [n, d].
Axis = Literal["cell", "image", "feature"]


@dataclass(frozen=True, kw_only=True, repr=False)
class Table(Shown):
    """The statistics of n images.

    Args:
        images: n image ids.
        statistics: arrays by name, with one row per image and the shape of their axis.
        tasks: t names, the columns of statistics with axis "cell".
        stamp: identifies the model, the recipe and the pool.
        axes: the axis of each statistic.
        faults: why images could not be read, by id; their values are NaN.
    """

    images: Sequence[str]
    statistics: Mapping[str, Array]
    tasks: tuple[str, ...]
    stamp: Texts
    axes: Mapping[str, Axis]
    faults: Texts = field(default_factory=dict)

    def with_faults(self, images: Sequence[str], faults: Texts) -> "Table":
        """Add the images that could not be read; `images` is the order of all."""
        if not faults:
            return self
        return replace(self, images=images, statistics=self.aligned(images), faults=faults)

    def without_faults(self) -> "Table":
        """The table of the images that could be read."""
        if not self.faults:
            return self
        readable = [image_id for image_id in self.images if image_id not in self.faults]
        statistics = self.aligned(readable)
        return replace(self, images=readable, statistics=statistics, faults={})

    def only(self, names: Collection[str], stamp: Texts) -> "Table":
        """The table of some statistics, under another stamp."""
        statistics = {name: values for name, values in self.statistics.items() if name in names}
        axes = {name: self.axes[name] for name in statistics}
        return replace(self, statistics=statistics, stamp=stamp, axes=axes)

    def aligned(self, images: Sequence[str]) -> dict[str, Array]:
        """The statistics of the given images, in order; NaN for an image that was not scored."""
        if list(images) == list(self.images):
            return dict(self.statistics)  # avoids a copy of a large pool's features
        row_of = dict(zip(self.images, range(len(self.images)), strict=True))
        rows = np.array([row_of.get(image_id, -1) for image_id in images], np.intp)
        aligned = {}
        for name, values in self.statistics.items():
            out = np.full((len(images), *values.shape[1:]), np.nan, values.dtype)
            out[rows >= 0] = values[rows[rows >= 0]]
            aligned[name] = out
        return aligned

    def __str__(self) -> str:
        names = join_names(list(self.statistics)) or "no statistics needed"
        return f"Scored {count_text(len(self.images), 'image')}: {names}."


def weights_stamp(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """The part of a stamp that hashes the saved weights of statistics; a missing file is none."""
    digests = b""
    for name in sorted(names):
        path = weights_path(folder, name)
        if path.is_file():
            digests += hashlib.blake2b(path.read_bytes()).digest()
    return {"weights": hashlib.blake2b(digests, digest_size=8).hexdigest()}


def weights_path(folder: Path, name: str) -> Path:
    """The file of a statistic's weights; the statistic's name may contain dots and a colon."""
    return folder / f"{name.replace(':', '-')}.weights"
