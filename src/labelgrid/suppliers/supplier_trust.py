"""Measures the labels of a project's suppliers against true ones. Loads no torch.

They are measured on a random sample of the training images alone, see `RandomLabels`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from labelgrid.basics.errors import command
from labelgrid.basics.progress import Progress
from labelgrid.basics.type_names import Json, Values
from labelgrid.basics.words import count_text
from labelgrid.data.data_options import SupplierChoice
from labelgrid.ledger.grid import Cell, State
from labelgrid.project.cells.audited_cells import supplied_cells
from labelgrid.project.cells.random_labels import MOST, MOST_PIXELS, RandomLabels
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.sources import source_of
from labelgrid.project.suppliers import note_trust
from labelgrid.relations.true_agreement import LabelPair, Measured
from labelgrid.select.draws import SuppliedCells
from labelgrid.suppliers.relation_trust import lacking_text
from labelgrid.suppliers.supplied import pairs
from labelgrid.suppliers.supplied_error import FEWEST, measure_supplied


@dataclass(frozen=True, kw_only=True)
class SupplierRow:
    """The measured labels that a supplier gave of a task.

    Args:
        supplier: its name.
        task: the task.
        now: the trust in them in the recipe.
        sample: the images that they were measured on, in words.
        trust: how far they can be trusted; None: that could not be measured.
        measured: the figures; None: there are none.
        remark: why trust could not be measured, or is 0 because of how the labels lie.
    """

    supplier: str
    task: str
    now: float
    sample: str
    trust: float | None = None
    measured: Measured | None = None
    remark: str = ""


@dataclass(frozen=True)
class UnmeasuredSupplier:
    """A supplier and task whose labels are to be measured, with the trust now."""

    name: str
    task: str
    now: float


def unmeasured_suppliers(
    project: ProjectFolder, choices: Mapping[str, SupplierChoice]
) -> list[UnmeasuredSupplier]:
    """Each supplier and task of which there are labels, trusted or not.

    Raises:
        ProjectError: the list of a supplier's labels is damaged.
    """
    suppliers = []
    for cells in supplied_cells(project):
        choice = choices.get(cells.supplier, SupplierChoice())
        now = choice.trust_in(cells.task)
        suppliers.append(UnmeasuredSupplier(cells.supplier, cells.task, now))
    return suppliers


def measure_suppliers(
    project: ProjectFolder, progress: Progress, suppliers: Sequence[UnmeasuredSupplier]
) -> list[SupplierRow]:
    """Measure the labels of suppliers and tasks, each on its own.

    Raises:
        ProjectError: the list of a supplier's labels is damaged.
        LabelError: a label's file is missing or has changed.
    """
    if not suppliers:
        return []
    measuring = _Measuring(project)
    progress.start("Measuring suppliers", len(suppliers), "suppliers and tasks")
    rows = []
    for supplier in suppliers:
        rows.append(measuring.row(supplier))
        progress.advance()
    return rows


class _Measuring:
    """Measures the labels of a project's suppliers."""

    def __init__(self, project: ProjectFolder) -> None:
        self.project = project
        self.supplied = {(cells.supplier, cells.task): cells for cells in supplied_cells(project)}
        self.tasks = project.tasks()
        self.source = source_of(project)
        self.random = RandomLabels(project)

    def row(self, supplier: UnmeasuredSupplier) -> SupplierRow:
        """Measure the labels of a supplier and task."""
        cells = self.supplied[supplier.name, supplier.task]
        image_ids, which = self.random.audited(cells, FEWEST)
        row = SupplierRow(
            supplier=cells.supplier,
            task=cells.task,
            now=supplier.now,
            sample=f"{count_text(len(image_ids), 'image')} {which}",
        )
        if len(image_ids) < FEWEST:
            return replace(row, remark=self._lacking(cells, len(image_ids)))
        labels = self._labels(cells, image_ids)
        seed = self.project.settings.seed
        measured, count = measure_supplied(labels, self.tasks[cells.task], seed=seed)
        if measured is None:
            return replace(row, remark=self._lacking(cells, count, "comparable"))
        sample = f"{count_text(measured.images, 'image')} {which}"
        row = replace(row, sample=sample, trust=measured.trust, measured=measured)
        return replace(row, remark=turned_text(measured.turn)) if measured.turn else row

    def _labels(self, cells: SuppliedCells, image_ids: Sequence[str]) -> Iterator[LabelPair]:
        """Supplied labels of images with the true labels, up to the limits of a measurement."""
        pixels = 0
        task = self.tasks[cells.task]
        both = pairs(self.project, cells.supplier, task, source=self.source, image_ids=image_ids)
        for number, (_, true, supplied) in enumerate(both):
            if number >= FEWEST and (number == MOST or pixels > MOST_PIXELS):
                return
            pixels += true.valid.size
            yield LabelPair(supplied, true)

    def _lacking(self, cells: SuppliedCells, count: int, which: str = "true") -> str:
        """Say that too few images have a true or a comparable label, and the next step."""
        folder = self.project.folder
        images = count_text(count, "training image has", "training images have")
        drawn = [Cell(image_id, cells.task) for image_id in cells.earlier]
        rows = self.project.store.find(drawn).values()
        asked = sum(row.state == State.REQUESTED for row in rows)
        if count + asked >= FEWEST:
            answers = count_text(asked, "label is", "labels are")
            step = f"{answers} asked for; `{command('import', folder)}` brings them."
        else:
            lacking = FEWEST - count - asked
            budget = lacking * len({task for _, task in self.supplied})
            words = ("--audit", str(lacking), "--budget", str(budget))
            step = f"`{command('query', folder, *words)}` requests them."
        return lacking_text(f"{images} a {which} label beside the supplier's", step, FEWEST)


def turned_text(turn: str) -> str:
    """Say how labels are turned, and the next step."""
    return (
        f"the labels fit the true ones better {turn}, so they earn nothing. Turn the supplier's "
        f"files and import them again."
    )


def supplier_tables(rows: Iterable[SupplierRow], changes: Mapping[str, Values]) -> dict[str, Json]:
    """The tables that are proposed for suppliers whose trust is to change, by name.

    Args:
        rows: what was measured.
        changes: the settings' tables of suppliers, of which all else stays.
    """
    tables: dict[str, Json] = {}
    for row in rows:
        if row.trust is None or row.trust == row.now:
            continue
        table = tables.setdefault(row.supplier, dict(changes.get(row.supplier, {})))
        table["tasks"] = {**table.get("tasks", {}), row.task: row.trust}
    return tables


def note_measured_trust(project: ProjectFolder, rows: Iterable[SupplierRow]) -> None:
    """Keep what was measured of the suppliers' labels, for `status`."""
    trusts: dict[str, dict[str, float]] = {}
    coverage: dict[str, dict[str, float]] = {}
    for row in rows:
        task_trust = trusts.setdefault(row.supplier, {})
        if row.measured is not None:
            task_trust[row.task] = row.measured.trust
            coverage.setdefault(row.supplier, {})[row.task] = round(row.measured.coverage, 2)
    for supplier, trust in trusts.items():
        note_trust(project, supplier, trust, coverage.get(supplier, {}))
