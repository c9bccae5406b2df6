"""Doubts a batch of labels, for example an import, beside earlier labels.

Known are earlier labels, predictions, and other labels of the same images. A sample of the labels
is compared. No network runs. Loads no torch.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cache, cached_property

from labelgrid.basics.streams import drawn_places, seed_of
from labelgrid.evidence import edge_evidence, figure_doubts, repeated_labels
from labelgrid.evidence.class_order import (
    ClassMap,
    first_for_unlabelled,
    order_beside,
    order_in_predictions,
    order_text,
    prediction_text,
)
from labelgrid.evidence.doubts import Doubt
from labelgrid.evidence.edge_agreement import Edges
from labelgrid.evidence.edge_evidence import EdgeEvidence
from labelgrid.evidence.known_labels import KnownLabels
from labelgrid.evidence.label_summary import Pair, Summary, label_summary, summary_of, thin_label
from labelgrid.evidence.missing_rest import missing_rest
from labelgrid.evidence.part_doubts import part_doubts
from labelgrid.evidence.part_grid import PartBox
from labelgrid.evidence.part_maps import PartMapping, PartMaps, part_relations
from labelgrid.evidence.relation_evidence import RelationEvidence, drawn_images
from labelgrid.evidence.repeated_labels import repeated_cells, repeated_doubt, shows_something
from labelgrid.evidence.single_doubts import SingleDoubts
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import Cell
from labelgrid.ledger.store import CellRow
from labelgrid.relations.bound import connected_tasks
from labelgrid.tasks.task import TaskDefs

#: At most so many labels of a task are compared, with as many earlier ones.
SAMPLE = 32


class Summaries:
    """Summaries of the labels of a batch, made while the labels are read: none is decoded twice.

    Args:
        tasks: the tasks.
        cells: the cells of all labels of the batch. A sample is kept of each task, drawn as
            `BatchDoubts` does.
    """

    def __init__(self, tasks: TaskDefs, cells: Iterable[Cell]) -> None:
        self.tasks = tasks
        self.made = dict[Cell, Summary | None]()
        self.odd = SingleDoubts()
        by_task: dict[str, list[Cell]] = {}
        for cell in cells:
            by_task.setdefault(cell.task, []).append(cell)
        self.compared = by_task.keys()
        self.sample: set[Cell] = set()
        for group in by_task.values():
            self.sample.update(_draw_sample(group))

    def add(self, cell: Cell, label: LabelArray) -> None:
        """Summarise a label of the sample; keep only the figures of other labels."""
        if cell.task not in self.compared:
            return
        task = self.tasks[cell.task]
        if not label.valid.any():
            if cell in self.sample:
                self.made[cell] = None
            return
        thin = thin_label(label)
        figures = task.figures(thin)
        if cell in self.sample:
            self.made[cell] = summary_of(task, label, thin, figures)
        self.odd.add(cell, figures)


class BatchDoubts:
    """Doubts the labels of a batch; only summaries stay in memory.

    Args:
        known: the labels to compare with; for cells of the batch, the batch's labels are read
            instead.
        digests: the digests of the labels of the batch, by cell.
        drawn: the cells of labels that a tool drew as regions, each of its own image.
        summaries: the summaries of the batch's labels.
        left_bare: the cells of labels whose uncovered pixels are declared as not labelled.

    After `doubts`, `parts` are the parts of labels that look wrong.
    """

    def __init__(
        self,
        label_source: KnownLabels,
        digests: Mapping[Cell, str],
        drawn: AbstractSet[Cell],
        summaries: Summaries,
        *,
        left_bare: AbstractSet[Cell] = frozenset(),
    ) -> None:
        self.known = label_source
        self.digests = digests
        self.drawn = drawn
        self.left_bare = left_bare
        self.tasks = label_source.tasks
        self.made = dict(summaries.made)
        self.odd = summaries.odd
        self.edges = EdgeEvidence(label_source)
        self.parts: dict[Cell, PartBox] = {}
        self._compared: set[frozenset[Cell]] = set()
        self._related: set[str] = set()
        self._parted: list[frozenset[str]] = []
        # Each is asked for several times.
        self._others = cache(self._find_others)
        self._repeated = cache(self._find_repeated)
        self._edge_doubts = cache(self._find_edge_doubts)
        self._part_maps = cache(self._make_part_maps)

    @cached_property
    def _parting(self) -> PartMapping:
        return PartMapping(self.tasks, part_relations(self.tasks), self.known.cameras)

    @cached_property
    def _relations(self) -> RelationEvidence:
        images = {cell.image_id for cell in self.digests}
        for task in self.tasks:
            images.update(cell.image_id for cell in self.earlier(task))
        return RelationEvidence(self.known, drawn_images(images))

    def doubts(self, task: str) -> list[Doubt]:
        """All doubts about the labels of one task."""
        names = self.tasks[task].class_names
        labels = self._summaries(self.sample(task))
        earlier = self._summaries(self.earlier(task))
        now = list(labels.values())
        before = list(earlier.values())
        figures = [summary.figures for summary in now]
        figures_before = [summary.figures for summary in before]
        pairs = self._predicted(labels)
        pairs_before = self._predicted(earlier) if pairs else []
        doubts = self._compare_order(task, now, before, pairs)
        if len(before) < figure_doubts.FEW:
            doubts += figure_doubts.compare_with_ranges(task, figures)
        elif not doubts:  # another order moves the figures of classes, too
            doubts = figure_doubts.compare_with_earlier(task, figures, figures_before)
        self.odd.compare_with(task, figures_before)
        doubts += [] if doubts else self.odd.doubts(task)
        if not doubts:
            asked = [summary for cell, summary in labels.items() if cell not in self.left_bare]
            doubts += missing_rest(task, _class_maps(asked), _class_maps(before), names)
        doubts += figure_doubts.compare_with_predictions(task, pairs, pairs_before)
        checked = self._check(task, now, before)
        doubts += checked or figure_doubts.compare_emptiness(task, now, before)
        repeated = self._repeated(task)
        shifted = _outlines({} if repeated else labels)
        doubts += self._edge_doubts(task) or self.edges.shift_doubts(
            task, shifted, _outlines(earlier)
        )
        doubts += [repeated_doubt(task, repeated, self._fits(repeated[0]))] if repeated else []
        doubts += self._compare_other_tasks(task, labels)
        doubts += [] if doubts else self._compare_relations(task)
        return doubts + ([] if doubts else self._compare_parts(task))

    def _check(
        self, task: str, labels: Sequence[Summary], earlier: Sequence[Summary]
    ) -> list[Doubt]:
        """The doubts of the checks of the task's kind that do not hold for earlier labels, too."""
        definition = self.tasks[task]
        doubts = []
        for place, check in enumerate(definition.spec.checks):
            now = [label.measured[place] for label in labels]
            before = [label.measured[place] for label in earlier]
            statement = check.judge(now, definition.options) if now else ""
            usual = len(before) >= figure_doubts.FEW and check.judge(before, definition.options)
            if statement and not usual:
                doubts.append(Doubt(task, statement))
        return doubts

    def _find_edge_doubts(self, task: str) -> list[Doubt]:
        """Compare the labels' outlines with the edges of their images.

        Labels say nothing where earlier labels do not follow edges, or lie elsewhere, too. Files
        that are used for several images are doubted for that alone.
        """
        images = [cell.image_id for cell in self._cells(task)]
        repeated = set()
        for group in self._repeated(task):
            repeated.update(group)
        single = [cell for cell in self.sample(task) if cell not in repeated]
        doubts = self.edges.doubts(task, _outlines(self._summaries(single)), images)
        if not doubts:
            return []
        earlier = self._summaries(self.earlier(task)[: edge_evidence.LABELS])
        if self.edges.usually_off(_outlines(earlier)):
            return []
        return doubts

    def _compare_order(
        self,
        task: str,
        labels: Sequence[Summary],
        earlier: Sequence[Summary],
        pairs: Iterable[Pair],
    ) -> list[Doubt]:
        names = self.tasks[task].class_names
        maps = _class_maps(labels)
        before = _class_maps(earlier)
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
        order = order_in_predictions(both, len(names))
        if not order:
            return []
        return [Doubt(task, prediction_text(order, names))]

    def _find_repeated(self, task: str) -> list[list[Cell]]:
        """The groups of cells whose label is the same file, without empty labels."""
        fresh = {cell: self.digests[cell] for cell in self._cells(task)}
        earlier = ((row.cell, row.digest) for row in self._others(task))
        groups = []
        for group in repeated_cells(fresh, earlier):
            if len(group) < repeated_labels.LEAST_DRAWN and self.drawn >= set(group):
                continue
            label = self.known.label(next(cell for cell in group if cell in fresh))
            if label and shows_something(self.tasks[task], label):
                rows = self.known.images({cell.image_id for cell in group})
                if len({row.digest or row.image_id for row in rows}) > 1:
                    groups.append(group)
        return groups

    def _fits(self, cells: Sequence[Cell]) -> dict[str, float]:
        """The agreement of one label with the edges of the first of several images."""
        summary = self.summary(cells[0])
        if summary is None or summary.outline is None:
            return {}
        images = [cell.image_id for cell in cells[: repeated_labels.NAMED]]
        return self.edges.agreements(dict.fromkeys(images, summary.outline), of_one=True)

    def _predicted(self, summaries: Mapping[Cell, Summary]) -> list[Pair]:
        pairs = []
        for cell, label in summaries.items():
            task = self.tasks[cell.task]
            guess = label_summary(task, self.known.prediction(cell))
            if guess:
                pairs.append((label, guess))
        return pairs

    def _compare_other_tasks(self, task: str, summaries: Mapping[Cell, Summary]) -> list[Doubt]:
        """Compare slopes with the labels of other tasks of the same images.

        No pair of labels is compared twice. Labels that do not match their images, such as mirrored
        labels, say nothing about axes.
        """
        sloping = {cell: label for cell, label in summaries.items() if label.slope is not None}
        doubts: list[Doubt] = []
        if not sloping or self._edge_doubts(task):
            return doubts
        for name in self.tasks:
            if name == task or self._edge_doubts(name):
                continue
            pairs = []
            for cell, summary in sloping.items():
                other_cell = Cell(cell.image_id, name)
                both = frozenset((cell, other_cell))
                other = self.summary(other_cell)
                if other and both not in self._compared:
                    pairs.append((summary, other))
                self._compared.add(both)
            doubts += figure_doubts.compare_slopes(task, name, pairs)
        return doubts

    def _compare_relations(self, task: str) -> list[Doubt]:
        """Compare labels with labels that follow from the rest of the image, each relation once.

        Labels that do not follow their images, or are used for several images, say nothing.
        """
        doubts: list[Doubt] = []
        for relation in self.known.relations:
            tasks = connected_tasks(relation)
            if task not in tasks or relation.name in self._related:
                continue
            if any(self._edge_doubts(name) or self._repeated(name) for name in tasks):
                continue
            self._related.add(relation.name)
            few = edge_evidence.LABELS
            fresh = [cell.image_id for cell in self.sample(task)[:few]]
            images = set()
            for cell in self.digests:
                if cell.task in tasks:
                    images.add(cell.image_id)
            earlier = [cell.image_id for cell in self.earlier(task) if cell.image_id not in images]
            doubts += self._relations.doubts(task, relation, fresh, earlier[:few])
        return doubts

    def _compare_parts(self, task: str) -> list[Doubt]:
        """Compare parts of labels with the rest of their images, each pair of tasks once."""
        images = self._maps_of(self.sample(task))
        earlier = cache(lambda: self._maps_of(self.earlier(task)))
        doubts = part_doubts(images, self._parting.relations, task, earlier)
        fresh = [doubt for doubt in doubts if doubt.tasks not in self._parted]
        self._parted += [doubt.tasks for doubt in fresh]
        for doubt in fresh:
            self.parts |= {Cell(image_id, task): box for image_id, box in doubt.parts.items()}
        return [doubt.doubt for doubt in fresh]

    def _maps_of(self, cells: Iterable[Cell]) -> dict[str, PartMaps]:
        return {cell.image_id: self._part_maps(cell.image_id) for cell in cells}

    def _make_part_maps(self, image_id: str) -> PartMaps:
        summaries = self._summaries(Cell(image_id, name) for name in self.tasks)
        labels = {cell.task: summary for cell, summary in summaries.items()}
        if len(labels) > 1:
            return self._parting.contradictions(image_id, labels)
        return PartMaps()

    def _cells(self, task: str) -> list[Cell]:
        return [cell for cell in self.digests if cell.task == task]

    def sample(self, task: str) -> list[Cell]:
        """The cells of a task in the batch that are compared.

        They are drawn by image: the same images for all tasks.
        """
        return _draw_sample(self._cells(task))

    def earlier(self, task: str) -> list[Cell]:
        """The cells of a task whose earlier labels are compared, without those of the batch."""
        return _draw_sample([row.cell for row in self._others(task)])

    def _find_others(self, task: str) -> list[CellRow]:
        return [row for row in self.known.labelled(task) if row.cell not in self.digests]

    def summary(self, cell: Cell) -> Summary | None:
        """The summary of a cell's label in the batch, otherwise of the earlier label."""
        if cell not in self.made:
            self.made[cell] = label_summary(self.tasks[cell.task], self.known.label(cell))
        return self.made[cell]

    def _summaries(self, cells: Iterable[Cell]) -> dict[Cell, Summary]:
        summaries = {cell: self.summary(cell) for cell in cells}
        return {cell: summary for cell, summary in summaries.items() if summary}


def _outlines(summaries: Mapping[Cell, Summary]) -> dict[str, Edges]:
    outlines = {}
    for cell, summary in summaries.items():
        if summary.outline is not None:
            outlines[cell.image_id] = summary.outline
    return outlines


def _class_maps(summaries: Iterable[Summary]) -> list[ClassMap]:
    return [summary.classes for summary in summaries if summary.classes is not None]


def _draw_sample(cells: Sequence[Cell]) -> list[Cell]:
    order = drawn_places((cell.image_id for cell in cells), seed_of(0, "plausibility"))
    return [cells[place] for place in order[:SAMPLE]]
