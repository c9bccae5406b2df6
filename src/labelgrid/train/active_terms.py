"""Runs the terms of a training: prepares them, builds their steps, collects their losses and steps their optimisers."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
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
from labelgrid.train.batch_norm import track_statistics
from labelgrid.train.draws import Draws
from labelgrid.train.model import TrainedModel
from labelgrid.train.own_optimisers import Check, OwnOptimisers
from labelgrid.train.plan import Plan
from labelgrid.train.seeding import seed_torch
from labelgrid.train.term import Preparation, Step

#: A term and one of its views.
ViewKey = tuple[str, str]
#: Views with the network's output.
Joined = Mapping[ViewKey, tuple[Batch, Output]]


class ActiveTerms:
    """The terms of a running training. `soft` holds the readers of soft labels, by term."""

    def __init__(self, plan: Plan, fabric: Fabric) -> None:
        self.plan = plan
        self.device = fabric.device
        self.own = OwnOptimisers(fabric, plan.network, plan.terms)
        self.soft: dict[str, SoftLabels] = {}
        self.evaluated()  # raises at the start where terms contradict each other

    def evaluated(self) -> Mapping[str, Tensor] | None:
        """The network weights to evaluate, as given by a term; None: the trained weights.

        Raises:
            PluginError: two terms give weights.
        """
        by_term = {
            name: weights
            for name, term in self.plan.terms.items()
            if (weights := term.evaluated()) is not None
        }
        if len(by_term) > 1:
            raise PluginError(
                f"The terms {' and '.join(by_term)} both choose the weights to evaluate.",
                next_step="Leave one of them out of [terms].",
                unchanged="Nothing was trained.",
            )
        return next(iter(by_term.values()), None)

    @cached_property
    def _restored(self) -> TrainedModel | None:
        model = self.plan.previous()
        for module in (model.network, *model.terms.values()) if model else ():
            module.to(self.device)
        return model

    def previous(self) -> TrainedModel | None:
        """The previous round's model, on the device; restored once."""
        return self._restored

    def prepare(
        self,
        folder: Path,
        progress: Progress,
        batches: Callable[[int], Iterator[Batch]],
        *,
        resumed: bool,
    ) -> None:
        """Prepare the terms before the first step, unless an earlier run did, and get their readers of soft labels.

        Args:
            folder: the parent of one folder per term.
            progress: receives the progress.
            batches: maps the number of an epoch to its batches.
            resumed: whether an earlier run has prepared the terms.
        """
        for name, term in self.plan.terms.items():
            seed = seed_of(self.plan.seed, "term", name, "prepare")
            data = self._preparation(self._folder(folder, name), progress, batches, seed)
            with seed_torch(seed):
                (term.resume if resumed else term.prepare)(data)
                soft = term.soft_labels(data)
            if soft is not None:
                self.soft[name] = soft

    def _folder(self, parent: Path, name: str) -> Path:
        """The folder of a term's preparation.

        Another recipe, other tasks or other labels have another one.
        """
        identity = hashlib.blake2b(self.plan.identity.encode(), digest_size=8).hexdigest()
        return parent / f"{name.replace(':', '-')}.{identity}"

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
            steps=plan.steps,
            previous=self.previous,
            progress=progress,
            seed=seed,
            folder=folder,
            device=self.device,
            batch=plan.largest_batch,
            label_sets=plan.label_sets,
        )

    def supervised_view(self, batch: Batch, number: int) -> Batch:
        """The batch of the supervised loss, as the terms change it one after the other."""
        seen = batch
        for name, term in self.plan.terms.items():
            seen = term.supervised_view(
                seen, self._draws(name, batch, number).of_view("supervised")
            )
        return seen

    def joined(self, batch: Batch, number: int) -> dict[ViewKey, Batch]:
        """The views that are predicted in one pass with the batch."""
        return {
            (name, view): self._view(name, view, batch, number)
            for name, term in self.plan.terms.items()
            if term.one_pass
            for view in term.views()
        }

    def _view(self, name: str, view: str, batch: Batch, number: int) -> Batch:
        """A term's view of the batch, without the known labels of the whole batch, which need not fit its images."""
        made = self.plan.terms[name].views()[view](
            batch, self._draws(name, batch, number).of_view(view)
        )
        return replace(made, known={}) if made.known is batch.known else made

    def _draws(self, name: str, batch: Batch, number: int) -> Draws:
        return Draws(
            seed=seed_of(self.plan.seed, "term", name),
            step=number,
            ids=batch.ids,
            pool=self.plan.train,
            load=self._read,
        )

    def steps(
        self,
        batch: Batch,
        output: Output,
        losses: Mapping[str, Tensor],
        number: int,
        joined: Joined | None = None,
    ) -> dict[str, Step]:
        """The `Step` of each term for one training step, by the term's name.

        `joined` holds views with an output.
        """
        return {
            name: self._step(name, batch, output, losses, number, joined or {})
            for name in self.plan.terms
        }

    def _step(
        self,
        name: str,
        batch: Batch,
        output: Output,
        losses: Mapping[str, Tensor],
        number: int,
        joined: Joined,
    ) -> Step:
        plan = self.plan
        views = {}
        for view in plan.terms[name].views():
            if (name, view) in joined:
                views[view] = joined[name, view]
            else:
                made = self._view(name, view, batch, number)
                with track_statistics(plan.network, plan.terms[name].track):
                    views[view] = (made, plan.network(made.images, made.known or None))
        return Step(
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

    def _read(self, ids: Sequence[str], seed: int) -> Batch:
        """An augmented batch of the training images that a term asks for, on the device."""
        plan = self.plan
        batch = train_batch(
            plan.source, plan.definitions, ids, plan.data, seed=seed, soft=self.soft
        )
        return batch.to(self.device)

    def losses(self, steps: Mapping[str, Step]) -> dict[str, Tensor]:
        """The losses of all terms, [b] each, by `term.name`."""
        terms = self.plan.terms
        return {
            f"{name}.{key}": loss
            for name, step in steps.items()
            for key, loss in terms[name].loss(step).items()
        }

    def after_step(self, steps: Mapping[str, Step], check: Check) -> None:
        """Step the terms' own optimisers, then call `Term.after_step`.

        `check` refuses losses that are not finite.
        """
        for name, step in steps.items():
            self.own.step(name, step, check)
            with torch.no_grad():
                self.plan.terms[name].after_step(step)
