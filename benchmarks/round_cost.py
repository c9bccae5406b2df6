"""Measures what strategies add to a round: scoring an image, training their modules, and picking.

Prints the times of docs/strategies.md. Each is shown beside what every round costs anyway: a
forward pass of the image for scoring, a training step for the terms. Scoring starts from encoded
images, as in a pass over the pool, where all statistics share the encoder; the network is the small
recipe's with random weights, half of the labels are known.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import cast

import numpy as np
import torch
from _made import make_files, network_of, recipe, task_definitions
from _measure import Times, check_limit, interleaved, machine
from k_centre import pool_of
from selection import grid_of
from training_step import plan_of

from labelgrid.basics.progress import Silent
from labelgrid.basics.streams import image_key
from labelgrid.data.batch import Batch
from labelgrid.data.dataset import labels_of
from labelgrid.data.layouts.folder import FolderDataset
from labelgrid.data.loader import eval_batches, train_batches
from labelgrid.nets.network import Network
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.recipes.resolve import build_plugin
from labelgrid.score.statistic import FitContext, PoolBatch, Statistic, TrainedStatistic
from labelgrid.select.strategy import Budget, PoolView
from labelgrid.tasks.task import Task, build_all
from labelgrid.train.trained_model import TrainedModel
from labelgrid.train.trainer import Trainer

#: The most that a term may add to a training step.
TERM = 1.15
#: Rows of the first table: a statistic and its options.
SCORED: Mapping[str, tuple[str, dict[str, object]]] = {
    "dropout": ("dropout", {}),
    'dropout, at = "head"': ("dropout", {"at": "head"}),
    'dropout, at = "original"': ("dropout", {"at": "original"}),
    "confidence": ("confidence", {}),
    "classes": ("classes", {}),
    "features": ("features", {}),
    "flips": ("flips", {}),
    "committee": ("committee", {}),
    "embedding, recipe small": ("embedding", {"width": 32}),
    "embedding, paper": ("embedding", {}),
}
#: Rows of the second table: their training.
TRAINED = ("committee", "embedding, recipe small", "embedding, paper")
#: The passes of a short and of a long training, whose difference is the time of a pass.
SHORT = 1
LONG = 3


class Pool:
    """A network with its tasks, and a batch of encoded images with known labels."""

    def __init__(self, source: FolderDataset, names: list[str]) -> None:
        self.tasks: dict[str, Task] = build_all(task_definitions())
        self.network: Network = network_of(self.tasks).eval()
        labels = partial(labels_of, source, task_definitions())
        self.batch: Batch
        (self.batch,) = eval_batches(
            source, task_definitions(), names, recipe().data, batch=len(names), known_labels=labels
        )
        self.keys = np.array([image_key(name) for name in names], np.uint64)
        with torch.inference_mode():
            self.features = self.network.encode(self.batch.images)

    def encoded(self) -> PoolBatch:
        """The input of statistics, not yet decoded."""
        model = TrainedModel(network=self.network)
        return PoolBatch(
            batch=self.batch,
            keys=self.keys,
            features=self.features,
            model=model,
            tasks=self.tasks,
            definitions=task_definitions(),
        )

    def statistic(self, row: str, **changes: int) -> Statistic:
        """A statistic that is ready to score; its own modules have random weights."""
        name, options = SCORED[row]
        statistic: Statistic = build_plugin(
            "statistics", PluginChoice(name, {**options, **changes}), 0
        )
        if isinstance(statistic, TrainedStatistic):
            statistic.setup(self.encoded())
            statistic.eval()
        return statistic

    def fit(self, row: str, epochs: int) -> None:
        """Train the modules of a statistic on the batch."""
        statistic = cast("TrainedStatistic", self.statistic(row, epochs=epochs))
        model = TrainedModel(network=self.network)
        weights = dict.fromkeys(self.tasks, 1.0)

        def batches(epoch: int) -> Iterator[PoolBatch]:
            yield self.encoded()

        with tempfile.TemporaryDirectory() as folder:
            progress = Silent()
            where = Path(folder)
            context = FitContext(
                model=model,
                tasks=self.tasks,
                weights=weights,
                labelled=batches,
                pool=batches,
                seed=0,
                folder=where,
                progress=progress,
                train_member=lambda _: model,
            )
            statistic.train().fit(context)


def per_image(times: Times, images: int) -> float:
    """Milliseconds of processor time an image."""
    return median(times.processor) * 1e3 / images


def scoring(pool: Pool, repeats: int) -> None:
    """Print the time of each statistic for an image, on top of the encoder."""
    images = len(pool.keys)
    sides: dict[str, Callable[[], object]] = {
        "forward pass": lambda: pool.network(pool.batch.images, pool.batch.targets),
        "encoder pass": lambda: pool.network.encode(pool.batch.images),
        "decoder pass": lambda: pool.network.decode(pool.features),
        "decoder pass, labels fed in": lambda: pool.network.decode(
            pool.features, pool.batch.targets
        ),
    }
    for row in SCORED:
        sides[row] = lambda statistic=pool.statistic(row): statistic(pool.encoded())  # type: ignore[misc]
    with torch.inference_mode():
        times = interleaved(sides, repeats)
    print(
        "Scoring, ms an image, and over its forward pass; without the encoder, which all statistics share:"
    )
    for row, side in times.items():
        ratio = side.work_over(times["forward pass"])
        print(f"  {row:28} {per_image(side, images):8.2f} ms {ratio:8.3f} x")


def training(pool: Pool, repeats: int) -> None:
    """Print the time of a pass of each training, for an image."""
    print("Training of a strategy's own modules, ms an image and epoch:")
    for row in TRAINED:
        sides = {str(epochs): partial(pool.fit, row, epochs) for epochs in (SHORT, LONG)}
        short, long = interleaved(sides, repeats).values()
        one = (per_image(long, len(pool.keys)) - per_image(short, len(pool.keys))) / (LONG - SHORT)
        print(f"  {row:28} {one:8.2f} ms")


def terms(source: FolderDataset, repeats: int) -> bool:
    """Print how much longer a training step takes with learning loss, and whether that is within its limit."""
    settings = recipe()
    tasks = build_all(task_definitions())
    size = min(settings.train.batch, len(source.images()))
    batch = next(
        train_batches(
            source, task_definitions(), source.images(), settings.data, batch=size, seed=0, epoch=0
        )
    )
    sides: dict[str, Callable[[], object]] = {}
    for name, options in {
        "plain": None,
        "predict = tasks": {},
        "predict = image": {"predict": "image"},
    }.items():
        network = network_of(tasks).train()
        plan = plan_of(network, source, 0, settings.train.known)
        if options is not None:
            term = build_plugin("terms", PluginChoice("learning_loss", options), tasks, network)
            plan = replace(plan, terms={"learning_loss": term})
        sides[name] = partial(Trainer(plan).train_step, batch, 0)
    times = interleaved(sides, repeats)
    plain = times.pop("plain")
    print("A training step with the term learning_loss, over one without:")
    for name, side in times.items():
        print(f"  {name:28} {side.work_over(plain):8.3f} x")
    slowest = max(side.work_over(plain) for side in times.values())
    return check_limit("training step with learning_loss / without", slowest, TERM)


def picking(images: int, width: int, labelled: int, cells: int, repeats: int) -> None:
    """Print the time of picks from a pool that is scored."""
    features, grid = pool_of(images, width, labelled)
    many = PoolView(grid=grid_of(cells, 5))
    scores = np.random.default_rng(2).random((images, 1))
    scored = PoolView(
        grid=grid, statistics={"features": features, "embedding": features, "committee": scores}
    )
    labels = min(1500, cells)
    few = min(10, images // 3)
    more = min(100, images // 3)

    def picks(view: PoolView, budget: Budget, name: str, **options: object) -> Callable[[], object]:
        strategy = build_plugin("strategies", PluginChoice(name, options))
        return lambda: strategy.select(view, budget)

    by_few = Budget(few, "images")
    by_more = Budget(more, "images")
    size = f"of {images:,} x {width}"
    sides = {
        f"random_tasks, {labels:,} of {cells:,} x 5": picks(many, Budget(labels), "random_tasks"),
        f"stratified, 20 clusters {size}": picks(scored, by_more, "stratified", by="features"),
        f"typiclust, {more} {size}": picks(scored, by_more, "typiclust"),
        f"tcd, {few} {size}": picks(scored, by_few, "tcd"),
        f"tcd, {more} {size}": picks(scored, by_more, "tcd"),
    }
    times = interleaved(sides, repeats)
    print(f"Picks from a scored pool, {labelled} images labelled:")
    for name, side in times.items():
        print(f"  {name:44} {median(side.processor):8.3f} s")
    short, long = list(times.values())[-2:]
    one = (median(long.processor) - median(short.processor)) / (more - few)
    print(f"  {'tcd, each further pick':44} {one * 1e3:8.2f} ms")


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--batch", type=int, default=8, help="images of the scored and trained batch"
    )
    parser.add_argument(
        "--original", type=int, nargs=2, default=(480, 640), help="height and width of their files"
    )
    parser.add_argument("--images", type=int, default=100_000, help="of the pool with features")
    parser.add_argument("--width", type=int, default=512, help="of the features")
    parser.add_argument("--labelled", type=int, default=100)
    parser.add_argument(
        "--cells", type=int, default=1_000_000, help="images of the pool with five tasks"
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(words)
    torch.set_num_threads(options.threads)
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        source = make_files(Path(folder), options.batch, tuple(options.original))
        pool = Pool(source, list(source.images()))
        scoring(pool, options.repeats)
        training(pool, max(1, options.repeats // 2))
        kept = terms(source, options.repeats)
    picking(
        options.images,
        options.width,
        labelled=options.labelled,
        cells=options.cells,
        repeats=1 + options.repeats // 7,
    )
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
