"""Fills gaps among an image's labels: with labels derived from known labels, or supplied."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from labelgrid.data.dataset import Source, WrappedImages, weight_of
from labelgrid.data.supplied_source import SuppliedLabels
from labelgrid.formats.codec import LabelArray
from labelgrid.relations.bound import BoundRelation
from labelgrid.tasks.task import TaskDef, TaskDefs

#: What gives a label that nobody bought; its `trust` is the label's weight in training.
Filler = BoundRelation | SuppliedLabels


@dataclass(frozen=True)
class DerivedSource(WrappedImages):
    """A `Source` in which missing labels are derived from known labels, or supplied.

    Relations read labels of the source alone, never derived or supplied ones.

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
        if isinstance(filler, BoundRelation):
            label = self._derived(image_id, filler)
        else:
            label = filler.label(image_id, task)
        if label is not None and label.valid.any():
            return label
        return None

    def _derived(self, image_id: str, relation: BoundRelation) -> LabelArray | None:
        labels = {}
        for name in relation.reads:
            label = self.source.label(image_id, self.tasks[name])
            if label is None:
                return None
            labels[name] = label
        size = labels[relation.reads[0]].size
        return relation.label(labels, self.camera(image_id, size))

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
