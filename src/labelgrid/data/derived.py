"""Fills gaps among an image's labels: with labels derived from known labels, or supplied."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from labelgrid.data.dataset import Source, WrappedImages, label_content_of, weight_of
from labelgrid.data.supplied_source import SuppliedLabels, without_shift
from labelgrid.formats.codec import LabelArray
from labelgrid.relations.bound import BoundRelation
from labelgrid.tasks.task import TaskDef, TaskDefs


@dataclass(frozen=True, kw_only=True)
class SuppliedRelation:
    """A relation that reads labels of suppliers where an image lacks true labels.

    Args:
        relation: derives the label.
        supplied: the suppliers' labels that the relation reads, by task; other tasks' labels are
            true.
    """

    relation: BoundRelation
    supplied: Mapping[str, SuppliedLabels]

    @property
    def trust(self) -> float:
        """The trust in the relation times that in each supplier."""
        return self.relation.trust * math.prod(labels.trust for labels in self.supplied.values())

    @property
    def coverage(self) -> float:
        """The coverage of the relation times that of each supplier."""
        coverages = [labels.coverage for labels in self.supplied.values()]
        return self.relation.coverage * math.prod(coverages)


#: What gives a label that nobody bought; its `trust` is the label's weight in training.
Filler = BoundRelation | SuppliedLabels | SuppliedRelation


@dataclass(frozen=True)
class DerivedSource(WrappedImages):
    """A `Source` in which missing labels are derived from known labels, or supplied.

    Relations read true labels, and those of suppliers where the filler says so; no derived ones.

    Args:
        source: the true labels.
        tasks: the tasks that relations read.
        fillers: the source of each missing label, by image id, then by task.
    """

    source: Source
    tasks: TaskDefs
    fillers: Mapping[str, Mapping[str, Filler]]

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        """As `Source.label`, or the label of the filler; None if it is nowhere sure.

        Raises:
            LabelError: a relation needs the image's camera, which is unknown; or the file of a
                supplied label is missing or has changed.
        """
        filler = self.fillers.get(image_id, {}).get(task.name)
        if filler is None:
            return self.source.label(image_id, task)
        if isinstance(filler, SuppliedLabels):
            label = filler.label(image_id, task)
        elif isinstance(filler, SuppliedRelation):
            label = self._derived(image_id, filler.relation, filler.supplied)
        else:
            label = self._derived(image_id, filler, {})
        if label is not None and label.valid.any():
            return label
        return None

    def _derived(
        self, image_id: str, relation: BoundRelation, supplied: Mapping[str, SuppliedLabels]
    ) -> LabelArray | None:
        labels = {}
        confidence = None
        for name in relation.reads:
            label = self.source.label(image_id, self.tasks[name])
            if name in supplied:
                given = supplied[name].label(image_id, self.tasks[name])
                label = without_shift(given, label) if given else None
            if label is None:
                return None
            if label.confidence is not None:
                confidence = label.confidence * (1 if confidence is None else confidence)
            labels[name] = label
        size = labels[relation.reads[0]].size
        derived = relation.label(labels, self.camera(image_id, size))
        return derived if confidence is None else derived.with_confidence(confidence)

    def label_content(self, image_id: str, task: TaskDef) -> str:
        """As `LabelContentSource.label_content`."""
        if task.name in self.fillers.get(image_id, {}):
            return ""
        return label_content_of(self.source, image_id, task)

    def weight(self, image_id: str, task: str) -> float:
        """As `WeightedSource.weight`; of a label of a filler, the trust in the filler."""
        filler = self.fillers.get(image_id, {}).get(task)
        if filler is None:
            return weight_of(self.source, image_id, task)
        return filler.trust


def derivable(
    relations: Sequence[BoundRelation],
    labelled: Mapping[str, Collection[str]],
    has_camera: Callable[[str], bool] = lambda _: True,
) -> dict[str, dict[str, BoundRelation]]:
    """The labels derived from known labels, by image and task; the most trusted relation counts.

    Args:
        relations: the most trusted first.
        labelled: the tasks of which each image has a label.
        has_camera: whether an image's camera is known; otherwise relations with a camera are left
            out.
    """
    derived: dict[str, dict[str, BoundRelation]] = {}
    for image_id, tasks in labelled.items():
        following: dict[str, BoundRelation] = {}
        for relation in relations:
            if not relation.follows(tasks):
                continue
            if not relation.needs_camera or has_camera(image_id):
                following.setdefault(relation.gives, relation)
        if following:
            derived[image_id] = following
    return derived


def add_supplied_relations(
    fillers: dict[str, dict[str, Filler]],
    relations: Sequence[BoundRelation],
    supplied: Mapping[str, Sequence[SuppliedLabels]],
    labelled: Mapping[str, Collection[str]],
    *,
    has_camera: Callable[[str], bool],
    is_sparse: Callable[[str, str], bool],
) -> Counter[tuple[str, str, str]]:
    """Add what relations derive from labels of suppliers, where nothing follows from true labels.

    Args:
        fillers: by image and task; get the labels.
        relations: the relations that are on.
        supplied: suppliers' labels by task.
        labelled: the tasks of which each image that may be filled has a label.
        has_camera: whether an image's camera is known.
        is_sparse: whether an image's true label of a task is valid in so few pixels that nothing
            follows from it.

    Returns:
        The number of images without a derived label because a map is true up to a shift: by
        supplier, task of the map, and task that would follow.
    """
    refused = Counter[tuple[str, str, str]]()
    for image_id, tasks in labelled.items():
        given = _given_to(image_id, supplied)
        best: dict[str, SuppliedRelation] = {}
        for relation in relations:
            if relation.gives in tasks or (relation.needs_camera and not has_camera(image_id)):
                continue
            filler = fillers.get(image_id, {}).get(relation.gives)
            if isinstance(filler, BoundRelation) and not any(
                is_sparse(image_id, read) for read in filler.reads
            ):
                continue  # it follows from true labels
            following = _on_supplied(relation, given, tasks, partial(is_sparse, image_id))
            if isinstance(following, SuppliedLabels):
                refused[following.supplier, relation.reads[0], relation.gives] += 1
            elif following:
                others = best.get(relation.gives, following)
                best[relation.gives] = max(others, following, key=lambda one: one.trust)
        if best:
            fillers.setdefault(image_id, {}).update(best)
    return refused


def _given_to(
    image_id: str, supplied: Mapping[str, Sequence[SuppliedLabels]]
) -> dict[str, list[SuppliedLabels]]:
    """The labels of suppliers that an image has, by task, the most trusted first."""
    given = {}
    for task, several in supplied.items():
        labels = [one for one in several if image_id in one.files]
        if labels:
            given[task] = sorted(labels, key=lambda one: -one.trust)
    return given


def shifted_text(read: str, gives: str) -> str:
    """Why maps of a supplier that are true up to a shift give nothing alone."""
    return (
        f"{read} up to a scale and a shift gives {gives} only after a fit to true {read} of that "
        "image, such as of a sparse sensor"
    )


def _on_supplied(
    relation: BoundRelation,
    given: Mapping[str, Sequence[SuppliedLabels]],
    tasks: Collection[str],
    is_sparse: Callable[[str], bool],
) -> SuppliedRelation | SuppliedLabels | None:
    """The relation on suppliers' labels of an image; labels unreadable alone; or None.

    None: a label is missing, or all are true.
    """
    read = {}
    for name in relation.reads:
        several = given.get(name, ())
        if name in tasks and not (several and is_sparse(name)):
            continue
        if not several:
            return None
        usable = [one for one in several if name in tasks or not one.is_shifted]
        if not usable:
            return several[0]
        read[name] = usable[0]
    return SuppliedRelation(relation=relation, supplied=read) if read else None


def add_supplied(
    fillers: dict[str, dict[str, Filler]],
    supplied: Mapping[str, Sequence[SuppliedLabels]],
    labelled: Mapping[str, Collection[str]],
) -> None:
    """Add supplied labels where no label is and nothing fills that is trusted as much.

    Args:
        fillers: the sources of missing labels, by image and task; the supplied labels are added.
        supplied: the suppliers by task.
        labelled: the tasks of which each image that may be filled has a label.
    """
    for task, several in supplied.items():
        for labels in sorted(several, key=lambda labels: -labels.trust):
            for image_id in labelled.keys() & labels.files.keys():
                filler = fillers.get(image_id, {}).get(task)
                if task in labelled[image_id] or (filler and filler.trust >= labels.trust):
                    continue
                fillers.setdefault(image_id, {})[task] = labels
