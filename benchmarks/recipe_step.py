"""Measures a training step of recipes at their own size and batch: 32 bits, bf16, and both with weights channels-first.

With `--compile`, in place of these: 32 bits and bf16, both also with a compiled encoder.

Each side is the package's trainer with the recipe's network, terms and losses on NYUv2's three
tasks, made images of which half of the labels are there, and random weights. Reading is not
measured. A step that does not fit into the GPU's memory is said so.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

import torch
from _made import make_files, network_of, recipe, task_definitions
from _measure import Times, add_row, check_limit, interleaved, machine

from labelgrid.basics.progress import Silent
from labelgrid.data.batch import Batch
from labelgrid.data.layouts.folder import FolderDataset
from labelgrid.data.loader import train_batch
from labelgrid.recipes.recipe import PluginChoice, Recipe
from labelgrid.recipes.resolve import build_plugin
from labelgrid.tasks.task import build_all
from labelgrid.train.objective import fixed_weights, supervised_loss
from labelgrid.train.plan import Plan
from labelgrid.train.trainer import Trainer


@dataclass(frozen=True)
class Side:
    """One way to compute a step.

    Args:
        precision: of the training.
        layout: of the weights.
        compile: whether torch compiles the encoder.
    """

    precision: str
    layout: torch.memory_format = torch.channels_last
    compile: bool = False


PLAIN = {"32 bits": Side("32-true"), "bf16": Side("bf16-mixed")}
SIDES = {
    **PLAIN,
    "32 bits, channels-first": Side("32-true", torch.contiguous_format),
    "bf16, channels-first": Side("bf16-mixed", torch.contiguous_format),
}
COMPILED = {
    **PLAIN,
    "32 bits, compiled": Side("32-true", compile=True),
    "bf16, compiled": Side("bf16-mixed", compile=True),
}
#: The ratios that are reported: what, its side, and the side that it is compared with.
RATIOS = (
    ("bf16 / 32 bits", "bf16", "32 bits"),
    ("32 bits: channels-last / channels-first", "32 bits", "32 bits, channels-first"),
    ("bf16: channels-last / channels-first", "bf16", "bf16, channels-first"),
    ("32 bits: compiled / not", "32 bits, compiled", "32 bits"),
    ("bf16: compiled / not", "bf16, compiled", "bf16"),
)


@dataclass(frozen=True)
class Job:
    """The settings of one recipe's measurement."""

    name: str
    recipe: Recipe
    source: FolderDataset
    device: str
    sides: Mapping[str, Side]


def trainer_of(job: Job, side: Side) -> Trainer:
    """The trainer of one side."""
    settings = job.recipe
    definitions = task_definitions()
    tasks = build_all(definitions, settings.objective.losses)
    network = network_of(tasks, of=settings).to(memory_format=side.layout).train()
    terms = {}
    for name, options in settings.terms.items():
        terms[name] = build_plugin("terms", PluginChoice(name, options), tasks, network)
    reduce = partial(supervised_loss, reduction=settings.objective.reduction)
    weights = fixed_weights(tasks, settings.objective)
    plan = Plan(
        network=network,
        tasks=tasks,
        definitions=definitions,
        source=job.source,
        train=job.source.images(),
        val=[],
        data=settings.data,
        options=replace(
            settings.train,
            device=job.device,
            precision=side.precision,
            compile=side.compile,
            workers=0,
        ),
        objective=settings.objective,
        balancer=build_plugin("balance", settings.balance, weights, reduce),
        seed=0,
        terms=terms,
    )
    return Trainer(plan)


def wait(device: str) -> None:
    """Wait until the GPU has done its work."""
    if device == "cuda":
        torch.cuda.synchronize()


def step_of(trainer: Trainer, batch: Batch, device: str) -> Callable[[], None]:
    """A step of a trainer, to its end."""

    def run() -> None:
        trainer.train_step(batch, 0)
        wait(device)

    return run


def peak_of(step: Callable[[], None], device: str) -> float:
    """The MiB of the GPU that a step takes beside weights and batches; 0 without a GPU."""
    if device != "cuda":
        return 0.0
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def sides_of(job: Job, folder: Path) -> tuple[dict[str, Callable[[], None]], dict[str, float]]:
    """The steps of the sides that fit, after their first steps, and the memory that these took."""
    steps = {}
    peaks = {}
    ids = list(job.source.images())
    batch = train_batch(job.source, task_definitions(), ids, job.recipe.data, seed=0, soft={}).to(
        job.device
    )
    for name, side in job.sides.items():
        try:
            trainer = trainer_of(job, side)
            trainer.prepare(folder / name, Silent(), resumed=False)
            step = step_of(trainer, batch, job.device)
            step()
            peaks[name] = peak_of(step, job.device)
            steps[name] = step
        except torch.cuda.OutOfMemoryError:
            print(f"  {name}: does not fit into the GPU's memory")
            add_row(f"a step of `{job.name}`, {name}", "reported", "does not fit")
    return steps, peaks


def repeats_within(steps: dict[str, Callable[[], None]], seconds: float, most: int) -> int:
    """How often all steps can be repeated in so many seconds: once at least, `most` times at most."""
    if most == 1:
        return 1
    start = time.perf_counter()
    for step in steps.values():
        step()
    once = time.perf_counter() - start
    return max(1, min(most, int(seconds / once)))


def show_job(job: Job, times: dict[str, Times], peaks: dict[str, float]) -> bool:
    """Print the figures of a recipe; return whether its own precision is as fast as 32 bits."""
    height, width = job.recipe.data.size
    batch = job.recipe.train.batch
    for name, side_times in times.items():
        seconds = median(side_times.wall)
        text = f"{seconds * 1e3:.1f} ms, {batch / seconds:.1f} images/s, {peaks[name]:.0f} MiB"
        print(f"  {name:26} {text}")
        claim = f"a step of `{job.name}`, {batch} × {height}×{width}, {name}"
        add_row(claim, "reported", text)
    for claim, side, other in RATIOS:
        if side in times and other in times:
            ratio = times[side].over(times[other])
            print(f"  {claim}: {ratio:.3g} x")
            add_row(f"`{job.name}`, {claim}", "reported", f"{ratio:.2f} ×")
    if job.recipe.train.precision != "bf16-mixed" or not {"bf16", "32 bits"} <= times.keys():
        return True
    faster = times["bf16"].over(times["32 bits"])
    return check_limit(f"`{job.name}`, its bf16 / 32 bits", faster, 1.0)


def main(words: list[str] | None = None) -> int:
    """Print the figures of each recipe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipes", nargs="+", default=["gpu", "gpu-convnext"])
    parser.add_argument(
        "--input", type=int, nargs=2, help="height and width; default: the recipe's"
    )
    parser.add_argument("--batch", type=int, default=0, help="0: the recipe's")
    parser.add_argument("--repeats", type=int, default=15, help="at most")
    parser.add_argument("--seconds", type=float, default=20, help="a recipe, after two steps")
    parser.add_argument("--compile", action="store_true", help="measure compiled encoders")
    parser.add_argument("--tiny", action="store_true", help="small networks, as a trial")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    options = parser.parse_args(words)
    print(machine())
    holds = []
    for name in options.recipes:
        settings = recipe(name=name, tiny=options.tiny)
        size = tuple(options.input or settings.data.size)
        batch = options.batch or settings.train.batch
        settings = replace(
            settings,
            data=replace(settings.data, size=size),
            train=replace(settings.train, batch=batch),
        )
        print(f"{name}: {batch} images of {size[0]}x{size[1]}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            source = make_files(Path(folder, "made"), batch, size)
            sides = COMPILED if options.compile else SIDES
            job = Job(name, settings, source, options.device, sides)
            steps, peaks = sides_of(job, Path(folder))
            if not steps:
                continue
            repeats = repeats_within(steps, options.seconds, options.repeats)
            times = interleaved(steps, repeats)
        holds.append(show_job(job, times, peaks))
        del steps
        if options.device == "cuda":
            torch.cuda.empty_cache()
    return 0 if all(holds) else 1


if __name__ == "__main__":
    raise SystemExit(main())
