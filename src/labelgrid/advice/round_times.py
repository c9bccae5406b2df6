"""Measures the time of a round on this machine, and names a fitting recipe."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch

from labelgrid.basics.errors import command
from labelgrid.basics.progress import Progress, Silent
from labelgrid.basics.shown import Shown, table
from labelgrid.basics.type_names import Size
from labelgrid.basics.words import duration
from labelgrid.data.dataset import WrappedImages
from labelgrid.formats.codec import LabelArray
from labelgrid.ledger.grid import Cell
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.settings import RECIPE
from labelgrid.recipes.resolve import build_plugin, chain, load_recipe, recipe_files
from labelgrid.relations.bound import declared_relations
from labelgrid.rounds.context import RoundContext, context_for_recipe, recipe_of
from labelgrid.rounds.models import network_of, terms_of
from labelgrid.rounds.round_scores import strategy_of
from labelgrid.tasks.task import TaskDef
from labelgrid.train.evaluation import predictions
from labelgrid.train.objective import fixed_weights, supervised_loss
from labelgrid.train.plan import Plan
from labelgrid.train.trained_model import TrainedModel
from labelgrid.train.trainer import Trainer

#: A recipe fits whose round takes at most these seconds.
LONGEST = 900.0
#: So many steps are timed after a first one, or as many as begin within these seconds.
STEPS = 4
SECONDS = 4.0
#: Steps for each kept view of the images, after which nearly all of their maps are made.
PASSES = 4
#: The number of images that a network predicts.
PREDICTED = 4
#: The precision of recipes that run on any machine.
ANY_MACHINE = "32-true"


@dataclass(frozen=True, kw_only=True)
class RecipeTime:
    """How long a round with a recipe takes.

    Args:
        recipe: its name; with `changes`, that of the project.
        size: the height and width of the network's input.
        steps: the optimiser steps of a training with every label of the pool.
        step_seconds: the time of a step, with reading its images in this process.
        image_seconds: the time to read and predict an image.
        seconds: the time of a round: the training, and one prediction of each image that is
            measured or scored. Some strategies predict more often.
        memory: the most bytes that a step had allocated on the GPU; None on a CPU.
        terms: the recipe's terms; their time in a step counts, their preparation does not.
        maps_seconds: the time to make the maps of a frozen encoder, once and not in every round; 0
            if none are kept.
    """

    recipe: str
    size: Size
    steps: int
    step_seconds: float
    image_seconds: float
    seconds: float
    memory: int | None
    terms: Sequence[str]
    maps_seconds: float = 0.0


@dataclass(frozen=True, kw_only=True, repr=False)
class RoundTimes(Shown):
    """How long rounds take on this machine.

    Args:
        times: the project's recipe first, then the shipped ones.
        fits: the largest recipe with the network to start with whose round takes at most 15
            minutes, or else the fastest; a frozen encoder only if it is the project's.
        for_gpu: the shipped recipes that need a GPU, which this machine lacks.
    """

    times: Sequence[RecipeTime]
    fits: str
    for_gpu: Sequence[str]

    def sentence(self, folder: Path) -> str:
        """The recipe that fits; else the number of steps for the project's recipe to fit.

        Args:
            folder: the folder of the project, for the command.
        """
        (best,) = (timing for timing in self.times if timing.recipe == self.fits)
        if best.seconds <= LONGEST:
            return f"Fits: {best.recipe}."
        takes = f"{best.recipe} is the fastest, with {duration(best.seconds)}."
        text = f"Fits: none in {duration(LONGEST)}; {takes}"
        steps = _steps_within(LONGEST, best)
        if best != self.times[0] or not steps:
            return text
        words = ("--set", f"train.steps={steps}", "--keep")
        shorter = command("fit", folder, *words)
        return f"{text} With fewer steps it fits: {shorter}"

    def __str__(self) -> str:
        (best,) = (timing for timing in self.times if timing.recipe == self.fits)
        return f"A round with the recipe {best.recipe} takes {duration(best.seconds)}."

    def _parts(self) -> Iterator[str]:
        rows = []
        for timing in self.times:
            size = "x".join(map(str, timing.size))
            rows.append((timing.recipe, size, timing.steps, duration(timing.seconds)))
        yield table(("recipe", "size", "steps", "a round"), rows)


@dataclass(frozen=True)
class TimedImages(WrappedImages):
    """The images of a project with made labels: a `Source`.

    Args:
        source: the images.
        lacking: the cells that have no label.
    """

    lacking: frozenset[Cell] = frozenset()

    def label(self, image_id: str, task: TaskDef) -> LabelArray | None:
        """Make a label of ones, where the cell has a label."""
        if Cell(image_id, task.name) in self.lacking:
            return None
        size = self.source.image(image_id).shape[:2]
        channels = task.codec.CHANNELS
        return LabelArray(np.ones((*size, channels), np.float32), np.ones(size, np.bool_))


def round_times(
    project: ProjectFolder, progress: Progress, *, own_recipe: bool = False
) -> RoundTimes:
    """Time a few steps with random weights on the project's images; nothing is written.

    With `own_recipe`, only those of the project's recipe.
    Images are read without worker processes. What terms prepare before the first step is left out.

    Raises:
        LabelgridError: the recipe is wrong, or an image cannot be read.
    """
    project_recipe = project.settings.recipe
    contexts = {project_recipe: context_for_recipe(project, recipe_of(project))}
    shipped = [] if own_recipe else _shipped()
    for name in shipped:
        if name not in contexts:
            contexts[name] = replace(contexts[project_recipe], recipe=load_recipe(name))
    for_gpu = []
    for name, context in contexts.items():
        if name != project_recipe and _lacks_gpu(context):
            for_gpu.append(name)
    timed = [name for name in contexts if name not in for_gpu]
    progress.start("Timing steps", len(timed), "recipes")
    times = []
    for name in timed:
        with TemporaryDirectory() as folder:  # maps of random weights are of no use later
            times.append(_time(name, replace(contexts[name], features=Path(folder))))
        progress.advance()
    start = load_recipe(RECIPE)
    first = []
    for timing in times:
        recipe = contexts[timing.recipe].recipe
        # Weights of frozen encoders may be missing, or have a licence that does not fit.
        is_known = recipe.backbone.train == start.backbone.train or timing.recipe == project_recipe
        if recipe.network.name == start.network.name and is_known:
            first.append(timing)
    return RoundTimes(times=times, fits=_fitting(first or times), for_gpu=for_gpu)


def _shipped() -> list[str]:
    """The shipped recipes of campaigns: neither of studies nor of papers."""
    names = []
    for name, path in recipe_files().items():
        is_study = any("simulate" in tables for tables in chain(path))
        if path.parent.name == "recipes" and not is_study:
            names.append(name)
    return names


def _lacks_gpu(context: RoundContext) -> bool:
    return context.recipe.train.precision != ANY_MACHINE and not torch.cuda.is_available()


def _fitting(times: Sequence[RecipeTime]) -> str:
    short = [timing for timing in times if timing.seconds <= LONGEST]
    if short:
        return max(short, key=lambda timing: timing.seconds).recipe
    return min(times, key=lambda timing: timing.seconds).recipe


def _steps_within(seconds: float, time: RecipeTime) -> int:
    """The number of steps, rounded to two digits, of a round of `seconds`; 0 if none fits."""
    predicting = time.seconds - time.steps * time.step_seconds
    steps = int((seconds - predicting) / time.step_seconds)
    if steps < 1:
        return 0
    unit = 10 ** max(len(str(steps)) - 2, 0)
    return steps // unit * unit


def _time(name: str, context: RoundContext) -> RecipeTime:
    project = context.project
    recipe = context.recipe
    images = project.store.count_images(("train",))
    tasks = len(context.tasks)
    steps = recipe.train.length(images, images * tasks, tasks)
    plan = _plan(context)
    trainer = Trainer(plan)
    is_on_gpu = trainer.fabric.device.type == "cuda"
    if is_on_gpu:
        torch.cuda.reset_peak_memory_stats()
    views = recipe.data.views if recipe.keeps_maps else 0
    making_seconds = _image_seconds(context, plan) if views else 0.0  # nothing is kept yet
    step_seconds = _step_seconds(trainer, PASSES * views)
    image_seconds = _image_seconds(context, plan)
    heldout = project.store.count_images(("heldout",))
    predicted = heldout
    if strategy_of(project)[1].needs:
        predicted += images
    return RecipeTime(
        recipe=name,
        size=recipe.data.size,
        steps=steps,
        step_seconds=step_seconds,
        image_seconds=image_seconds,
        seconds=steps * step_seconds + predicted * image_seconds,
        memory=torch.cuda.max_memory_allocated() if is_on_gpu else None,
        terms=tuple(plan.terms),
        maps_seconds=making_seconds * (images * views + heldout),
    )


def _plan(context: RoundContext) -> Plan:
    """The plan of a training with passes of a single step, after a round with random weights."""
    recipe = context.recipe
    options = replace(
        recipe.train,
        steps=STEPS + 1 + PASSES * recipe.data.views,
        label_visits=0,
        images="labelled",
        labelled_share=0.0,
        workers=0,
    )
    image_ids = list(context.source.images())[: options.batch]
    reduce = partial(supervised_loss, reduction=recipe.objective.reduction)
    weights = fixed_weights(context.tasks, recipe.objective)
    network = network_of(context, None, pretrained=False)
    terms = terms_of(context, network)
    lacking = set()
    if terms:  # some of them learn only where labels lack
        for image_id in image_ids[1::2]:
            lacking |= {Cell(image_id, name) for name in list(context.tasks)[::2]}
    return Plan(
        network=network,
        tasks=context.tasks,
        definitions=context.definitions,
        source=TimedImages(context.source, frozenset(lacking)),
        train=image_ids,
        val=(),
        data=recipe.data,
        options=options,
        objective=recipe.objective,
        balancer=build_plugin("balance", recipe.balance, weights, reduce),
        seed=context.seed,
        terms=terms,
        previous=lambda: TrainedModel(
            network=network_of(context, None, pretrained=False), terms={}
        ),
        labels=dict.fromkeys(image_ids, frozenset(context.tasks)),
        relations=declared_relations(recipe.relations, context.definitions),
    )


def _step_seconds(trainer: Trainer, before: int) -> float:
    """The median time of a step; the first one prepares the device, and is left out.

    Args:
        trainer: the training.
        before: the number of steps that make the maps of a frozen encoder, left out, too.
    """
    seconds = []
    with TemporaryDirectory() as folder:
        trainer.prepare(Path(folder), Silent(), resumed=False)
        for _ in range(before):
            trainer.run_epoch(Silent())
        for _ in range(STEPS + 1):
            seconds.append(trainer.run_epoch(Silent())["seconds"])
            if sum(seconds) > SECONDS and len(seconds) > 1:
                break
    return median(seconds[1:])


def _image_seconds(context: RoundContext, plan: Plan) -> float:
    image_ids = plan.train[:PREDICTED]
    started = time.perf_counter()
    model = TrainedModel(network=plan.network, terms={})
    for _ in predictions(
        model, context.definitions, plan.source, image_ids, data=context.recipe.data
    ):
        pass
    return (time.perf_counter() - started) / len(image_ids)
