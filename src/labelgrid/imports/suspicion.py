"""Refuses an import whose labels look wrong beside what is known.

Known are earlier labels, predictions, and other labels of the same images. A sample of the labels
is compared. No network runs: predictions are the pre-labels of the requests. Loads no torch.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from labelgrid.annotate.answers import Fault, ImportRefused
from labelgrid.basics.errors import LabelError, LabelgridError, ProjectError
from labelgrid.basics.progress import Progress
from labelgrid.basics.streams import image_keys, keyed_uniform, seed_of
from labelgrid.evidence import plausibility, repeated_labels
from labelgrid.evidence.class_order import (
    ClassMap,
    first_for_unlabelled,
    order_beside,
    order_in_predictions,
    order_text,
    prediction_text,
)
from labelgrid.evidence.edge_agreement import Edges
from labelgrid.evidence.missing_rest import missing_rest
from labelgrid.evidence.odd_labels import OddLabels
from labelgrid.evidence.part_grid import PartBox
from labelgrid.evidence.part_maps import PartMapping, PartMaps, part_relations
from labelgrid.evidence.plausibility import Doubt, Pair, Summary
from labelgrid.evidence.repeated_labels import repeated_cells, repeated_doubt, shows_something
from labelgrid.formats.codec import LabelArray
from labelgrid.imports.part_suspicion import part_doubts
from labelgrid.imports.validate_labels import UNCHANGED, AcceptedLabel, as_file
from labelgrid.ledger.grid import Cell, State
from labelgrid.ledger.store import CellRow
from labelgrid.project import edge_evidence
from labelgrid.project.edge_evidence import EdgeEvidence
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.relation_evidence import RelationEvidence, drawn_images
from labelgrid.project.requests import prelabel
from labelgrid.project.sources import source_of
from labelgrid.project.stored_labels import read_stored_label
from labelgrid.relations.bound import connected_tasks

#: The picture of the project that shows the labels of a suspicious import.
SHEET = "import-suspicious.png"
#: At most so many labels of a task are compared, with as many earlier ones.
SAMPLE = 32

#: What to do about most doubts.
CHECK = (
    "Check the unit, the axes and the class numbers; if these labels are right, repeat with "
    "--accept."
)

T = TypeVar("T")


class SuspiciousImport(ImportRefused):
    """An import whose labels look wrong; `rows` lists why, one fault per doubt."""

    def __init__(self, doubts: Sequence[Doubt], where: str, sheet: Path | None) -> None:
        lines = [f"{doubt.task}: {doubt.what}" for doubt in doubts]
        if sheet:
            lines.append(f"{sheet} shows some of them and why, and below them earlier ones.")
        lines += dict.fromkeys(doubt.next_step or CHECK for doubt in doubts)
        LabelError.__init__(
            self,
            "The labels look wrong.",
            where=where,
            next_step="\n  ".join(lines),
            unchanged=UNCHANGED,
        )
        self.rows = tuple(Fault(doubt.task, doubt.what) for doubt in doubts)


class Summaries:
    """Summaries of labels that an import compares, made while they are validated.

    So no label is decoded twice.

    Args:
        project: the project that would get the labels.
        cells: of all labels of the import. Of each task a sample is kept, drawn as by
            `check_plausible`.
    """

    def __init__(self, project: ProjectFolder, cells: Iterable[Cell]) -> None:
        self.tasks = project.tasks()
        self.made = dict[Cell, Summary | None]()
        self.odd = OddLabels()
        by_task: dict[str, list[Cell]] = {}
        for cell in () if project.settings.oracle else cells:
            by_task.setdefault(cell.task, []).append(cell)
        self.compared = frozenset(by_task)
        self.sample: set[Cell] = set()
        for group in by_task.values():
            self.sample.update(_draw_sample(group, lambda cell: cell))

    def add(self, cell: Cell, label: LabelArray) -> None:
        """Summarise a label, if its cell is in the sample; of others, keep the figures."""
        if cell.task not in self.compared:
            return
        task = self.tasks[cell.task]
        if not label.valid.any():
            if cell in self.sample:
                self.made[cell] = None
            return
        thin = plausibility.thin_label(label)
        figures = task.figures(thin)
        if cell in self.sample:
            self.made[cell] = plausibility.summary_of(task, label, thin, figures)
        self.odd.add(cell, figures)


def check_plausible(
    project: ProjectFolder,
    labels: Sequence[AcceptedLabel],
    where: str,
    progress: Progress,
    *,
    summaries: Summaries,
    doubts: Iterable[Doubt] = (),
    sheet: Path | None = None,
) -> None:
    """Refuse labels that look wrong, with numbers and a picture of some of them.

    Args:
        project: the project that would get the labels.
        labels: the labels of the import; those that are in the project already are not judged.
        where: the imported folder, for the message.
        progress: reports each label that is compared.
        summaries: those of the import's labels.
        doubts: those that are known.
        sheet: the file for a picture of labels that look wrong; None: draw none.

    Raises:
        SuspiciousImport: the labels look wrong.
    """
    fresh = {label.row.cell: label for label in labels if label.status in ("new", "replaced")}
    if not fresh or project.settings.oracle:
        return
    evidence = _Evidence(project, fresh, summaries)
    fresh_tasks = {cell.task for cell in fresh}
    names = [name for name in evidence.tasks if name in fresh_tasks]
    progress.start("Comparing labels", len(names), "tasks")
    found = list(doubts)
    for name in names:
        found += evidence.doubts(name)
        progress.advance()
    if found:
        is_drawn = sheet is not None and _draw_sheet(evidence, found, sheet)
        raise SuspiciousImport(found, where, sheet if is_drawn else None)


class _Evidence:
    """The labels of an import, and what they are compared with; only summaries stay in memory."""

    def __init__(
        self,
        project: ProjectFolder,
        fresh: Mapping[Cell, AcceptedLabel],
        summaries: Summaries,
    ) -> None:
        self.project = project
        self.fresh = fresh
        self.tasks = project.tasks()
        self.summaries = dict(summaries.made)
        self.odd = summaries.odd
        self.compared: set[frozenset[Cell]] = set()
        self.edges = EdgeEvidence(project)
        self.parts: dict[Cell, PartBox] = {}
        self._rows: dict[str, list[CellRow]] = {}
        self._edge_doubts: dict[str, list[Doubt]] = {}
        self._repeats: dict[str, list[list[Cell]]] = {}
        self._related: set[str] = set()
        self._parted: list[frozenset[str]] = []
        self._maps: dict[str, PartMaps] = {}

    @cached_property
    def _parting(self) -> PartMapping:
        """Makes small maps of labels, by which their parts are compared."""
        return PartMapping(self.tasks, part_relations(self.tasks), source_of(self.project))

    @cached_property
    def relations(self) -> RelationEvidence:
        """What follows from the labels, of the import and of the project, by relations."""
        images = {cell.image_id for cell in self.fresh}
        for task in self.tasks:
            images.update(row.cell.image_id for row in self.earlier(task))
        return RelationEvidence(self.project, self.sound_label, drawn_images(images))

    def doubts(self, task: str) -> list[Doubt]:
        """All doubts about the labels of one task."""
        summaries = self._summaries_of(task)
        figures = [summary.figures for summary in summaries.values()]
        earlier = []
        for row in self.earlier(task):
            summary = self._summary_of(row)
            if summary:
                earlier.append((row, summary))
        earlier_figures = [summary.figures for _, summary in earlier]
        pairs, earlier_pairs = self._predictions(summaries, earlier)
        doubts = self._compare_order(task, summaries, earlier, pairs)
        if len(earlier) < plausibility.FEW:
            doubts += plausibility.compare_with_ranges(task, figures)
        elif not doubts:  # another order moves the figures of classes, too
            doubts = plausibility.compare_with_earlier(task, figures, earlier_figures)
        self.odd.compare_with(task, earlier_figures)
        doubts += [] if doubts else self.odd.doubts(task)
        if not doubts:
            names = self.tasks[task].class_names
            before = _class_maps(summary for _, summary in earlier)
            doubts += missing_rest(task, _class_maps(summaries.values()), before, names)
        known = [summary for _, summary in earlier]
        doubts += plausibility.compare_with_predictions(task, pairs, earlier_pairs)
        checked = self._check(task, list(summaries.values()), known)
        doubts += checked or plausibility.compare_emptiness(task, list(summaries.values()), known)
        repeated = self._repeated(task)
        follows = self._compare_edges(task)
        doubts += follows or self._compare_shift(task, {} if repeated else summaries, earlier)
        doubts += [repeated_doubt(task, repeated, self._fits(repeated[0]))] if repeated else []
        doubts += self._compare_other_tasks(task, summaries)
        doubts += [] if doubts else self._compare_relations(task)
        return doubts + ([] if doubts else self._compare_parts(task))

    def _check(
        self, task: str, labels: Sequence[Summary], earlier: Sequence[Summary]
    ) -> list[Doubt]:
        """What the checks of the task's kind say, unless they say it of earlier labels, too."""
        definition = self.tasks[task]
        doubts = []
        for place, check in enumerate(definition.spec.checks):
            now = [label.measured[place] for label in labels]
            before = [label.measured[place] for label in earlier]
            what = check.judge(now, definition.options) if now else ""
            usual = len(before) >= plausibility.FEW and check.judge(before, definition.options)
            if what and not usual:
                doubts.append(Doubt(task, what))
        return doubts

    def _summaries_of(self, task: str) -> dict[Cell, Summary]:
        """The summaries of the labels of a task that are compared."""
        summaries = {}
        for cell in self.sample(task):
            summary = self.summary(cell)
            if summary:
                summaries[cell] = summary
        return summaries

    def _compare_edges(self, task: str) -> list[Doubt]:
        """Compare the outlines of a task's labels with the edges of their images, once."""
        if task not in self._edge_doubts:
            self._edge_doubts[task] = self._find_edge_doubts(task)
        return self._edge_doubts[task]

    def _find_edge_doubts(self, task: str) -> list[Doubt]:
        """Compare the labels' outlines with the edges of their images.

        Where earlier labels do not follow edges, or lie elsewhere, too, they say nothing; nor do
        files that are used for several images, which are doubted for that.
        """
        images = [cell.image_id for cell in self.fresh if cell.task == task]
        repeated = {cell for group in self._repeated(task) for cell in group}
        summaries = self._summaries_of(task)
        single = {cell: summary for cell, summary in summaries.items() if cell not in repeated}
        doubts = self.edges.doubts(task, _outlines(single), images)
        if doubts:
            earlier = {}
            for row in self.earlier(task)[: edge_evidence.LABELS]:
                summary = self._summary_of(row)
                if summary:
                    earlier[row.cell] = summary
            if self.edges.usually_off(_outlines(earlier)):
                return []
        return doubts

    def _compare_shift(
        self,
        task: str,
        summaries: Mapping[Cell, Summary],
        earlier: Iterable[tuple[CellRow, Summary]],
    ) -> list[Doubt]:
        """Find out whether all labels lie a little beside their images, unlike earlier ones."""
        before = {row.cell: summary for row, summary in earlier}
        return self.edges.shift_doubts(task, _outlines(summaries), _outlines(before))

    def _compare_order(
        self,
        task: str,
        summaries: Mapping[Cell, Summary],
        earlier: Iterable[tuple[CellRow, Summary]],
        pairs: Iterable[Pair],
    ) -> list[Doubt]:
        """Find out whether the classes have another order than before, or than predictions have."""
        names = self.tasks[task].class_names
        maps = _class_maps(summaries.values())
        before = _class_maps(summary for _, summary in earlier)
        other = order_beside(maps, before, names)
        if other:
            return [Doubt(task, order_text(other, names, len(before)))]
        unlabelled = first_for_unlabelled(maps, before, names)
        if unlabelled:
            return [Doubt(task, unlabelled)]
        both = []
        for label, guess in pairs:
            if label.classes is not None and guess.classes is not None:
                both.append((label.classes, guess.classes))
        found = order_in_predictions(both, len(names))
        return [Doubt(task, prediction_text(found, names))] if found else []

    def _repeated(self, task: str) -> list[list[Cell]]:
        """Find files that are the labels of several images, once."""
        if task not in self._repeats:
            self._repeats[task] = self._find_repeated(task)
        return self._repeats[task]

    def _find_repeated(self, task: str) -> list[list[Cell]]:
        """Find files that are the labels of several images, unless they show nothing."""
        fresh = {cell: label.digest for cell, label in self.fresh.items() if cell.task == task}
        earlier = ((row.cell, row.digest) for row in self._others(task))
        groups = []
        for group in repeated_cells(fresh, earlier):
            if len(group) < repeated_labels.LEAST_DRAWN and self._is_drawn(group):
                continue
            label = self.label(next(cell for cell in group if cell in fresh))
            shows = label and shows_something(self.tasks[task], label)
            if shows and self._images_differ(group):
                groups.append(group)
        return groups

    def _is_drawn(self, cells: Sequence[Cell]) -> bool:
        """Whether the import has the labels of these cells as regions, each of its own image."""
        fresh = [self.fresh[cell].answer for cell in cells if cell in self.fresh]
        return len(fresh) == len(cells) and not any(isinstance(one.label, Path) for one in fresh)

    def _fits(self, cells: Sequence[Cell]) -> dict[str, float]:
        """How well the one label of some cells follows the edges of each of their first images."""
        summary = self.summary(cells[0])
        if summary is None or summary.outline is None:
            return {}
        images = [cell.image_id for cell in cells[: repeated_labels.NAMED]]
        return self.edges.agreements_with(summary.outline, images)

    def _images_differ(self, cells: Sequence[Cell]) -> bool:
        """Whether the images of cells are different files, as far as that is known."""
        names = {cell.image_id for cell in cells}
        rows = self.project.store.images(names=names)
        return len({row.digest or row.image_id for row in rows}) > 1

    def _predictions(
        self, summaries: Mapping[Cell, Summary], earlier: Iterable[tuple[CellRow, Summary]]
    ) -> tuple[list[Pair], list[Pair]]:
        """The labels that have predictions, with these: of the import, and earlier ones."""
        pairs = []
        for cell, label in summaries.items():
            guess = self._prediction(self.fresh[cell].row)
            if guess:
                pairs.append((label, guess))
        if not pairs:
            return [], []
        earlier_pairs = []
        for row, label in earlier:
            guess = self._prediction(row)
            if guess:
                earlier_pairs.append((label, guess))
        return pairs, earlier_pairs

    def _compare_other_tasks(self, task: str, summaries: Mapping[Cell, Summary]) -> list[Doubt]:
        """Compare slopes with those of the same images' labels of other tasks.

        These are imported now or before. No pair of labels is compared twice. Labels that do not
        follow their images, such as mirrored ones, say nothing about axes.
        """
        sloping = [cell for cell, summary in summaries.items() if summary.slope is not None]
        doubts: list[Doubt] = []
        if not sloping or self._compare_edges(task):
            return doubts
        for name in self.tasks:
            if name == task or self._compare_edges(name):
                continue
            pairs = []
            for cell in sloping:
                other_cell = Cell(cell.image_id, name)
                both_cells = frozenset((cell, other_cell))
                if both_cells in self.compared:
                    continue
                self.compared.add(both_cells)
                other = self.summary(other_cell)
                if other:
                    pairs.append((summaries[cell], other))
            doubts += plausibility.compare_slopes(task, name, pairs)
        return doubts

    def _compare_relations(self, task: str) -> list[Doubt]:
        """Compare labels with those that follow from others of their images, each relation once.

        Labels that do not follow their images, or are those of several images, say nothing.
        """
        doubts = []
        for relation in self.relations.relations:
            tasks = connected_tasks(relation)
            if task not in tasks or relation.name in self._related:
                continue
            if any(self._compare_edges(name) or self._repeated(name) for name in tasks):
                continue
            self._related.add(relation.name)
            fresh = [cell.image_id for cell in self.sample(task)]
            earlier = [row.cell.image_id for row in self.earlier(task)]
            fresh_images = {cell.image_id for cell in self.fresh if cell.task in tasks}
            known = [image_id for image_id in earlier if image_id not in fresh_images]
            few = edge_evidence.LABELS
            doubts += self.relations.doubts(task, relation, fresh[:few], known[:few])
        return doubts

    def _compare_parts(self, task: str) -> list[Doubt]:
        """Compare parts of labels with other labels of their images, once for each two tasks."""
        sample = self.sample(task)
        images = {cell.image_id: self._part_maps_of(cell.image_id) for cell in sample}
        found = part_doubts(images, self._parting.relations, task)
        fresh = [doubt for doubt in found if doubt.tasks not in self._parted]
        self._parted += [doubt.tasks for doubt in fresh]
        for doubt in fresh:
            self.parts |= {Cell(image_id, task): box for image_id, box in doubt.parts.items()}
        return [doubt.doubt for doubt in fresh]

    def _part_maps_of(self, image_id: str) -> PartMaps:
        """Small maps of an image's labels, new and earlier ones, made once."""
        if image_id not in self._maps:
            found = {name: self.summary(Cell(image_id, name)) for name in self.tasks}
            labels = {name: label for name, label in found.items() if label is not None}
            several = len(labels) > 1
            self._maps[image_id] = (
                self._parting.contradictions(image_id, labels) if several else PartMaps()
            )
        return self._maps[image_id]

    def sample(self, task: str) -> list[Cell]:
        """The cells of a task in the import that are compared.

        They are drawn by image: the same images for all tasks.
        """
        cells = [cell for cell in self.fresh if cell.task == task]
        return _draw_sample(cells, lambda cell: cell)

    def earlier(self, task: str) -> list[CellRow]:
        """Rows of the task's labels in the project, without cells of the import."""
        return _draw_sample(self._others(task), lambda row: row.cell)

    def _others(self, task: str) -> list[CellRow]:
        """Rows of all the task's labels in the project, without cells of the import."""
        if task not in self._rows:
            rows = self.project.store.cells(state=State.LABELLED, task=task)
            self._rows[task] = [row for row in rows if row.cell not in self.fresh]
        return self._rows[task]

    def summary(self, cell: Cell) -> Summary | None:
        """The summary of a cell's label in the import or, if it has none, in the project."""
        if cell not in self.summaries:
            self.summaries[cell] = plausibility.label_summary(
                self.tasks[cell.task], partial(self.label, cell)
            )
        return self.summaries[cell]

    def label(self, cell: Cell) -> LabelArray | None:
        """The label of a cell in the import or, if it has none, in the project; thinned."""
        if cell in self.fresh:
            task = self.tasks[cell.task]
            label = self.fresh[cell]
            with as_file(label.answer, task, label.size) as path:
                return task.read(path) if path else None
        row = self.project.store.find([cell]).get(cell)
        if row and row.state == State.LABELLED:
            return self._read(row)
        return None

    def sound_label(self, cell: Cell) -> LabelArray | None:
        """As `label`; None if it cannot be read: other commands report damaged files."""
        with suppress(LabelError, ProjectError, OSError):
            return self.label(cell)
        return None

    def _summary_of(self, row: CellRow) -> Summary | None:
        return plausibility.label_summary(self.tasks[row.cell.task], partial(self._read, row))

    def _read(self, row: CellRow) -> LabelArray:
        return read_stored_label(self.project, row, self.tasks[row.cell.task])

    def _prediction(self, row: CellRow) -> Summary | None:
        task = self.tasks[row.cell.task]
        path = prelabel(self.project, row, task)
        if path is None:
            return None
        return plausibility.label_summary(task, lambda: task.read(path))


def _outlines(summaries: Mapping[Cell, Summary]) -> dict[str, Edges]:
    """The outlines of one task's labels that have any, by image."""
    found = {}
    for cell, summary in summaries.items():
        if summary.outline is not None:
            found[cell.image_id] = summary.outline
    return found


def _class_maps(summaries: Iterable[Summary]) -> list[ClassMap]:
    return [summary.classes for summary in summaries if summary.classes is not None]


def _draw_sample(items: Sequence[T], cell: Callable[[T], Cell]) -> list[T]:
    """A sample of the items, drawn by image id."""
    keys = image_keys(cell(item).image_id for item in items)
    order = np.argsort(keyed_uniform(keys, seed_of(0, "plausibility")), kind="stable")
    return [items[int(index)] for index in order[:SAMPLE]]


def _draw_sheet(evidence: _Evidence, doubts: Sequence[Doubt], path: Path) -> bool:
    """Draw images with their labels and why they are doubted; below them, earlier ones.

    False if a file cannot be read or written.
    """
    from labelgrid.basics.files import write_bytes
    from labelgrid.imports.suspicious_sheet import SuspiciousLabels, draw_suspicious

    doubted = list(dict.fromkeys(doubt.task for doubt in doubts))
    names = [name for name in evidence.tasks if name in doubted or evidence.sample(name)]
    labels = SuspiciousLabels(
        project=evidence.project,
        tasks={name: evidence.tasks[name] for name in names},
        fresh=[cell.image_id for cell in evidence.sample(doubted[0])],
        earlier=[row.cell.image_id for row in evidence.earlier(doubted[0])],
        imported=evidence.fresh.keys(),
        read=evidence.sound_label,
        parts=evidence.parts,
    )
    with suppress(LabelgridError, OSError):
        write_bytes(path, draw_suspicious(labels, doubts))
        return True
    return False
