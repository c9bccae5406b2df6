"""Holds the labels of a batch: values, and a mask of where they are valid."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Target:
    """The labels of one task for a batch; a missing label is one that is valid nowhere.

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
        """The values with `fill` wherever they are not valid, so that garbage there reaches no gradient."""
        return torch.where(self.valid, self.value, torch.as_tensor(fill, dtype=self.value.dtype))

    def where(self, keep: Tensor) -> "Target":
        """The same labels, valid only for the images with `keep` (bool [b])."""
        return replace(self, valid=self.valid & keep.view(-1, 1, 1, 1))

    def judged(self, values: Tensor, fill: float) -> tuple[Tensor, "Target"]:
        """Class values [b, classes, h, w] and labels without the classes that were not annotated.

        The values of such a class become `fill`, and its pixels invalid. Nothing changes where all
        were annotated.
        """
        if self.annotated is None:
            return values, self
        known = self.annotated[:, :, None, None]
        pixels = known.expand(-1, -1, *self.valid.shape[-2:]).gather(1, self.safe().long())
        return values.masked_fill(~known, fill), replace(self, valid=self.valid & pixels)

    def to(self, device: torch.device | str) -> "Target":
        """Move the target to another device."""
        annotated = None if self.annotated is None else self.annotated.to(device, non_blocking=True)
        return Target(
            self.value.to(device, non_blocking=True),
            self.valid.to(device, non_blocking=True),
            annotated,
        )

    def __getitem__(self, rows: slice | Tensor) -> "Target":
        """The labels of some images of the batch."""
        return Target(
            self.value[rows],
            self.valid[rows],
            None if self.annotated is None else self.annotated[rows],
        )

    @staticmethod
    def cat(parts: Sequence["Target"]) -> "Target":
        """Concatenate batches of the same image size."""
        some = next((part.annotated for part in parts if part.annotated is not None), None)
        annotated = None if some is None else torch.cat([part._all(some) for part in parts])
        return Target(
            torch.cat([p.value for p in parts]), torch.cat([p.valid for p in parts]), annotated
        )

    def _all(self, like: Tensor) -> Tensor:
        """`annotated`, with all classes of `like` where it is None."""
        return (
            like.new_ones((len(self.value), like.shape[1]))
            if self.annotated is None
            else self.annotated
        )


def mean_per_image(values: Tensor, valid: Tensor) -> Tensor:
    """Mean of `values` [b, 1, h, w] over each image's valid pixels: [b].

    0 for an image without any.

    Example:
        >>> per_image(torch.tensor([[[[1.0, float("nan")]]]]), torch.tensor([[[[True, False]]]]))
        tensor([1.])
    """
    total = torch.where(
        valid, values, torch.zeros((), dtype=values.dtype, device=values.device)
    ).sum((1, 2, 3))
    return total / valid.sum((1, 2, 3)).clamp(min=1)
