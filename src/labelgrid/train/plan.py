"""Defines the plan of a training: its parts, length and learning rate."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from labelgrid.data.data_options import DataOptions
from labelgrid.data.dataset import Source
from labelgrid.nets.network import Network
from labelgrid.relations.bound import BoundRelation
from labelgrid.tasks.task import TaskDefs, Tasks
from labelgrid.train.balancer import Balancer
from labelgrid.train.term import Previous, Term
from labelgrid.train.train_options import ObjectiveOptions, TrainOptions

#: The largest number of epochs of a training whose length is given in steps.
MOST_EPOCHS = 100


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that a training needs.

    Args:
        network: the network with its initial weights.
        train: the ids of the training images.
        val: the ids of the images for model selection, never test or held-out images.
        identity: the recipe, seed, tasks and data of the training, as JSON; a checkpoint with
            another identity is not resumed.
        previous: restores the previous round's model, for terms that read it.
        labels: the tasks of which each training image has a label. They alone count for the length
            of the training and of its batches.
        derived: the tasks for which a training image's label is derived from its other labels, or
            supplied.
        relations: the relations of the recipe, on or off, for terms that read them.
        continued: the network starts from trained weights.
        encoders: the folder of frozen encoders; None: checkpoints hold them.
    """

    network: Network
    tasks: Tasks
    definitions: TaskDefs
    source: Source
    train: Sequence[str]
    val: Sequence[str]
    data: DataOptions
    options: TrainOptions
    objective: ObjectiveOptions
    balancer: Balancer
    seed: int
    terms: Mapping[str, Term] = field(default_factory=dict)
    identity: str = "{}"
    previous: Previous = lambda: None
    labels: Mapping[str, frozenset[str]] = field(default_factory=dict)
    derived: Mapping[str, frozenset[str]] = field(default_factory=dict)
    relations: Sequence[BoundRelation] = ()
    continued: bool = False
    encoders: Path | None = None

    @cached_property
    def _sizes(self) -> tuple[int, int, int]:
        """The numbers of images of a pass, of their labels and of tasks."""
        images = len(self.train)
        if self._labelled_images:
            images = max(len(self._labelled_ids) // self._labelled_images, 1) * self.options.batch
        return images, sum(map(self._labels_of, self.train)), len(self.tasks)

    @cached_property
    def _labelled_ids(self) -> frozenset[str]:
        return frozenset(image_id for image_id in self.train if self._labels_of(image_id))

    @property
    def _labelled_images(self) -> int:
        """The number of images with a label in each batch; 0 if it is left to chance."""
        fraction = self.options.labelled_share
        if not fraction or len(self._labelled_ids) in (0, len(self.train)):
            return 0
        return max(round(fraction * self.options.batch), 1)

    def _labels_of(self, image_id: str) -> int:
        return len(self.labels.get(image_id, ()))

    @property
    def in_steps(self) -> bool:
        """Whether the length is a number of steps, which may end within an epoch."""
        return bool(self.options.steps or self.options.label_visits)

    @property
    def steps_per_pass(self) -> int:
        """The number of optimiser steps of one pass over the training images."""
        return self.options.steps_per_pass(*self._sizes)

    def images_after(self, step: int) -> int:
        """The number of images in the rest of a training, each as often as it is seen.

        Nearly, if batches are filled by labels and the training ends within a pass.

        Args:
            step: the number of optimiser steps before the rest.
        """
        sizes = [len(batch) for batch in self.batches(self.train)]
        passes, rest = divmod(max(self.steps - step, 0), len(sizes))
        return passes * sum(sizes) + sum(sizes[:rest])

    @property
    def passes(self) -> int:
        """The number of passes per epoch.

        One, or as many as limit a training with a length in steps to `MOST_EPOCHS` checkpoints.
        """
        if not self.in_steps:
            return 1
        return max(1, math.ceil(self.steps / self.steps_per_pass / MOST_EPOCHS))

    def batches(self, ordered: Sequence[str]) -> list[list[str]]:
        """Split a pass over the training images into batches, for a step each.

        Batches of images drop an incomplete last batch, unless it is the only one. Batches of
        labels have nearly equally many labels, and drop no image. With `labelled_share`, batches
        drop the images without a label that are too many.
        """
        if self._labelled_images:
            return self._mixed_batches(ordered)
        count = self.steps_per_pass
        size = self.options.batch
        ids = list(ordered)
        total = self._sizes[1]
        if self.options.fill == "images" or not total:
            return [ids[start : start + size] for start in range(0, count * size, size)]
        before = np.cumsum([0, *map(self._labels_of, ids)])[:-1]
        numbers = np.minimum(before * count // total, count - 1).tolist()
        batches: dict[int, list[str]] = {}
        for number, image_id in zip(numbers, ids, strict=True):
            batches.setdefault(number, []).append(image_id)
        return list(batches.values())

    def _mixed_batches(self, ordered: Sequence[str]) -> list[list[str]]:
        labelled = [image_id for image_id in ordered if image_id in self._labelled_ids]
        others = [image_id for image_id in ordered if image_id not in self._labelled_ids]
        first = self._labelled_images
        second = self.options.batch - first
        batches = []
        for number in range(self.steps_per_pass):
            with_labels = labelled[number * first : (number + 1) * first]
            without = others[number * second : (number + 1) * second]
            batches.append([*with_labels, *without])
        return batches

    @property
    def largest_batch(self) -> int:
        """The largest number of images in a batch, with the images in the order of `train`."""
        return max(map(len, self.batches(self.train)), default=0)

    @property
    def label_sets(self) -> frozenset[frozenset[str]]:
        """The sets of tasks for which training images have labels.

        At most one for each image. Derived labels count.
        """
        nothing = frozenset[str]()
        sets = set()
        for image_id in self.train:
            labelled = self.labels.get(image_id, nothing)
            sets.add(labelled | self.derived.get(image_id, nothing))
        return frozenset(sets)

    @cached_property
    def labelled_tasks(self) -> frozenset[str]:
        """The tasks of which some training image has a label, also a derived label."""
        return frozenset[str]().union(*self.label_sets)

    @property
    def steps_per_epoch(self) -> int:
        """The number of optimiser steps of a full epoch."""
        return self.steps_per_pass * self.passes

    @property
    def epochs(self) -> int:
        """The length in epochs; if it is a number of steps, the last epoch may be shorter."""
        if self.in_steps:
            return math.ceil(self.steps / self.steps_per_epoch)
        return self.options.epochs

    @property
    def steps(self) -> int:
        """The length in optimiser steps."""
        return self.options.length(*self._sizes)

    def learning_rate(self, epoch: int, step: int, start: float = 0.0, halve: float = 0.0) -> float:
        """Compute the learning rate of a step: warm-up times a decay, polynomial or by halves.

        Args:
            epoch: the number of epochs before this one.
            step: the number of optimiser steps before this one.
            start: the rate before the decay; 0: the options'.
            halve: the share of the training after which the rate is halved; 0: the options'.

        Source: PartAL A.4 and MTPSL decay by epochs. Deviation: if the length is given in steps or
        label visits, the rate decays by steps, because a few long epochs would end the training at
        a high rate.
        """
        options = self.options
        done = step / self.steps if self.in_steps else epoch / self.epochs
        halve = halve or options.halve
        if halve:
            decay = float(0.5 ** int(done / halve + 1e-9))
        else:
            decay = float((1 - done) ** options.power)
        warmup = min(1, (step + 1) / max(options.warmup * self.steps, 1))
        return (start or options.learning_rate) * decay * warmup
