"""Holds the labels of a batch: values, and a mask of where they are valid."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor

#: A function of a tensor, such as of maps.
TensorMap = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Target:
    """The labels of one task for a batch; a missing label is valid nowhere.

    Args:
        value: [b, c, h, w]: class indices (int64, c = 1), or float32 values; undefined where not
            valid.
        valid: bool [b, 1, h, w].
        annotated: bool [b, classes], the classes that were annotated in each image; None: all.
            Other classes count neither for nor against a prediction.

    Example:
        >>> Target(torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 4, 4, dtype=torch.bool)).present
        tensor([False, False])
    """

    value: Tensor
    valid: Tensor
    annotated: Tensor | None = None

    @property
    def present(self) -> Tensor:
        """Bool [b]: images with at least one valid pixel."""
        return self.valid.flatten(1).any(1)

    def safe(self, fill: float = 0.0) -> Tensor:
        """The values, with `fill` where they are not valid: garbage there reaches no gradient."""
        return torch.where(self.valid, self.value, torch.as_tensor(fill, dtype=self.value.dtype))

    def where(self, keep: Tensor) -> "Target":
        """The same labels, valid only for the images with `keep` (bool [b])."""
        return replace(self, valid=self.valid & keep.view(-1, 1, 1, 1))

    def restrict_to_annotated(self, values: Tensor, fill: float) -> tuple[Tensor, "Target"]:
        """Class values [b, classes, h, w] and labels, without classes that were not annotated.

        The values of such a class become `fill`, and its pixels invalid. Nothing changes where all
        classes were annotated.
        """
        if self.annotated is None:
            return values, self
        annotated = self.annotated[:, :, None, None]
        pixels = annotated.expand(-1, -1, *self.valid.shape[-2:]).gather(1, self.safe().long())
        return values.masked_fill(~annotated, fill), replace(self, valid=self.valid & pixels)

    def to(self, device: torch.device | str) -> "Target":
        """Move the target to another device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def __getitem__(self, rows: slice | Tensor) -> "Target":
        return self._each(lambda tensor: tensor[rows])

    def _each(self, change: TensorMap) -> "Target":
        annotated = None if self.annotated is None else change(self.annotated)
        return Target(change(self.value), change(self.valid), annotated)

    @staticmethod
    def cat(parts: Sequence["Target"]) -> "Target":
        """Concatenate batches of the same image size."""
        value = torch.cat([part.value for part in parts])
        valid = torch.cat([part.valid for part in parts])
        masks = [part.annotated for part in parts if part.annotated is not None]
        if not masks:
            return Target(value, valid)
        rows = []
        for part in parts:
            every = masks[0].new_ones((len(part.value), masks[0].shape[1]))
            rows.append(every if part.annotated is None else part.annotated)
        return Target(value, valid, torch.cat(rows))


@dataclass(frozen=True)
class SoftTarget:
    """Labels of a task for a batch, with a confidence for each pixel.

    Args:
        target: the labels; values [b, c, h, w].
        confidence: float32 [b, 1, h, w], 0 to 1.
    """

    target: Target
    confidence: Tensor

    def to(self, device: torch.device | str) -> Self:
        """The labels on another device."""
        return self._each(lambda part: part.to(device))

    def __getitem__(self, rows: slice | Tensor) -> Self:
        return self._each(lambda part: part[rows])

    def _each(self, change: Callable[[Any], Any]) -> Self:
        return type(self)(*[change(getattr(self, part.name)) for part in fields(self)])


#: By the names of tasks, losses or statistics.
Tensors = Mapping[str, Tensor]
#: By the names of tasks.
Targets = Mapping[str, Target]


def mean_per_image(values: Tensor, valid: Tensor) -> Tensor:
    """Mean of `values` [b, 1, h, w] over each image's valid pixels: [b]; 0 without any.

    Example:
        >>> values = torch.tensor([[[[1.0, float("nan")]]]])
        >>> mean_per_image(values, torch.tensor([[[[True, False]]]]))
        tensor([1.])
    """
    zero = torch.zeros((), dtype=values.dtype, device=values.device)
    total = torch.where(valid, values, zero).sum((1, 2, 3))
    return total / valid.sum((1, 2, 3)).clamp(min=1)
