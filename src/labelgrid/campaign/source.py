"""What training and scoring read of a project: its images, and the labels its ledger has granted. Loads no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labelgrid import plugins
from labelgrid.campaign.project import Oracle, Project
from labelgrid.data.dataset import Source
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


@dataclass(frozen=True)
class OracleSource:
    """A data set of which only the labels that the ledger has granted can be opened.

    Args:
        data: the data set.
        labels: granted cell -> nothing of a file, and training weight.
    """

    data: Source
    labels: Mapping[Cell, tuple[Path, float]]

    def images(self) -> Sequence[str]:
        """The image ids."""
        return self.data.images()

    def image(self, name: str) -> NDArray[np.uint8]:
        """As `Source.image`."""
        return self.data.image(name)

    def label(self, name: str, task: TaskDef) -> LabelArray | None:
        """As `Source.label`; a label that was not granted is missing."""
        return self.data.label(name, task) if Cell(name, task.name) in self.labels else None

    def weight(self, name: str, task: str) -> float:
        """As `Source.weight`."""
        kept = self.labels.get(Cell(name, task))
        return kept[1] if kept else 1.0

    def splits(self) -> Mapping[str, Sequence[str]]:
        """A project's splits are its ledger's."""
        return {}


def dataset_of(oracle: Oracle) -> Source:
    """The data set behind a simulated campaign."""
    source: Source = plugins.resolve("data", oracle.data)(oracle.root)
    return source


def source_of(project: Project) -> ProjectSource | OracleSource:
    """The project's images and granted labels as they are now."""
    if project.settings.oracle:
        granted = {row.cell: (Path(), row.weight) for row in project.store.cells(state=State.LABELLED)}
        return OracleSource(dataset_of(project.settings.oracle), granted)
    labels = {row.cell: (project.inside(row.path), row.weight) for row in project.store.cells(state=State.LABELLED)}
    return ProjectSource({row.name: (row.root, row.digest) for row in project.store.images()}, labels)
