"""Computes for each task how little the prediction of the mirrored image agrees (EquAL).

The mirrored image is predicted, too, and its prediction is mirrored back: the x of normals is
negated. Class and binary tasks take the entropy of the mean of both predictions, other tasks the
differential entropy of a Gaussian with their covariance. An image's value is the sum over its
pixels. No known label is fed in.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from labelgrid.basics.array_types import AnyFloats, Array
from labelgrid.score.maps import Outputs, image_means
from labelgrid.score.measure_choices import At
from labelgrid.score.statistic import PoolBatch, Statistic
from labelgrid.tasks.placement import Placement
from labelgrid.tasks.task import Task, TaskDef


@dataclass(frozen=True)
class Options:
    """Flip consistency (Golestaneh & Kitani 2020, as TCD's supplement uses it).

    Args:
        at: the pixels, as in `dropout`. The value is their mean times the number of the image's
            original pixels.
    """

    at: At = "half"


class MirroredMoments:
    """Collects a prediction, then the mirrored image's, whose pixels are in place again."""

    def __init__(self, task: Task, definition: TaskDef) -> None:
        self.task = task
        self.definition = definition
        self.moments = task.moments()
        self.count = 0

    def update(self, prediction: Tensor) -> None:
        """Add the image's prediction, then the mirrored image's, whose values are mirrored back."""
        if self.count:
            prediction = unmirror_values(prediction, self.task, self.definition)
        self.moments.update(prediction)
        self.count += 1

    def uncertainty(self) -> Tensor:
        """[b, 1, h, w], nats."""
        return self.moments.uncertainty()


def unmirror_values(prediction: Tensor, task: Task, definition: TaskDef) -> Tensor:
    """A mirrored image's prediction [b, c, h, w] with the values of the unmirrored image.

    The pixels stay in place. The values change as the task's `transform` changes the values of
    labels. The channels of a class map are moved like the class numbers; predictions without the
    channels of a label stay as they are.
    """
    if task.largest:
        order = flip_values(np.arange(task.channels).reshape(-1, 1, 1), definition)[:, 0, 0]
        return prediction[:, torch.from_numpy(np.argsort(order)).to(prediction.device)]
    if task.channels != task.label_channels:
        return prediction
    mirrored = prediction.flip(-1).movedim(1, -1).cpu().numpy()
    back = np.stack([flip_values(values, definition) for values in mirrored])
    return torch.from_numpy(back).movedim(-1, 1).to(prediction)


def flip_values(values: Array, definition: TaskDef) -> Array:
    """Label values [h, w, c], valid everywhere, in the mirrored view."""
    height, width = values.shape[:2]
    whole = (slice(0, height), slice(0, width))
    mirror = Placement(source=whole, target=whole, canvas=(height, width), flip=True)
    return definition.transform(values, np.ones((height, width), np.bool_), mirror)[0]


@dataclass(frozen=True)
class Flips(Statistic):
    """The sum over an image's pixels of each task's uncertainty of two predictions, in nats.

    Source: TCD, supplement, section 3.
    """

    options: Options

    def __call__(self, batch: PoolBatch) -> AnyFloats:
        """The sums of a batch, float64 [b, t], in nats."""
        network = batch.model.network
        frames = batch.batch.frames
        mirrored = network.decode(network.encode(batch.batch.images.flip(-1))).final
        in_place = {name: raw.flip(-1) for name, raw in mirrored.items()}
        means = image_means(
            Outputs([batch.output.final, in_place]),
            batch.tasks,
            frames=frames,
            make=lambda task: MirroredMoments(task, batch.definitions[task.name]),
            at=self.options.at,
        )
        pixels = np.array([frame.original[0] * frame.original[1] for frame in frames])
        return pixels[:, None] * means


def build(seed: int, options: Options) -> Flips:
    """Build the statistic of consistency under mirroring."""
    return Flips(options)
