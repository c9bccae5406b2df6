"""How a round's network is trained."""

import json
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from labelgrid.errors import TrainingError
from labelgrid.files import remove_folder
from labelgrid.nets.network import Network
from labelgrid.progress import Progress
from labelgrid.project.artifacts import Fit, write_fit
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.files import hash_of
from labelgrid.recipes.resolve import build_plugin
from labelgrid.rounds.context import RoundContext, context_of, labelled_images, open_round, round_number
from labelgrid.rounds.evaluate import measure_heldout
from labelgrid.rounds.models import continue_from, latest, new_network, previous_model, terms_of
from labelgrid.streams import image_key, keyed_uniform, seed_of
from labelgrid.train.checkpoint import load
from labelgrid.train.loop import fit as train
from labelgrid.train.model import with_states
from labelgrid.train.objective import fixed_weights, supervised
from labelgrid.train.plan import Plan
from labelgrid.train.seeding import keyed


def splits_for_training(context: RoundContext, project: ProjectFolder) -> tuple[list[str], list[str]]:
    """Training and val images: never test or held-out ones.

    Where no image of the val split has a label, groups of training images are drawn for val with `val_share`.

    Raises:
        TrainingError: the draw leaves no label to learn from.
    """
    train = labelled_images(project, "train")
    val = labelled_images(project, "val")
    options = context.recipe.train
    if options.val_share and not val:
        drawn = _drawn(context, project, options.val_share)
        val, train = [name for name in train if name in drawn], [name for name in train if name not in drawn]
        if not train:
            raise TrainingError(
                f"val_share = {options.val_share} took all labelled images.", next_step="Take a smaller share."
            )
        if options.images == "all":
            return sorted({row.image_id for row in project.store.images(("train",))} - drawn), val
    elif options.images == "all":
        return sorted(row.image_id for row in project.store.images(("train",))), val
    return train, val


def _drawn(context: RoundContext, project: ProjectFolder, share: float) -> set[str]:
    """A share of the training images, whole groups."""
    groups = {row.image_id: row.group or row.image_id for row in project.store.images(("train",))}
    keys = np.array([image_key(group) for group in groups.values()], np.uint64)
    chosen = keyed_uniform(keys, seed_of(context.seed, "val")) < share
    return {name for name, held in zip(groups, chosen, strict=True) if held}


#: Training and val images.
Splits = tuple[list[str], list[str]]


def plan_of(
    context: RoundContext, project: ProjectFolder, network: Network, start: str = "", splits: Splits | None = None
) -> Plan:
    """The training plan of the labels there are now.

    Args:
        context: of the project.
        project: whose labels are learnt from.
        network: with its initial weights.
        start: the digest of the model whose weights the network begins with, where it continues from one.
        splits: training and val images; None draws them from the seed, as the recipe says.
    """
    recipe, objective = context.recipe, context.recipe.objective
    weights = fixed_weights(context.tasks, objective)
    train, val = splits or splits_for_training(context, project)
    reduce = partial(supervised, reduction=objective.reduction)
    with keyed(context.seed, "init", "balance"):
        balancer = build_plugin("train.balance", recipe.balance, weights, reduce)
    return Plan(
        network=network,
        tasks=context.tasks,
        definitions=context.definitions,
        source=context.source,
        train=train,
        val=val,
        data=recipe.data,
        options=recipe.train,
        objective=objective,
        balancer=balancer,
        seed=context.seed,
        terms=terms_of(context, network),
        identity=identity_of(context, train, val, start),
        previous=partial(previous_model, context, round_number(project)),
    )


def identity_of(context: RoundContext, train: list[str], val: list[str], start: str) -> str:
    """What a training is of: all that shapes its weights. A checkpoint of another is not resumed."""
    used = {*train, *val}
    labels = sorted(
        (cell.image_id, cell.task, path.name, weight)
        for cell, (path, weight) in context.source.labels.items()
        if cell.image_id in used
    )
    recipe = json.loads(context.recipe.json()) | {"train": context.recipe.train.shaping()}
    del recipe["score"]
    tasks = [(task.name, task.kind, task.form.kept()) for task in context.definitions.values()]
    kept = {"recipe": recipe, "seed": context.seed, "tasks": tasks, "data": hash_of(train, val, labels), "start": start}
    return json.dumps(kept, sort_keys=True)


def fit(project: ProjectFolder, progress: Progress, recipe: str = "", changes: dict[str, Any] | None = None) -> Fit:
    """Train the open round's network on the labels there are, or resume a training that was stopped.

    Then measure it on the held-out images that have labels.

    Raises:
        TrainingError: there is no label, or a loss is not a number. RecipeError, ModelError: see their text.
    """
    context = context_of(project, recipe, changes)
    if not labelled_images(project, "train"):
        raise TrainingError(
            "There is no label to learn from.",
            where=str(project.folder),
            next_step="`labelgrid query`, then `labelgrid export`, then `labelgrid import` get some.",
            unchanged="Nothing was trained.",
        )
    network = new_network(context, project, progress)
    number = open_round(project).number
    before = None if context.recipe.train.restart else latest(project, before=number)
    if before:
        continue_from(before, project, network, progress)
    plan = plan_of(context, project, network, start=before.model if before else "")
    used = {*plan.train, *plan.val}
    spent = sum(count.spent for count in project.store.counts(("train", "val")).values())
    _make_way(project, number, plan.identity, progress)
    for task in sorted(context.tasks.keys() - _trained(context, plan.train)):
        progress.say(f"No label of '{task}' yet: its head stays as it was drawn, its cells will be picked at random.")
    checkpoint = train(plan, project.round_folder(number) / "fit", progress)
    model = with_states(load(checkpoint), network, plan.terms)
    done = Fit(
        round=number,
        checkpoint=checkpoint.relative_to(project.folder).as_posix(),
        model=model.digest,
        recipe=json.loads(context.recipe.json()),
        seed=context.seed,
        trained=sorted(_trained(context, plan.train)),
        images=len(used),
        labels=dict(Counter(cell.task for cell in context.source.labels if cell.image_id in used)),
        spent=spent,
    )
    _keep(project, done)
    measure_heldout(project, context, model, done, progress)
    return done


def _make_way(project: ProjectFolder, number: int, identity: str, progress: Progress) -> None:
    """Remove what the round has of another training: its record first, so that none points to nothing."""
    folder = project.round_folder(number)
    last = folder / "fit" / "last.ckpt"
    if last.exists() and load(last).identity != identity:
        progress.say("The recipe, the tasks or the labels changed since this round's last fit: training anew.")
        for name in ("fit.json", "heldout.json"):
            (folder / name).unlink(missing_ok=True)
        remove_folder(folder / "fit")


def _keep(project: ProjectFolder, done: Fit) -> None:
    """Write a finished training down; the round may have been closed by a query meanwhile."""
    write_fit(project.round_folder(done.round), done)
    with project.store.transaction():
        row = project.store.current_round()
        if row and row.number == done.round:
            project.store.update_round(replace(row, recipe=hash_of(done.recipe), model=done.model))


def _trained(context: RoundContext, images: Any) -> set[str]:
    known = set(images)
    return {cell.task for cell in context.source.labels if cell.image_id in known}
