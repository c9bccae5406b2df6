"""Mean teacher: the student's output for a noisy image should equal the averaged weights' output for the clean image.

The averaged weights are the ones that are evaluated. Source: Tarvainen & Valpola 2017.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from labelgrid.data.batch import Batch
from labelgrid.nets.network import Network
from labelgrid.tasks.task import Task
from labelgrid.train.step_draws import Draws
from labelgrid.train.term import Step, Term, View


@dataclass(frozen=True)
class Options:
    """The average and the consistency.

    Args:
        decay: of the average, a step.
        weight: of the consistency loss at the end of the training; it rises linearly from 0.
        noise: standard deviation of what is added to the student's image.
    """

    decay: float = 0.9
    weight: float = 0.1
    noise: float = 0.1


class MeanTeacher(Term):
    """Holds the teacher, a copy of the network with averaged weights that is not trained."""

    def __init__(self, network: Network, options: Options) -> None:
        super().__init__()
        self.options = options
        self.teacher = copy.deepcopy(network).requires_grad_(False).eval()

    def views(self) -> Mapping[str, View]:
        """The batch with noise."""
        return {"noisy": self._noisy}

    def _noisy(self, batch: Batch, draws: Draws) -> Batch:
        whole = (len(draws.ids), *batch.images.shape[1:])  # several processes draw the same
        noise = torch.randn(whole, generator=draws.generator())[draws.rows(batch.ids)]
        noise = noise.to(batch.images.device)
        return replace(batch, images=batch.images + self.options.noise * noise)

    def loss(self, step: Step) -> Mapping[str, Tensor]:
        """The mean squared difference of the raw outputs, [b]."""
        with torch.no_grad():
            taught = self.teacher(step.batch.images).final
        _, student = step.views["noisy"]
        gaps = [(student.final[name] - taught[name]).square().flatten(1).mean(1) for name in taught]
        return {"consistency": self.options.weight * step.progress * torch.stack(gaps).mean(0)}

    def after_step(self, step: Step) -> None:
        """Update the averages of weights and statistics; copy counters."""
        for own, new in zip(
            self.teacher.state_dict().values(), step.network.state_dict().values(), strict=True
        ):
            own.lerp_(new, 1 - self.options.decay) if own.is_floating_point() else own.copy_(new)

    def evaluated(self) -> Mapping[str, Tensor]:
        """The averaged weights."""
        return self.teacher.state_dict()


def build(tasks: Mapping[str, Task], network: Network, options: Options) -> MeanTeacher:
    """Build the term."""
    return MeanTeacher(network, options)
