"""Runs the epochs and optimiser steps of a training, and saves and loads its complete state."""

import itertools
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from labelgrid.data.batch import Batch, network_inputs
from labelgrid.data.loader import train_batches
from labelgrid.errors import TrainingError
from labelgrid.nets.network import Output
from labelgrid.pixel.target import Target
from labelgrid.progress import Progress
from labelgrid.streams import seed_of, stream
from labelgrid.train.active_terms import ActiveTerms
from labelgrid.train.balancer import TaskLosses
from labelgrid.train.checkpoint import Checkpoint, load, same_training
from labelgrid.train.device import make_fabric
from labelgrid.train.finite import non_finite_values, trained_values
from labelgrid.train.means import Means
from labelgrid.train.normalised import refuse_tiny_batches
from labelgrid.train.objective import rescale_losses, targets_present, task_losses
from labelgrid.train.plan import Plan


class Trainer:
    """A running training: its modules, its optimiser and its position."""

    def __init__(self, plan: Plan) -> None:
        if not plan.train:
            raise TrainingError(
                "There is no label to learn from.",
                next_step="Run `labelgrid query` and `labelgrid export`, then import the labels.",
                unchanged="Nothing was trained.",
            )
        self.plan = plan
        self.network = plan.network
        options = plan.options
        self.fabric = make_fabric(options.device, options.precision)
        # Fabric does not wrap the network: its wrapper would convert the outputs, which are frozen
        # dataclasses.
        for module in (plan.network, *plan.terms.values(), plan.balancer):
            module.to(self.fabric.device)
        self.terms = ActiveTerms(plan, self.fabric)
        groups, self.rates = self._groups()
        optimiser_class = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[options.optimiser]
        optimiser = optimiser_class(
            groups, lr=options.learning_rate, weight_decay=options.weight_decay
        )
        self.optimiser = self.fabric.setup_optimizers(optimiser)
        self.shared = plan.network.shared_parameters()
        self.classes = frozenset(name for name, task in plan.tasks.items() if task.probabilities)
        self.epoch = 0
        self.step = 0
        self.rate = 0.0
        self.history: list[dict[str, Any]] = []

    def _groups(self) -> tuple[list[dict[str, Any]], list[tuple[float, float]]]:
        """The optimiser's parameter groups, and the initial rate and `halve` of each.

        0: the training's.

        The balancer's group has no weight decay.
        """
        plan = self.plan
        own = {id(p) for p in self.terms.own.parameters}
        groups: list[dict[str, Any]] = []
        rates = []
        for group in [group for term in plan.terms.values() for group in term.groups()]:
            groups.append(
                {"params": list(group.parameters), **({} if group.decay else {"weight_decay": 0.0})}
            )
            rates.append((group.learning_rate, group.halve))
        taken = own | {id(p) for group in groups for p in group["params"]}
        modules = (plan.network, *plan.terms.values())
        rest = [
            p for m in modules for p in m.parameters() if p.requires_grad and id(p) not in taken
        ]
        groups = [{"params": rest}, *groups]
        rates = [(0.0, 0.0), *rates]
        balancing = [p for p in plan.balancer.parameters() if p.requires_grad]
        if balancing:
            groups.append({"params": balancing, "weight_decay": 0.0})
            rates.append((plan.balancer.learning_rate, 0.0))
        return groups, rates

    def resume(self, path: Path) -> bool:
        """Load the checkpoint at `path`, if there is one.

        Returns:
            Whether there was a checkpoint.

        Raises:
            TrainingError: it has another identity, or does not fit the modules. ModelError: it
                cannot be read.
        """
        if not path.exists():
            return False
        checkpoint = load(path)
        if not same_training(checkpoint.identity, self.plan.identity):
            raise TrainingError(
                "The checkpoint belongs to another recipe, other tasks or other labels.",
                where=str(path),
                next_step="Remove it to restart the training, or use its recipe again.",
                unchanged="Nothing was trained.",
            )
        try:
            self._load_states(checkpoint)
        except (
            AttributeError,
            IndexError,
            KeyError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:  # torch raises these if the modules differ
            raise TrainingError(
                "The checkpoint does not fit the network, the terms or the balancer as they are built now.",
                where=str(path),
                next_step="Remove it to restart the training, or use the code that wrote it again.",
                unchanged="Nothing was trained.",
            ) from error
        self.epoch = checkpoint.epoch
        self.step = checkpoint.step
        self.history = checkpoint.history
        return True

    def _load_states(self, checkpoint: Checkpoint) -> None:
        """Load the states of all modules and optimisers."""
        self.network.load_state_dict(checkpoint.network)
        self.plan.balancer.load_state_dict(checkpoint.balancer)
        for name, term in self.plan.terms.items():
            term.load_state_dict(checkpoint.parts.get(name, {}))
        self.optimiser.load_state_dict(checkpoint.optimiser)
        self.terms.own.load(checkpoint.own)
        if checkpoint.scaler:  # empty if the training started on a CPU
            self.fabric.strategy.precision.load_state_dict(checkpoint.scaler)

    def checkpoint(self) -> Checkpoint:
        """The complete state of the training."""
        return Checkpoint(
            epoch=self.epoch,
            step=self.step,
            network=self.network.state_dict(),
            optimiser=self.optimiser.state_dict(),
            scaler=self.fabric.strategy.precision.state_dict(),
            parts={name: term.state_dict() for name, term in self.plan.terms.items()},
            history=self.history,
            identity=self.plan.identity,
            evaluated=dict(self.terms.evaluated() or {}),
            balancer=self.plan.balancer.state_dict(),
            own=self.terms.own.state(),
        )

    def prepare(self, folder: Path, progress: Progress, *, resumed: bool) -> None:
        """Prepare the terms before the first step; see `ActiveTerms.prepare`."""
        self.terms.prepare(folder, progress, self._batches, resumed=resumed)

    def run_epoch(self, progress: Progress) -> dict[str, Any]:
        """Train one epoch and return its log record.

        Its random draws depend only on the seed and its number.
        """
        plan = self.plan
        started = time.perf_counter()
        torch.manual_seed(seed_of(plan.seed, "dropout", self.epoch))
        self._modes()
        steps = min(plan.steps_per_epoch, plan.steps - self.step)
        tasks = Means()
        terms = Means()
        factors = Means()
        for index, batch in enumerate(itertools.islice(self._batches(self.epoch), steps)):
            losses, present, others = self.train_step(batch.to(self.fabric.device), index)
            tasks.add(losses, dict(zip(losses, present.sum(0).tolist(), strict=True)))
            terms.add(others, {name: len(loss) for name, loss in others.items()})
            factors.add(plan.balancer.factors, dict.fromkeys(plan.balancer.factors, 1))
            progress.advance(len(batch.ids), f"epoch {self.epoch + 1}/{plan.epochs}")
        self._refuse_nan_weights()
        self.epoch += 1
        seconds = round(time.perf_counter() - started, 3)
        record = {
            "epoch": self.epoch,
            "step": self.step,
            "lr": self.rate,
            "seconds": seconds,
            "loss": tasks.means(),
        }
        record |= {"terms": terms.means()} if plan.terms else {}
        start = self.epoch == 1 and not plan.continued
        further = {"balance": factors.means(), "start": tasks.first if start else {}}
        return record | {name: values for name, values in further.items() if values}

    def train_step(
        self, batch: Batch, index: int
    ) -> tuple[Mapping[str, Tensor], Tensor, Mapping[str, Tensor]]:
        """Do one optimiser step.

        Returns:
            The unweighted task losses, [b] each, the mask of labels, bool [b, t], and the terms'
            losses, [b] each.
        """
        plan = self.plan
        progress = self.step / max(self.plan.steps, 1)
        plan.balancer.factors = {}
        given = replace(batch, known=self._known(batch, index))
        with self.fabric.autocast(), self.terms.own.constant(), refuse_tiny_batches(batch.ids):
            views = self.terms.joined(given, self.step)
            batch = self.terms.supervised_view(given, self.step)
            whole: Output = self.network(*network_inputs([batch, *views.values()]))
            output, *others = whole.parts(1 + len(views))
            joined = {
                key: (view, other) for (key, view), other in zip(views.items(), others, strict=True)
            }
            losses = task_losses(plan.tasks, output, batch.targets, plan.objective.initial)
            self._refuse_nan(losses, batch)
            steps = self.terms.steps(given, output, losses, self.step, joined)
            steps = {name: replace(step, batch=batch) for name, step in steps.items()}
            term_losses = self.terms.losses(steps)
            self._refuse_nan(term_losses, batch)
            other = sum(
                (loss.mean() for loss in term_losses.values()),
                torch.zeros((), device=self.fabric.device),
            )
        present = targets_present(batch.targets, list(plan.tasks))
        weighted = {
            name: loss * batch.weights[:, i] for i, (name, loss) in enumerate(losses.items())
        }
        if plan.objective.rescale:
            weighted = rescale_losses(weighted, present)
        self._set_rates()
        if any(
            loss.requires_grad for loss in (*weighted.values(), other)
        ):  # else there is nothing to learn
            self._optimise(
                TaskLosses(
                    losses=weighted,
                    present=present,
                    other=other,
                    features=whole.features.shared,
                    parameters=self.shared,
                    step=self.step,
                    progress=progress,
                    backward=self.fabric.backward,
                    epoch=self.epoch,
                    classes=self.classes,
                )
            )
        self.terms.after_step(steps, lambda own: self._refuse_nan(own, batch))
        self.step += 1
        return losses, present, term_losses

    def _optimise(self, step: TaskLosses) -> None:
        """Back-propagate the losses of a step and let the optimiser step."""
        self.optimiser.zero_grad(set_to_none=True)
        self.plan.balancer.backward(step)
        if self.plan.options.clip:
            self.fabric.clip_gradients(
                self.network,
                self.optimiser,
                max_norm=self.plan.options.clip,
                error_if_nonfinite=False,
            )  # clips all the optimiser's parameters; the loss scaler skips a step that overflows in half precision
        self.optimiser.step()

    def _set_rates(self) -> None:
        for group, (start, halve) in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = self.plan.learning_rate(self.epoch, self.step, start, halve)
        self.rate = self.optimiser.param_groups[0]["lr"]

    def _known(self, batch: Batch, index: int) -> dict[str, Target]:
        """A random part of the batch's labels, which the network gets as known labels."""
        share = self.plan.options.known
        if not share:
            return {}
        rng = stream(self.plan.seed, "known", self.epoch, index)
        draws = torch.from_numpy(rng.random((len(batch.ids), len(self.plan.tasks))) < share).to(
            self.fabric.device
        )
        return {
            name: batch.targets[name].where(draws[:, i]) for i, name in enumerate(self.plan.tasks)
        }

    def _modes(self) -> None:
        self.network.train()
        if self.plan.options.norm == "frozen":
            for module in self.plan.network.get_submodule("encoder").modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def _batches(self, epoch: int) -> Iterator[Batch]:
        plan = self.plan
        options = self.plan.options
        return iter(
            train_batches(
                plan.source,
                plan.definitions,
                plan.train,
                plan.data,
                batch=options.batch,
                split=plan.batches,
                workers=options.workers,
                seed=plan.seed,
                epoch=epoch,
                passes=plan.passes,
                soft=self.terms.soft,
            )
        )

    def _refuse_nan(self, losses: Mapping[str, Tensor], batch: Batch) -> None:
        for name, loss in non_finite_values(losses).items():
            raise TrainingError(
                f"The loss of '{name}' is {loss.detach().mean().item()} in {self._position(self.step)}.",
                where=f"images {', '.join(batch.ids)}",
                next_step="Lower `learning_rate` in [train] or set `clip`, or look at these images and labels.",
            )

    def _refuse_nan_weights(self) -> None:
        """Refuse to end an epoch with weights that are not finite: a checkpoint of them would replace a sound one.

        The statistics of batch norm count, too: the loss does not depend on them in training.
        """
        modules = {"": self.network, **self.plan.terms, "balancer": self.plan.balancer}
        wrong = non_finite_values(trained_values(modules))
        if wrong:
            raise TrainingError(
                f"The weights '{next(iter(wrong))}' are not finite after {self._position(self.step - 1)}.",
                next_step="Lower `learning_rate` in [train] or set `clip`.",
            )

    def _position(self, step: int) -> str:
        """The number of a step of this epoch and its learning rate, for messages."""
        rate = self.plan.learning_rate(self.epoch, step)
        return f"epoch {self.epoch + 1}, step {step + 1} of {self.plan.steps} at the learning rate {rate:.3g}"
