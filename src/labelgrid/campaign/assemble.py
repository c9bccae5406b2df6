"""How a recipe and a project become a network and a training plan."""

import json
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from labelgrid.campaign.project import Project
from labelgrid.campaign.recipe import Named, Recipe, check_options, load, make
from labelgrid.campaign.recipefile import hash_of
from labelgrid.campaign.source import OracleSource, ProjectSource, source_of
from labelgrid.config import merge
from labelgrid.errors import TrainingError
from labelgrid.labels.grid import Split, State
from labelgrid.nets.backbones import Encoder
from labelgrid.nets.network import Network
from labelgrid.streams import image_key, keyed_uniform, seed_of
from labelgrid.tasks.task import Task, TaskDef, build_all
from labelgrid.train.objective import fixed_weights, supervised
from labelgrid.train.plan import Plan


@dataclass(frozen=True)
class Crew:
    """What every step of a round needs: the recipe, the tasks and the project's images and labels as they are."""

    recipe: Recipe
    definitions: dict[str, TaskDef]
    tasks: dict[str, Task]
    source: ProjectSource | OracleSource
    seed: int


def crew_of(project: Project, recipe: str = "", changes: dict[str, object] | None = None) -> Crew:
    """The crew of a project; `recipe` and `changes` (from the command line) go over its settings."""
    settings = project.settings
    laid = merge(settings.changes, changes or {})
    loaded = load(recipe or settings.recipe, laid, beside=project.folder)
    for folder, tables in (("score", loaded.score), ("train.terms", loaded.terms)):
        for name, options in tables.items():
            check_options(folder, Named(name, options))
    definitions = project.tasks()
    return Crew(loaded, definitions, build_all(definitions), source_of(project), settings.seed)


def network_of(crew: Crew, weights: Path | None, *, pretrained: bool = True) -> Network:
    """The network with its initial weights: the backbone's from a file or fetched, the rest drawn from the seed.

    Args:
        crew: of the project.
        weights: a local file of backbone weights; None fetches them if the recipe says so.
        pretrained: False leaves the backbone random, for a checkpoint to fill.
    """
    options = crew.recipe.backbone
    if not pretrained:
        options = type(options)(**{**asdict(options), "pretrained": False})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(crew.seed, "init"))
        encoder = Encoder(options, weights if pretrained and options.pretrained else None)
        network: Network = make("nets", crew.recipe.network, crew.tasks, encoder)
    return network.to(memory_format=torch.channels_last)  # cheaper on a CPU: see benchmarks/training_step.py


def labelled_images(project: Project, split: Split) -> list[str]:
    """The images of a split with at least one label, by name."""
    names = {row.cell.image for row in project.store.cells(state=State.LABELLED, splits=(split,))}
    return sorted(names)


def splits_for_training(crew: Crew, project: Project) -> tuple[list[str], list[str]]:
    """Training and val images: never test or held-out ones.

    Where no image of the val split has a label, groups of training images are drawn for val with `val_share`.

    Raises:
        TrainingError: the draw leaves no label to learn from.
    """
    train = labelled_images(project, "train")
    val = labelled_images(project, "val")
    options = crew.recipe.train
    if options.val_share and not val:
        drawn = _drawn(crew, project, options.val_share)
        val, train = [name for name in train if name in drawn], [name for name in train if name not in drawn]
        if not train:
            raise TrainingError(
                f"val_share = {options.val_share} took all labelled images.", next_step="Take a smaller share."
            )
        if options.images == "all":
            return sorted({row.name for row in project.store.images(("train",))} - drawn), val
    elif options.images == "all":
        return sorted(row.name for row in project.store.images(("train",))), val
    return train, val


def _drawn(crew: Crew, project: Project, share: float) -> set[str]:
    """A share of the training images, whole groups."""
    groups = {row.name: row.group or row.name for row in project.store.images(("train",))}
    keys = np.array([image_key(group) for group in groups.values()], np.uint64)
    chosen = keyed_uniform(keys, seed_of(crew.seed, "val")) < share
    return {name for name, held in zip(groups, chosen, strict=True) if held}


def plan_of(crew: Crew, project: Project, network: Network, start: str = "") -> Plan:
    """The training plan of the labels there are now; `start` is the model hash of weights that it goes on from."""
    recipe, objective = crew.recipe, crew.recipe.objective
    weights = fixed_weights(crew.tasks, objective)
    train, val = splits_for_training(crew, project)
    terms = {name: make("train.terms", Named(name, options), crew.tasks) for name, options in recipe.terms.items()}
    return Plan(
        network=network,
        tasks=crew.tasks,
        definitions=crew.definitions,
        source=crew.source,
        train=train,
        val=val,
        data=recipe.data,
        options=recipe.train,
        objective=objective,
        balancer=make("train.balance", recipe.balance, weights, partial(supervised, reduction=objective.reduction)),
        seed=crew.seed,
        terms=terms,
        identity=identity_of(crew, train, val, start),
    )


def identity_of(crew: Crew, train: list[str], val: list[str], start: str) -> str:
    """What a training is of: all that shapes its weights. A checkpoint of another is not resumed."""
    used = {*train, *val}
    labels = sorted(
        (cell.image, cell.task, path.name, weight)
        for cell, (path, weight) in crew.source.labels.items()
        if cell.image in used
    )
    recipe = json.loads(crew.recipe.json()) | {"train": crew.recipe.train.shaping()}
    del recipe["score"]
    tasks = [(task.name, task.kind, asdict(task.options)) for task in crew.definitions.values()]
    kept = {"recipe": recipe, "seed": crew.seed, "tasks": tasks, "data": hash_of(train, val, labels), "start": start}
    return json.dumps(kept, sort_keys=True)
