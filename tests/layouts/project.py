"""A made data set as a labelgrid project whose labels are all imported but one."""

import shutil
from dataclasses import replace
from pathlib import Path

from labelgrid.basics.progress import Silent
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import Move, State
from labelgrid.operations.create import create
from labelgrid.project.settings import Settings
from tests.support import Made

LAYOUT = "project"


def lay_out(made: Made, root: Path, missing: Path) -> None:
    """Make the project `root`, with an image held out, without the label file `missing`."""
    with create(
        root,
        [made.images],
        tasks=list(made.rows),
        settings=Settings(),
        progress=Silent(),
        holdout=1,
    ) as project:
        import_labels(project, made.labels, accept=True)
        store = project.store
        shutil.copytree(made.images, root / "photographs")
        store.update_images(
            [replace(row, root=str(root / "photographs")) for row in store.images()]
        )
        with store.transaction("undo"):
            for row in store.cells(state=State.LABELLED):
                path = made.label(row.cell.image_id, row.cell.task)
                if path == missing:
                    store.move([Move(cell=row.cell, to=State.MISSING)])
