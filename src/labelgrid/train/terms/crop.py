"""Crop consistency (MTPSL's baseline SSL): a crop's prediction equals the prediction's crop.

It learns from the tasks of which an image has no label.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch

from labelgrid.basics.type_names import Size
from labelgrid.data.batch import Batch
from labelgrid.nets.network import Network
from labelgrid.pixel.target import Tensors
from labelgrid.tasks.task import Tasks
from labelgrid.train.crop_boxes import Box, crop_batch, crop_prediction, draw_boxes
from labelgrid.train.idle_terms import say_if_idle
from labelgrid.train.objective import half_to_float, prediction_at, targets_present
from labelgrid.train.step_draws import Draws
from labelgrid.train.term import Preparation, Step, Term, Views
from labelgrid.train.term_options import Weight, Zoom


@dataclass(frozen=True, kw_only=True)
class Options:
    """The crop and the weight; the paper gives neither.

    Args:
        weight: the weight of the loss.
        zoom: the image's sides over the crop's.
        resize: enlarge the crop to the image's size before it is predicted. The paper crops.
        learn: the prediction that gets gradients: `"both"` (the paper's equation), or the
            `"crop"`'s.
        tasks: `"unlabelled"`: those of which the image has no label (the paper); or `"all"`.
        track: also update batch norm's running statistics from the crops.
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

    def __init__(self, tasks: Tasks, options: Options) -> None:
        super().__init__()
        self.tasks = dict(tasks)
        self.options = options
        self.track = options.track

    def prepare(self, data: Preparation) -> None:
        """Say if it can have no effect."""
        say_if_idle(
            "crop", data, unlabelled=self.options.tasks == "unlabelled", remedy='Set tasks = "all".'
        )

    def views(self) -> Views:
        """Return the crops, with the crops of the known labels of the batch."""
        return {"crop": self._crop}

    def _crop(self, batch: Batch, draws: Draws) -> Batch:
        boxes, size = self._draw_boxes(batch, draws)
        tasks = self.tasks if batch.known else {}
        crops = crop_batch(replace(batch, targets=batch.known), tasks, boxes, size)
        return replace(crops, targets={}, known=crops.targets)

    def _draw_boxes(self, batch: Batch, draws: Draws) -> tuple[list[Box], Size]:
        boxes = draw_boxes(draws, batch.ids, batch.image_size, [self.options.zoom])
        if self.options.resize:
            return boxes, batch.image_size
        return boxes, (boxes[0].height, boxes[0].width)

    def loss(self, step: Step) -> Tensors:
        """Compute the mean over each image's tasks, [b]; 0 for an image with a label of each."""
        boxes, size = self._draw_boxes(step.batch, step.draws.of_view("crop"))
        counts = ~targets_present(step.batch.targets, list(step.tasks))
        if self.options.tasks == "all":
            counts = torch.ones_like(counts)
        by_task = []
        for column, (name, task) in enumerate(step.tasks.items()):
            rows = counts[:, column].nonzero()[:, 0]
            raw = half_to_float(step.output.final[name][rows])
            loss = raw.new_zeros(len(counts))
            if len(rows):
                raw_of_crop = step.views["crop"][1].final[name][rows]
                prediction = prediction_at(task, raw, step.batch.image_size)
                own_boxes = [boxes[row] for row in rows.tolist()]
                cropped = crop_prediction(task, prediction, own_boxes, size)
                if self.options.learn == "crop":
                    cropped = cropped.detach()
                errors = prediction_at(task, raw_of_crop, size) - cropped
                loss = loss.index_put((rows,), errors.square().mean((1, 2, 3)))
            by_task.append(loss)
        losses = torch.stack(by_task, 1)
        return {"mse": self.options.weight * losses.sum(1) / counts.sum(1).clamp(min=1)}


def build(tasks: Tasks, network: Network, options: Options) -> CropConsistency:
    """Build the term."""
    return CropConsistency(tasks, options)
