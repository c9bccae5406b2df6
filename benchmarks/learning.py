"""Measures a training step of each term and balancer, and its peak memory, beside supervised learning.

Each image of the batch has one label, so that each method has all it can learn from. The network is
the small recipe's with random weights; mappings and auto-encoders have the light or narrow variant
that trains on a CPU. Memory is the peak of a process of its own with three steps.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _made import make_files, network_of, task_definitions
from _measure import check_limit, interleaved, machine, peak_mib, run_isolated, show
from balancers import PLAIN, Side, balancer_of, sides
from training_step import plan_of

from labelgrid.basics.progress import Silent
from labelgrid.data.batch import Batch, SoftLabel
from labelgrid.data.loader import train_batch
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.recipes.resolve import build_plugin
from labelgrid.tasks.task import TaskDef, build_all
from labelgrid.train.term import Term
from labelgrid.train.trainer import Trainer

#: The most that a further view may cost: a second pass of the network through images of at most the
#: same size.
VIEW = 2.2
#: The terms of each method, with their options.
METHODS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "supervised": {},
    "crop": {"crop": {}},
    "crop, enlarged": {"crop": {"resize": True}},
    "mtpsl, light": {"mtpsl": {"mapping": "light"}},
    "mtpsl, SegNet": {"mtpsl": {}},
    "contrastive, light": {"contrastive": {"mapping": "light"}},
    "discriminator, light": {"discriminator": {"mapping": "light"}},
    "direct_map, width 16": {"direct_map": {"width": 16}},
    "perceptual_map, width 16": {"perceptual_map": {"width": 16}},
    "x_task, width 16": {"x_task": {"width": 16, "steps": 1}},
    "jtr, width 16": {"jtr": {"width": 16}},
    "jtr": {"jtr": {}},
    "mean_teacher": {"mean_teacher": {}},
    "pseudo_labels": {"pseudo_labels": {}},
}
#: The balancers beside fixed weights.
BALANCERS: Mapping[str, Side] = {side.label: side for side in sides() if side.name != PLAIN}


def training(
    method: str, folder: Path, images: int, size: tuple[int, int]
) -> tuple[Trainer, Batch]:
    """A training with the terms of a method or with a balancer, and a batch whose images have one label each."""
    source = make_files(folder, images, size, every=1)
    torch.manual_seed(0)
    plan = plan_of(network_of(build_all(task_definitions())), source, 0, 0.0)
    choices = {
        name: PluginChoice(name, dict(options)) for name, options in METHODS.get(method, {}).items()
    }
    terms = {
        name: build_plugin("terms", choice, plan.tasks, plan.network)
        for name, choice in choices.items()
    }
    balancer = balancer_of(BALANCERS[method]) if method in BALANCERS else plan.balancer
    trainer = Trainer(replace(plan, terms=terms, balancer=balancer, train=source.images()))
    trainer.prepare(folder / "terms", Silent(), resumed=False)

    def label(image: str, task: TaskDef) -> SoftLabel | None:
        """The label as a pseudo-label that is certain.

        None for the one label that the image keeps.
        """
        array = source.label(image, task)
        index = source.images().index(image)
        if array is None or index % len(plan.tasks) == list(plan.tasks).index(task.name):
            return None
        return SoftLabel(array, np.ones(array.valid.shape, np.float32))

    soft = {
        name: label
        for name, term in terms.items()
        if type(term).soft_labels is not Term.soft_labels
    }
    batch = train_batch(source, plan.definitions, source.images(), plan.data, seed=0, soft=soft)
    indices = torch.tensor([source.images().index(image) for image in batch.ids])
    targets = {
        n: t.where(indices % len(plan.tasks) == i) for i, (n, t) in enumerate(batch.targets.items())
    }
    assert sum(int(target.present.sum()) for target in targets.values()) == images
    return trainer, replace(batch, targets=targets)


def memory(method: str, images: int, size: tuple[int, int]) -> None:
    """Print the peak memory of three steps, as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        trainer, batch = training(method, Path(folder), images, size)
        before = peak_mib()
        for index in range(3):
            trainer.train_step(batch, index)
        print(json.dumps({"mib": peak_mib() - before}))


def main(words: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--size", type=int, nargs=2, default=(96, 128))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    every = [*METHODS, *BALANCERS]
    parser.add_argument(
        "--methods", nargs="+", default=every, choices=every, help="beside supervised"
    )
    parser.add_argument(
        "--memory", default="", choices=["", *every], help="only the memory of one method"
    )
    options = parser.parse_args(words)
    torch.set_num_threads(options.threads)
    size = (options.size[0], options.size[1])
    methods = list(dict.fromkeys(["supervised", *options.methods]))
    if options.memory:
        memory(options.memory, options.images, size)
        return 0
    print(machine())
    print(f"{options.images} images of {size[0]}x{size[1]}, one label each")
    with tempfile.TemporaryDirectory() as folder:
        made = {
            name: training(name, Path(folder) / str(i), options.images, size)
            for i, name in enumerate(methods)
        }
        steps = {name: lambda one=one: one[0].train_step(one[1], 0) for name, one in made.items()}
        times = interleaved(steps, options.repeats)
    show(times)
    shared = ["--images", options.images, "--size", *size, "--threads", options.threads]
    peaks = {name: run_isolated(__file__, *shared, "--memory", name)["mib"] for name in methods}
    print(
        "  method                    step / supervised, processor time (wall)   further memory, MiB"
    )
    for name, time in times.items():
        over = (time.work_over(times["supervised"]), time.over(times["supervised"]))
        print(f"  {name:26} {over[0]:8.2f} x ({over[1]:.2f} x) {peaks[name]:36.0f}")
    if "crop" not in times:
        return 0
    ratio = times["crop"].work_over(times["supervised"])
    return 0 if check_limit("a step with crops / supervised, processor time", ratio, VIEW) else 1


if __name__ == "__main__":
    sys.exit(main())
