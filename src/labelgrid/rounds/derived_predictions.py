"""Derives predictions from predictions of further tasks, by relations."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from labelgrid.basics.camera import Camera
from labelgrid.basics.errors import LabelError
from labelgrid.data.frame import Frame, resize_to_original, target_of
from labelgrid.formats.codec import LabelArray
from labelgrid.nets.network import Raw
from labelgrid.relations.bound import BoundRelation
from labelgrid.rounds.outputs import predicted_label
from labelgrid.tasks.legend import write_coloured
from labelgrid.tasks.task import TaskDefs, Tasks
from labelgrid.train.evaluation import strips

#: Of which tasks predictions are derived: none; those that the network did not learn; or also the
#: others, whose predictions become the mean of both.
Derived = Literal["none", "missing", "mean"]


def derived_tasks(
    relations: Sequence[BoundRelation], learned: Collection[str], which: Derived
) -> dict[str, BoundRelation]:
    """The tasks whose predictions are derived, each by the first relation that can.

    Args:
        relations: the relations that are on, the most trusted first.
        learned: the tasks that the network learned; predictions of others are not read.
        which: which tasks to derive: "missing", "mean" or "none".
    """
    derived: dict[str, BoundRelation] = {}
    if which == "none":
        return derived
    for relation in relations:
        wanted = which == "mean" or relation.gives not in learned
        if wanted and set(relation.reads).issubset(learned):
            derived.setdefault(relation.gives, relation)
    return derived


@dataclass(frozen=True, kw_only=True)
class ImagePredictions:
    """The predictions of an image, as labels at the original size.

    Args:
        tasks: the tasks, with heads or without.
        definitions: as the project declares them.
        raws: the network's raw outputs.
        learned: the tasks that the network learned; outputs of other tasks are not read.
        frame: the frame of the image.
        camera: the camera of the image; None: unknown.
    """

    tasks: Tasks
    definitions: TaskDefs
    raws: Raw
    learned: Collection[str]
    frame: Frame
    camera: Camera | None
    _labels: dict[str, LabelArray] = field(init=False, default_factory=dict, repr=False)

    def write(self, task: str, relation: BoundRelation | None, path: Path) -> LabelArray:
        """Write a prediction as a label file: the derived one, if a relation is given.

        Returns:
            what was written.

        Raises:
            LabelError: the format cannot hold it; or as `derived`.
        """
        label = self._predicted(task) if relation is None else self.derived(relation)
        write_coloured(self.definitions[task], path, label)
        return label

    def label(self, task: str) -> LabelArray:
        """The prediction of the network's head, made once."""
        if task not in self._labels:
            self._labels[task] = self._predicted(task)
        return self._labels[task]

    def _predicted(self, task: str) -> LabelArray:
        return predicted_label(
            self.tasks[task], self.definitions[task], raw=self.raws[task], frame=self.frame
        )

    def derived(self, relation: BoundRelation) -> LabelArray:
        """The prediction by a relation; where a head predicts too, the mean of both.

        In the mean, what follows weighs as much as it is trusted, where the relation is sure.

        Raises:
            LabelError: the relation needs the camera, which is unknown, and there is no head.
        """
        read = {name: self.label(name) for name in relation.reads}
        raw = self.raws[relation.gives] if relation.gives in self.learned else None
        if raw is None:
            return relation.guess(read, self.camera)
        try:
            label = relation.label(read, self.camera)
        except LabelError:
            return self.label(relation.gives)
        return self._mean(relation, raw, label)

    def _mean(self, relation: BoundRelation, raw: Tensor, derived: LabelArray) -> LabelArray:
        task = self.tasks[relation.gives]
        values = []
        valid = []
        with torch.inference_mode():
            for rows in strips(task.channels, *self.frame.original):
                output = task.activate(resize_to_original(raw, self.frame, rows)[None])
                target = target_of(derived, rows).to(output.device)
                other = task.as_prediction(target.safe())
                share = relation.trust / (1 + relation.trust)
                mean = task.from_mean(torch.lerp(output, other.to(output.dtype), share))
                part = task.to_target(mean.where(target.valid, output))
                values.append(part.value[0].movedim(0, 2).cpu().numpy())
                valid.append(part.valid[0, 0].cpu().numpy())
        return LabelArray(np.concatenate(values), np.concatenate(valid))
