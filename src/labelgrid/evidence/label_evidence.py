"""Gathers the evidence against labels, without that of models.

The comparisons of images are put together; numbers stay in memory. Loads no torch.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from labelgrid.basics.words import join_names
from labelgrid.evidence.class_order import (
    ClassUse,
    best_usual_order,
    merged_use,
    misfits,
    order_examples,
    use_of_label,
)
from labelgrid.evidence.doubts import Evidence, OfLabels
from labelgrid.evidence.figure_doubts import FEW, least_spread, middle_and_spread, scale_value
from labelgrid.evidence.known_labels import KnownLabels, Rows
from labelgrid.evidence.label_comparison import ComparedImage, ComparedLabel, blamed
from labelgrid.evidence.label_summary import Figures
from labelgrid.evidence.part_evidence import PartEvidence
from labelgrid.evidence.part_maps import PartMaps, part_relations
from labelgrid.evidence.relation_evidence import usually_holds
from labelgrid.evidence.repeated_labels import repeated_cells
from labelgrid.ledger.grid import Cell
from labelgrid.ledger.store import CellRow
from labelgrid.relations.bound import connected_tasks


@dataclass
class LabelEvidence:
    """The evidence of each sort about labels.

    Args:
        sorts: the evidence.
        labels: the labels that were read, by task.
        unread: the labels that could not be read.
        classes: the classes that labels show, by task and the content of their files.
    """

    sorts: dict[str, OfLabels]
    labels: dict[str, list[CellRow]] = field(default_factory=dict)
    unread: list[Cell] = field(default_factory=list)
    classes: Mapping[str, Mapping[str, bytes]] = field(default_factory=dict)


def gather_evidence(
    label_source: KnownLabels, rows: Mapping[str, Rows], images: Iterable[ComparedImage]
) -> LabelEvidence:
    """Gather the evidence about labels, beside all labels of a task.

    `rows` are all labels by image; `images` come in any order that is always the same.
    """
    gathering = _Gathering(label_source)
    for image in images:
        gathering.add_image(image, rows[image.image])
    return gathering.evidence()


class _Gathering:
    """The comparisons of some of the images."""

    def __init__(self, label_source: KnownLabels) -> None:
        self.known = label_source
        self.tasks = label_source.tasks
        self.agreements: dict[str, dict[str, float]] = defaultdict(dict)
        self.fits: OfLabels = {}
        self.slopes: OfLabels = {}
        self.figures: dict[str, dict[Cell, Figures]] = defaultdict(dict)
        self.uses: dict[str, dict[Cell, ClassUse]] = defaultdict(dict)
        self.digests: dict[str, dict[Cell, str]] = defaultdict(dict)
        self.labels: dict[str, list[CellRow]] = defaultdict(list)
        self.unread: list[Cell] = []
        self.classes: dict[str, dict[str, bytes]] = defaultdict(dict)
        self.parts: dict[str, PartMaps] = {}

    def add_image(self, image: ComparedImage, rows: Rows) -> None:
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

    def _contradictions(self) -> OfLabels:
        contradictions: OfLabels = {}
        for relation in self.known.relations:
            values = self.agreements[relation.name]
            if not usually_holds(list(values.values())):
                continue
            names = join_names([*relation.reads, relation.gives])
            start = f"{names} of the image contradict each other ('{relation.name}'"
            for image_id, value in values.items():
                cells = [Cell(image_id, task) for task in sorted(connected_tasks(relation))]
                for cell in blamed(cells, self.fits):
                    if cell not in contradictions or contradictions[cell].value < -value:
                        others = [other for other in cells if other != cell]
                        contradictions[cell] = Evidence(-value, f"{start}: {value:.1f})", others)
        return contradictions

    def evidence(self) -> LabelEvidence:
        figures: OfLabels = {}
        orders: OfLabels = {}
        repeated: OfLabels = {}
        contents = {row.image_id: row.digest or row.image_id for row in self.known.images()}
        for task in self.labels:
            figures |= figure_evidence(self.figures[task])
            orders |= order_evidence(self.uses[task], self.tasks[task].class_names)
            repeated |= repetition_evidence(self.digests[task], contents)
        parts = PartEvidence(self.tasks, part_relations(self.tasks), self.parts)
        of_parts = parts.evidence()
        relations = self._contradictions()
        for cell in parts.cleared:
            self.slopes.pop(cell, None)
            relations.pop(cell, None)
        sorts: dict[str, OfLabels] = {
            "repeated file": repeated,
            "image edges": self.fits,
            "other labels": self.slopes,
            "relations": relations,
            "figures": figures,
            "class order": orders,
            **of_parts,
        }
        return LabelEvidence(sorts, dict(self.labels), self.unread, self.classes)


def figure_evidence(labels: Mapping[Cell, Figures]) -> OfLabels:
    """The distances of labels' figures from the figures of the task's other labels.

    A distance is in robust standard deviations, the largest of all figures. No deviation is taken
    for smaller than a share of the figure's tolerance.
    """
    values: dict[str, list[float]] = defaultdict(list)
    for figures in labels.values():
        for name, figure in figures.items():
            values[name].append(scale_value(figure))
    usual = {name: middle_and_spread(scaled) for name, scaled in values.items()}
    evidence = {}
    for cell, figures in labels.items():
        distances = {}
        for name, figure in figures.items():
            if len(values[name]) >= FEW:
                middle, spread = usual[name]
                far = abs(scale_value(figure) - middle)
                distances[name] = far / max(spread, least_spread(figure))
        if distances:
            name = max(distances, key=lambda key: distances[key])
            middle = usual[name][0]
            figure = figures[name]
            other = np.exp(middle) if figure.ratio else middle
            text = f"{name} is {figure.value:.2g}{figure.unit} (usually {other:.2g}{figure.unit})"
            evidence[cell] = Evidence(float(distances[name]), text)
    return evidence


def order_evidence(uses: Mapping[Cell, ClassUse], names: Sequence[str]) -> OfLabels:
    """Evidence that the classes of a label have another usual order than in most labels."""
    if len(uses) < FEW:
        return {}
    usual = merged_use(list(uses.values()))
    evidence = {}
    for cell, use in uses.items():
        gain, other = best_usual_order(misfits(use, usual), use, names)
        text = ""
        if other:
            text = f"its classes look as if they had another order: {other.pattern}"
            text += f" ({order_examples(other, names)})"
        evidence[cell] = Evidence(gain, text)
    return evidence


def repetition_evidence(digests: Mapping[Cell, str], contents: Mapping[str, str]) -> OfLabels:
    """Evidence that a file is the label of several different images."""
    evidence = {}
    for group in repeated_cells(digests, ()):
        if len({contents[cell.image_id] for cell in group}) > 1:
            for cell in group:
                others = [other for other in group if other != cell]
                names = [other.image_id for other in others]
                text = f"the same file is the label of {join_names(names, 2)}"
                evidence[cell] = Evidence(1.0, text, others[:1])
    return evidence
