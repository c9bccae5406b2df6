"""Computes the supervised loss over all stages of a network; missing labels contribute nothing."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from labelgrid.config import check_tasks
from labelgrid.nets.network import Output
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import Task
from labelgrid.train.options import ObjectiveOptions


def fixed_weights(tasks: Mapping[str, Task], options: ObjectiveOptions) -> dict[str, float]:
    """The weight of each task's loss: from the recipe, or else the default of its kind.

    Raises:
        RecipeError: the recipe has a weight for an unknown task.
    """
    recipe_weights = options.weights or {}
    check_tasks("objective.weights", recipe_weights, tasks)
    return {name: recipe_weights.get(name, task.weight) for name, task in tasks.items()}


def task_losses(
    tasks: Mapping[str, Task], output: Output, targets: Mapping[str, Target], initial: float
) -> dict[str, Tensor]:
    """The per-image losses [b] of each task, final plus weighted initial stages.

    0 where the label is missing.

    The loss of each stage is a mean over the image's valid pixels. `initial` is the weight of the
    initial stages.
    """
    losses = {}
    for name, task in tasks.items():
        stages = [output.final[name], *(raw[name] for raw in output.initial if initial)]
        final, *others = image_losses(task, stages, targets[name])
        losses[name] = final + initial * torch.stack(others).sum(0) if others else final
    return losses


def image_losses(task: Task, raws: Sequence[Tensor], target: Target) -> list[Tensor]:
    """A task's losses [b] of each raw output [b, c, h, w] at the target's size.

    0 for images without a label.

    Only images with a label are computed: in a grid with gaps most have none. If none has one, the
    losses have no
    graph: parameters that nothing else reaches get no gradient, and the optimiser leaves them as
    they are. With gradients of 0, Adam's weight decay would shrink the heads of tasks that are
    rarely labelled.
    """
    rows = target.present.nonzero()[:, 0]
    if len(rows) == len(target.valid):
        return [task.loss(resize_to_target(raw, target), target) for raw in raws]
    few = target[rows]

    def loss_of(raw: Tensor) -> Tensor:
        if not len(rows):
            return half_to_float(raw).new_zeros(len(raw))
        losses = task.loss(resize_to_target(raw[rows], few), few)
        return losses.new_zeros(len(raw)).index_put((rows,), losses)

    return [loss_of(raw) for raw in raws]


def resize_to_target(raw: Tensor, target: Target) -> Tensor:
    """A raw output resized to its target's size (bilinear, as in the survey)."""
    return resize_output(raw, target.value.shape[-2:])


def half_to_float(values: Tensor) -> Tensor:
    """Values of half precision in float32; others as they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def resize_output(raw: Tensor, size: Sequence[int]) -> Tensor:
    """A raw output [b, c, h, w] resized to a height and a width (bilinear)."""
    return functional.interpolate(raw, size=tuple(size), mode="bilinear", align_corners=False)


def supervised_loss(losses: Mapping[str, Tensor], present: Tensor, reduction: str) -> Tensor:
    """The supervised loss, a scalar, from weighted per-image losses [b] by task and the mask of labels, bool [b, t].

    Source: MTPSL eq. 1 for `image_mean`: (1/N) sum_n (1/|T_n|) sum_{t in T_n} L_t. `image_sum`
    leaves out 1/|T_n|. An image without a label adds 0.

    Example:
        >>> losses = {"a": torch.tensor([2.0, 4.0]), "b": torch.tensor([0.0, 2.0])}
        >>> present = torch.tensor([[True, False], [True, True]])
        >>> supervised(losses, present, "image_mean").item(), supervised(losses, present, "task_sum").item()
        (2.5, 5.0)
    """
    stacked = torch.stack(list(losses.values()), 1)
    kept = torch.where(present, stacked, torch.zeros((), device=stacked.device))
    if reduction == "image_sum":
        return kept.sum(1).mean()
    if reduction == "image_mean":
        return (kept.sum(1) / present.sum(1).clamp(min=1)).mean()
    return (kept.sum(0) / present.sum(0).clamp(min=1)).sum()


def rescale_losses(losses: Mapping[str, Tensor], present: Tensor) -> dict[str, Tensor]:
    """Per-image losses [b] by task times K/|T|: the number of tasks over that of the image's labelled ones.

    Source: DiffusionMTL's released code, which sums an image's losses: `image_sum`.

    Example:
        >>> losses = {"a": torch.tensor([2.0, 4.0]), "b": torch.tensor([0.0, 2.0])}
        >>> rescaled(losses, torch.tensor([[True, False], [True, True]]))
        {'a': tensor([4., 4.]), 'b': tensor([0., 2.])}
    """
    factors = present.shape[1] / present.sum(1).clamp(min=1)
    return {name: factors * loss for name, loss in losses.items()}


def targets_present(targets: Mapping[str, Target], names: Sequence[str]) -> Tensor:
    """Bool [b, t]: True where an image has a valid pixel of a task."""
    return torch.stack([targets[name].present for name in names], 1)
