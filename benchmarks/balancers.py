"""Compares a training step of every balancer with a step of fixed weights.

All sides train copies of one network on the same batches, in turns. The bar holds for gradients at
the shared features; those at the shared parameters, which need a pass through the encoder for each
task, are printed beside them.
"""

import argparse
import copy
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
from _made import make_files, network_of, recipe, task_definitions
from _measure import check_limit, interleaved, machine, show
from training_step import plan_of, with_gaps

from labelgrid.basics import plugins
from labelgrid.basics.errors import PluginError
from labelgrid.data.batch import Batch
from labelgrid.data.layouts.folder import FolderDataset
from labelgrid.data.loader import train_batches
from labelgrid.nets.network import Network
from labelgrid.tasks.task import build_all
from labelgrid.train.balancer import Balancer
from labelgrid.train.objective import fixed_weights, supervised_loss
from labelgrid.train.trainer import Trainer

BAR = 1.5
PLAIN = "fixed"


@dataclass(frozen=True)
class Side:
    """A balancer with options; `at_features` if the bar holds for it."""

    label: str
    name: str
    options: dict[str, Any]
    at_features: bool = True


def sides() -> list[Side]:
    """Every balancer with its default options, and with gradients at the parameters if it has that switch."""
    plain_sides = [Side(name, name, {}) for name in plugins.names("balance") if name != PLAIN]
    switched = [
        Side(f"{side.name}, at {at}", side.name, {"at": at}, at != "parameters")
        for side in plain_sides
        for at in ("features", "layer", "parameters")
        if getattr(plugins.options_class("balance", side.name)(), "at", at) != at
        and _takes(side.name, at)
    ]
    return [Side(PLAIN, PLAIN, {}), *plain_sides, *switched]


def _takes(name: str, at: str) -> bool:
    return at in str(plugins.options_class("balance", name).__annotations__["at"])


def balancer_of(side: Side) -> Balancer:
    settings = recipe()
    module = plugins.module("balance", side.name)
    weights = fixed_weights(build_all(task_definitions()), settings.objective)
    reduce = partial(supervised_loss, reduction=settings.objective.reduction)
    built: Balancer = module.build(weights, reduce, module.Options(**side.options))
    return built


def steps_of(
    network: Network, source: FolderDataset, batches: list[Batch]
) -> dict[str, Callable[[], object]]:
    """A training step of each balancer whose packages are installed."""
    steps: dict[str, Callable[[], object]] = {}
    for side in sides():
        try:
            balancer = balancer_of(side)
        except PluginError as error:
            print(f"  without {side.label}: {error.what}")
            continue
        plan = plan_of(copy.deepcopy(network), source, 0, recipe().train.known)
        trainer = Trainer(replace(plan, balancer=balancer))
        ahead = cycle(batches)
        steps[side.label] = lambda trainer=trainer, ahead=ahead: trainer.train_step(next(ahead), 0)
    return steps


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument(
        "--size", type=int, nargs=2, default=(240, 320), help="height and width of the files"
    )
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument(
        "--labelled", type=float, default=1.0, help="share of the made labels that are kept"
    )
    parser.add_argument("--threads", type=int, default=0, help="0: torch's default")
    options = parser.parse_args(words)
    torch.set_num_threads(options.threads or torch.get_num_threads())
    print(machine())
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        source = make_files(Path(folder), options.images, tuple(options.size))
        settings = recipe()
        loaded = train_batches(
            source,
            task_definitions(),
            source.images(),
            settings.data,
            batch=settings.train.batch,
            seed=0,
            epoch=0,
        )
        batches = [with_gaps(batch, options.labelled) for batch in loaded]
        network = network_of(build_all(task_definitions())).train()
        times = interleaved(steps_of(network, source, batches), options.repeats)
    show(times)
    kept = True
    bound = {side.label for side in sides() if side.at_features}
    for label, side_times in times.items():
        print(
            f"  {label}: processor {side_times.work_over(times[PLAIN]):.3g} x, wall {side_times.over(times[PLAIN]):.3g} x"
        )
        if label in bound and label != PLAIN:
            kept &= check_limit(f"{label} / {PLAIN}", side_times.over(times[PLAIN]), BAR)
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
