"""Computes the supervised loss over all stages of a network; missing labels contribute nothing."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from labelgrid.basics.config import check_tasks
from labelgrid.nets.network import Output
from labelgrid.pixel.fitted_loss import SuppliedTarget, SuppliedTargets, supplied_loss
from labelgrid.pixel.target import Target, Targets, Tensors
from labelgrid.tasks.task import Task, Tasks
from labelgrid.train.drawn_pixels import DrawnPixels
from labelgrid.train.train_options import ObjectiveOptions


def fixed_weights(tasks: Tasks, options: ObjectiveOptions) -> dict[str, float]:
    """Return the weight of each task's loss: from the recipe, or else the default of its kind.

    Raises:
        RecipeError: the recipe has a weight for an unknown task.
    """
    recipe_weights = options.weights or {}
    check_tasks("objective.weights", recipe_weights, tasks)
    return {name: recipe_weights.get(name, task.weight) for name, task in tasks.items()}


def task_losses(
    tasks: Tasks,
    output: Output,
    targets: Targets,
    initial: float,
    supplied: SuppliedTargets | None = None,
    drawn: DrawnPixels | None = None,
) -> dict[str, Tensor]:
    """Compute the per-image losses [b] of each task, final plus weighted initial stages.

    The loss of each stage is a mean over the image's valid pixels, 0 where the label is missing.
    `initial` is the weight of the initial stages; `supplied` are labels of images without a target,
    of which all pixels count; of other labels `drawn` ones do.
    """
    losses = {}
    for name, task in tasks.items():
        stages = [output.final[name]]
        if initial:
            stages.extend(raw[name] for raw in output.initial)
        of_stages = drawn_losses(task, stages, targets[name], drawn)
        if supplied and name in supplied:
            others = supplied_losses(task, stages, supplied[name])
            of_stages = [loss + other for loss, other in zip(of_stages, others, strict=True)]
        final, *others = of_stages
        losses[name] = final
        if others:
            losses[name] = final + initial * torch.stack(others).sum(0)
    return losses


def drawn_losses(
    task: Task, raws: Sequence[Tensor], target: Target, drawn: DrawnPixels | None
) -> list[Tensor]:
    """Compute the losses as `image_losses`, at drawn pixels of labels that have as many."""
    if drawn is None:
        return image_losses(task, raws, target)
    outputs = [drawn.of_output(raw) for raw in raws]
    parts = image_losses(task, outputs, drawn.of_target(target))
    valid = target.valid.sum((1, 2, 3))
    few = (valid > 0) & (valid < drawn.fewest)
    if not few.any():
        return parts
    whole = image_losses(task, raws, target.where(few))
    return [torch.where(few, one, other) for one, other in zip(whole, parts, strict=True)]


def image_losses(task: Task, raws: Sequence[Tensor], target: Target) -> list[Tensor]:
    """Compute a task's losses [b] of each raw output [b, c, h, w] at the target's size.

    They are 0 for images without a label. Only images with a label are computed: in a grid with
    gaps most have none. If no image has a label, the losses have no graph: parameters without
    another path get no gradient, and the optimiser leaves them as they are. With gradients of 0,
    Adam's weight decay would shrink the heads of tasks that are rarely labelled.
    """
    rows = target.present.nonzero()[:, 0]
    if len(rows) == len(target.valid):
        return [task.loss(resize_to_target(raw, target), target) for raw in raws]
    if not len(rows):
        return [half_to_float(raw).new_zeros(len(raw)) for raw in raws]
    labelled = target[rows]
    losses = []
    for raw in raws:
        of_labelled = task.loss(resize_to_target(raw[rows], labelled), labelled)
        losses.append(of_labelled.new_zeros(len(raw)).index_put((rows,), of_labelled))
    return losses


def supplied_losses(task: Task, raws: Sequence[Tensor], supplied: SuppliedTarget) -> list[Tensor]:
    """Compute a task's losses [b] of each raw output on labels of suppliers; 0 without one."""
    rows = supplied.present.nonzero()[:, 0]
    if not len(rows):
        return [half_to_float(raw).new_zeros(len(raw)) for raw in raws]
    given = supplied[rows]
    losses = []
    for raw in raws:
        resized = half_to_float(resize_to_target(raw[rows], given.target))
        of_given = supplied_loss(resized, given, task.pixel_loss, task.activate)
        losses.append(of_given.new_zeros(len(raw)).index_put((rows,), of_given))
    return losses


def resize_to_target(raw: Tensor, target: Target) -> Tensor:
    """Resize a raw output to its target's size (bilinear, as in the survey)."""
    return resize_output(raw, target.value.shape[-2:])


def half_to_float(values: Tensor) -> Tensor:
    """Turn values of half precision into float32; leave other values."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def resize_output(raw: Tensor, size: Sequence[int]) -> Tensor:
    """Resize a raw output [b, c, h, w] to a height and a width (bilinear)."""
    if raw.shape[-2:] == tuple(size):
        return raw
    return functional.interpolate(raw, size=tuple(size), mode="bilinear", align_corners=False)


def prediction_at(task: Task, raw: Tensor, size: Sequence[int]) -> Tensor:
    """Return a task's prediction of a raw output [b, c, h, w] at a height and a width."""
    return task.activate(resize_output(half_to_float(raw), size))


def supervised_loss(losses: Tensors, present: Tensor, reduction: str) -> Tensor:
    """Reduce weighted per-image losses [b] by task to the supervised loss, a scalar.

    `present` is the mask of labels, bool [b, t].

    Source: MTPSL eq. 1 for `image_mean`: (1/N) sum_n (1/|T_n|) sum_{t in T_n} L_t. `image_sum`
    leaves out 1/|T_n|. An image without a label adds 0.

    Example:
        >>> losses = {"a": torch.tensor([2.0, 4.0]), "b": torch.tensor([0.0, 2.0])}
        >>> present = torch.tensor([[True, False], [True, True]])
        >>> supervised_loss(losses, present, "image_mean").item()
        2.5
        >>> supervised_loss(losses, present, "task_sum").item()
        5.0
    """
    stacked = torch.stack(list(losses.values()), 1)
    counted = torch.where(present, stacked, torch.zeros((), device=stacked.device))
    if reduction == "image_sum":
        return counted.sum(1).mean()
    if reduction == "image_mean":
        return (counted.sum(1) / present.sum(1).clamp(min=1)).mean()
    return (counted.sum(0) / present.sum(0).clamp(min=1)).sum()


def rescale_losses(losses: Tensors, present: Tensor) -> dict[str, Tensor]:
    """Multiply each image's losses, [b] by task, by K/|T|.

    K is the number of tasks, |T| the number of the image's labelled tasks.

    Source: DiffusionMTL's released code, which sums an image's losses: `image_sum`.

    Example:
        >>> losses = {"a": torch.tensor([2.0, 4.0]), "b": torch.tensor([0.0, 2.0])}
        >>> rescale_losses(losses, torch.tensor([[True, False], [True, True]]))
        {'a': tensor([4., 4.]), 'b': tensor([0., 2.])}
    """
    factors = present.shape[1] / present.sum(1).clamp(min=1)
    return {name: factors * loss for name, loss in losses.items()}


def targets_present(
    targets: Targets, names: Sequence[str], supplied: SuppliedTargets | None = None
) -> Tensor:
    """Return where an image has a valid pixel of a task, or a supplied label, bool [b, t]."""
    columns = []
    for name in names:
        present = targets[name].present
        if supplied and name in supplied:
            present = present | supplied[name].present
        columns.append(present)
    return torch.stack(columns, 1)
