"""Measures a round of the recipe `instant`, and how good its network is.

The round is the second of a project: its training continues from the first round's, and the maps of
all images are kept since. Everything runs in this process; processor time counts.

With `--quality`, networks that learn 100 photographs of NYUv2 in four rounds are compared with the
same heads trained as usual: once, from random weights, for 1,000 steps, at all pixels, in batches
as large as those of `small-shared-heads`.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from _made import ROWS, make_files
from _measure import check_limit, machine

from labelgrid.basics.plugins import PluginChoice
from labelgrid.basics.progress import Silent
from labelgrid.data.dataset import Dataset
from labelgrid.data.layouts import nyud
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import TaskRow
from labelgrid.nets.network import Network
from labelgrid.operations import create
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.settings import Settings
from labelgrid.recipes.recipe import Recipe
from labelgrid.recipes.resolve import build_plugin, load_recipe
from labelgrid.rounds import fit, query, score
from labelgrid.rounds.context import ModelContext, tasks_of
from labelgrid.rounds.models import model_of, network_of, restore
from labelgrid.rounds.outputs import predicted_label
from labelgrid.select.strategy import Budget
from labelgrid.tasks.task import definitions
from labelgrid.train.checkpoint import load
from labelgrid.train.evaluation import evaluate, predictions
from labelgrid.train.loop import fit as train
from labelgrid.train.objective import fixed_weights, supervised_loss
from labelgrid.train.plan import Plan
from labelgrid.train.trained_model import TrainedModel

#: The most seconds of a round, milliseconds of scoring an image and of a prediction.
ROUND = 10.0
SCORING = 5.0
PREDICTION = 100.0
#: The most by which a metric may be worse: points of mIoU, and shares of others.
POINTS = 0.5
SHARE = 0.02
#: The size of made images, and of the image that is predicted.
MADE = (240, 320)
WHOLE = (480, 640)
#: The rounds in which the photographs of a comparison come; the steps and batch of the other side.
ROUNDS = 4
STEPS = 1000
BATCH = 8


def nyud_rows() -> tuple[TaskRow, ...]:
    return tuple(TaskRow(name, name, 1.0, dict(options)) for name, options in nyud.TASKS.items())


@dataclass(frozen=True)
class Files:
    """Images below `images`, some with labels below `labels`, of tasks."""

    folder: Path
    rows: Sequence[TaskRow]


def made_files(folder: Path, labelled: int, pool: int, size: tuple[int, int]) -> Files:
    make_files(folder, labelled, size, every=1)
    make_files(folder / "more", pool, size, seed=1, every=0)
    for path in sorted((folder / "more" / "images").iterdir()):
        path.rename(folder / "images" / f"pool-{path.name}")
    return Files(folder, ROWS)


def photographs(folder: Path, data: Path, labelled: int, pool: int) -> Files:
    """Frames of NYUv2; if the pool needs more than there are, mirrored ones, too."""
    import cv2

    source = nyud.build(data)
    tasks = definitions(nyud_rows())
    names = list(source.splits()["train"])
    for number in range(labelled + pool):
        name = names[number % len(names)]
        pixels = source.image(name)[:, :: (-1) ** (number // len(names)), ::-1]
        path = folder / "images" / f"{number:06d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), pixels)
        for task in tasks.values() if number < labelled else ():
            label = source.label(name, task)
            assert label is not None
            path = folder / "labels" / task.name / f"{number:06d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            task.write(path, label)
    return Files(folder, nyud_rows())


def made_project(
    files: Files, changes: Mapping[str, Any], *, weights: str, statistic: str
) -> ProjectFolder:
    strategy = PluginChoice("partal", {"statistic": statistic})
    settings = Settings(recipe="instant", strategy=strategy, changes=changes, weights=weights)
    project = create.create(
        files.folder / "project",
        [files.folder / "images"],
        tasks=list(files.rows),
        settings=settings,
        progress=Silent(),
    )
    import_labels(project, files.folder / "labels", accept=True)
    return project


def seconds(work: Callable[[], object]) -> float:
    """The processor seconds that work takes in this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def round_of(project: ProjectFolder, budget: int) -> dict[str, float]:
    """The processor seconds of each step of a round."""
    asked = Budget(budget, "labels")
    return {
        "fit": seconds(lambda: fit.fit(project, Silent())),
        "score": seconds(lambda: score.score(project, Silent())),
        "query": seconds(lambda: query.query(project, asked, Silent(), prelabels=False)),
    }


def prediction_of(project: ProjectFolder, size: tuple[int, int], repeats: int) -> float:
    """The processor milliseconds of the labels of an image that was never seen, without writing."""
    context, model = restore(project, model_of(project))
    rng = np.random.default_rng(5)
    tasks, declared = context.tasks, context.definitions
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        source = make_files(Path(folder), repeats + 1, size, seed=int(rng.integers(100)), every=0)
        for name in source.images():

            def predict(name: str = name) -> None:
                outputs = predictions(model, declared, source, [name], context.recipe.data)
                for _, raws, frame in outputs:
                    for task, raw in raws.items():
                        predicted_label(tasks[task], declared[task], raw, frame)

            taken.append(seconds(predict))
    return float(np.median(taken[1:])) * 1e3


def measure_round(options: argparse.Namespace, start: float) -> bool:
    changes: dict[str, Any] = {}
    if not options.weights:
        changes["backbone"] = {"pretrained": False}
    if options.tiny:
        changes = {
            "data": {"size": [32, 64]},
            "backbone": {"pretrained": False, "name": "test_efficientnet"},
            "train": {"steps": 4, "batch": 2},
        }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        if options.data:
            files = photographs(path, options.data, options.labelled, options.pool)
        else:
            files = made_files(path, options.labelled, options.pool, tuple(options.size))
        with made_project(
            files, changes, weights=options.weights, statistic=options.statistic
        ) as project:
            first = round_of(project, options.budget)
            second = round_of(project, options.budget)
            prediction = prediction_of(project, WHOLE, options.repeats)
    print(f"  start of the process: {start:.2f} s")
    for step, taken in second.items():
        print(f"  {step}: {taken:.2f} s; in the first round, which makes maps, {first[step]:.2f} s")
    made = sum(first.values()) - sum(second.values())
    images = f"{options.labelled} labelled and {options.pool} pool images"
    print(f"  making maps and network inputs: {made:.1f} s")
    holds = check_limit(f"fit, score and query, {images}", sum(second.values()), ROUND, "s")
    scoring = second["score"] / (options.labelled + options.pool) * 1e3
    holds &= check_limit("scoring an image", scoring, SCORING, "ms")
    return holds & check_limit("predicting 480×640", prediction, PREDICTION, "ms")


class Comparison:
    """Networks trained on the same photographs by the recipe, and as usual.

    Args:
        source: the photographs, split into train and test.
        rows: their tasks.
        folder: where maps are kept, and checkpoints.
        weights: the file of the backbone's weights; None: random ones.
        images: how many photographs each network learns.
        steps: the steps of the training as usual.
    """

    def __init__(
        self,
        source: Dataset,
        rows: Sequence[TaskRow],
        folder: Path,
        weights: Path | None,
        *,
        images: int,
        steps: int = STEPS,
    ) -> None:
        self.source = source
        self.folder = folder
        self.weights = weights
        self.images = images
        self.steps = steps
        self.declared = definitions(rows)
        self.splits = self.source.splits()

    def recipe(self, changes: Mapping[str, Any]) -> Recipe:
        """The recipe with changes, from the given weights or random ones."""
        backbone = {} if self.weights else {"pretrained": False}
        return load_recipe("instant", {"backbone": backbone, **changes})

    def by_recipe(self, seed: int) -> dict[str, float]:
        """The metrics after the last of the rounds, each continued from the one before."""
        recipe = self.recipe({})
        network = None
        for number in range(1, ROUNDS + 1):
            names = self.drawn(seed)[: self.images * number // ROUNDS]
            network = self.trained(recipe, seed, names, network)
        assert network is not None
        return self.measured(recipe, network)

    def as_usual(self, seed: int) -> dict[str, float]:
        """The metrics after one training of all photographs."""
        train = {"steps": self.steps, "batch": BATCH, "restart": True}
        recipe = self.recipe({"train": train, "objective": {"pixels": 0}})
        return self.measured(recipe, self.trained(recipe, seed, self.drawn(seed), None))

    def drawn(self, seed: int) -> list[str]:
        """The photographs of a seed, in the order in which they come."""
        order = np.random.default_rng(seed).permutation(len(self.splits["train"]))
        return [self.splits["train"][i] for i in order[: self.images]]

    def trained(
        self, recipe: Recipe, seed: int, names: Sequence[str], before: Network | None
    ) -> Network:
        """The network after a training on photographs, from scratch or from the one before."""
        context = ModelContext.of_training(
            recipe,
            self.declared,
            seed,
            encoders=self.folder / "encoders",
            features=self.folder / "features",
        )
        network = network_of(context, self.weights)
        if before is not None:
            network.load_state_dict(before.state_dict())
        weights = fixed_weights(context.tasks, recipe.objective)
        reduce = partial(supervised_loss, reduction=recipe.objective.reduction)
        every = frozenset(self.declared)
        plan = Plan(
            network=network,
            tasks=context.tasks,
            definitions=self.declared,
            source=self.source,
            train=sorted(names),
            val=[],
            data=recipe.data,
            options=recipe.train,
            objective=recipe.objective,
            balancer=build_plugin("balance", recipe.balance, weights, reduce),
            seed=seed,
            labels=dict.fromkeys(names, every),
            continued=before is not None,
        )
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            network.load_state_dict(load(train(plan, Path(folder), Silent())).counting)
        return network

    def measured(self, recipe: Recipe, network: Network) -> dict[str, float]:
        """The headline metrics on the test split."""
        result = evaluate(
            TrainedModel(network=network),
            tasks_of(recipe, self.declared),
            self.declared,
            self.source,
            list(self.splits["test"]),
            recipe.data,
            recipe.objective,
        )
        values = {}
        for name, task in self.declared.items():
            figure = result.metrics[name][task.headline]
            values[f"{name} {figure.name}, {figure.unit}"] = figure.value
        return values


def compare(options: argparse.Namespace) -> bool:
    """Print the metrics of both sides, means over seeds, beside their bars."""
    sides: dict[str, list[dict[str, float]]] = {"instant": [], "usual": []}
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(options.weights) if options.weights else None
        comparison = Comparison(
            nyud.build(options.data),
            nyud_rows(),
            Path(folder),
            weights,
            images=options.labelled,
            steps=options.steps,
        )
        for seed in range(options.seed, options.seed + options.quality):
            for name, side in (("instant", comparison.by_recipe), ("usual", comparison.as_usual)):
                start = time.process_time()
                sides[name].append(side(seed))
                words = ", ".join(f"{key} {value:.4g}" for key, value in sides[name][-1].items())
                print(
                    f"  seed {seed}, {name}: {words} ({time.process_time() - start:.0f} s)",
                    flush=True,
                )
    holds = True
    for key in sides["usual"][0]:
        ours = [values[key] for values in sides["instant"]]
        theirs = [values[key] for values in sides["usual"]]
        difference = mean(ours) - mean(theirs)
        print(f"  {key}: {mean(ours):.4g}, as usual {mean(theirs):.4g}")
        if key.startswith("semseg"):
            holds &= check_limit(f"{key}, points lost", -difference, POINTS, "points")
        elif key.startswith("depth"):
            holds &= check_limit(f"{key}, worse by", difference / mean(theirs), SHARE, "")
    return holds


def main(words: list[str] | None = None) -> int:
    start = time.process_time()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labelled", type=int, default=100)
    parser.add_argument("--pool", type=int, default=1000)
    parser.add_argument("--size", type=int, nargs=2, default=MADE, help="of made images")
    parser.add_argument("--budget", type=int, default=40, help="labels asked for in a round")
    parser.add_argument("--statistic", default="dropout", help="by which PartAL picks")
    parser.add_argument("--repeats", type=int, default=9, help="of the prediction")
    parser.add_argument("--data", type=Path, help="NYUv2, layout nyud, instead of made images")
    parser.add_argument("--weights", default="", help="of mobilenetv2_100; otherwise random ones")
    parser.add_argument("--quality", type=int, default=0, help="seeds of the comparison")
    parser.add_argument("--seed", type=int, default=0, help="the first of them")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the training as usual")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tiny", action="store_true", help="a tiny network")
    options = parser.parse_args(words)
    torch.set_num_threads(options.threads)
    print(machine())
    if options.quality:
        return 0 if compare(options) else 1
    return 0 if measure_round(options, start) else 1


if __name__ == "__main__":
    raise SystemExit(main())
