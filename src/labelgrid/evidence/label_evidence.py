"""Gathers what speaks against each of some labels, except for what a model says.

What was found image by image is put together; numbers stay in memory. Loads no torch.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from labelgrid.basics.words import join_names
from labelgrid.evidence import figure_doubts
from labelgrid.evidence.class_order import (
    ClassUse,
    merged_use,
    order_examples,
    use_of_label,
    usual_order_of,
)
from labelgrid.evidence.doubts import Evidence
from labelgrid.evidence.known_labels import KnownLabels, Rows
from labelgrid.evidence.label_comparison import ComparedImage, ComparedLabel, blamed
from labelgrid.evidence.part_evidence import PartEvidence
from labelgrid.evidence.part_maps import PartMaps, part_relations
from labelgrid.evidence.relation_evidence import usually_holds
from labelgrid.evidence.repeated_labels import repeated_cells
from labelgrid.evidence.single_doubts import middle_and_spread
from labelgrid.ledger.grid import Cell
from labelgrid.ledger.store import CellRow
from labelgrid.relations.bound import BoundRelation, connected_tasks
from labelgrid.tasks.figures import LabelFigure

#: The evidence of one sort about many labels.
OfLabels = Mapping[Cell, Evidence]


@dataclass
class LabelEvidence:
    """What was found about labels: sort of evidence -> label -> evidence.

    Args:
        sorts: the evidence.
        labels: the labels that were read, by task.
        unread: those that could not be.
        classes: which classes labels show, by task and the content of their files.
    """

    sorts: dict[str, OfLabels]
    labels: dict[str, list[CellRow]] = field(default_factory=dict)
    unread: list[Cell] = field(default_factory=list)
    classes: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)


def gather_evidence(
    known: KnownLabels, rows: Mapping[str, Rows], images: Iterable[ComparedImage]
) -> LabelEvidence:
    """All that was found about labels, beside the other labels of their tasks.

    Args:
        known: the labels.
        rows: all of them, by image.
        images: what was found about those of each image, in any order that is always the same.
    """
    gathering = _Gathering(known)
    for image in images:
        gathering.add_image(image, rows[image.image])
    return gathering.evidence()


class _Gathering:
    """What is known after some of the images."""

    def __init__(self, known: KnownLabels) -> None:
        self.known = known
        self.tasks = known.tasks
        self.agreements: dict[str, dict[str, float]] = defaultdict(dict)
        self.fits: dict[Cell, Evidence] = {}
        self.slopes: dict[Cell, Evidence] = {}
        self.figures: dict[str, dict[Cell, Mapping[str, LabelFigure]]] = defaultdict(dict)
        self.uses: dict[str, dict[Cell, ClassUse]] = defaultdict(dict)
        self.digests: dict[str, dict[Cell, str]] = defaultdict(dict)
        self.labels: dict[str, list[CellRow]] = defaultdict(list)
        self.unread: list[Cell] = []
        self.classes: dict[str, dict[str, bytes]] = defaultdict(dict)
        self.parts: dict[str, PartMaps] = {}

    def add_image(self, image: ComparedImage, rows: Rows) -> None:
        """Add what was found about the labels of an image."""
        for label in image.labels:
            self._add_label(label, rows[label.task])
        self.unread += [rows[task].cell for task in image.unread]
        for task, digits in image.shown.items():
            self.classes[task][rows[task].digest] = bytes.fromhex(digits)
        for name, value in image.agreements.items():
            self.agreements[name][image.image] = value
        if image.parts.values:
            self.parts[image.image] = image.parts

    def _add_label(self, label: ComparedLabel, row: CellRow) -> None:
        self.labels[label.task].append(row)
        self.figures[label.task][row.cell] = label.figures
        if label.use is not None:
            classes = len(self.tasks[label.task].class_names)
            self.uses[label.task][row.cell] = use_of_label(label.use, classes)
        if label.shows:
            self.digests[label.task][row.cell] = row.digest
        if label.fit:
            self.fits[row.cell] = label.fit
        if label.slope:
            self.slopes[row.cell] = label.slope

    def _contradictions(self) -> dict[Cell, Evidence]:
        """That labels contradict each other by a relation that holds for most."""
        found: dict[Cell, Evidence] = {}
        for relation in self.known.relations:
            values = self.agreements[relation.name]
            if usually_holds(list(values.values())):
                for image_id, value in values.items():
                    evidence = relation_evidence_of(relation, value)
                    cells = [Cell(image_id, task) for task in sorted(connected_tasks(relation))]
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
        contents = {row.image_id: row.digest or row.image_id for row in self.known.images()}
        for task in self.labels:
            figures |= figure_evidence(self.figures[task])
            orders |= order_evidence(self.uses[task], self.tasks[task].class_names)
            repeated |= repetition_evidence(self.digests[task], contents)
        parts = PartEvidence(self.tasks, part_relations(self.tasks), self.parts)
        of_parts = parts.evidence()
        sorts: dict[str, OfLabels] = {
            "repeated file": repeated,
            "image edges": self.fits,
            "other labels": _without(self.slopes, parts.cleared),
            "relations": _without(self._contradictions(), parts.cleared),
            "figures": figures,
            "class order": orders,
            **of_parts,
        }
        return LabelEvidence(sorts, dict(self.labels), self.unread, self.classes)


def _without(evidence: OfLabels, cleared: set[Cell]) -> OfLabels:
    """The evidence of the labels that are not cleared of what contradicts them."""
    return {cell: each for cell, each in evidence.items() if cell not in cleared}


def relation_evidence_of(relation: BoundRelation, agreement: float) -> Evidence:
    """That the labels of an image contradict each other by a relation."""
    names = join_names([*relation.reads, relation.gives])
    text = f"{names} of the image contradict each other ('{relation.name}': {agreement:.1f})"
    return Evidence(-agreement, text)


def figure_evidence(labels: Mapping[Cell, Mapping[str, LabelFigure]]) -> dict[Cell, Evidence]:
    """How far the figures of labels are from those of the task's other labels.

    The distance is in robust standard deviations, that of the figure with the largest one. No
    deviation is taken for smaller than a share of the figure's tolerance.
    """
    values: dict[str, list[float]] = defaultdict(list)
    for figures in labels.values():
        for name, figure in figures.items():
            values[name].append(figure_doubts.scale_value(figure))
    usual = {name: middle_and_spread(np.array(known)) for name, known in values.items()}
    found = {}
    for cell, figures in labels.items():
        distances = {}
        for name, figure in figures.items():
            if len(values[name]) >= figure_doubts.FEW:
                middle, spread = usual[name]
                distances[name] = abs(figure_doubts.scale_value(figure) - middle) / max(
                    spread, figure_doubts.least_spread(figure)
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
    if len(uses) < figure_doubts.FEW:
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
