"""What training and scoring read of a project: its images, and the labels its ledger has granted. Loads no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labelgrid.campaign.project import Project
from labelgrid.labels.codec import LabelArray
from labelgrid.labels.grid import Cell, State
from labelgrid.labels.images import read_image
from labelgrid.tasks.task import TaskDef


@dataclass(frozen=True)
class ProjectSource:
    """A snapshot of a project as a `Source`; it holds names and paths, and can be sent to worker processes.

    Args:
        files: image id -> the folder its path is below, and its content's digest ("" where that is not known).
        labels: cell -> label file and training weight.
    """

    files: Mapping[str, tuple[str, str]]
    labels: Mapping[Cell, tuple[Path, float]]

    def images(self) -> Sequence[str]:
        """The image ids."""
        return list(self.files)

    def image(self, name: str) -> NDArray[np.uint8]:
        """As `Source.image`."""
        root, digest = self.files[name]
        return read_image(Path(root) / name, digest)

    def label(self, name: str, task: TaskDef) -> LabelArray | None:
        """As `Source.label`."""
        kept = self.labels.get(Cell(name, task.name))
        return task.read(kept[0]) if kept else None

    def weight(self, name: str, task: str) -> float:
        """As `Source.weight`."""
        kept = self.labels.get(Cell(name, task))
        return kept[1] if kept else 1.0

    def splits(self) -> Mapping[str, Sequence[str]]:
        """A project's splits are its ledger's."""
        return {}


def source_of(project: Project) -> ProjectSource:
    """The project's images and labels as they are now."""
    labels = {row.cell: (project.inside(row.path), row.weight) for row in project.store.cells(state=State.LABELLED)}
    return ProjectSource({row.name: (row.root, row.digest) for row in project.store.images()}, labels)
