"""A dataset of your own in one file: a table `labels.csv` with the columns image, task, label and split.

Put this folder on PYTHONPATH and name the source "table_dataset:build": a module and its function.
Geometry, masks and batches come from labelgrid; a source lists the images, and reads one image or
one label. Commands run it with `--trust table_dataset`.
"""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labelgrid.formats.codec import LabelArray
from labelgrid.images.reading import read_image
from labelgrid.tasks.task import TaskDef


@dataclass(frozen=True)
class Table:
    """Images and labels listed in a table; paths are relative to it."""

    root: Path
    labels: Mapping[tuple[str, str], str]
    members: Mapping[str, Sequence[str]]

    def images(self) -> Sequence[str]:
        """The image ids, which are their paths."""
        return sorted({image_id for image_ids in self.members.values() for image_id in image_ids})

    def image(self, image_id: str) -> NDArray[np.uint8]:
        """Read an image as RGB, upright."""
        return read_image(self.root / image_id)

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        """Read the label of a cell; None if the table has no line for it."""
        path = self.labels.get((image_id, task.name))
        return task.read(self.root / path) if path else None

    def splits(self) -> Mapping[str, Sequence[str]]:
        """The ids of each split."""
        return self.members


def build(root: Path | str) -> Table:
    """Read the table in `root`."""
    labels: dict[tuple[str, str], str] = {}
    members: dict[str, dict[str, None]] = defaultdict(dict)
    with (Path(root) / "labels.csv").open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            members[line["split"]][line["image"]] = None
            if line["label"]:
                labels[line["image"], line["task"]] = line["label"]
    return Table(
        Path(root), labels, {split: list(image_ids) for split, image_ids in members.items()}
    )
