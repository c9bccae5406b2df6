"""Crop consistency, MTPSL's semi-supervised baseline (SSL): a crop's prediction equals the crop of the prediction.

It learns from the tasks of which an image has no label.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from labelgrid.data.batch import Batch
from labelgrid.nets.network import Network
from labelgrid.tasks.task import Task
from labelgrid.train.crops import Box, crop_batch, crop_prediction, draw_boxes
from labelgrid.train.draws import Draws
from labelgrid.train.idle_terms import say_if_idle
from labelgrid.train.objective import half_to_float, resize_output, targets_present
from labelgrid.train.ranges import Weight, Zoom
from labelgrid.train.term import Preparation, Step, Term, View

Size = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Options:
    """The crop and the weight; the paper gives neither.

    Args:
        weight: of the loss.
        zoom: the image's sides over the crop's.
        resize: enlarge the crop to the image's size before it is predicted. The paper crops.
        learn: which of the two predictions gets gradients: `"both"` (the paper's equation), or the
            one of the `"crop"`.
        tasks: `"unlabelled"`, those of which the image has no label (the paper); or `"all"`.
        track: also update the running statistics of batch norm from the crops; false: from the
            batch alone.
    """

    weight: Weight = 1.0
    zoom: Zoom = 1.5
    resize: bool = False
    learn: Literal["both", "crop"] = "both"
    tasks: Literal["unlabelled", "all"] = "unlabelled"
    track: bool = True


class CropConsistency(Term):
    """The mean square error between the crop of a prediction and the prediction of the crop.

    Source: MTPSL eq. 2: (1/|U|) sum over the image's unlabelled tasks of L_u(e_r(y(x)), y(e_r(x))).
    Predictions are the final ones (probabilities, metres, unit vectors), at the image's resolution.
    """

    def __init__(self, tasks: Mapping[str, Task], options: Options) -> None:
        super().__init__()
        self.tasks = dict(tasks)
        self.options = options
        self.track = options.track

    def prepare(self, data: Preparation) -> None:
        """Say if it can have no effect."""
        say_if_idle(
            "crop", data, unlabelled=self.options.tasks == "unlabelled", remedy='Set tasks = "all".'
        )

    def views(self) -> Mapping[str, View]:
        """The crops, with the crops of the labels that the batch's predictions are given."""
        return {"crop": self._crop}

    def _crop(self, batch: Batch, draws: Draws) -> Batch:
        given = crop_batch(
            replace(batch, targets=batch.known),
            self.tasks if batch.known else {},
            *self._boxes(batch, draws),
        )
        return replace(given, targets={}, known=given.targets)

    def _boxes(self, batch: Batch, draws: Draws) -> tuple[list[Box], Size]:
        """The boxes, and the size of the crops."""
        height, width = batch.images.shape[-2:]
        boxes = draw_boxes(draws, batch.ids, (height, width), [self.options.zoom])
        return boxes, (height, width) if self.options.resize else (boxes[0].height, boxes[0].width)

    def loss(self, step: Step) -> Mapping[str, Tensor]:
        """The mean over each image's tasks, [b]; 0 for an image that has a label of every task."""
        boxes, size = self._boxes(step.batch, step.draws.of_view("crop"))
        counts = ~targets_present(step.batch.targets, list(step.tasks))
        if self.options.tasks == "all":
            counts = torch.ones_like(counts)
        losses = torch.stack(
            [
                self._loss(step, name, boxes=boxes, size=size, counts=counts[:, i])
                for i, name in enumerate(step.tasks)
            ],
            1,
        )
        return {"mse": self.options.weight * losses.sum(1) / counts.sum(1).clamp(min=1)}

    def _loss(self, step: Step, name: str, boxes: list[Box], size: Size, counts: Tensor) -> Tensor:
        """One task's loss [b], 0 for images that do not count."""
        task = step.tasks[name]
        image = step.batch.images.shape[-2:]
        rows = counts.nonzero()[:, 0]
        raw, crop = (
            half_to_float(output.final[name][rows])
            for output in (step.output, step.views["crop"][1])
        )
        if not len(rows):
            return raw.new_zeros(len(counts))
        kept = [boxes[row] for row in rows.tolist()]
        wanted = crop_prediction(task, task.activate(resize_output(raw, image)), kept, size)
        errors = task.activate(resize_output(crop, size)) - (
            wanted if self.options.learn == "both" else wanted.detach()
        )
        return raw.new_zeros(len(counts)).index_put((rows,), errors.square().mean((1, 2, 3)))


def build(tasks: Mapping[str, Task], network: Network, options: Options) -> CropConsistency:
    """Build the term."""
    return CropConsistency(tasks, options)
