"""Compares a training step with the term `relation` (normals from predicted depth) to one without.

Both sides are the package's trainer with the recipe `small` and equal weights, on the same batches:
made images of which half of the labels are there. Reading is not measured.
"""

import argparse
import copy
import tempfile
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import torch
from _made import make_files, network_of, recipe, task_definitions
from _measure import check_limit, interleaved, machine, show
from training_step import plan_of

from labelgrid.basics.progress import Silent
from labelgrid.data.layouts.folder import FolderDataset, build
from labelgrid.data.loader import train_batches
from labelgrid.relations.bound import RelationChoice, bind
from labelgrid.tasks.task import build_all
from labelgrid.train.terms import relation
from labelgrid.train.trainer import Trainer

BAR = 1.1


def sides_of(source: FolderDataset, folder: Path, network: str) -> tuple[Trainer, Trainer]:
    """A trainer with the term, and one without."""
    tasks = build_all(task_definitions())
    plan = plan_of(network_of(tasks, name=network).train(), source, 0, recipe().train.known)
    bound = bind("depth_normals", RelationChoice(trust=1.0), task_definitions())
    term = relation.build(tasks, plan.network, relation.Options())
    other = replace(
        plan,
        network=copy.deepcopy(plan.network),
        terms={"relation": term},
        relations=[bound],
    )
    trainer = Trainer(other)
    trainer.prepare(folder, Silent(), resumed=False)
    assert term.relations
    return trainer, Trainer(plan)


def main() -> int:
    """Print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--size", type=int, nargs=2, help="height and width; default: the recipe's")
    parser.add_argument("--network", default="", help="default: the recipe's")
    parser.add_argument("--repeats", type=int, default=25)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    settings = recipe()
    size = tuple(options.size or settings.data.size)
    data = replace(settings.data, size=size)
    batch = min(settings.train.batch, options.images)
    print(machine())
    print(f"{batch} images of {size[0]}x{size[1]}")
    with tempfile.TemporaryDirectory() as folder:
        make_files(Path(folder, "made"), options.images, size)
        Path(folder, "made", "camera.toml").write_text("field_of_view = 66.0\n", encoding="utf-8")
        source = build(Path(folder, "made"))
        batches = list(
            train_batches(
                source,
                task_definitions(),
                source.images(),
                data,
                batch=batch,
                seed=0,
                epoch=0,
            )
        )
        mine, other = sides_of(source, Path(folder, "term"), options.network)
        ours = cycle(batches)
        its = cycle(batches)
        times = interleaved(
            {
                "with the term": lambda: mine.train_step(next(ours), 0),
                "without": lambda: other.train_step(next(its), 0),
            },
            options.repeats,
        )
    show(times)
    wall = times["with the term"].over(times["without"])
    print(f"  (wall time: {wall:.3g})")
    work = times["with the term"].work_over(times["without"])
    claim = "a step with the relation term / without, processor time"
    return 0 if check_limit(claim, work, BAR) else 1


if __name__ == "__main__":
    raise SystemExit(main())
