"""The terms of one training under way: what each sees of a step, when it acts, and what it declares."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor

from labelgrid.data.batch import Batch, SoftLabels
from labelgrid.data.loader import train_batch
from labelgrid.errors import PluginError
from labelgrid.nets.network import Output
from labelgrid.progress import Progress
from labelgrid.streams import seed_of
from labelgrid.train.draws import Draws
from labelgrid.train.model import TrainedModel
from labelgrid.train.own import Check, OwnOptimisers
from labelgrid.train.plan import Plan
from labelgrid.train.seeding import keyed
from labelgrid.train.term import Preparation, Step


class ActiveTerms:
    """The terms of a plan; `soft` reads the soft labels of those that have some."""

    def __init__(self, plan: Plan, fabric: Fabric) -> None:
        self.plan, self.device = plan, fabric.device
        self.own = OwnOptimisers(fabric, plan.network, plan.terms)
        self.soft: dict[str, SoftLabels] = {}
        self.evaluated()  # refuses terms that contradict each other before any work

    def evaluated(self) -> Mapping[str, Tensor] | None:
        """The weights that are evaluated where a term gives some; None: the trained ones.

        Raises:
            PluginError: two terms give some.
        """
        found = {name: weights for name, term in self.plan.terms.items() if (weights := term.evaluated()) is not None}
        if len(found) > 1:
            raise PluginError(
                f"The terms {' and '.join(found)} both say which weights are evaluated.",
                next_step="Leave one of them out of [terms].",
                unchanged="Nothing was trained.",
            )
        return next(iter(found.values()), None)

    @cached_property
    def _restored(self) -> TrainedModel | None:
        model = self.plan.previous()
        for module in (model.network, *model.terms.values()) if model else ():
            module.to(self.device)
        return model

    def previous(self) -> TrainedModel | None:
        """The model of the round before, on the device; restored once."""
        return self._restored

    def prepare(
        self, folder: Path, progress: Progress, batches: Callable[[int], Iterator[Batch]], *, resumed: bool
    ) -> None:
        """Let the terms make what must exist before the first step, unless that was done, and read their soft labels.

        Args:
            folder: holds a folder a term.
            progress: to report to.
            batches: an epoch's number -> its batches.
            resumed: the terms were prepared in an earlier run.
        """
        for name, term in self.plan.terms.items():
            seed = seed_of(self.plan.seed, "term", name, "prepare")
            data = self._preparation(folder / name.replace(":", "-"), progress, batches, seed)
            with keyed(seed):
                if not resumed:
                    term.prepare(data)
                soft = term.soft_labels(data)
            if soft is not None:
                self.soft[name] = soft

    def _preparation(
        self, folder: Path, progress: Progress, batches: Callable[[int], Iterator[Batch]], seed: int
    ) -> Preparation:
        plan = self.plan
        return Preparation(
            batches=lambda epoch: (batch.to(self.device) for batch in batches(-1 - epoch)),
            network=plan.network,
            tasks=plan.tasks,
            definitions=plan.definitions,
            source=plan.source,
            images=plan.train,
            data=plan.data,
            previous=self.previous,
            progress=progress,
            seed=seed,
            folder=folder,
            device=self.device,
        )

    def steps(self, batch: Batch, output: Output, losses: Mapping[str, Tensor], number: int) -> dict[str, Step]:
        """What each term sees of a training step, by its name."""
        return {name: self._step(name, batch, output, losses, number) for name in self.plan.terms}

    def _step(self, name: str, batch: Batch, output: Output, losses: Mapping[str, Tensor], number: int) -> Step:
        plan = self.plan
        draws = Draws(seed_of(plan.seed, "term", name), number, batch.ids, plan.train, self._read)
        views = {}
        for view, make in plan.terms[name].views().items():
            other = make(batch, draws.of_view(view))
            views[view] = (other, plan.network(other.images))
        return Step(
            batch=batch,
            output=output,
            views=views,
            losses=losses,
            progress=number / max(plan.steps, 1),
            network=plan.network,
            tasks=plan.tasks,
            number=number,
            draws=draws,
            previous=self.previous,
            name=name,
        )

    def _read(self, ids: Sequence[str], seed: int) -> Batch:
        """Training images of a term's own choice, on the device."""
        plan = self.plan
        batch = train_batch(plan.source, plan.definitions, ids, plan.data, seed=seed, soft=self.soft)
        return batch.to(self.device)

    def losses(self, steps: Mapping[str, Step]) -> dict[str, Tensor]:
        """All terms' losses, [b] each, by `term.name`."""
        terms = self.plan.terms
        return {f"{name}.{key}": loss for name, step in steps.items() for key, loss in terms[name].loss(step).items()}

    def after_step(self, steps: Mapping[str, Step], check: Check) -> None:
        """Step the terms' own optimisers, whose losses go through `check`, and let the terms end the step."""
        for name, step in steps.items():
            self.own.step(name, step, check)
            with torch.no_grad():
                self.plan.terms[name].after_step(step)
