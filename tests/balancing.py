"""A tiny network in float64 whose steps balancers run, and slow versions of what they work on."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from labelgrid.train.balancer import TaskLosses

TASKS = ("a", "b", "c")
#: Which of four images has which task's label: one image has none, one has all.
PRESENT = torch.tensor(
    [[True, True, False], [False, False, False], [True, True, True], [False, True, False]]
)
FULL = torch.ones(4, 3, dtype=torch.bool)


class Toy:
    """A shared part of two layers, a layer of all heads, one head per task, a term's layer.

    The losses of four images.

    Args:
        tasks: the names of the tasks.
        around: the first head reads a map of the shared part that is not the shared features, too.
        scale: by which `backward` multiplies losses, as the loss scaler does.
    """

    def __init__(
        self,
        seed: int = 0,
        tasks: Sequence[str] = TASKS,
        *,
        around: bool = False,
        scale: float = 1.0,
    ) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.first, self.second, self.term = nn.Linear(3, 5), nn.Linear(5, 4), nn.Linear(3, 1)
            self.heads = nn.ModuleDict({name: nn.Linear(4, 1) for name in tasks})
            self.bridge, self.common = nn.Linear(5, 1), nn.Linear(4, 4)
            self.images, self.goals = (
                torch.randn(4, 3).double(),
                torch.randn(4, len(tasks)).double(),
            )
        self.modules = nn.ModuleList(
            [self.first, self.second, self.term, self.heads, self.bridge, self.common]
        )
        self.modules.double()
        self.tasks, self.around, self.scale = list(tasks), around, scale
        self.shared = [*self.first.parameters(), *self.second.parameters()]

    def losses(self) -> tuple[Tensor, dict[str, Tensor]]:
        """The shared features, and the losses [4] of each task from a new forward pass."""
        hidden = self.first(self.images).tanh()
        features = self.second(hidden)
        losses, read = {}, self.common(features.tanh()).tanh()
        for i, name in enumerate(self.tasks):
            found = self.heads[name](read)[:, 0]
            if self.around and i == 0:
                found = found + self.bridge(hidden)[:, 0]
            losses[name] = (i + 1) * (found - self.goals[:, i]) ** 2
        return features, losses

    def other(self) -> Tensor:
        return self.term(self.images).square().mean()

    def backward(self, loss: Tensor) -> None:
        (self.scale * loss).backward()

    def step(
        self, present: Tensor = PRESENT, epoch: int = 0, classes: Sequence[str] = ()
    ) -> TaskLosses:
        """A step of new gradients."""
        for parameter in self.modules.parameters():
            parameter.grad = None
        features, losses = self.losses()
        return TaskLosses(
            losses=losses,
            present=present,
            other=self.other(),
            features=features,
            parameters=self.shared,
            step=0,
            progress=0.0,
            backward=self.backward,
            epoch=epoch,
            classes=frozenset(classes),
        )

    def shares(
        self, present: Tensor, reduction: str, weights: Mapping[str, float]
    ) -> dict[str, Tensor]:
        """The tasks' parts of the supervised loss, label by label."""
        losses, total = self.losses()[1], {}
        for t, name in enumerate(self.tasks):
            rows = [n for n in range(4) if present[n, t]]
            sizes = [
                4 * int(present[n].sum()) if reduction == "image_mean" else len(rows) for n in rows
            ]
            terms = [
                weights[name] * losses[name][n] / size for n, size in zip(rows, sizes, strict=True)
            ]
            if terms:
                total[name] = torch.stack(terms).sum()
        return total

    def gradients(self, loss: Tensor) -> dict[str, Tensor]:
        """The gradients of a loss by the parameter's name, 0 where there is none."""
        named = dict(self.modules.named_parameters())
        found = torch.autograd.grad(
            loss, list(named.values()), retain_graph=True, allow_unused=True
        )
        return {
            n: torch.zeros_like(p) if g is None else g
            for (n, p), g in zip(named.items(), found, strict=True)
        }

    def found(self) -> dict[str, Tensor]:
        """The gradients that a balancer left, without the loss scale."""
        named = self.modules.named_parameters()
        return {n: torch.zeros_like(p) if p.grad is None else p.grad / self.scale for n, p in named}

    def is_shared(self, name: str) -> bool:
        return name.startswith(("0.", "1."))


def combined(
    toy: Toy, shares: Mapping[str, Tensor], shared: Mapping[str, float], heads: Mapping[str, float]
) -> dict:
    """The gradients of the terms and of the tasks, with factors for the shared part and for the tasks' own."""
    total = toy.gradients(toy.other())
    for name, share in shares.items():
        for key, gradient in toy.gradients(share).items():
            total[key] = total[key] + (shared if toy.is_shared(key) else heads)[name] * gradient
    return total
