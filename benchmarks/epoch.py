"""Where the time of one training epoch goes, on one process: reading files, transforms, and the parts of a step.

The step is the bare loop of `training_step`. Two ratios: what reading and transforms take of the
epoch without workers, and how long images and labels take to decode, against reading them from the
memory-mapped cache (`[train] cache`).

On a CPU the seconds are of processor time; on a GPU (`--device cuda`) of wall time, each part
waiting for the GPU.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

import torch
from _made import make_files, network_of, recipe, task_definitions
from _measure import add_row, check_limit, machine
from training_step import Bare

from labelgrid.basics.progress import Silent
from labelgrid.basics.streams import stream
from labelgrid.data.batch import Batch, Item, collate
from labelgrid.data.cache import cache_source
from labelgrid.data.dataset import Source, labels_of
from labelgrid.data.transforms import Example, augment
from labelgrid.recipes.recipe import Recipe
from labelgrid.tasks.task import build_all

READING = ("decode images", "decode labels", "transform", "collate")
#: The least that the cache must save, as a ratio.
BAR = 3.0


def gpu_clock() -> float:
    """Wall time, once the GPU has done its work."""
    torch.cuda.synchronize()
    return time.perf_counter()


class Profile:
    """Seconds by part of an epoch."""

    def __init__(self, device: str) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.clock = time.process_time if device == "cpu" else gpu_clock

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add what the block takes to a part."""
        start = self.clock()
        yield
        self.seconds[name] += self.clock() - start


def read(
    source: Source, image_ids: list[str], *, settings: Recipe, epoch: int, profile: Profile
) -> Batch:
    """A batch for training."""
    tasks = task_definitions()
    options = settings.data
    items = []
    for image_id in image_ids:
        with profile.part("decode images"):
            image = source.image(image_id)
            image.sum()  # so that all of a memory-mapped image is read
        with profile.part("decode labels"):
            labels = labels_of(source, tasks, image_id)
            _ = [label.value.sum() for label in labels.values()]
        with profile.part("transform"):
            view = augment(
                Example(image, labels), tasks, options, stream(0, "augment", epoch, image_id)
            )
        items.append(
            Item(id=image_id, image=view.image, labels=view.labels, weights=[1.0] * len(tasks))
        )
    with profile.part("collate"):
        return collate(items, tasks, options)


def step(bare: Bare, batch: Batch, profile: Profile, *, half: bool) -> None:
    """A step of training; `half`: in bf16."""
    device = batch.images.device.type
    with profile.part("network forward"), torch.autocast(device, torch.bfloat16, enabled=half):
        output = bare.network(batch.images, bare.fed_in(batch.targets))
    with profile.part("losses"), torch.autocast(device, torch.bfloat16, enabled=half):
        loss = sum(bare.loss(raws, batch.targets) for raws in (output.final, *output.initial))
    with profile.part("backward"):
        bare.optimiser.zero_grad(set_to_none=True)
        loss.backward()
    with profile.part("optimiser"):
        bare.optimiser.step()


def epoch(source: Source, bare: Bare, number: int, *, settings: Recipe, device: str) -> Profile:
    """The profile of one epoch over all images."""
    profile = Profile(device)
    names = list(source.images())
    size = settings.train.batch
    for start in range(0, len(names) - size + 1, size):
        chosen = names[start : start + size]
        batch = read(source, chosen, settings=settings, epoch=number, profile=profile)
        with profile.part("to the device"):
            batch = batch.to(device)
        step(bare, batch, profile, half=settings.train.precision == "bf16-mixed")
    return profile


def show_shares(title: str, runs: list[Profile]) -> dict[str, float]:
    """Print each part's median seconds and its share; return the seconds."""
    seconds = {name: median(run.seconds[name] for run in runs) for name in runs[0].seconds}
    total = sum(seconds.values())
    print(f"{title}:")
    for name, value in seconds.items():
        print(f"  {name:20} {value:8.3f} s  {value / total:6.1%}")
    parts = ", ".join(f"{name} {value / total:.1%}" for name, value in seconds.items())
    add_row(f"an epoch {title}", "reported", f"{total:.3g} s: {parts}")
    return seconds


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument(
        "--size", type=int, nargs=2, default=(480, 640), help="height and width of the files"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--recipe", default="small", help="of three tasks")
    parser.add_argument("--network", default="", help="instead of the recipe's")
    parser.add_argument(
        "--input", type=int, nargs=2, help="height and width in training; default: the recipe's"
    )
    parser.add_argument("--tiny", action="store_true", help="a small network, as a trial")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    options = parser.parse_args(words)
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        source = make_files(Path(folder), options.images, tuple(options.size), every=1)
        settings = recipe(options.network, options.recipe, tiny=options.tiny)
        size = tuple(options.input or settings.data.size)
        settings = replace(settings, data=replace(settings.data, size=size))
        network = network_of(build_all(task_definitions()), of=settings).to(options.device).train()
        train = settings.train
        bare = Bare(network, train.learning_rate, train.weight_decay, train.known)
        measured = partial(epoch, bare=bare, settings=settings, device=options.device)
        with cache_source(
            source,
            task_definitions(),
            image_ids=source.images(),
            limit=2**34,
            folder=Path(folder),
            progress=Silent(),
        ) as quickly:
            measured(quickly, number=0)  # to warm up
            from_files = []
            cached = []
            for number in range(1, options.repeats + 1):
                from_files.append(measured(source, number=number))
                cached.append(measured(quickly, number=number))
    plain = show_shares("from files", from_files)
    quick = show_shares("decoded images and labels cached", cached)
    fraction = sum(plain[name] for name in READING) / sum(plain.values())
    print(f"  reading and transforms without workers: {fraction:.1%} of an epoch")
    decoding, cache = (sum(seconds[name] for name in READING[:2]) for seconds in (plain, quick))
    return (
        0 if check_limit("decoding / reading the cache", decoding / cache, BAR, least=True) else 1
    )


if __name__ == "__main__":
    raise SystemExit(main())
