"""One training under way: its modules, its steps, and its complete state."""

import itertools
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from labelgrid.data.batch import Batch
from labelgrid.data.loader import train_batches
from labelgrid.errors import TrainingError
from labelgrid.nets.network import Output
from labelgrid.pixel.target import Target
from labelgrid.progress import Progress
from labelgrid.streams import seed_of, stream
from labelgrid.train.checkpoint import Checkpoint, load
from labelgrid.train.objective import finite, task_losses
from labelgrid.train.plan import Plan
from labelgrid.train.term import Step, targets_present


class Trainer:
    """One training: its modules, and where it is."""

    def __init__(self, plan: Plan) -> None:
        if not plan.train:
            raise TrainingError(
                "There is no label to learn from.",
                next_step="Run `labelgrid query` and `labelgrid export`, then import the labels.",
                unchanged="Nothing was trained.",
            )
        self.plan, options = plan, plan.options
        try:
            self.fabric = Fabric(accelerator=options.device, devices=1, precision=options.precision)
        except (RuntimeError, ValueError) as error:  # Lightning raises both
            raise TrainingError(
                f"There is no device '{options.device}' here that can be trained on.",
                next_step='Set device = "auto" in [train].',
                unchanged="Nothing was trained.",
            ) from error
        self.parts: dict[str, nn.Module] = {
            name: part
            for name, part in {**plan.terms, "balancer": plan.balancer}.items()
            if isinstance(part, nn.Module)
        }
        parameters = [p for m in (plan.network, *self.parts.values()) for p in m.parameters() if p.requires_grad]
        kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[options.optimiser]
        optimiser = kind(parameters, lr=options.learning_rate, weight_decay=options.weight_decay)
        # The network is not wrapped by Fabric: a wrapper would take its outputs, frozen dataclasses, apart.
        for module in (plan.network, *self.parts.values()):
            module.to(self.fabric.device)
        self.network, self.optimiser = plan.network, self.fabric.setup_optimizers(optimiser)
        self.epoch, self.step, self.rate = 0, 0, 0.0
        self.history: list[dict[str, Any]] = []

    def resume(self, path: Path) -> bool:
        """Go on from the checkpoint at `path` if there is one of this very training."""
        if not path.exists():
            return False
        kept = load(path)
        if kept.identity != self.plan.identity:
            raise TrainingError(
                "The checkpoint is of another recipe, other tasks or other labels.",
                where=str(path),
                next_step="Remove it to start anew, or go back to its recipe.",
                unchanged="Nothing was trained.",
            )
        self.plan.network.load_state_dict(kept.network)
        self.optimiser.load_state_dict(kept.optimiser)
        if kept.scaler:  # none where it was begun on a CPU
            self.fabric.strategy.precision.load_state_dict(kept.scaler)
        for name, part in self.parts.items():
            part.load_state_dict(kept.parts[name])
        self.epoch, self.step, self.history = kept.epoch, kept.step, kept.history
        return True

    def checkpoint(self) -> Checkpoint:
        """The complete state."""
        return Checkpoint(
            epoch=self.epoch,
            step=self.step,
            network=self.plan.network.state_dict(),
            optimiser=self.optimiser.state_dict(),
            scaler=self.fabric.strategy.precision.state_dict(),
            parts={name: part.state_dict() for name, part in self.parts.items()},
            history=self.history,
            identity=self.plan.identity,
        )

    def run_epoch(self, progress: Progress) -> dict[str, Any]:
        """Train one epoch; its draws depend on the seed and its number alone."""
        plan, started = self.plan, time.perf_counter()
        torch.manual_seed(seed_of(plan.seed, "dropout", self.epoch))
        self._modes()
        sums, steps = {name: [0.0, 0] for name in plan.tasks}, min(plan.steps_per_epoch, plan.steps - self.step)
        for index, batch in enumerate(itertools.islice(self._batches(self.epoch), steps)):
            losses, present = self.train_step(batch.to(self.fabric.device), index)
            for column, (name, loss) in enumerate(losses.items()):
                sums[name][0] += float(loss.detach().sum())
                sums[name][1] += int(present[:, column].sum())
            progress.advance(len(batch.ids), f"epoch {self.epoch + 1}/{plan.epochs}")
        self.epoch += 1
        means = {name: total / count for name, (total, count) in sums.items() if count}
        seconds = round(time.perf_counter() - started, 3)
        return {"epoch": self.epoch, "step": self.step, "lr": self.rate, "seconds": seconds, "loss": means}

    def train_step(self, batch: Batch, index: int) -> tuple[Mapping[str, Tensor], Tensor]:
        """One optimiser step on one batch; returns the unweighted task losses [b] and who has a label [b, t]."""
        plan = self.plan
        with self.fabric.autocast():
            output = self._forward(batch, index)
            losses = task_losses(plan.tasks, output, batch.targets, plan.objective.initial)
            self._refuse_nan(losses, batch)
            step = self._step(batch, output, losses) if plan.terms else None
            other = self._term_losses(step) if step else torch.zeros((), device=self.fabric.device)
        present = targets_present(batch.targets, list(plan.tasks))
        weighted = {name: loss * batch.weights[:, i] for i, (name, loss) in enumerate(losses.items())}
        self.rate = plan.learning_rate(self.epoch, self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate
        self.optimiser.zero_grad(set_to_none=True)
        plan.balancer.backward(weighted, present, other, output.features.shared, self.fabric.backward)
        if plan.options.clip:
            self.fabric.clip_gradients(
                self.network, self.optimiser, max_norm=plan.options.clip, error_if_nonfinite=False
            )  # all the optimiser's parameters; an overflow in half precision is the loss scaler's to skip
        self.optimiser.step()
        self.step += 1
        if step:
            for term in plan.terms.values():
                term.own_step(step)
                term.after_step(step)
        return losses, present

    def _forward(self, batch: Batch, index: int) -> Output:
        try:
            output: Output = self.network(batch.images, self._known(batch, index))
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise TrainingError(
                "One image so small has no statistics to normalise with.",
                where=", ".join(batch.ids),
                next_step='Set a larger `size` in [data] or norm = "frozen" in [train], or label more images.',
                unchanged="The state after the last epoch is kept.",
            ) from error
        return output

    def _term_losses(self, step: Step) -> Tensor:
        total = torch.zeros((), device=self.fabric.device)
        for name, term in self.plan.terms.items():
            losses = term.loss(step)
            self._refuse_nan({f"{name}.{key}": value for key, value in losses.items()}, step.batch)
            total = total + sum((value.mean() for value in losses.values()), torch.zeros_like(total))
        return total

    def _step(self, batch: Batch, output: Output, losses: Mapping[str, Tensor]) -> Step:
        views = {}
        for term in self.plan.terms.values():
            for name, view in term.views().items():
                other = view(batch)
                views[name] = (other, self.network(other.images))
        progress = self.step / max(self.plan.steps, 1)
        return Step(batch, output, views, losses, progress, self.plan.network, self.plan.tasks)

    def _known(self, batch: Batch, index: int) -> dict[str, Target] | None:
        """A random part of the batch's labels, to be fed in as known."""
        share = self.plan.options.known
        if not share:
            return None
        rng = stream(self.plan.seed, "known", self.epoch, index)
        draws = torch.from_numpy(rng.random((len(batch.ids), len(self.plan.tasks))) < share).to(self.fabric.device)
        return {name: batch.targets[name].where(draws[:, i]) for i, name in enumerate(self.plan.tasks)}

    def _modes(self) -> None:
        self.network.train()
        if self.plan.options.norm == "frozen":
            for module in self.plan.network.get_submodule("encoder").modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def _batches(self, epoch: int) -> Iterator[Batch]:
        plan, options = self.plan, self.plan.options
        return iter(
            train_batches(
                plan.source,
                plan.definitions,
                plan.train,
                plan.data,
                batch=options.batch,
                workers=options.workers,
                seed=plan.seed,
                epoch=epoch,
                drop_last=plan.drop_last,
                passes=plan.passes,
            )
        )

    def prepare(self) -> None:
        """Let the terms train what must exist before the first step."""
        for term in self.plan.terms.values():
            term.prepare(lambda: self._batches(-1))

    def _refuse_nan(self, losses: Mapping[str, Tensor], batch: Batch) -> None:
        for name, loss in finite(losses).items():
            raise TrainingError(
                f"The loss of '{name}' is {loss.detach().mean().item()} in epoch {self.epoch + 1}.",
                where=f"images {', '.join(batch.ids)}",
                next_step="Look at these images and labels, or lower the learning rate or set `clip`.",
                unchanged="The state after the last whole epoch is kept.",
            )
