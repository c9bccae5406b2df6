"""Compares the time of D dropout passes with that of one plain forward pass.

The reference is one plain forward pass (encoder and decoder) of the same batch. The naive baseline
runs D whole forward passes with the network's own dropout, keeps all samples, then computes the
entropies of PartAL A.1. The network is the small recipe's with random weights. The last parts
compare one pass with all statistics with one pass each, and score files from disk: a pool without
labels, small and large files, and one with every second label, which is fed in. They compare this
with a loop over the same files that only reads them, with the labels that the pool has, and runs
the network once. `--command` compares with it what `labelgrid score --strategy partal` does once it
is loaded, in a project with a trained network in which every fourth image has all labels: opening
the model, PartAL's scores, and the features of all images, which explain picks.
"""

import argparse
import math
import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from _made import ROWS, make_files, network_of, recipe, task_definitions
from _measure import check_limit, interleaved, machine, show
from torch import Tensor
from torch.nn import functional

from labelgrid.basics.plugins import names as plugin_names
from labelgrid.basics.progress import Silent
from labelgrid.basics.streams import image_key
from labelgrid.data.batch import Batch
from labelgrid.data.dataset import labels_of
from labelgrid.data.layouts.folder import FolderDataset
from labelgrid.data.loader import eval_batches
from labelgrid.imports.import_labels import import_labels
from labelgrid.nets.encoder_options import Where
from labelgrid.nets.keyed_dropout import ChannelDropout
from labelgrid.nets.network import Network
from labelgrid.operations import create
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.settings import Settings
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.recipes.resolve import build_plugin
from labelgrid.rounds.fit import fit
from labelgrid.rounds.models import model_of, restore
from labelgrid.rounds.score import score as score_project
from labelgrid.score.pool import ScoringJob, gather, pool_batches
from labelgrid.score.statistic import PoolBatch, Statistic, TrainedStatistic
from labelgrid.score.statistics.dropout import Dropout, Options
from labelgrid.score.statistics.ensemble import Ensemble
from labelgrid.tasks.task import Task, build_all
from labelgrid.train.trained_model import TrainedModel

#: Limits: dropout passes over one forward pass; scoring files over reading them and one forward
#: pass.
BAR = 1.2
DEFAULT = 2.0
#: The networks of the deep ensemble, the first one included.
MEMBERS = 4


def naive(network: Network, batch: Batch, passes: int, where: Where, original: bool) -> np.ndarray:
    """Mean uncertainties [b, t] of D whole passes with all samples kept."""
    for module in network.modules():
        if isinstance(module, ChannelDropout):
            module.train(module.stage == "final" or where == "heads")
    samples: dict[str, list[Tensor]] = {}
    for _ in range(passes):
        for name, raw in network(batch.images, batch.targets or None).final.items():
            samples.setdefault(name, []).append(raw)
    network.eval()
    means = {
        name: [
            mean_entropy(name, raws, batch=batch, image=i, original=original)
            for i in range(len(batch.ids))
        ]
        for name, raws in samples.items()
    }
    return np.array(list(means.values())).T


def mean_entropy(name: str, raws: list[Tensor], batch: Batch, image: int, original: bool) -> float:
    """The mean entropy of one image's samples of a task (PartAL eq. 3 and 4)."""
    stack = torch.stack([raw[image] for raw in raws])
    if original:
        stack = functional.interpolate(
            stack, batch.frames[image].original, mode="bilinear", align_corners=False
        )
    if name == "semseg":
        mean = stack.softmax(1).mean(0)
        return float(-(mean * mean.clamp(min=1e-30).log()).sum(0).mean())
    if name == "depth":
        return float(
            (0.5 * stack.var(0, correction=0).clamp(min=1e-6).log()).mean()
            + 0.5 * math.log(2 * math.pi * math.e)
        )
    centred = functional.normalize(stack, dim=1)
    centred = centred - centred.mean(0)
    covariance = torch.einsum("dihw,djhw->hwij", centred, centred) / len(stack) + 1e-6 * torch.eye(
        3
    )
    return float(0.5 * torch.logdet(covariance).mean() + 1.5 * math.log(2 * math.pi * math.e))


def of_a_batch(
    network: Network, tasks: dict[str, Task], batch: Batch, options: argparse.Namespace
) -> bool:
    """Compare the statistic of one batch at all dropout positions and resolutions."""
    keys = np.array([image_key(name) for name in batch.ids], np.uint64)

    def ours(where: Where, original: bool) -> np.ndarray:
        statistic = Dropout(
            Options(passes=options.passes, where=where, at="original" if original else "head"), 0
        )
        return statistic(
            PoolBatch(
                batch=batch,
                keys=keys,
                features=network.encode(batch.images),
                model=TrainedModel(network=network),
                tasks=tasks,
            )
        )

    sides = {
        "plain forward": lambda: network(batch.images, batch.targets or None),
        f"final, head resolution, D={options.passes}": lambda: ours("final", False),
        f"heads, head resolution, D={options.passes}": lambda: ours("heads", False),
        f"naive final, head resolution, D={options.passes}": lambda: naive(
            network, batch, passes=options.passes, where="final", original=False
        ),
    }
    times = interleaved(sides, options.repeats)
    show(times)
    plain, final, heads, first = times.values()
    print(f"  (processor: final / plain {final.work_over(plain):.3g})")
    kept = check_limit("dropout in the final heads / one plain forward", final.over(plain), BAR)
    print(f"dropout in the final heads: {first.over(final):.3g} x faster than naive passes")
    print(f"dropout in both stages (encoder once) / one plain forward: {heads.over(plain):.3g} x")
    sides = {
        "final, original size": lambda: ours("final", True),
        "naive final, original size": lambda: naive(
            network, batch, passes=options.passes, where="final", original=True
        ),
    }
    times = interleaved(sides, max(1, options.repeats // 5))
    show(times)
    ours_full, naive_full = times.values()
    print(f"original size: naive / ours {naive_full.over(ours_full):.3g} x")
    return kept


def predict_only(
    network: Network, source: FolderDataset, names: Sequence[str], known: bool
) -> None:
    """A plain loop over the files, as in an evaluation: load, forward."""
    labels = partial(labels_of, source, task_definitions()) if known else None
    with torch.inference_mode():
        for batch in eval_batches(
            source, task_definitions(), names, recipe().data, batch=8, known_labels=labels
        ):
            network(batch.images, batch.targets or None)


def score(
    network: Network,
    tasks: dict[str, Task],
    source: FolderDataset,
    names: list[str],
    given: Options,
) -> None:
    """The whole path from files to the score table."""
    job = ScoringJob(
        model=TrainedModel(network=network),
        tasks=tasks,
        definitions=task_definitions(),
        source=source,
        data=recipe().data,
        statistics={"dropout": Dropout(given, 0)},
        stamp={},
    )
    with tempfile.TemporaryDirectory() as folder:
        gather(job, names, Path(folder), Silent())


def together(
    network: Network, tasks: dict[str, Task], source: FolderDataset, options: argparse.Namespace
) -> None:
    """Compare one pass over files with all statistics with one pass each.

    Their own modules, the ensemble's further networks and the term of `learning_loss` have random
    weights.
    """
    statistics: dict[str, Statistic] = {
        name: build_plugin("statistics", PluginChoice(name), 0)
        for name in plugin_names("statistics")
    }
    names = source.images()
    data = recipe().data
    members = tuple(
        TrainedModel(network=network_of(tasks, seed).eval(), digest=str(seed))
        for seed in range(1, MEMBERS)
    )
    term = build_plugin("terms", PluginChoice("learning_loss"), tasks, network)
    model = TrainedModel(network=network, terms={"learning_loss": term.eval()}, members=members)
    cast("Ensemble", statistics["ensemble"]).digests = [member.digest for member in members]

    def job_of(some: dict[str, Statistic]) -> ScoringJob:
        return ScoringJob(
            model=model,
            tasks=tasks,
            definitions=task_definitions(),
            source=source,
            data=data,
            statistics=some,
            stamp={},
        )

    def run(some: dict[str, Statistic]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            gather(job_of(some), names, Path(folder), Silent())

    for statistic in statistics.values():
        if isinstance(statistic, TrainedStatistic):
            statistic.setup(next(pool_batches(job_of({}), names[:1])))
            statistic.eval()

    sides = {"all statistics in one pass": lambda: run(statistics)}
    sides |= {
        f"{name} alone": lambda name=name: run({name: statistics[name]}) for name in statistics
    }  # type: ignore[misc]
    sides["files and forward"] = lambda: predict_only(network, source, names, True)
    times = interleaved(sides, max(1, options.repeats // 5))
    show(times)
    once, *alone, plain = times.values()
    wall = sum(side.over(once) for side in alone)
    work = sum(side.work_over(once) for side in alone)
    print(
        f"{len(statistics)} statistics one after the other / in one pass: {wall:.3g} x (processor {work:.3g} x)"
    )
    for name, side in zip(statistics, alone, strict=True):
        print(
            f"  {name} / files and forward: {side.over(plain):.3g} x (processor {side.work_over(plain):.3g} x)"
        )


def of_files(
    network: Network,
    tasks: dict[str, Task],
    source: FolderDataset,
    options: argparse.Namespace,
    *,
    known: bool = False,
) -> bool:
    """Compare scoring of files with a loop that only reads them and runs the network once.

    `known`: the pool has labels, which both sides read and feed in.
    """
    names = list(source.images())
    height, width = source.image(names[0]).shape[:2]
    plain = f"read and forward, {height}x{width}{', every second label' if known else ''}"
    sides = {
        plain: lambda: predict_only(network, source, names, known),
        "score by default": lambda: score(
            network, tasks, source=source, names=names, given=Options(passes=options.passes)
        ),
        "score at the heads": lambda: score(
            network,
            tasks,
            source=source,
            names=names,
            given=Options(passes=options.passes, at="head"),
        ),
    }
    if height * width <= 2**20:  # a large image takes minutes
        papers = Options(passes=options.passes, at="original")
        sides["score at original size"] = lambda: score(
            network, tasks, source=source, names=names, given=papers
        )
    times = interleaved(sides, max(1, options.repeats // 5))
    show(times)
    first = times.pop(plain)
    for side, side_times in times.items():
        print(
            f"  {side} / {plain}: {side_times.over(first):.3g} x (processor {side_times.work_over(first):.3g} x)"
        )
    return check_limit(
        f"scoring by default / {plain}", times["score by default"].over(first), DEFAULT
    )


def make_project(folder: Path, count: int, size: tuple[int, int]) -> Path:
    """A project of images with every second label, every fourth with all, and a trained network."""
    files = folder / "files"
    make_files(files, count, size)
    make_files(folder / "whole", count, size, every=1)
    for task in ROWS:
        for number in range(0, count, 4):
            name = Path("labels", task.name, f"{number:06d}.png")
            shutil.copy(folder / "whole" / name, files / name)
    made = folder / "project"
    images = [files / "images"]
    with create.create(
        made,
        images,
        tasks=list(ROWS),
        settings=Settings(),
        progress=Silent(),
        check="none",
    ) as project:
        import_labels(project, files / "labels", accept=True)
        changes = {"train": {"steps": 1, "workers": 0}, "backbone": {"pretrained": False}}
        fit(project, Silent(), changes=changes)
    return made


def of_command(folder: Path, options: argparse.Namespace) -> bool:
    """Compare scoring a project, as the command does, with reading its pool and one forward pass."""
    made = make_project(folder, options.images, tuple(options.original))
    with ProjectFolder.open(made) as project, torch.inference_mode():
        context, model = restore(project, model_of(project))
        grid = project.store.grid()
        names = [str(grid.images[row]) for row in np.flatnonzero(grid.eligible.any(1))]
        labels = partial(labels_of, context.source, context.definitions)

        def plain(known: bool) -> None:
            for batch in eval_batches(
                context.source,
                context.definitions,
                names,
                context.recipe.data,
                batch=8,
                known_labels=labels if known else None,
            ):
                model.network(batch.images, batch.targets or None)

        def command() -> None:
            for scores in made.glob("rounds/*/scores"):
                shutil.rmtree(scores)
            score_project(project, Silent(), "partal")

        sides = {
            "read images and labels, forward": lambda: plain(True),
            "read images, forward": lambda: plain(False),
            "labelgrid score --strategy partal": command,
        }
        times = interleaved(sides, options.repeats)
    show(times)
    known, bare, ours = times.values()
    print(f"  {len(names)} of {options.images} images lack a label")
    print(
        f"  / reading images, forward: {ours.over(bare):.3g} x (processor {ours.work_over(bare):.3g} x)"
    )
    print(f"  wall time / reading images and labels, forward: {ours.over(known):.3g} x")
    return check_limit(
        "PartAL by the command / reading and one forward pass, processor",
        ours.work_over(known),
        DEFAULT,
    )


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passes", type=int, default=10)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--images", type=int, default=32, help="files of the last part")
    parser.add_argument(
        "--original", type=int, nargs=2, default=(480, 640), help="height and width of the files"
    )
    parser.add_argument(
        "--large", type=int, nargs=2, default=(4000, 6000), help="of the two large files"
    )
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--only-files", action="store_true", help="only score files")
    parser.add_argument("--command", action="store_true", help="only score a project")
    parser.add_argument("--threads", type=int, default=0, help="0: torch's default")
    options = parser.parse_args(words)
    torch.set_num_threads(options.threads or torch.get_num_threads())
    print(machine())
    if options.command:
        with tempfile.TemporaryDirectory() as folder:
            return 0 if of_command(Path(folder), options) else 1
    tasks = build_all(task_definitions())
    network = network_of(tasks).eval()
    kept = True
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        source = make_files(
            Path(folder), max(options.images, options.batch), tuple(options.original)
        )
        names = source.images()[: options.batch]
        for known in () if options.only_files else (False, True):
            labels = partial(labels_of, source, task_definitions()) if known else None
            print("every second label fed in" if known else "no label known")
            (batch,) = eval_batches(
                source,
                task_definitions(),
                names,
                recipe().data,
                batch=options.batch,
                known_labels=labels,
            )
            kept &= of_a_batch(network, tasks, batch, options)
        bare = make_files(
            Path(folder, "bare"), len(source.images()), tuple(options.original), every=0
        )
        kept &= of_files(network, tasks, bare, options)
        kept &= of_files(network, tasks, source, options, known=True)
        if not options.only_files:
            together(network, tasks, source, options)
        large = make_files(Path(folder, "large"), 2, tuple(options.large), every=0)
        kept &= of_files(network, tasks, large, options)
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
