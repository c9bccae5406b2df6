"""Trains a round's network."""

import json
from collections import Counter
from collections.abc import Sequence
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
from labelgrid.rounds.context import RoundContext, context_of, labelled_images
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
    """The ids of the training images and of the val images; never test or held-out images.

    If no image of the val split has a label, val images are drawn from the training images, in whole groups, with
    `val_share`.

    Raises:
        TrainingError: the draw leaves no label for training.
    """
    train = labelled_images(project, "train")
    val = labelled_images(project, "val")
    options = context.recipe.train
    if options.val_share and not val:
        drawn = _draw_val_images(context, project, options.val_share)
        val, train = [image for image in train if image in drawn], [image for image in train if image not in drawn]
        if not train:
            raise TrainingError(
                f"val_share = {options.val_share} took all labelled images.", next_step="Set a smaller val_share."
            )
        if options.images == "all":
            return sorted({row.image_id for row in project.store.images(("train",))} - drawn), val
    elif options.images == "all":
        return sorted(row.image_id for row in project.store.images(("train",))), val
    return train, val


def _draw_val_images(context: RoundContext, project: ProjectFolder, share: float) -> set[str]:
    """Draw a share of the training images, in whole groups."""
    groups = {row.image_id: row.group or row.image_id for row in project.store.images(("train",))}
    keys = np.array([image_key(group) for group in groups.values()], np.uint64)
    chosen = keyed_uniform(keys, seed_of(context.seed, "val")) < share
    return {image_id for image_id, is_chosen in zip(groups, chosen, strict=True) if is_chosen}


#: The ids of the training images and of the val images.
Splits = tuple[list[str], list[str]]


def plan_of(
    context: RoundContext,
    project: ProjectFolder,
    network: Network,
    start: str = "",
    splits: Splits | None = None,
    number: int = 0,
) -> Plan:
    """The training plan for the project's current labels.

    Args:
        context: the project's context.
        project: the project with the labels.
        network: with its initial weights.
        start: the digest of the model from whose weights the network starts; "" if it starts from initial weights.
        splits: training and val images; None: as by `splits_for_training`.
        number: the round that is trained; 0: the current one.
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
        previous=partial(previous_model, context, number or project.round_number),
    )


def identity_of(context: RoundContext, train: list[str], val: list[str], start: str) -> str:
    """Everything that affects the trained weights, as JSON. A checkpoint with another identity is not resumed."""
    used = {*train, *val}
    labels = sorted(
        (cell.image_id, cell.task, path.name, weight)
        for cell, (path, weight) in context.source.labels.items()
        if cell.image_id in used
    )
    recipe = json.loads(context.recipe.json()) | {"train": context.recipe.train.shaping()}
    del recipe["score"]
    tasks = [(task.name, task.kind, task.form.kept()) for task in context.definitions.values()]
    data = hash_of(train, val, labels)
    identity = {"recipe": recipe, "seed": context.seed, "tasks": tasks, "data": data, "start": start}
    return json.dumps(identity, sort_keys=True)


def fit(project: ProjectFolder, progress: Progress, recipe: str = "", changes: dict[str, Any] | None = None) -> Fit:
    """Train the open round's network on the current labels, or resume its training.

    Then evaluate it on the held-out labels.

    Raises:
        TrainingError: there is no label, or a loss is not finite. RecipeError: the recipe is wrong.
        ModelError: the network or its weights cannot be used.
    """
    context = context_of(project, recipe, changes)
    if not labelled_images(project, "train"):
        raise TrainingError(
            "There is no label to learn from.",
            where=str(project.folder),
            next_step="Run `labelgrid query`, `labelgrid export` and then `labelgrid import` to get labels.",
            unchanged="Nothing was trained.",
        )
    network = new_network(context, project, progress)
    number = project.open_round().number
    previous = None if context.recipe.train.restart else latest(project, before=number)
    if previous:
        continue_from(previous, project, network, progress)
    plan = plan_of(context, project, network, start=previous.model if previous else "")
    used = {*plan.train, *plan.val}
    spent = sum(count.spent for count in project.store.counts(("train", "val")).values())
    _remove_outdated_fit(project, number, plan.identity, progress)
    for task in sorted(context.tasks.keys() - _trained_tasks(context, plan.train)):
        progress.say(f"No label of '{task}' yet: its head is not trained, and its cells will be picked at random.")
    checkpoint = train(plan, project.round_folder(number) / "fit", progress)
    model = with_states(load(checkpoint), network, plan.terms)
    record = Fit(
        round=number,
        checkpoint=checkpoint.relative_to(project.folder).as_posix(),
        model=model.digest,
        recipe=json.loads(context.recipe.json()),
        seed=context.seed,
        trained=sorted(_trained_tasks(context, plan.train)),
        images=len(used),
        labels=dict(Counter(cell.task for cell in context.source.labels if cell.image_id in used)),
        spent=spent,
    )
    _write_record(project, record)
    measure_heldout(project, context, model, record, progress)
    return record


def _remove_outdated_fit(project: ProjectFolder, number: int, identity: str, progress: Progress) -> None:
    """Remove a training of the round with another identity; the record first, so that it never lacks its checkpoint."""
    folder = project.round_folder(number)
    last = folder / "fit" / "last.ckpt"
    if last.exists() and load(last).identity != identity:
        progress.say(
            "The recipe, the tasks or the labels changed since this round's last fit: restarting the training."
        )
        for name in ("fit.json", "heldout.json"):
            (folder / name).unlink(missing_ok=True)
        remove_folder(folder / "fit")


def _write_record(project: ProjectFolder, fit: Fit) -> None:
    """Write the record of a finished training, also into the ledger unless a query has closed the round meanwhile."""
    write_fit(project.round_folder(fit.round), fit)
    with project.store.transaction():
        row = project.store.current_round()
        if row and row.number == fit.round:
            project.store.update_round(replace(row, recipe=hash_of(fit.recipe), model=fit.model))


def _trained_tasks(context: RoundContext, images: Sequence[str]) -> set[str]:
    """The tasks with a label of one of the images."""
    image_ids = set(images)
    return {cell.task for cell in context.source.labels if cell.image_id in image_ids}
