"""Compares the labels of an image with the image and with each other, image by image.

Results are plain values. Loads no torch.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from labelgrid.basics.array_types import Bools
from labelgrid.basics.progress import Progress
from labelgrid.basics.words import join_names
from labelgrid.evidence.class_order import LabelUse, label_use
from labelgrid.evidence.doubts import Evidence, OfLabels
from labelgrid.evidence.edge_agreement import BETTER
from labelgrid.evidence.edge_evidence import EdgeEvidence, OutlineFit
from labelgrid.evidence.known_labels import KnownLabels, Rows
from labelgrid.evidence.label_summary import Figures, Summary, label_summary, summary_agreement
from labelgrid.evidence.part_maps import PartMapping, PartMaps, part_relations
from labelgrid.evidence.relation_evidence import RelationEvidence, drawn_images
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import Cell
from labelgrid.tasks.task import TaskDef

#: Evidence of an image's edges above this speaks against a label.
EDGES = -3.0
#: A label that lies otherwise than its image agrees at least so well when it is put right.
TURNED = 3.0


@dataclass(frozen=True, kw_only=True)
class ComparedLabel:
    """The comparison of a label with its image and with further labels of the image.

    Args:
        task: its task.
        figures: its figures, by name.
        fit: what the image's edges say of it; None: nothing.
        slope: the evidence from the slopes of other labels; None: nothing.
        use: how it uses its classes; None if it has none.
        shows: whether it shows something, by its outlines.
    """

    task: str
    figures: Figures
    fit: Evidence | None
    slope: Evidence | None
    use: LabelUse | None
    shows: bool


@dataclass(frozen=True, kw_only=True)
class ComparedImage:
    """The comparisons of all labels of an image, as plain values.

    Args:
        image: its id.
        labels: the labels that were read.
        unread: the tasks of unread labels.
        shown: the bits of `classes_in` as hexadecimal digits, by task.
        agreements: the agreements of its labels, by relation.
        parts: small maps of its labels, if it has several.
    """

    image: str
    labels: Sequence[ComparedLabel]
    unread: Sequence[str]
    shown: Mapping[str, str]
    agreements: Mapping[str, float]
    parts: PartMaps = field(default_factory=PartMaps)


class Comparing:
    """Compares the labels of images, image by image.

    Args:
        known: the labels.
        rows: all of them, by image.
    """

    def __init__(self, label_source: KnownLabels, rows: Mapping[str, Rows]) -> None:
        several = []
        for image_id, task_rows in rows.items():
            if len(task_rows) > 1:
                several.append(image_id)
        self._known = label_source
        self._rows = rows
        self._relations = RelationEvidence(label_source, drawn_images(several))
        self._edges = EdgeEvidence(label_source)
        self._parts = PartMapping(
            label_source.tasks, part_relations(label_source.tasks), label_source.cameras
        )

    def images(self, image_ids: Iterable[str], progress: Progress) -> Iterator[ComparedImage]:
        """Compare the labels of images, image by image."""
        for image_id in image_ids:
            yield self._image(image_id)
            progress.advance()

    def _image(self, image_id: str) -> ComparedImage:
        tasks = self._known.tasks
        read: dict[str, LabelArray] = {}
        summaries: dict[str, Summary] = {}
        fits: OfLabels = {}
        rows = self._rows[image_id]
        for task, row in rows.items():
            array = self._known.label(row.cell)
            if array is None:
                continue
            read[task] = array
            summary = label_summary(tasks[task], array)
            if summary is not None:
                summaries[task] = summary
                fit = self._fit(summary, image_id)
                if fit:
                    fits[row.cell] = edge_evidence_of(fit)
        edges = self._edges.edges_of(image_id)
        self._edges.forget(image_id)
        slopes = slope_evidence({rows[task].cell: summaries[task] for task in summaries}, fits)
        labels = []
        for task, summary in summaries.items():
            use = None
            if summary.classes is not None:
                use = label_use(summary.classes, len(tasks[task].class_names))
            label = ComparedLabel(
                task=task,
                figures=summary.figures,
                fit=fits.get(rows[task].cell),
                slope=slopes.get(rows[task].cell),
                use=use,
                shows=summary.outline is not None and bool(summary.outline.any()),
            )
            labels.append(label)
        parts = PartMaps()
        if len(summaries) > 1:
            parts = self._parts.of_image(image_id, summaries, edges)
        return ComparedImage(
            image=image_id,
            labels=labels,
            unread=[task for task in rows if task not in summaries],
            shown={task: classes_in(tasks[task], label).hex() for task, label in read.items()},
            agreements=self._relations.of_image(image_id, read),
            parts=parts,
        )

    def _fit(self, summary: Summary, image_id: str) -> OutlineFit | None:
        if summary.outline is None or not summary.outline.any():
            return None
        return self._edges.outline_fit(summary.outline, image_id)


def classes_in(task: TaskDef, label: LabelArray) -> bytes:
    """The bits of the classes that a label shows; empty for a task without classes."""
    if not task.class_names:
        return b""
    overview = task.overview()
    overview.add("", label)
    return class_bits(list(overview.names().values()))


def class_bits(shown: Sequence[bool] | Bools) -> bytes:
    """The bits of `classes_in`, of whether each class is shown."""
    return np.packbits(np.asarray(shown, np.bool_)).tobytes()


def edge_evidence_of(fit: OutlineFit) -> Evidence:
    """Evidence that outlines do not follow the image's edges, or would if the label lay otherwise.

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


def blamed(cells: Sequence[Cell], fits: OfLabels) -> list[Cell]:
    """The labels that may be wrong of several in contradiction.

    If some of the labels follow the image's edges, only the other labels; else all.
    """
    against = [cell for cell in cells if cell in fits and fits[cell].value > EDGES]
    return against or list(cells)


def slope_evidence(labels: Mapping[Cell, Summary], fits: OfLabels) -> OfLabels:
    """Evidence of slopes against further labels of the image, for example depth and normals."""
    evidence = {}
    for cell, label in labels.items():
        agreements = {}
        for other_cell, other in labels.items():
            if other_cell == cell or cell not in blamed([cell, other_cell], fits):
                continue
            axes = summary_agreement(label, other) or ()
            measured = [value for value in axes if not np.isnan(value)]
            if measured:
                agreements[other_cell.task] = float(np.mean(measured))
        if agreements:
            mean = float(np.mean(list(agreements.values())))
            names = join_names(list(agreements))
            text = f"its slopes contradict {names} of the same image (agreement {mean:.2f})"
            others = [Cell(cell.image_id, task) for task in agreements]
            evidence[cell] = Evidence(-mean, text, others)
    return evidence
