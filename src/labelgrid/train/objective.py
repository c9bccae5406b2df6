"""What is minimised: supervised losses of the labels there are, over both stages, and nothing of those missing."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from labelgrid.errors import RecipeError
from labelgrid.nets.network import Output, Raw
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import Task
from labelgrid.train.options import ObjectiveOptions


def fixed_weights(tasks: Mapping[str, Task], options: ObjectiveOptions) -> dict[str, float]:
    """The weight of each task's loss: the recipe's, or its kind's.

    Raises:
        RecipeError: the recipe weighs something that is no task.
    """
    given = options.weights or {}
    unknown = given.keys() - tasks.keys()
    if unknown:
        raise RecipeError(
            f"objective.weights names {', '.join(sorted(unknown))}, which is no task.",
            next_step=f"The tasks are: {', '.join(tasks)}.",
        )
    return {name: given.get(name, task.weight) for name, task in tasks.items()}


def task_losses(
    tasks: Mapping[str, Task], output: Output, targets: Mapping[str, Target], initial: float
) -> dict[str, Tensor]:
    """Per-image losses [b] of each task, both stages, each a mean over the image's valid pixels; 0 where missing."""
    losses = {}
    for name, task in tasks.items():
        loss = task.loss(at_size(output.final[name], targets[name]), targets[name])
        if initial:
            stages = [task.loss(at_size(raw[name], targets[name]), targets[name]) for raw in output.initial]
            loss = loss + initial * torch.stack(stages).sum(0) if stages else loss
        losses[name] = loss
    return losses


def at_size(raw: Tensor, target: Target) -> Tensor:
    """A raw output brought to its target's size (bilinear, as the survey does)."""
    return functional.interpolate(raw, size=target.value.shape[-2:], mode="bilinear", align_corners=False)


def supervised(losses: Mapping[str, Tensor], present: Tensor, reduction: str) -> Tensor:
    """The supervised loss, a scalar: weighted per-image losses [b] by task, and who has which label, bool [b, t].

    Source: MTPSL eq. 1 for `image_mean`: (1/N) sum_n (1/|T_n|) sum_{t in T_n} L_t. An image without a label adds 0.

    Example:
        >>> losses = {"a": torch.tensor([2.0, 4.0]), "b": torch.tensor([0.0, 2.0])}
        >>> present = torch.tensor([[True, False], [True, True]])
        >>> supervised(losses, present, "image_mean").item(), supervised(losses, present, "task_sum").item()
        (2.5, 5.0)
    """
    stacked = torch.stack(list(losses.values()), 1)
    kept = torch.where(present, stacked, torch.zeros((), device=stacked.device))
    if reduction == "image_mean":
        return (kept.sum(1) / present.sum(1).clamp(min=1)).mean()
    return (kept.sum(0) / present.sum(0).clamp(min=1)).sum()


def targets_present(targets: Mapping[str, Target], names: Sequence[str]) -> Tensor:
    """Bool [b, t]: which image has a valid pixel of which task."""
    return torch.stack([targets[name].present for name in names], 1)


def finite(losses: Mapping[str, Tensor]) -> Raw:
    """The losses that are not finite numbers, by task."""
    return {name: loss for name, loss in losses.items() if not bool(torch.isfinite(loss).all())}
