"""Steps the terms' own optimisers, and separates their gradients from the training's."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from labelgrid.basics.errors import PluginError
from labelgrid.nets.network import Network
from labelgrid.train.group import ALONE, TrainingGroup
from labelgrid.train.term import OwnOptimiser, Step, Term

if TYPE_CHECKING:
    from lightning_fabric import Fabric

#: Raises an error for losses that are not finite.
Check = Callable[[Mapping[str, Tensor]], None]


class OwnOptimisers:
    """The optimisers that the terms declare, by `term/name`."""

    def __init__(
        self,
        fabric: "Fabric",
        network: Network,
        terms: Mapping[str, Term],
        group: TrainingGroup = ALONE,
    ) -> None:
        self.fabric = fabric
        self.group = group
        self.declared: dict[str, dict[str, OwnOptimiser]] = {}
        of_network = {id(p) for p in network.parameters()}
        for term, module in terms.items():
            of_term = {id(p) for p in module.parameters()}
            if of_term & of_network:
                raise _term_error(
                    term, "keeps the network among its modules", "Use `step.network`, or copy it."
                )
            self.declared[term] = dict(module.optimisers())
            for declared in self.declared[term].values():
                if any(id(p) not in of_term for p in declared.parameters):
                    raise _term_error(
                        term,
                        "has an optimiser of parameters that are not its own",
                        "Make them its modules'.",
                    )
        self.optimisers: dict[str, Any] = {}
        self.parameters: list[nn.Parameter] = []
        for term, its_optimisers in self.declared.items():
            for name, declared in its_optimisers.items():
                self.optimisers[f"{term}/{name}"] = fabric.setup_optimizers(declared.optimiser)
                self.parameters.extend(declared.parameters)

    @contextmanager
    def freeze(self) -> Iterator[None]:
        """Freeze these parameters inside the block.

        Gradients flow through them, but do not accumulate in them.
        """
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
        for name, declared in self.declared[term].items():
            optimiser = self.optimisers[f"{term}/{name}"]
            key = f"{term}.{name}"
            with self.fabric.autocast():
                losses = declared.loss(step)
            check({f"{key}.{loss}": value for loss, value in losses.items()})
            losses = self.group.complete(losses, len(step.draws.ids))
            if not losses:
                continue
            optimiser.zero_grad(set_to_none=True)
            total = torch.stack([value.mean() for value in losses.values()]).sum()
            self.fabric.backward(total, inputs=declared.parameters)
            self.group.add_gradients(declared.parameters)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Any]:
        """Return the states of the optimisers."""
        return {key: optimiser.state_dict() for key, optimiser in self.optimisers.items()}

    def load(self, states: Mapping[str, Any]) -> None:
        """Load the states of the optimisers."""
        for key, optimiser in self.optimisers.items():
            optimiser.load_state_dict(states[key])


def _term_error(term: str, fault: str, fix: str) -> PluginError:
    """Make the error about a term that uses its own optimisers wrongly."""
    return PluginError(
        f"The term '{term}' {fault}.", next_step=fix, unchanged="Nothing was trained."
    )
