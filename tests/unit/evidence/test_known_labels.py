"""Labels are judged wherever they come from: both engines' verdicts need no project, no ledger and no network."""

import subprocess
import sys
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from labelgrid.basics.files import digest
from labelgrid.basics.progress import Silent
from labelgrid.evidence.batch_doubts import BatchDoubts, Summaries
from labelgrid.evidence.known_labels import Rows
from labelgrid.evidence.label_comparison import Comparing
from labelgrid.evidence.label_doubt import rank_by_doubt
from labelgrid.evidence.label_evidence import gather_evidence
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import Cell, ImageRow, State
from labelgrid.ledger.store import CellRow
from labelgrid.project.sources import ImageFiles
from labelgrid.relations.bound import bind
from labelgrid.relations.choice import RelationChoice
from labelgrid.tasks.task import definitions
from tests.support import Made, make_dataset

COVERS = ["labelgrid.project.known_labels", "labelgrid.imports.import_doubts"]
TASKS = ("depth", "normals")


class Files:
    """Labels in a folder, some of which count as known: a `KnownLabels` without a project."""

    def __init__(self, made: Made, known: Collection[str]) -> None:
        self.made = made
        self.tasks = definitions(made.rows)
        self.relations = [bind("depth_normals", RelationChoice(), self.tasks)]
        self.cameras = ImageFiles(paths={name: made.images / name for name in made.names})
        self.image_ids = made.names
        self.known = known
        self.others: dict[Cell, Cell] = {}
        self.factor = 1.0

    def images(self, names: Collection[str] | None = None) -> Sequence[ImageRow]:
        root = str(self.made.images)
        return [
            ImageRow(image_id=name, root=root)
            for name in self.made.names
            if names is None or name in names
        ]

    def labelled(self, task: str) -> Sequence[CellRow]:
        cells = [Cell(name, task) for name in self.made.names if name in self.known]
        return [
            CellRow(cell=cell, state=State.LABELLED, digest=self.content(cell)) for cell in cells
        ]

    def content(self, cell: Cell) -> str:
        return digest(self.path(cell))

    def path(self, cell: Cell) -> Path:
        shown = self.others.get(cell, cell)
        return self.made.label(shown.image_id, shown.task)

    def label(self, cell: Cell) -> LabelArray | None:
        label = self.tasks[cell.task].read(self.path(cell))
        is_scaled = cell.task == "depth" and cell.image_id not in self.known
        return replace(label, value=label.value * self.factor) if is_scaled else label

    def prediction(self, cell: Cell) -> LabelArray | None:
        return None


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Only read."""
    folder = tmp_path_factory.mktemp("known") / "made"
    return make_dataset(folder, n=24, size=(96, 128), tasks=TASKS)


def doubts_of(known: Files, names: Sequence[str]) -> list[str]:
    """What is doubted of the depth of images as a batch."""
    cells = [Cell(name, "depth") for name in names]
    summaries = Summaries(known.tasks, cells)
    for cell in cells:
        label = known.label(cell)
        assert label
        summaries.add(cell, label)
    digests = {cell: known.content(cell) for cell in cells}
    return [doubt.what for doubt in BatchDoubts(known, digests, set(), summaries).doubts("depth")]


def test_a_batch_is_doubted_beside_what_is_known(made: Made) -> None:
    known = Files(made, made.names[:12])
    assert doubts_of(known, made.names[12:]) == []
    known.factor = 0.001
    unit, *_ = doubts_of(known, made.names[12:])
    assert unit.startswith("the median depth is 0.00") and "imported before" in unit


def test_each_label_is_doubted_beside_the_others(made: Made) -> None:
    known = Files(made, made.names)
    one, other = (Cell(name, "depth") for name in made.names[3:5])
    known.others = {one: other, other: one}
    rows: dict[str, dict[str, CellRow]] = defaultdict(dict)
    for row in [row for task in TASKS for row in known.labelled(task)]:
        rows[row.cell.image_id][row.cell.task] = row
    by_image: dict[str, Rows] = dict(rows)
    images = Comparing(known, by_image).images(made.names, Silent())
    found = gather_evidence(known, by_image, images)
    cells = [row.cell for row in found.labels["depth"]]
    first, second, *_ = rank_by_doubt(cells, found.sorts)
    assert {first.cell, second.cell} == {one, other} and first.score > 0


def test_neither_needs_a_project_or_torch() -> None:
    code = (
        "import sys, labelgrid.evidence.doubt_sheet, labelgrid.evidence.label_doubt\n"
        "found = [name for name in sys.modules if name.split('.')[:2] == ['labelgrid', 'project']]\n"
        "sys.exit(str(found) if found or 'torch' in sys.modules else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
