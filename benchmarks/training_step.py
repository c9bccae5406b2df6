"""Compares a training step with a bare PyTorch loop, and checks that the loaders keep up.

The baseline is the same computation written out for these three tasks: the same network, the same
losses of partial labels in both stages, the same share of labels fed in, the same optimiser; no
trainer, no terms, no balancer, no checks. Both start with equal weights, and the gradients of a
first step are compared before the timing.
"""

import argparse
import copy
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import median

import torch
from _made import make_files, network_of, recipe, task_definitions
from _measure import check_limit, interleaved, machine, show
from torch import Tensor
from torch.nn import functional

from labelgrid.data.batch import Batch
from labelgrid.data.layouts.folder import FolderDataset
from labelgrid.data.loader import train_batches
from labelgrid.nets.network import Network
from labelgrid.pixel.fitted_loss import SuppliedTarget
from labelgrid.pixel.target import Target
from labelgrid.tasks.task import build_all
from labelgrid.train.balance.fixed import Fixed
from labelgrid.train.objective import fixed_weights, supervised_loss
from labelgrid.train.plan import Plan
from labelgrid.train.trainer import Trainer

BAR = 1.1
SUPPLIED_BAR = 1.05
WEIGHTS = {"semseg": 1.0, "depth": 1.0, "normals": 10.0}


class Bare:
    """The bare loop."""

    def __init__(
        self, network: Network, learning_rate: float, weight_decay: float, known: float
    ) -> None:
        self.network = network
        self.known = known
        self.optimiser = torch.optim.AdamW(
            network.parameters(), lr=learning_rate, weight_decay=weight_decay
        )

    def step(self, batch: Batch) -> Tensor:
        """One step; the loss."""
        output = self.network(batch.images, self.fed_in(batch.targets))
        loss = sum(self.loss(raws, batch.targets) for raws in (output.final, *output.initial))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def fed_in(self, targets: Mapping[str, Target]) -> dict[str, Target]:
        """A random share of the labels."""
        device = next(self.network.parameters()).device
        keep = (torch.rand(len(next(iter(targets.values())).valid), len(targets)) < self.known).to(
            device
        )
        return {
            n: Target(t.value, t.valid & keep[:, i, None, None, None])
            for i, (n, t) in enumerate(targets.items())
        }

    def loss(self, raws: Mapping[str, Tensor], targets: Mapping[str, Target]) -> Tensor:
        """The weighted loss of one stage."""
        total = torch.zeros(())
        for name, target in targets.items():
            raw = functional.interpolate(
                raws[name], target.valid.shape[-2:], mode="bilinear", align_corners=False
            )
            error = torch.where(
                target.valid, self.error(name, raw, target.value.masked_fill(~target.valid, 0)), 0.0
            )
            pixels = target.valid.sum((1, 2, 3))
            images = error.sum((1, 2, 3)) / pixels.clamp(min=1)
            total = total + WEIGHTS[name] * images.sum() / (pixels > 0).sum().clamp(min=1)
        return total

    def error(self, name: str, raw: Tensor, value: Tensor) -> Tensor:
        """The loss of each pixel: [b, 1, h, w]."""
        if name == "semseg":
            return functional.cross_entropy(raw, value[:, 0], reduction="none")[:, None]
        if name == "depth":
            return (raw - value).abs()
        length = raw.square().sum(1, keepdim=True).clamp(min=1e-12).sqrt()
        return (raw / length - value).abs().mean(1, keepdim=True)


def plan_of(network: Network, source: FolderDataset, workers: int, known: float) -> Plan:
    settings = recipe()
    definitions = task_definitions()
    tasks = build_all(definitions)
    weights = fixed_weights(tasks, settings.objective)
    assert weights == WEIGHTS, weights
    return Plan(
        network=network,
        tasks=tasks,
        definitions=definitions,
        source=source,
        train=source.images(),
        val=[],
        data=settings.data,
        options=replace(settings.train, device="cpu", workers=workers, known=known),
        objective=settings.objective,
        balancer=Fixed(weights, partial(supervised_loss, reduction=settings.objective.reduction)),
        seed=0,
    )


def sides_of(
    network: Network, source: FolderDataset, workers: int, known: float
) -> tuple[Trainer, Bare]:
    """Both sides, with equal weights."""
    plan = plan_of(network, source, workers, known)
    options = plan.options
    return Trainer(plan), Bare(
        copy.deepcopy(network), options.learning_rate, options.weight_decay, known
    )


def with_gaps(batch: Batch, fraction: float) -> Batch:
    """A batch that keeps a random share of its labels."""
    targets = {n: t.where(torch.rand(len(t.valid)) < fraction) for n, t in batch.targets.items()}
    return replace(batch, targets=targets)


def half_supplied(batch: Batch) -> Batch:
    """A batch in which the depth of every second image is known up to a scale of its inverse."""
    depth = batch.targets["depth"]
    given = (torch.arange(len(depth.valid)) % 2 == 0)[:, None, None, None]
    supplied = SuppliedTarget(
        Target(1 / depth.safe(1.0).clamp(min=0.1), depth.valid & given),
        torch.ones(depth.valid.shape),
        torch.ones(len(depth.valid), dtype=torch.bool),
        torch.tensor([[1.0, 1.0, 1.0, 0.1]]).expand(len(depth.valid), 4),
    )
    targets = {**batch.targets, "depth": Target(depth.value, depth.valid & ~given)}
    return replace(batch, targets=targets, supplied={"depth": supplied})


def check_equal(source: FolderDataset, batch: Batch, name: str = "") -> None:
    """Check that one step gives both sides the same gradients, without dropout and known labels, whose draws differ."""
    trainer, bare = sides_of(
        network_of(build_all(task_definitions()), name=name).eval(), source, 0, 0.0
    )
    trainer.train_step(batch, 0)
    bare.step(batch)
    for (name, mine), its in zip(
        trainer.network.named_parameters(), bare.network.parameters(), strict=True
    ):
        torch.testing.assert_close(mine.grad, its.grad, rtol=1e-3, atol=1e-5, msg=name)


def epoch(source: FolderDataset, workers: int, number: int) -> tuple[float, float]:
    """The seconds of the loader alone to an epoch's first batch, and from there to its last."""
    start = time.perf_counter()
    options = recipe()
    batches = train_batches(
        source,
        task_definitions(),
        source.images(),
        options.data,
        batch=options.train.batch,
        seed=0,
        epoch=number,
        workers=workers,
    )
    next(batches)
    first = time.perf_counter()
    for _ in batches:
        pass
    return first - start, time.perf_counter() - first


def loaders(source: FolderDataset, workers: int, step: float, repeats: int) -> bool:
    """Whether `workers` workers read faster than steps of `step` seconds consume batches."""
    size = recipe().train.batch
    pairs = [epoch(source, workers, number) for number in range(repeats)]
    started, rest = (median(pair[i] for pair in pairs) for i in range(2))
    loaded = (len(source.images()) - size) / rest
    trained = size / step
    print(
        f"  loader alone, {workers} workers: {loaded:.1f} images/s, first batch after {started * 1e3:.0f} ms"
    )
    print(f"  training steps alone: {trained:.1f} images/s")
    return check_limit("images/s loaded / images/s trained", loaded / trained, 1.0, least=True)


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument(
        "--size", type=int, nargs=2, default=(480, 640), help="height and width of the files"
    )
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--labelled", type=float, default=1.0, help="share of the cells that have a label"
    )
    parser.add_argument(
        "--network", default="", help="instead of PAD-Net, with its default options"
    )
    parser.add_argument("--threads", type=int, default=0, help="0: torch's default")
    options = parser.parse_args(words)
    torch.set_num_threads(options.threads or torch.get_num_threads())
    print(machine())
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        source = make_files(Path(folder), options.images, tuple(options.size), every=1)
        settings = recipe()
        batches = list(
            train_batches(
                source,
                task_definitions(),
                source.images(),
                settings.data,
                batch=settings.train.batch,
                seed=0,
                epoch=0,
            )
        )
        batches = [with_gaps(batch, options.labelled) for batch in batches]
        check_equal(source, batches[0], options.network)
        network = network_of(build_all(task_definitions()), name=options.network).train()
        trainer, bare = sides_of(network, source, 0, settings.train.known)
        plain = copy.deepcopy(bare)
        plain.network.to(memory_format=torch.contiguous_format)
        half = copy.deepcopy(bare)
        relative = cycle([half_supplied(batch) for batch in batches])
        supplied = Trainer(replace(trainer.plan, network=copy.deepcopy(network)))
        ours, theirs, others, last = (cycle(batches) for _ in range(4))
        times = interleaved(
            {
                "Trainer.train_step": lambda: trainer.train_step(next(ours), 0),
                "the same, half of the depth supplied": lambda: supplied.train_step(
                    next(relative), 0
                ),
                "bare loop": lambda: bare.step(next(theirs)),
                "bare loop, weights channels-first": lambda: plain.step(next(others)),
                "bare loop, bf16": torch.autocast("cpu", torch.bfloat16)(
                    lambda: half.step(next(last))
                ),
            },
            options.repeats,
        )
        show(times)
        mine, given, its, first, short = times.values()
        print(f"  (processor: {mine.work_over(its):.3g})")
        kept = check_limit("training step / bare loop", mine.over(its), BAR)
        kept &= check_limit("with supplied maps / without", given.over(mine), SUPPLIED_BAR)
        print(
            f"  channels-last / channels-first: {its.over(first):.3g}, processor: {its.work_over(first):.3g}"
        )
        print(f"  bf16 / 32 bits: {short.over(its):.3g}, processor: {short.work_over(its):.3g}")
        kept &= loaders(source, options.workers, median(mine.wall), max(2, options.repeats // 5))
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
