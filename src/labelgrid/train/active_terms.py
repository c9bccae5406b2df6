"""Runs the terms of a training: prepares the terms, collects the losses, steps own optimisers."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from labelgrid.basics.errors import PluginError
from labelgrid.basics.progress import Progress
from labelgrid.basics.streams import seed_of
from labelgrid.basics.type_names import Json, Values
from labelgrid.data.batch import Batch, SoftLabels
from labelgrid.data.loader import train_batch
from labelgrid.nets.late_compiler import plain_step
from labelgrid.nets.network import Network, Output
from labelgrid.pixel.target import Tensors
from labelgrid.train.batch_norm import track_statistics
from labelgrid.train.group import ALONE, TrainingGroup
from labelgrid.train.plan import Plan
from labelgrid.train.seeding import seed_torch
from labelgrid.train.step_draws import Draws
from labelgrid.train.term import OwnOptimiser, Preparation, ReadEpoch, Step, Term
from labelgrid.train.trained_model import TrainedModel

if TYPE_CHECKING:
    from lightning_fabric import Fabric

#: A term and one of its views.
ViewKey = tuple[str, str]
#: Views with the network's output.
Joined = Mapping[ViewKey, tuple[Batch, Output]]

#: Raises an error for losses that are not finite.
Check = Callable[[Tensors], None]


class ActiveTerms:
    """The terms of a running training.

    Attributes:
        soft: the readers of soft labels, by term.
        whole_ids: the ids of all images of the step's batch, including images that other processes
            compute; None: the batch has all.
    """

    def __init__(self, plan: Plan, fabric: "Fabric", group: TrainingGroup = ALONE) -> None:
        self.plan = plan
        self.device = fabric.device
        self.own = OwnOptimisers(fabric, plan.network, plan.terms, group)
        self.whole_ids: tuple[str, ...] | None = None
        self.soft: dict[str, SoftLabels] = {}
        self.evaluated()  # raises at the start where terms contradict each other

    def evaluated(self) -> Tensors | None:
        """Return the network weights to evaluate, as given by a term; None: the trained weights.

        Raises:
            PluginError: two terms give weights.
        """
        by_term = {}
        for name, term in self.plan.terms.items():
            weights = term.evaluated()
            if weights is not None:
                by_term[name] = weights
        if len(by_term) > 1:
            raise PluginError(
                f"The terms {' and '.join(by_term)} both choose the weights to evaluate.",
                next_step="Leave one of them out of [terms].",
                unchanged="Nothing was trained.",
            )
        return next(iter(by_term.values()), None)

    @cached_property
    def _previous_model(self) -> TrainedModel | None:
        model = self.plan.previous()
        if model is None:
            return None
        for module in (model.network, *model.terms.values()):
            module.to(self.device)
        return model

    def previous(self) -> TrainedModel | None:
        """Return the previous round's model on the device, restored once; None: there is none."""
        return self._previous_model

    def prepare(
        self,
        folder: Path,
        progress: Progress,
        batches: ReadEpoch,
        *,
        resumed: bool,
    ) -> None:
        """Prepare the terms before the first step, unless an earlier run did.

        Their readers of soft labels are then in `soft`.

        Args:
            folder: the parent of one folder per term.
            progress: receives the progress.
            batches: maps the number of an epoch to its batches.
            resumed: whether an earlier run has prepared the terms.
        """
        plan = self.plan
        # Another recipe, other tasks or other labels have a folder of their own.
        identity = hashlib.blake2b(plan.identity.encode(), digest_size=8).hexdigest()
        for name, term in plan.terms.items():
            seed = seed_of(plan.seed, "term", name, "prepare")
            data = Preparation(
                # The epochs of a preparation have numbers below 0.
                batches=lambda epoch: (batch.to(self.device) for batch in batches(-1 - epoch)),
                network=plan.network,
                tasks=plan.tasks,
                definitions=plan.definitions,
                source=plan.source,
                images=plan.train,
                data=plan.data,
                steps=plan.steps,
                previous=self.previous,
                progress=progress,
                seed=seed,
                folder=folder / f"{name.replace(':', '-')}.{identity}",
                device=self.device,
                batch=plan.largest_batch,
                label_sets=plan.label_sets,
                relations=plan.relations,
            )
            with seed_torch(seed):
                if resumed:
                    term.resume(data)
                else:
                    term.prepare(data)
                soft = term.soft_labels(data)
            if soft is not None:
                self.soft[name] = soft

    def supervised_view(self, batch: Batch, number: int) -> Batch:
        """Return the batch of the supervised loss: each term may change the batch."""
        for name, term in self.plan.terms.items():
            draws = self._draws(name, batch, number).of_view("supervised")
            batch = term.supervised_view(batch, draws)
        return batch

    def joined_views(self, batch: Batch, number: int) -> dict[ViewKey, Batch]:
        """Make the views for the pass of the network that predicts the batch."""
        views = {}
        for name, term in self.plan.terms.items():
            if not term.one_pass:
                continue
            for view in term.views():
                views[name, view] = self._make_view(name, view, batch, number)
        return views

    def _make_view(self, name: str, view: str, batch: Batch, number: int) -> Batch:
        """Make a term's view of the batch.

        The known labels of the whole batch are left out: they need not fit the view's images.
        """
        make = self.plan.terms[name].views()[view]
        draws = self._draws(name, batch, number).of_view(view)
        viewed = make(batch, draws)
        if viewed.known is batch.known:
            return replace(viewed, known={})
        return viewed

    def _draws(self, name: str, batch: Batch, number: int) -> Draws:
        return Draws(
            seed=seed_of(self.plan.seed, "term", name),
            step=number,
            ids=self.whole_ids or batch.ids,
            pool=self.plan.train,
            load=self._read,
        )

    def steps(
        self,
        batch: Batch,
        output: Output,
        losses: Tensors,
        number: int,
        joined: Joined | None = None,
    ) -> dict[str, Step]:
        """Build the `Step` of each term for one training step, by the term's name.

        `joined` holds the views that were predicted with the batch, each with its output.
        """
        plan = self.plan
        joined = joined or {}
        steps = {}
        for name, term in plan.terms.items():
            views = {}
            for view in term.views():
                if (name, view) in joined:
                    views[view] = joined[name, view]
                    continue
                viewed = self._make_view(name, view, batch, number)
                with track_statistics(plan.network, term.track):
                    views[view] = (viewed, plan.network(viewed.images, viewed.known or None))
            steps[name] = Step(
                batch=batch,
                output=output,
                views=views,
                losses=losses,
                progress=number / max(plan.steps, 1),
                network=plan.network,
                tasks=plan.tasks,
                number=number,
                draws=self._draws(name, batch, number),
                previous=self.previous,
                name=name,
                objective=plan.objective,
            )
        return steps

    def _read(self, ids: Sequence[str], seed: int) -> Batch:
        plan = self.plan
        batch = train_batch(
            plan.source, plan.definitions, ids, plan.data, seed=seed, soft=self.soft
        )
        return batch.to(self.device)

    def losses(self, steps: Mapping[str, Step]) -> dict[str, Tensor]:
        """Compute the losses of all terms, [b] each, by `term.name`."""
        losses = {}
        for name, step in steps.items():
            for key, loss in self.plan.terms[name].loss(step).items():
                losses[f"{name}.{key}"] = loss
        return losses

    def after_step(self, steps: Mapping[str, Step], check: Check) -> None:
        """Step the terms' own optimisers, then call `Term.after_step`.

        `check` refuses losses that are not finite.
        """
        for name, step in steps.items():
            self.own.step(name, step, check)
            with torch.no_grad():
                self.plan.terms[name].after_step(step)


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
        self.optimisers: Json = {}
        self.parameters: list[nn.Parameter] = []
        for term, optimisers in self.declared.items():
            for name, declared in optimisers.items():
                self.optimisers[f"{term}/{name}"] = fabric.setup_optimizers(declared.optimiser)
                self.parameters.extend(declared.parameters)

    @contextmanager
    def freeze(self) -> Iterator[None]:
        """Freeze the parameters of the own optimisers inside the block.

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
            with plain_step():
                optimiser.step()
            optimiser.zero_grad(set_to_none=True)

    def state(self) -> Json:
        """Return the states of the optimisers."""
        return {key: optimiser.state_dict() for key, optimiser in self.optimisers.items()}

    def load(self, states: Values) -> None:
        """Load the states of the optimisers."""
        for key, optimiser in self.optimisers.items():
            optimiser.load_state_dict(states[key])


def _term_error(term: str, fault: str, fix: str) -> PluginError:
    return PluginError(
        f"The term '{term}' {fault}.", next_step=fix, unchanged="Nothing was trained."
    )
