"""Compares labels with labels that follow from the rest of an image by relations.

A correct label agrees better with the label derived from its own image's labels than with labels
derived from other images. A label of another image, a mirrored label or a label with other axes
does not; nor does a correct label if the compared label is wrong. Loads no torch.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from statistics import mean, median

import numpy as np

from labelgrid.basics.errors import LabelgridError
from labelgrid.basics.streams import drawn_places, seed_of
from labelgrid.basics.words import count_text, join_names
from labelgrid.evidence import figure_doubts
from labelgrid.evidence.doubts import Doubt
from labelgrid.evidence.edge_evidence import LEAST, OTHERS
from labelgrid.evidence.known_labels import KnownLabels, Rows
from labelgrid.evidence.label_grids import camera_at, grid_means, thinned
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import Cell
from labelgrid.relations.bound import BoundRelation, connected_tasks

#: The longer side of labels from which others are derived, the rows and columns of the grid on
#: which labels are compared, and the least number of known squares.
SIDE = 64
GRID = (24, 32)
SQUARES = 30
#: No spread of agreements with other images is taken for smaller.
SPREAD = 0.1
#: The mean agreement of several labels is doubted below `MEAN`. A single one is remarked on below
#: `REMARKED`; in an audit, it speaks against the labels below 4. Of normals and depth of NYUv2,
#: right labels have 4 to 36; exchanged and mirrored ones have less than 2 in 92, and less than 4 in
#: 99 of 100. One in 60 right labels of rendered rooms has 2.8.
MEAN = 3.0
REMARKED = 2.0
#: A relation holds in a project if the median agreement of its labels is at least this.
USUAL = 6.0
#: A remark is on at most so many images; so many are tried to find others that are compared with.
SAMPLE = 32
TRIED = 64


def coarse_label(label: LabelArray, classes: int) -> LabelArray:
    """A label on the grid: means of the valid pixels, or the share of each of some classes."""
    value = label.value
    if value.dtype.kind in "iu":
        value = value[..., 0][..., None] == np.arange(max(classes, 2))
    return LabelArray(*grid_means(value, label.valid, GRID))


def _small(label: LabelArray) -> LabelArray:
    """A label with at most `SIDE` rows and columns.

    Means take away the steps that measurements are stored in; classes have no means.
    """
    step = -(-max(label.size) // SIDE)
    if step == 1:
        return label
    if label.value.dtype.kind == "f" and label.value.shape[2] == 1:
        height, width = label.size
        size = (-(-height // step), -(-width // step))
        return LabelArray(*grid_means(label.value, label.valid, size))
    value = thinned(label.value, SIDE)
    return LabelArray(value, thinned(label.valid, SIDE), label.annotated)


def relation_agreement(
    label: LabelArray, derived: LabelArray, others: Sequence[LabelArray]
) -> float | None:
    """The surplus of a label's correlation with its derived label over derived labels elsewhere.

    It is in standard deviations of the correlations with derived labels of other images, by
    Fisher's transformation. None if too little is known.
    """
    correlation = _correlation(label, derived)
    values = [_correlation(label, other) for other in others]
    alien = [value for value in values if value is not None]
    if correlation is None or len(alien) < LEAST:
        return None
    return (correlation - float(np.mean(alien))) / max(float(np.std(alien)), SPREAD)


def _correlation(one: LabelArray, other: LabelArray) -> float | None:
    """The correlation over the squares that both know, transformed; None if one is flat there."""
    both = one.valid & other.valid
    if np.count_nonzero(both) < SQUARES:
        return None
    first = one.value[both].astype(np.float64)
    second = other.value[both].astype(np.float64)
    first -= first.mean(0)
    second -= second.mean(0)
    scale = np.sqrt((first**2).sum() * (second**2).sum())
    if scale < 1e-9:
        return None
    return float(np.arctanh(np.clip((first * second).sum() / scale, -0.999, 0.999)))


class RelationEvidence:
    """Compares labels with labels derived from others of the same image.

    Args:
        label_source: the labels.
        image_ids: the images to compare with, in the order of the trials.
    """

    def __init__(self, label_source: KnownLabels, image_ids: Sequence[str]) -> None:
        self._known = label_source
        self._image_ids = image_ids
        self._others: dict[str, dict[str, LabelArray]] = {}

    def agreement(
        self, relation: BoundRelation, image_id: str, labels: Mapping[str, LabelArray]
    ) -> float | None:
        """The agreement of an image's labels by a relation; None if unknown."""
        has_all = labels.keys() >= connected_tasks(relation)
        derived = self._derive(relation, image_id, labels) if has_all else None
        if derived is None:
            return None
        label = coarse_label(labels[relation.gives], self._classes(relation))
        others = dict(self._derived_elsewhere(relation))
        others.pop(image_id, None)
        return relation_agreement(label, derived, list(others.values())[:OTHERS])

    def of_image(self, image_id: str, labels: Mapping[str, LabelArray]) -> dict[str, float]:
        """The known agreements of an image's labels, by relation."""
        agreements = {}
        for relation in self._known.relations:
            value = self.agreement(relation, image_id, labels)
            if value is not None:
                agreements[relation.name] = value
        return agreements

    def agreements(self, relation: BoundRelation, image_ids: Iterable[str]) -> dict[str, float]:
        """The known agreements of images, whose labels are read for it."""
        agreements = {}
        for image_id in image_ids:
            value = self.agreement(relation, image_id, self._labels(relation, image_id))
            if value is not None:
                agreements[image_id] = value
        return agreements

    def doubts(
        self, task: str, relation: BoundRelation, fresh: Sequence[str], earlier: Sequence[str]
    ) -> list[Doubt]:
        """Doubt labels of a task that contradict a relation.

        The relation is on, or holds for earlier labels; those labels do not make it doubtful.
        """
        before = list(self.agreements(relation, earlier).values())
        is_known = len(before) >= figure_doubts.FEW
        if is_known and median(before) < USUAL:
            return []
        if not is_known and not relation.trust:
            return []
        values = list(self.agreements(relation, fresh).values())
        if len(values) < LEAST or mean(values) >= MEAN:
            return []
        statement = (
            f"{relation.gives} and what follows for it from {join_names(relation.reads)} disagree "
            f"in {count_text(len(values), 'image')} (relation '{relation.name}'): agreement "
            f"{mean(values):.1f} (right labels: above {MEAN:g}). Check the axes, the classes, and "
            "which file belongs to which image."
        )
        return [Doubt(task, statement)]

    def _labels(self, relation: BoundRelation, image_id: str) -> dict[str, LabelArray]:
        labels = {}
        for task in sorted(connected_tasks(relation)):
            label = self._known.label(Cell(image_id, task))
            if label is None:
                return {}
            labels[task] = label
        return labels

    def _derived_elsewhere(self, relation: BoundRelation) -> Mapping[str, LabelArray]:
        """Derived labels of further images: one more than is compared, in place of the own."""
        if relation.name not in self._others:
            others = self._others[relation.name] = {}
            for image_id in self._image_ids[:TRIED]:
                labels = self._labels(relation, image_id)
                derived = self._derive(relation, image_id, labels) if labels else None
                if derived is not None:
                    others[image_id] = derived
                if len(others) > OTHERS:
                    break
        return self._others[relation.name]

    def _derive(
        self, relation: BoundRelation, image_id: str, labels: Mapping[str, LabelArray]
    ) -> LabelArray | None:
        """The label derived for an image, on the grid; None if nothing follows."""
        small = {task: _small(labels[task]) for task in relation.reads}
        first = relation.reads[0]
        with suppress(LabelgridError):
            camera = None
            if relation.needs_camera:
                sizes = (labels[first].size, small[first].size)
                camera = camera_at(self._known.cameras, image_id, *sizes)
            return coarse_label(relation.label(small, camera), self._classes(relation))
        return None

    def _classes(self, relation: BoundRelation) -> int:
        return len(self._known.tasks[relation.gives].class_names)


def relation_remarks(
    label_source: KnownLabels, by_image: Mapping[str, Rows], advice: str
) -> tuple[str, ...]:
    """A line for each relation that some of a sample of labels contradict.

    Nothing is said of a relation that is off and does not hold for most of them.
    """
    image_ids = drawn_images([name for name, rows in by_image.items() if len(rows) > 1])
    evidence = RelationEvidence(label_source, image_ids)
    remarks = []
    for relation in label_source.relations:
        both = [name for name in image_ids if by_image[name].keys() >= connected_tasks(relation)]
        values = evidence.agreements(relation, both[:SAMPLE])
        against = []
        for name, value in values.items():
            if value < REMARKED:
                against.append(name)
        if against and (relation.trust or usually_holds(list(values.values()))):
            remarks.append(
                f"{relation.gives} contradicts what follows from {join_names(relation.reads)} "
                f"(relation '{relation.name}') in {len(against)} of {len(values)} images that were "
                f"compared, such as {against[0]}. `{advice}` ranks all."
            )
    return tuple(remarks)


def usually_holds(values: Sequence[float]) -> bool:
    """Whether a relation holds for most labels, so that a contradiction is odd."""
    return len(values) >= figure_doubts.FEW and median(values) >= USUAL


def drawn_images(image_ids: Iterable[str]) -> list[str]:
    """Images in a random order for comparisons, the same in each run."""
    ids = sorted(image_ids)
    return [ids[place] for place in drawn_places(ids, seed_of(0, "relations"))]
