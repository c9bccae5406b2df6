"""Relation: a prediction agrees with a label that a relation derives from predictions of the image.

No label is needed. The relations are the recipe's, in [relations.NAME]: those that can be
differentiated, as `depth_normals`. Edges by `semseg_edges` are as wide as pixels of the heads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from labelgrid.basics.errors import RecipeError
from labelgrid.basics.words import join_names
from labelgrid.nets.network import Network
from labelgrid.pixel.target import Tensors
from labelgrid.relations.bound import BoundRelation
from labelgrid.tasks.task import Tasks
from labelgrid.train.idle_terms import say_if_idle
from labelgrid.train.objective import fixed_weights, half_to_float, prediction_at
from labelgrid.train.term import Preparation, Step, Term
from labelgrid.train.term_options import Weight


@dataclass(frozen=True, kw_only=True)
class Options:
    """The relations, and the predictions that learn.

    Args:
        weight: the weight of the loss, beside the weight of the task that a relation gives.
        relations: by their names in the recipe, also where they are off (`trust = 0`); empty: all
            that are on and can be differentiated.
        learn: the predictions that get gradients: of the given task and of the tasks that are read
            (`"both"`), or only those of one side (`"gives"`, `"reads"`). Where a loss counts
            classes, as those of edges and saliency do, the tasks that are read get none.
        images: `"all"`, or those without a label of the given task (`"unlabelled"`).
    """

    weight: Weight = 0.1
    relations: tuple[str, ...] = ()
    learn: Literal["both", "gives", "reads"] = "both"
    images: Literal["all", "unlabelled"] = "all"


class RelationConsistency(Term):
    """The given task's own loss of its prediction against the label derived from the predictions.

    Predictions are the final ones, at the heads' resolution. An image whose camera is unknown has
    no loss by a relation that needs it.
    """

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options
        self.relations: list[BoundRelation] = []

    def prepare(self, data: Preparation) -> None:
        """Choose the relations; say if it can have no effect.

        Raises:
            RecipeError: a relation is not in the recipe, or cannot be differentiated.
        """
        self.resume(data)
        if not self.relations:
            data.progress.say(
                "The recipe has no relation that is on and can be differentiated: the term "
                "'relation' does nothing."
            )
        else:
            is_limited = self.options.images == "unlabelled"
            say_if_idle("relation", data, unlabelled=is_limited, remedy='Set images = "all".')

    def resume(self, data: Preparation) -> None:
        """Choose the relations, as `prepare`.

        Raises:
            RecipeError: a relation is not in the recipe, or cannot be differentiated.
        """
        usable = {}
        for one in data.relations:
            if one.derive_predicted:
                usable[one.name] = one
        names = self.options.relations
        for name in names:
            if name not in usable:
                raise RecipeError(
                    f"The recipe has no relation '{name}' that can be differentiated.",
                    where="terms.relation.relations",
                    next_step=f"Those that can: {join_names(list(usable)) or 'none'}.",
                    unchanged="Nothing was trained.",
                )
        trusted = [name for name, relation in usable.items() if relation.trust]
        self.relations = [usable[name] for name in names or trusted]

    def loss(self, step: Step) -> Tensors:
        """Compute a loss [b] for each relation; 0 for images that do not count."""
        weights = fixed_weights(step.tasks, step.objective)
        losses = {}
        for relation in self.relations:
            weight = self.options.weight * weights[relation.gives]
            losses[relation.name] = weight * self._distance(step, relation)
        return losses

    def _distance(self, step: Step, relation: BoundRelation) -> Tensor:
        raw = half_to_float(step.output.final[relation.gives])
        rows = self._counts(step, relation).nonzero()[:, 0]
        if not len(rows) or relation.derive_predicted is None:
            return raw.new_zeros(len(raw))
        size = raw.shape[-2:]
        read = []
        for name in relation.reads:
            output = step.output.final[name][rows]
            read.append(prediction_at(step.tasks[name], output, size))
        given = raw[rows]
        if self.options.learn == "gives":
            read = [prediction.detach() for prediction in read]
        elif self.options.learn == "reads":
            given = given.detach()
        camera = None
        if relation.needs_camera and step.batch.camera is not None:
            camera = scale_cameras(step.batch.camera[rows], step.batch.image_size, size)
        derived = relation.derive_predicted(read, camera)
        distance = step.tasks[relation.gives].loss(given, derived)
        return distance.new_zeros(len(raw)).index_put((rows,), distance)

    def _counts(self, step: Step, relation: BoundRelation) -> Tensor:
        target = step.batch.targets[relation.gives]
        counts = torch.ones_like(target.present)
        if self.options.images == "unlabelled":
            counts = ~target.present
        if not relation.needs_camera:
            return counts
        if step.batch.camera is None:
            return torch.zeros_like(counts)
        return counts & step.batch.camera.isfinite().all(1)


def scale_cameras(camera: Tensor, size: Sequence[int], to: Sequence[int]) -> Tensor:
    """Return the cameras [b, 4] of images of a height and width for maps of another size.

    As `labelgrid.basics.camera.Camera.scale`.

    Example:
        >>> scale_cameras(torch.tensor([[8.0, 8.0, 3.5, 2.5]]), (6, 8), (12, 4))
        tensor([[ 4.0000, 16.0000,  1.5000,  5.5000]])
    """
    down = to[0] / size[0]
    across = to[1] / size[1]
    fx, fy, cx, cy = camera.unbind(1)
    return torch.stack(
        [fx * across, fy * down, (cx + 0.5) * across - 0.5, (cy + 0.5) * down - 0.5], 1
    )


def build(tasks: Tasks, network: Network, options: Options) -> RelationConsistency:
    """Build the term."""
    return RelationConsistency(options)
