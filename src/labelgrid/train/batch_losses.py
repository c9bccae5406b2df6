"""Holds the losses of a training step, and completes them by those that other processes compute."""

from dataclasses import dataclass

import torch
from torch import Tensor

from labelgrid.pixel.target import Tensors
from labelgrid.train.group import TrainingGroup


@dataclass(frozen=True, kw_only=True)
class BatchLosses:
    """The losses of the images of a training step.

    Args:
        losses: the supervised losses by task, [b].
        weighted: the same, weighted by label, with their graph.
        present: bool [b, t], where an image has a task's label.
        terms: the terms' losses by `term.name`, [b], with their graph.
    """

    losses: Tensors
    weighted: Tensors
    present: Tensor
    terms: Tensors

    def complete(self, group: TrainingGroup, count: int) -> "BatchLosses":
        """Return those of all images of the batch, of this process and of others.

        Args:
            group: the processes that compute shares of the batch.
            count: the number of its images.
        """
        own = {}
        for column, name in enumerate(self.losses):
            own[f"loss/{name}"] = self.losses[name].detach()
            own[f"weighted/{name}"] = self.weighted[name]
            own[f"present/{name}"] = self.present[:, column].float()
        for name, loss in self.terms.items():
            own[f"term/{name}"] = loss
        whole = group.complete(own, count)
        present = [whole[f"present/{name}"].bool() for name in self.losses]
        return BatchLosses(
            losses={name: whole[f"loss/{name}"].detach() for name in self.losses},
            weighted={name: whole[f"weighted/{name}"] for name in self.losses},
            present=torch.stack(present, 1),
            terms=_below(whole, "term/"),
        )


def _below(values: Tensors, prefix: str) -> dict[str, Tensor]:
    """Return the values whose names begin so, without that beginning."""
    return {
        name.removeprefix(prefix): value
        for name, value in values.items()
        if name.startswith(prefix)
    }
