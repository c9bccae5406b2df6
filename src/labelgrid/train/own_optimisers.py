"""Steps the terms' own optimisers, and separates their gradients from the training's."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from labelgrid.errors import PluginError
from labelgrid.nets.network import Network
from labelgrid.train.term import OwnOptimiser, Step, Term

#: Raises an error for losses that are not finite.
Check = Callable[[Mapping[str, Tensor]], None]


class OwnOptimisers:
    """The optimisers that the terms declare, by `term/name`."""

    def __init__(self, fabric: Fabric, network: Network, terms: Mapping[str, Term]) -> None:
        self.fabric = fabric
        self.declared: dict[str, dict[str, OwnOptimiser]] = {}
        shared = {id(p) for p in network.parameters()}
        for term, module in terms.items():
            kept = {id(p) for p in module.parameters()}
            if kept & shared:
                raise _wrong(
                    term, "keeps the network among its modules", "Use `step.network`, or copy it."
                )
            self.declared[term] = dict(module.optimisers())
            if any(
                id(p) not in kept for own in self.declared[term].values() for p in own.parameters
            ):
                raise _wrong(
                    term,
                    "has an optimiser of parameters that are not its own",
                    "Make them its modules'.",
                )
        self.optimisers = {
            f"{term}/{name}": fabric.setup_optimizers(own.optimiser)
            for term, group in self.declared.items()
            for name, own in group.items()
        }
        self.parameters: list[nn.Parameter] = [
            p for group in self.declared.values() for own in group.values() for p in own.parameters
        ]

    @contextmanager
    def constant(self) -> Iterator[None]:
        """Freeze these parameters inside the block: gradients flow through them, but do not accumulate in them."""
        trained = [parameter for parameter in self.parameters if parameter.requires_grad]
        for parameter in trained:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in trained:
                parameter.requires_grad_(True)

    def step(self, term: str, step: Step, check: Check) -> None:
        """Step a term's optimisers.

        The gradients of their losses reach their own parameters only.
        """
        for name, own in self.declared[term].items():
            optimiser = self.optimisers[f"{term}/{name}"]
            key = f"{term}.{name}"
            with self.fabric.autocast():
                losses = own.loss(step)
            if not losses:
                continue
            check({f"{key}.{loss}": value for loss, value in losses.items()})
            optimiser.zero_grad(set_to_none=True)
            total = torch.stack([value.mean() for value in losses.values()]).sum()
            self.fabric.backward(total, inputs=own.parameters)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Any]:
        """The states of the optimisers."""
        return {key: optimiser.state_dict() for key, optimiser in self.optimisers.items()}

    def load(self, states: Mapping[str, Any]) -> None:
        """Load the states of the optimisers."""
        for key, optimiser in self.optimisers.items():
            optimiser.load_state_dict(states[key])


def _wrong(term: str, what: str, fix: str) -> PluginError:
    return PluginError(
        f"The term '{term}' {what}.", next_step=fix, unchanged="Nothing was trained."
    )
