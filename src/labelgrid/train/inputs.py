"""Turns predictions and labels of tasks into maps for a further network (mapping, auto-encoder)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from labelgrid.pixel.target import Target
from labelgrid.tasks.task import Task
from labelgrid.train.objective import half_to_float

#: A random generator for each image.
Generators = Sequence[torch.Generator]


def prediction_maps(
    task: Task, raw: Tensor, draws: Generators | None, valid: Tensor | None = None
) -> Tensor:
    """Turn a task's raw outputs [b, channels, h, w] into maps of the same shape, about 0..1.

    The maps are differentiable.

    Classes are drawn: one-hot maps of a Gumbel-softmax sample at temperature 1, whose gradient is
    that of the soft sample (straight-through). Other kinds give their scaled predictions.

    Args:
        task: the task.
        raw: its raw outputs.
        draws: a generator for each image, on the CPU; None takes the most likely class.
        valid: bool [b, 1, h, w]; other pixels are neutral, as in the maps of a label that is valid
            here. None: no pixel is, as in the released code.

    Source: MTPSL's released code; Jang, Gu & Poole 2017 for the samples.
    """
    values = _draw_classes(raw, draws) if task.largest else task.activate(raw)
    if valid is None:
        return task.scale.scaled(values)
    return _scale_where_valid(task, values, valid)


def _draw_classes(raw: Tensor, draws: Generators | None) -> Tensor:
    """Return one-hot maps of drawn classes, with the gradient of the soft sample."""
    logits = half_to_float(raw)
    if draws:
        shape = raw.shape[1:]
        noise = torch.stack([torch.empty(shape).exponential_(generator=draw) for draw in draws])
        logits = logits - noise.log().to(raw.device)
    soft = torch.softmax(logits, 1)
    hard = torch.zeros_like(soft).scatter_(1, soft.argmax(1, keepdim=True), 1.0)
    return hard - soft.detach() + soft


def label_maps(task: Task, target: Target) -> Tensor:
    """Turn a task's labels into maps [b, channels, h, w], about 0..1; neutral without a label.

    Deviation: the released code of MTPSL gives binary labels no neutral value, as it has no binary
    task.
    """
    return _scale_where_valid(task, task.as_prediction(target.safe()), target.valid)


def _scale_where_valid(task: Task, values: Tensor, valid: Tensor) -> Tensor:
    """Scale values, taken for 0 where not valid; the maps are neutral there."""
    zero = torch.zeros((), device=values.device, dtype=values.dtype)
    maps = task.scale.scaled(torch.where(valid, values, zero))
    neutral = torch.full((), task.scale.neutral, device=maps.device, dtype=maps.dtype)
    return torch.where(valid, maps, neutral)
