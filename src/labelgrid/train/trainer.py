"""Runs the epochs and optimiser steps of a training, and saves and loads its complete state."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from labelgrid.basics.config import check_tasks
from labelgrid.basics.errors import TrainingError
from labelgrid.basics.progress import Progress
from labelgrid.basics.streams import seed_of, stream
from labelgrid.basics.type_names import Json
from labelgrid.data.batch import Batch, network_inputs
from labelgrid.nets.late_compiler import late_fabric, plain_step
from labelgrid.nets.network import Network, Output, WithGivenPart
from labelgrid.pixel.target import Target, Tensors
from labelgrid.train.active_terms import ActiveTerms
from labelgrid.train.balancer import TaskLosses
from labelgrid.train.batch_norm import refuse_tiny_batches
from labelgrid.train.batch_stream import BatchStream, read_epochs
from labelgrid.train.checkpoint import Checkpoint, load, same_training
from labelgrid.train.drawn_pixels import DrawnPixels
from labelgrid.train.frozen_encoder import EncoderKey, keep_encoder
from labelgrid.train.group import ALONE, BatchLosses, TrainingGroup
from labelgrid.train.mixed_images import mix_images
from labelgrid.train.objective import rescale_losses, targets_present, task_losses
from labelgrid.train.plan import Plan
from labelgrid.train.term import RateGroup, Step
from labelgrid.train.waiting import Waiting

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Trainer:
    """A running training: modules, optimiser and position.

    Args:
        plan: the plan of the training.
        group: the processes that train together.
    """

    def __init__(self, plan: Plan, group: TrainingGroup = ALONE) -> None:
        if not plan.train:
            raise TrainingError(
                "There is no label to learn from.",
                next_step="Run `labelgrid query` and `labelgrid export`, then import the labels.",
                unchanged="Nothing was trained.",
            )
        check_tasks("train.mix_tasks", plan.options.mix_tasks, plan.tasks)
        self.plan = plan
        self.group = group
        self.network = plan.network
        options = plan.options
        self.fabric = make_fabric(options.device, options.precision, group)
        # Fabric does not wrap the network: its wrapper would convert the outputs, which are frozen
        # dataclasses.
        for module in (plan.network, *plan.terms.values(), plan.balancer):
            module.to(self.fabric.device)
        if options.compile:
            compile_encoder(plan.network)
        self.terms = ActiveTerms(plan, self.fabric, group)
        self.stream = BatchStream(group, self.terms.soft)
        groups, self.rates = self._parameter_groups()
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
        self.begun_by = group.size
        self.history: list[Json] = []
        self.encoder: EncoderKey = {}

    def _parameter_groups(self) -> tuple[list[Json], list[tuple[float, float]]]:
        """Build the optimiser's parameter groups, with the initial rate and `halve` of each.

        A rate or share of 0 is the training's. The balancer's group has no weight decay.
        """
        term_groups = self._given_part()
        for term in self.plan.terms.values():
            term_groups.extend(term.groups())
        grouped = {id(p) for p in self.terms.own.parameters}
        for group in term_groups:
            grouped.update(id(p) for p in group.parameters)
        rest: list[nn.Parameter] = []
        for module in (self.plan.network, *self.plan.terms.values()):
            trained = [p for p in module.parameters() if p.requires_grad]
            rest.extend(p for p in trained if id(p) not in grouped)
        groups: list[Json] = [{"params": rest}]
        rates = [(0.0, 0.0)]
        for group in term_groups:
            options: Json = {"params": list(group.parameters)}
            if not group.decay:
                options["weight_decay"] = 0.0
            groups.append(options)
            rates.append((group.learning_rate, group.halve))
        balancer = self.plan.balancer
        trained = [p for p in balancer.parameters() if p.requires_grad]
        if trained:
            groups.append({"params": trained, "weight_decay": 0.0})
            rates.append((balancer.learning_rate, 0.0))
        return groups, rates

    def _statistics(self) -> Iterator[Tensor]:
        """Batch norm's running statistics, but for those of a frozen encoder."""
        for value in self._trained({"": self.network, **self.plan.terms}).values():
            if not isinstance(value, nn.Parameter):
                yield value

    def _trained(self, modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
        """What the training changes in modules, by name: nothing of a frozen encoder."""
        encoder = self.network.encoder
        frozen = set()
        if isinstance(encoder, WithGivenPart) and encoder.frozen:
            frozen = {id(value) for value in trained_values({"": encoder.given}).values()}
        values = trained_values(modules).items()
        return {name: value for name, value in values if id(value) not in frozen}

    def _given_part(self) -> list[RateGroup]:
        """The encoder's part with given weights, unless it learns as fast as the rest."""
        encoder = self.network.encoder
        if not isinstance(encoder, WithGivenPart) or encoder.rate == 1:
            return []
        trained = [p for p in encoder.given.parameters() if p.requires_grad]
        rate = encoder.rate * self.plan.options.learning_rate
        return [RateGroup(trained, learning_rate=rate)] if trained else []

    def resume(self, path: Path) -> bool:
        """Load the checkpoint at `path`, if there is one.

        A frozen encoder is written before, since the checkpoint may need it.

        Returns:
            Whether there was a checkpoint.

        Raises:
            TrainingError: it has another identity, or does not fit the modules.
            ModelError: it cannot be read.
        """
        self._keep_encoder()
        if not path.exists():
            return False
        checkpoint = load(path, self.plan.encoders)
        if not same_training(checkpoint.identity, self.plan.identity):
            raise TrainingError(
                "The checkpoint belongs to another recipe, other tasks or other labels.",
                where=path,
                next_step="Remove it to restart the training, or use its recipe again.",
                unchanged="Nothing was trained.",
            )
        try:
            self.network.load_state_dict(checkpoint.network)
            self.plan.balancer.load_state_dict(checkpoint.balancer)
            for name, term in self.plan.terms.items():
                term.load_state_dict(checkpoint.parts.get(name, {}))
            self.optimiser.load_state_dict(checkpoint.optimiser)
            self.terms.own.load(checkpoint.own)
            if checkpoint.scaler:  # empty if the training started on a CPU
                self.fabric.strategy.precision.load_state_dict(checkpoint.scaler)
        except (
            AttributeError,
            IndexError,
            KeyError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:  # torch raises these if the modules differ
            raise TrainingError(
                "The checkpoint does not fit the network, the terms or the balancer "
                "as they are built now.",
                where=path,
                next_step="Remove it to restart the training, or use the code that wrote it again.",
                unchanged="Nothing was trained.",
            ) from error
        self.epoch = checkpoint.epoch
        self.step = checkpoint.step
        self.history = checkpoint.history
        self.begun_by = checkpoint.processes
        self._keep_encoder()  # an older checkpoint may have held another
        return True

    def _keep_encoder(self) -> None:
        if self.group.is_first:
            self.encoder = keep_encoder(self.network, self.plan.encoders)
        self.group.tell()  # the file is there

    def checkpoint(self) -> Checkpoint:
        """Return the complete state of the training."""
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
            processes=self.group.size,
            encoder=self.encoder,
        )

    def prepare(self, folder: Path, progress: Progress, *, resumed: bool) -> None:
        """Prepare the terms before the first step; see `ActiveTerms.prepare`.

        With several processes, the first prepares them. The others then take its states and resume
        the terms.
        """
        if self.group.is_first:
            self.terms.prepare(folder, progress, self._batches, resumed=resumed)
        if self.group.size == 1:
            return
        self.group.tell()
        for module in (self.network, *self.plan.terms.values(), self.plan.balancer):
            for value in (*module.parameters(), *module.buffers()):
                value.data.copy_(self.group.from_first(value))
        if not self.group.is_first:
            self.terms.prepare(folder, progress, self._batches, resumed=True)

    def run_epoch(self, progress: Progress) -> Json:
        """Train an epoch and return its log entry.

        Its random draws depend only on the seed and its number.
        """
        plan = self.plan
        started = time.perf_counter()
        torch.manual_seed(self.group.seed(seed_of(plan.seed, "dropout", self.epoch)))
        self.network.train()
        if plan.options.norm == "frozen":
            for module in plan.network.get_submodule("encoder").modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        # The last epoch of a training whose length is given in steps may be shorter.
        steps = min(plan.steps_per_epoch, plan.steps - self.step)
        tasks = Means()
        terms = Means()
        factors = Means()
        batches = Waiting(self.stream.epoch(plan, self.epoch, steps))
        for index, (batch, ids) in enumerate(batches):
            mixed = self._mix(batch.to(self.fabric.device), index)
            losses, present, others = self.train_step(mixed, index, ids)
            tasks.add(losses, dict(zip(losses, present.sum(0).tolist(), strict=True)))
            terms.add(others, {name: len(loss) for name, loss in others.items()})
            factors.add(plan.balancer.factors, dict.fromkeys(plan.balancer.factors, 1))
            progress.advance(len(ids), f"epoch {self.epoch + 1}/{plan.epochs}")
        self.group.average(self._statistics())
        self._refuse_nan_weights()
        self.epoch += 1
        entry: Json = {
            "epoch": self.epoch,
            "step": self.step,
            "lr": self.rate,
            "seconds": round(time.perf_counter() - started, 3),
            "waited": round(batches.seconds, 3),
            "loss": tasks.means(),
        }
        if plan.terms:
            entry["terms"] = terms.means()
        if factors.sums:
            entry["balance"] = factors.means()
        if self.epoch == 1 and not plan.continued and tasks.first:
            entry["start"] = tasks.first
        return entry

    def train_step(
        self, batch: Batch, index: int, ids: tuple[str, ...] | None = None
    ) -> tuple[Tensors, Tensor, Tensors]:
        """Do one optimiser step.

        Args:
            batch: this process's share of the batch.
            index: the number of the step in the epoch.
            ids: the ids of the whole batch; None: `batch` is the whole one.

        Returns:
            For the whole batch: the unweighted task losses, [b] each, the mask of labels, bool [b,
            t], and the terms' losses, [b] each.
        """
        ids = ids or batch.ids
        self.terms.whole_ids = ids
        self.plan.balancer.factors = {}
        given = replace(batch, known=self._draw_known(batch, index, len(ids)))
        with self.fabric.autocast(), self.terms.own.freeze(), refuse_tiny_batches(batch.ids):
            local, steps, features = self._losses(given)
            whole = local.complete(self.group, len(ids))
            other = torch.zeros((), device=self.fabric.device)
            for loss in whole.terms.values():
                other = other + loss.mean()
        self._set_rates()
        # Without a graph there is nothing to learn.
        if any(loss.requires_grad for loss in (*whole.weighted.values(), other)):
            self._optimise(
                TaskLosses(
                    losses=whole.weighted,
                    present=whole.present,
                    other=other,
                    features=features,
                    parameters=self.shared,
                    step=self.step,
                    progress=self.step / max(self.plan.steps, 1),
                    backward=self.fabric.backward,
                    epoch=self.epoch,
                    classes=self.classes,
                    group=self.group,
                )
            )
        self.terms.after_step(steps, lambda losses: self._refuse_nan(losses, batch))
        self.step += 1
        return whole.losses, whole.present, whole.terms

    def _losses(self, given: Batch) -> tuple[BatchLosses, Mapping[str, Step], Tensor]:
        """Compute a share's losses, the terms' steps, and the features of all views."""
        plan = self.plan
        views = self.terms.joined_views(given, self.step)
        batch = self.terms.supervised_view(given, self.step)
        whole: Output = self.network(*network_inputs([batch, *views.values()]))
        output, *view_outputs = whole.parts(1 + len(views))
        joined = dict(zip(views, zip(views.values(), view_outputs, strict=True), strict=True))
        losses = task_losses(
            plan.tasks,
            output,
            batch.targets,
            initial=plan.objective.initial,
            supplied=batch.supplied,
            drawn=self._drawn_pixels(batch),
        )
        self._refuse_nan(losses, batch)
        steps = self.terms.steps(given, output, losses=losses, number=self.step, joined=joined)
        steps = {name: replace(step, batch=batch) for name, step in steps.items()}
        term_losses = self.terms.losses(steps)
        self._refuse_nan(term_losses, batch)
        present = targets_present(batch.targets, list(plan.tasks), batch.supplied)
        weighted = {}
        for column, (name, loss) in enumerate(losses.items()):
            weighted[name] = loss * batch.weights[:, column]
        if plan.objective.rescale:
            weighted = rescale_losses(weighted, present)
        local = BatchLosses(losses=losses, weighted=weighted, present=present, terms=term_losses)
        return local, steps, whole.features.shared

    def _optimise(self, step: TaskLosses) -> None:
        """Back-propagate the losses of a step, add up the gradients of all processes, and step.

        Each process has the whole gradient of the balancer's parameters: of all images' losses.
        """
        self.optimiser.zero_grad(set_to_none=True)
        self.plan.balancer.backward(step)
        of_balancer = list(self.plan.balancer.parameters())
        averaged = {id(parameter) for parameter in of_balancer}
        summed = []
        for group in self.optimiser.param_groups:
            summed += [parameter for parameter in group["params"] if id(parameter) not in averaged]
        self.group.add_gradients(summed)
        self.group.add_gradients(of_balancer, mean=True)
        if self.plan.options.clip:
            # Clips all parameters of the optimiser. The loss scaler skips a step that overflows in
            # half precision.
            self.fabric.clip_gradients(
                self.network,
                self.optimiser,
                max_norm=self.plan.options.clip,
                error_if_nonfinite=False,
            )
        with plain_step():
            self.optimiser.step()

    def _set_rates(self) -> None:
        for group, (start, halve) in zip(self.optimiser.param_groups, self.rates, strict=True):
            group["lr"] = self.plan.learning_rate(self.epoch, self.step, start, halve)
        self.rate = self.optimiser.param_groups[0]["lr"]

    def _mix(self, batch: Batch, index: int) -> Batch:
        """Mix images of a whole batch, of which all may give parts; then divide the batch."""
        options = self.plan.options
        if options.mix == "none":
            return batch
        draw = partial(stream, self.plan.seed, "mix", self.epoch, index)
        mixed = mix_images(batch, self.plan.tasks, options, draw)
        if self.group.size == 1:
            return mixed
        return mixed.rows(self.group.own_rows(len(batch.ids)))

    def _draw_known(self, batch: Batch, index: int, count: int) -> dict[str, Target]:
        probability = self.plan.options.known
        if not probability:
            return {}
        rng = stream(self.plan.seed, "known", self.epoch, index)
        draws = torch.from_numpy(rng.random((count, len(self.plan.tasks))) < probability)
        is_known = draws[self.group.own_rows(count)].to(self.fabric.device)
        known_labels = {}
        for column, name in enumerate(self.plan.tasks):
            known_labels[name] = batch.targets[name].where(is_known[:, column])
        return known_labels

    def _drawn_pixels(self, batch: Batch) -> DrawnPixels | None:
        count = self.plan.objective.pixels
        if not count:
            return None
        return DrawnPixels.of(batch.image_size, count, stream(self.plan.seed, "pixels", self.step))

    def _batches(self, epoch: int) -> Iterator[Batch]:
        return read_epochs(self.plan, epoch, soft=self.terms.soft)

    def _refuse_nan(self, losses: Tensors, batch: Batch) -> None:
        for name, loss in non_finite_values(losses).items():
            value = loss.detach().mean().item()
            raise TrainingError(
                f"The loss of '{name}' is {value} in {self._position(self.step)}.",
                where=f"images {', '.join(batch.ids)}",
                next_step="Lower `learning_rate` in [train] or set `clip`, or look at these images "
                "and labels.",
            )

    def _refuse_nan_weights(self) -> None:
        """Refuse to end an epoch with weights that are not finite.

        A checkpoint of them would replace a sound one. The statistics of batch norm count, too: the
        loss does not depend on them in training.
        """
        modules = {"": self.network, **self.plan.terms, "balancer": self.plan.balancer}
        for name in non_finite_values(self._trained(modules)):
            raise TrainingError(
                f"The weights '{name}' are not finite after {self._position(self.step - 1)}.",
                next_step="Lower `learning_rate` in [train] or set `clip`.",
            )

    def _position(self, step: int) -> str:
        rate = self.plan.learning_rate(self.epoch, step)
        return (
            f"epoch {self.epoch + 1}, step {step + 1} of {self.plan.steps} "
            f"at the learning rate {rate:.3g}"
        )


class Means:
    """The means of named losses over the labels or images of many batches.

    Example:
        >>> means = Means()
        >>> for loss in (1.0, 2.0):
        ...     losses = {"depth": torch.tensor([loss, 0.0]), "edges": torch.zeros(2)}
        ...     means.add(losses, {"depth": 1, "edges": 0})
        >>> means.means(), means.first
        ({'depth': 1.5}, {'depth': 1.0})

    Attributes:
        sums: the sums of each loss, with the number of its values.
        first: the mean of each loss in the first batch in which it counted.
    """

    def __init__(self) -> None:
        self.sums: dict[str, tuple[float, int]] = {}
        self.first: dict[str, float] = {}

    def add(self, losses: Tensors, counts: Mapping[str, int]) -> None:
        """Add the losses of a batch, [b] each: as many as `counts` says, the rest is 0."""
        for name, loss in losses.items():
            total, count = self.sums.get(name, (0.0, 0))
            added = float(loss.detach().sum())
            self.sums[name] = (total + added, count + counts[name])
            if counts[name]:
                self.first.setdefault(name, added / counts[name])

    def means(self) -> dict[str, float]:
        """Return the mean of each loss that counted."""
        means = {}
        for name, (total, count) in self.sums.items():
            if count:
                means[name] = total / count
        return means


def compile_encoder(network: Network) -> None:
    """Let torch compile a network's encoder in place, when it is first called.

    Its weights keep their names.

    Raises:
        TrainingError: the network does not compute its features by its encoder alone.
    """
    if type(network).encode is not Network.encode:
        raise TrainingError(
            f"train.compile compiles an encoder, and {type(network).__name__} computes its "
            "features in parts.",
            next_step="Set train.compile = false, or take another network.",
            unchanged="Nothing was trained.",
        )
    network.encoder.compile()


def make_fabric(device: str, precision: str, group: TrainingGroup = ALONE) -> "Fabric":
    """Make a Fabric with the device and the precision of a training.

    With several processes, each has its own GPU, or all use the processors.

    Raises:
        TrainingError: there is no such device, or none for each process.
    """
    with late_fabric():
        from lightning_fabric import Fabric  # slow to load, and only trainings need it

    accelerator, devices = _device_of(device, group)
    try:
        return Fabric(accelerator=accelerator, devices=devices, precision=precision)
    except (RuntimeError, ValueError) as error:  # Lightning raises both
        raise TrainingError(
            f"There is no device '{device}' here to train on.",
            next_step='Set device = "auto" in [train].',
            unchanged="Nothing was trained.",
        ) from error


def _device_of(device: str, group: TrainingGroup) -> tuple[str, int | list[int]]:
    """Return the accelerator, and the number of devices or the number of the device."""
    if group.size == 1:
        return device, 1
    if device == "mps":
        raise TrainingError(
            'Several processes cannot train on "mps".',
            next_step='Set device = "cpu" in [train], or train with one process.',
            unchanged="Nothing was trained.",
        )
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return "cpu", 1
    count = torch.cuda.device_count()
    if group.local_rank >= count:
        raise TrainingError(
            f"There are fewer GPUs here, {count}, than processes: each needs one of its own.",
            next_step=f"Train with {count} processes, or fewer.",
            unchanged="Nothing was trained.",
        )
    return "cuda", [group.local_rank]


def non_finite_values(values: Tensors) -> dict[str, Tensor]:
    """Return the tensors with a number that is not finite, by name.

    Example:
        >>> list(non_finite_values({"a": torch.tensor([1.0, float("nan")]), "b": torch.zeros(2)}))
        ['a']
    """
    return {name: value for name, value in values.items() if not bool(torch.isfinite(value).all())}


def trained_values(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Return what a training changes in modules: parameters and batch norm's running statistics.

    Other buffers may hold anything, such as the infinite best value so far.

    Args:
        modules: the modules by name; "" adds nothing to the names of its values.

    Example:
        >>> list(trained_values({"": nn.BatchNorm2d(1, affine=False), "term": nn.Linear(1, 1)}))
        ['running_mean', 'running_var', 'term.weight', 'term.bias']
    """
    values: dict[str, Tensor] = {}
    for module_name, module in modules.items():
        prefix = f"{module_name}." if module_name else ""
        for key, parameter in module.named_parameters():
            values[prefix + key] = parameter
        for key, buffer in module.named_buffers():
            if key.rpartition(".")[2].startswith("running_"):
                values[prefix + key] = buffer
    return values
