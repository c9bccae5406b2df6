"""Reads the labels of a labelgrid project as a data set. The project is never changed."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from labelgrid.basics.errors import ProjectError
from labelgrid.basics.type_names import Tables
from labelgrid.data.cameras import read_cameras
from labelgrid.data.dataset import Splits
from labelgrid.data.project_source import ProjectSource, granted_labels
from labelgrid.ledger.grid import Cell, TaskRow
from labelgrid.ledger.place import project_place
from labelgrid.ledger.store import Store

ORIGIN = "`labelgrid init` and the labels that you imported"
LAYOUT = """\
labelgrid.db    a project's ledger, unless labelgrid.toml names a database: tasks, images with
                their splits (train, val, test, heldout), and which cells are labelled; images
                without a label are left out
labels/         its label files
camera.toml     optional: the cameras
"""


@dataclass(frozen=True, kw_only=True)
class ProjectDataset(ProjectSource):
    """The labelled images of a project as a `labelgrid.data.dataset.Dataset`.

    Args:
        members: the image ids of each split.
        rows: the tasks.
    """

    members: Splits = field(repr=False)
    rows: tuple[TaskRow, ...]

    def splits(self) -> Splits:
        """The ids of the labelled images of each split that has any."""
        return self.members

    def tasks(self) -> Tables:
        """As `DescribedDataset.tasks`: as declared, with the costs."""
        return {row.name: {"kind": row.kind, "cost": row.cost, **row.options} for row in self.rows}

    def labelled(self) -> Collection[Cell]:
        """As `ListedDataset.labelled`."""
        return self.labels.keys()


def build(root: Path | str) -> ProjectDataset:
    """Build the data set of the project in a folder.

    Raises:
        LedgerError: there is no ledger, or it is of another version.
        ProjectError: the project is a simulated one, which has no labels of its own.
        RecipeError: `camera.toml` is wrong.
    """
    folder = Path(root)
    with Store.open(project_place(folder), read_only=True) as store:
        labels = granted_labels(store, folder)
        if any(label.path == folder.resolve() for label in labels.values()):
            raise ProjectError(
                "This is a run of a study: its labels are those of the study's data set.",
                where=root,
                next_step="Name a project of your own, or the data set itself.",
            )
        labelled = {cell.image_id for cell in labels}
        rows = [row for row in store.images() if row.image_id in labelled]
        tasks = store.tasks()
    members: dict[str, list[str]] = {}
    for row in rows:
        members.setdefault(row.split, []).append(row.image_id)
    return ProjectDataset(
        files={row.image_id: (row.root, row.digest) for row in rows},
        labels=labels,
        cameras=read_cameras(folder),
        members=members,
        rows=tasks,
    )
