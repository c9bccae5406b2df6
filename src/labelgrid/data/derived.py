"""Fills gaps among an image's labels with labels that follow from its others."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelgrid.camera import Camera
from labelgrid.data.dataset import Source, camera_of, weight_of
from labelgrid.formats.codec import LabelArray
from labelgrid.relations.bound import BoundRelation
from labelgrid.tasks.task import TaskDef


@dataclass(frozen=True)
class DerivedSource:
    """A `Source` in which missing labels of some images are derived from their other labels.

    A label that the source has always wins. Only labels of the source are read, never derived ones.

    Args:
        source: the true labels.
        tasks: the tasks that relations read.
        relations: by image id, then by task, the relation by which the label follows.
    """

    source: Source
    tasks: Mapping[str, TaskDef]
    relations: Mapping[str, Mapping[str, BoundRelation]]

    def images(self) -> Sequence[str]:
        """The image ids."""
        return self.source.images()

    def image(self, image_id: str) -> NDArray[np.uint8]:
        """As `ImageSource.image`."""
        return self.source.image(image_id)

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        """As `Source.label`, or the derived label; None if it is nowhere sure.

        Raises:
            LabelError: the relation needs the image's camera, which is unknown.
        """
        relation = self.relations.get(image_id, {}).get(task.name)
        if relation is None:
            return self.source.label(image_id, task)
        labels = {}
        for name in relation.reads:
            label = self.source.label(image_id, self.tasks[name])
            if label is None:
                return None
            labels[name] = label
        size = labels[relation.reads[0]].size
        derived = relation.label(labels, self.camera(image_id, size))
        return derived if derived.valid.any() else None

    def weight(self, image_id: str, task: str) -> float:
        """As `WeightedSource.weight`; of a derived label, the trust in its relation."""
        relation = self.relations.get(image_id, {}).get(task)
        if relation is None:
            return weight_of(self.source, image_id, task)
        return relation.trust

    def camera(self, image_id: str, size: tuple[int, int]) -> Camera | None:
        """As `CameraSource.camera`."""
        return camera_of(self.source, image_id, size)


def derivable(
    relations: Sequence[BoundRelation], labelled: Mapping[str, Collection[str]]
) -> dict[str, dict[str, BoundRelation]]:
    """The labels that follow from others, by image and task, each by the first relation that does.

    Args:
        relations: the most trusted first.
        labelled: the tasks of which each image has a label.
    """
    found: dict[str, dict[str, BoundRelation]] = {}
    for image_id, tasks in labelled.items():
        following: dict[str, BoundRelation] = {}
        for relation in relations:
            if relation.follows(tasks):
                following.setdefault(relation.gives, relation)
        if following:
            found[image_id] = following
    return found
