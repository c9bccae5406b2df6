"""Gathers what speaks against each label of a project, except for what a model says.

Images and labels are read one by one; numbers stay in memory. Loads no torch.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import Cell, State
from labelgrid.ledger.store import CellRow
from labelgrid.progress import Progress
from labelgrid.project import plausibility
from labelgrid.project.class_order import (
    ClassUse,
    LabelUse,
    label_use,
    merged_use,
    order_examples,
    use_of_label,
    usual_order_of,
)
from labelgrid.project.edge_evidence import BETTER, EdgeEvidence, OutlineFit
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.label_classes import classes_in, note_label_classes
from labelgrid.project.odd_labels import middle_and_spread
from labelgrid.project.plausibility import Summary, slope_agreement
from labelgrid.project.relation_evidence import (
    RelationEvidence,
    checked_relations,
    drawn_images,
    stored_label,
    tasks_of,
    usually_holds,
)
from labelgrid.project.repeated_labels import repeated_cells
from labelgrid.project.stored_labels import read_stored_label
from labelgrid.project.suspicion import label_summary
from labelgrid.relations.bound import BoundRelation
from labelgrid.tasks.figures import LabelFigure
from labelgrid.words import join_names

#: Evidence of an image's edges above this speaks against a label.
EDGES = -3.0
#: A label that lies otherwise than its image agrees at least so well when it is put right.
TURNED = 3.0


@dataclass(frozen=True)
class Evidence:
    """What one comparison says of a label.

    Args:
        value: how much it speaks against the label, in any unit; higher is worse.
        text: what was found, in words.
        others: the other labels that it speaks of; if one changes, it says nothing any more.
    """

    value: float
    text: str
    others: Sequence[Cell] = ()


#: The evidence of one sort about many labels.
OfLabels = Mapping[Cell, Evidence]


@dataclass
class LabelEvidence:
    """What was found about the labels of a project: sort of evidence -> label -> evidence.

    Args:
        sorts: the evidence.
        labels: the labels that were read, by task.
        unread: those that could not be.
    """

    sorts: dict[str, OfLabels]
    labels: dict[str, list[CellRow]] = field(default_factory=dict)
    unread: list[Cell] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class ComparedLabel:
    """What was found about a label, from its file, its image and the other labels of that.

    Args:
        task: its task.
        figures: its figures, by name.
        fit: what the image's edges say of it; None: nothing.
        slope: what the slopes of other labels say of it; None: nothing.
        use: how it uses its classes; None if it has none.
        shows: whether it shows something, by its outlines.
    """

    task: str
    figures: Mapping[str, LabelFigure]
    fit: Evidence | None
    slope: Evidence | None
    use: LabelUse | None
    shows: bool


@dataclass(frozen=True, kw_only=True)
class ComparedImage:
    """What was found about the labels of an image, as plain values.

    Args:
        image: its id.
        labels: those that were read.
        unread: the tasks of the others.
        shown: the bits of `classes_in` as hexadecimal digits, by task.
        agreements: of its labels, by relation.
    """

    image: str
    labels: Sequence[ComparedLabel]
    unread: Sequence[str]
    shown: Mapping[str, str]
    agreements: Mapping[str, float]


#: The labels of an image, by task.
Rows = Mapping[str, CellRow]


def labels_by_image(project: ProjectFolder) -> dict[str, Rows]:
    """The labels of a project, by image and task."""
    rows: dict[str, dict[str, CellRow]] = defaultdict(dict)
    for row in project.store.cells(state=State.LABELLED):
        rows[row.cell.image_id][row.cell.task] = row
    return dict(rows)


def gather_evidence(project: ProjectFolder, progress: Progress) -> LabelEvidence:
    """Compare every label with its image, the other labels of its image and of its task.

    Args:
        project: the project.
        progress: reports each image.
    """
    rows = labels_by_image(project)
    comparing = Comparing(project, rows)
    progress.start("Comparing labels", len(rows), "images")
    return gathered(project, rows, comparing.images(sorted(rows), progress))


def gathered(
    project: ProjectFolder, rows: Mapping[str, Rows], images: Iterable[ComparedImage]
) -> LabelEvidence:
    """All that was found about the labels of a project; keeps which classes each shows.

    Args:
        project: the project.
        rows: its labels.
        images: what was found about those of each image, in any order that is always the same.
    """
    gathering = _Gathering(project)
    for image in images:
        gathering.add_image(image, rows[image.image])
    gathering.note_classes()
    return gathering.evidence()


class Comparing:
    """Compares the labels of images, each image for itself.

    Args:
        project: the project.
        rows: its labels.
    """

    def __init__(self, project: ProjectFolder, rows: Mapping[str, Rows]) -> None:
        several = [image_id for image_id, found in rows.items() if len(found) > 1]
        self._project = project
        self._rows = rows
        self._tasks = project.tasks()
        self._relations = RelationEvidence(
            project, partial(stored_label, project), drawn_images(several)
        )
        self._edges = EdgeEvidence(project)

    def images(self, image_ids: Iterable[str], progress: Progress) -> Iterator[ComparedImage]:
        """What is found about the labels of images, one after the other."""
        for image_id in image_ids:
            yield self._image(image_id)
            progress.advance()

    def _image(self, image_id: str) -> ComparedImage:
        read: dict[str, LabelArray] = {}
        summaries: dict[str, Summary] = {}
        fits: dict[Cell, Evidence] = {}
        rows = self._rows[image_id]
        for task, row in rows.items():
            summary = label_summary(self._tasks[task], partial(self._read, row, read))
            if summary is not None:
                summaries[task] = summary
                fit = self._fit(summary, image_id)
                if fit:
                    fits[row.cell] = fit
        self._edges.forget(image_id)
        slopes = slope_evidence(
            {rows[task].cell: found for task, found in summaries.items() if _has_slope(found)}, fits
        )
        labels = []
        for task, summary in summaries.items():
            use = None
            if summary.classes is not None:
                use = label_use(summary.classes, len(self._tasks[task].class_names))
            label = ComparedLabel(
                task=task,
                figures=summary.figures,
                fit=fits.get(rows[task].cell),
                slope=slopes.get(rows[task].cell),
                use=use,
                shows=summary.outline is not None and bool(summary.outline.any()),
            )
            labels.append(label)
        return ComparedImage(
            image=image_id,
            labels=labels,
            unread=[task for task in rows if task not in summaries],
            shown={
                task: classes_in(self._tasks[task], label).hex() for task, label in read.items()
            },
            agreements=self._relations.of_image(image_id, read),
        )

    def _fit(self, summary: Summary, image_id: str) -> Evidence | None:
        """What the image's edges say of a label."""
        if summary.outline is None or not summary.outline.any():
            return None
        fit = self._edges.outline_fit(summary.outline, image_id)
        return edge_evidence_of(fit) if fit else None

    def _read(self, row: CellRow, labels: dict[str, LabelArray]) -> LabelArray:
        """Read a label and keep it with those of its image."""
        task = self._tasks[row.cell.task]
        label = read_stored_label(self._project, row, task)
        labels[task.name] = label
        return label


def _has_slope(summary: Summary) -> bool:
    return summary.slope is not None


class _Gathering:
    """What is known after some of the images."""

    def __init__(self, project: ProjectFolder) -> None:
        self.project = project
        self.tasks = project.tasks()
        self.relations = checked_relations(project)
        self.agreements: dict[str, dict[str, float]] = defaultdict(dict)
        self.fits: dict[Cell, Evidence] = {}
        self.slopes: dict[Cell, Evidence] = {}
        self.figures: dict[Cell, Mapping[str, LabelFigure]] = {}
        self.uses: dict[Cell, ClassUse] = {}
        self.digests: dict[str, dict[Cell, str]] = defaultdict(dict)
        self.labels: dict[str, list[CellRow]] = defaultdict(list)
        self.unread: list[Cell] = []
        self.classes: dict[str, dict[str, bytes]] = defaultdict(dict)

    def add_image(self, image: ComparedImage, rows: Rows) -> None:
        """Add what was found about the labels of an image."""
        for label in image.labels:
            self._add_label(label, rows[label.task])
        self.unread += [rows[task].cell for task in image.unread]
        for task, digits in image.shown.items():
            self.classes[task][rows[task].digest] = bytes.fromhex(digits)
        for name, value in image.agreements.items():
            self.agreements[name][image.image] = value

    def _add_label(self, label: ComparedLabel, row: CellRow) -> None:
        self.labels[label.task].append(row)
        self.figures[row.cell] = label.figures
        if label.use is not None:
            classes = len(self.tasks[label.task].class_names)
            self.uses[row.cell] = use_of_label(label.use, classes)
        if label.shows:
            self.digests[label.task][row.cell] = row.digest
        if label.fit:
            self.fits[row.cell] = label.fit
        if label.slope:
            self.slopes[row.cell] = label.slope

    def note_classes(self) -> None:
        """Keep which classes each label shows."""
        for task, classes in self.classes.items():
            note_label_classes(self.project, self.tasks[task], classes)

    def _contradictions(self) -> dict[Cell, Evidence]:
        """That labels contradict each other by a relation that holds for most."""
        found: dict[Cell, Evidence] = {}
        for relation in self.relations:
            values = self.agreements[relation.name]
            if usually_holds(list(values.values())):
                for image_id, value in values.items():
                    evidence = relation_evidence_of(relation, value)
                    cells = [Cell(image_id, task) for task in sorted(tasks_of(relation))]
                    for cell in blamed(cells, self.fits):
                        if cell not in found or found[cell].value < evidence.value:
                            others = [other for other in cells if other != cell]
                            found[cell] = replace(evidence, others=others)
        return found

    def evidence(self) -> LabelEvidence:
        """All that was found."""
        figures: dict[Cell, Evidence] = {}
        orders: dict[Cell, Evidence] = {}
        repeated: dict[Cell, Evidence] = {}
        contents = {row.image_id: row.digest or row.image_id for row in self.project.store.images()}
        for task, rows in self.labels.items():
            figures.update(figure_evidence({row.cell: self.figures[row.cell] for row in rows}))
            uses = {row.cell: self.uses[row.cell] for row in rows if row.cell in self.uses}
            orders.update(order_evidence(uses, self.tasks[task].class_names))
            repeated.update(repetition_evidence(self.digests[task], contents))
        sorts: dict[str, OfLabels] = {
            "repeated file": repeated,
            "image edges": self.fits,
            "other labels": self.slopes,
            "relations": self._contradictions(),
            "figures": figures,
            "class order": orders,
        }
        return LabelEvidence(sorts, dict(self.labels), self.unread)


def edge_evidence_of(fit: OutlineFit) -> Evidence:
    """That the outlines do not follow the image's edges, or would if the label lay otherwise.

    Example:
        >>> edge_evidence_of(OutlineFit(0.2, 6.4, "upside down")).text
        "its outlines do not follow the image's edges (0.2); they would if it lay upside down (6.4)"
    """
    text = f"its outlines do not follow the image's edges ({fit.agreement:.1f})"
    value = -fit.agreement
    # Many things are symmetric, and the best of several ways agrees a little by chance.
    if fit.turned > max(2 * fit.agreement + BETTER, TURNED):
        value += fit.turned - BETTER
        text += f"; they would if it lay {fit.way} ({fit.turned:.1f})"
    return Evidence(value, text)


def blamed(cells: Sequence[Cell], fits: Mapping[Cell, Evidence]) -> list[Cell]:
    """Which of the labels that contradict each other may be wrong.

    Those that do not follow the image's edges, if others do; else all.
    """
    against = [cell for cell in cells if cell in fits and fits[cell].value > EDGES]
    return against or list(cells)


def relation_evidence_of(relation: BoundRelation, agreement: float) -> Evidence:
    """That the labels of an image contradict each other by a relation."""
    names = join_names([*relation.reads, relation.gives])
    text = f"{names} of the image contradict each other ('{relation.name}': {agreement:.1f})"
    return Evidence(-agreement, text)


def slope_evidence(
    labels: Mapping[Cell, Summary], fits: Mapping[Cell, Evidence]
) -> dict[Cell, Evidence]:
    """That slopes contradict those of the other labels of the image, such as depth and normals.

    Args:
        labels: of an image.
        fits: what the image's edges say of them: the slopes of a label that does not follow them
            say nothing of one that does.
    """
    found = {}
    for cell, label in labels.items():
        agreements: dict[str, float] = {}
        for other_cell, other in labels.items():
            value = _slope_agreement(label, other)
            known = other_cell != cell and cell in blamed([cell, other_cell], fits)
            if known and value is not None:
                agreements[other_cell.task] = value
        if agreements:
            mean = float(np.mean(list(agreements.values())))
            names = join_names(list(agreements))
            text = f"its slopes contradict {names} of the same image (agreement {mean:.2f})"
            others = [Cell(cell.image_id, task) for task in agreements]
            found[cell] = Evidence(-mean, text, others)
    return found


def _slope_agreement(label: Summary, other: Summary) -> float | None:
    """The mean agreement along both axes; None if it is not known."""
    if label.slope is None or other.slope is None or label.slope.shape != other.slope.shape:
        return None
    known = [value for value in slope_agreement(label.slope, other.slope) if not np.isnan(value)]
    return float(np.mean(known)) if known else None


def figure_evidence(labels: Mapping[Cell, Mapping[str, LabelFigure]]) -> dict[Cell, Evidence]:
    """How far the figures of labels are from those of the task's other labels.

    The distance is in robust standard deviations, that of the figure with the largest one. No
    deviation is taken for smaller than a share of the figure's tolerance.
    """
    values: dict[str, list[float]] = defaultdict(list)
    for figures in labels.values():
        for name, figure in figures.items():
            values[name].append(plausibility.scale_value(figure))
    usual = {name: middle_and_spread(np.array(known)) for name, known in values.items()}
    found = {}
    for cell, figures in labels.items():
        distances = {}
        for name, figure in figures.items():
            if len(values[name]) >= plausibility.FEW:
                middle, spread = usual[name]
                distances[name] = abs(plausibility.scale_value(figure) - middle) / max(
                    spread, plausibility.least_spread(figure)
                )
        if distances:
            name = max(distances, key=lambda key: distances[key])
            middle = usual[name][0]
            figure = figures[name]
            other = np.exp(middle) if figure.ratio else middle
            text = f"{name} is {figure.value:.2g}{figure.unit} (usually {other:.2g}{figure.unit})"
            found[cell] = Evidence(float(distances[name]), text)
    return found


def order_evidence(uses: Mapping[Cell, ClassUse], names: Sequence[str]) -> dict[Cell, Evidence]:
    """That the classes of a label fit the task's other labels better in another usual order."""
    if len(uses) < plausibility.FEW:
        return {}
    usual = merged_use(list(uses.values()))
    found = {}
    for cell, use in uses.items():
        gain, other = usual_order_of(use, usual, names)
        if other:
            text = f"its classes look as if they had another order: {other.pattern}"
            text += f" ({order_examples(other, names)})"
            found[cell] = Evidence(gain, text)
        else:
            found[cell] = Evidence(0.0, "")
    return found


def repetition_evidence(
    digests: Mapping[Cell, str], contents: Mapping[str, str]
) -> dict[Cell, Evidence]:
    """That a file is the label of several images, which are different files.

    Args:
        digests: of the labels of one task that show something.
        contents: image id -> the digest of its content.
    """
    found = {}
    for group in repeated_cells(digests, ()):
        if len({contents[cell.image_id] for cell in group}) > 1:
            for cell in group:
                others = [other for other in group if other != cell]
                names = [other.image_id for other in others]
                text = f"the same file is the label of {join_names(names, 2)}"
                found[cell] = Evidence(1.0, text, others[:1])
    return found
