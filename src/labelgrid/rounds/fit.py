"""Trains a round's network."""

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

from labelgrid.basics.errors import (
    ImageError,
    ModelError,
    PluginError,
    ProjectError,
    TrainingError,
    command,
    note_unchanged,
)
from labelgrid.basics.files import remove_folder
from labelgrid.basics.progress import Progress, Silent
from labelgrid.basics.streams import image_keys, keyed_uniform, seed_of
from labelgrid.basics.type_names import Json
from labelgrid.data.derived import DerivedSource
from labelgrid.data.project_source import ProjectSource
from labelgrid.nets.network import Network
from labelgrid.operations.early_warnings import training_without_weights
from labelgrid.project.declaration_changes import target_declarations
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.images.unusable_images import usable_images
from labelgrid.project.records import Fit
from labelgrid.recipes.resolve import build_plugin, hash_of, training_options
from labelgrid.relations.bound import declared_relations
from labelgrid.rounds.context import RoundContext, context_of, labelled_images, tasks_by_image
from labelgrid.rounds.filled_labels import FilledLabels, check_cameras, say_refused
from labelgrid.rounds.model_record import (
    measure_heldout,
    record_model,
    remove_unneeded_encoders,
)
from labelgrid.rounds.models import (
    continue_training,
    fit_to_continue,
    kept_maps_words,
    new_network,
    previous_model,
    terms_of,
)
from labelgrid.rounds.round_scores import (
    check_expected_options,
    lacking_term,
    needed_options,
    strategy_of,
)
from labelgrid.rounds.shard_scorer import check_network
from labelgrid.suppliers.supplied import supplied_identity
from labelgrid.train.checkpoint import load, read_identity, same_training
from labelgrid.train.division import refuse_undivided
from labelgrid.train.group import ALONE, TrainingGroup
from labelgrid.train.loop import fit as train
from labelgrid.train.objective import fixed_weights, supervised_loss
from labelgrid.train.plan import Plan
from labelgrid.train.seeding import seed_torch
from labelgrid.train.trained_model import restore_states

#: The ids of the training images and of the val images.
Splits = tuple[list[str], list[str]]


def splits_for_training(context: RoundContext, progress: Progress) -> Splits:
    """The ids of the training images and of the val images; never test or held-out images.

    Images whose files are missing, changed or unreadable are set aside.

    If no image of the val split has a label, val images are drawn from the training images, in
    whole groups, with `val_share`.

    Raises:
        TrainingError: the draw leaves no label for training.
        ImageError: no image can be read.
    """
    train, val = _split_labelled_images(context)
    usable = set(usable_images(context.project, [*train, *val], progress))
    train = [image_id for image_id in train if image_id in usable]
    val = [image_id for image_id in val if image_id in usable]
    if not train:
        raise TrainingError(
            "No training image with a label can be read.", next_step="Put the image files back."
        )
    return train, val


def _split_labelled_images(context: RoundContext) -> Splits:
    project = context.project
    train = labelled_images(project, "train")
    val = labelled_images(project, "val")
    options = context.recipe.train
    drawn: set[str] = set()
    if options.val_share and not val:
        rows = list(project.store.images(("train",)))
        keys = image_keys([row.group or row.image_id for row in rows])  # whole groups are drawn
        chosen = keyed_uniform(keys, seed_of(context.seed, "val")) < options.val_share
        drawn = set()
        for row, is_drawn in zip(rows, chosen, strict=True):
            if is_drawn:
                drawn.add(row.image_id)
        val = [image_id for image_id in train if image_id in drawn]
        train = [image_id for image_id in train if image_id not in drawn]
        if not train:
            raise TrainingError(
                f"val_share = {options.val_share} took all labelled images.",
                next_step="Set a smaller val_share.",
            )
    if options.images == "all":
        train = sorted({row.image_id for row in project.store.images(("train",))} - drawn)
    return train, val


def plan_of(
    context: RoundContext,
    network: Network,
    start: str = "",
    splits: Splits | None = None,
    number: int = 0,
) -> Plan:
    """The training plan for the project's current labels.

    Args:
        context: the project's context.
        network: the network with its initial weights.
        start: the digest of the model from whose weights the network starts; "" if it starts from
            initial weights.
        splits: training and val images; None: as by `splits_for_training`.
        number: the round that is trained; 0: the current one.
    """
    recipe = context.recipe
    objective = context.recipe.objective
    weights = fixed_weights(context.tasks, objective)
    train, val = splits or splits_for_training(context, Silent())
    filled = FilledLabels(context, train)
    fillers = filled.by_image()
    reduce = partial(supervised_loss, reduction=objective.reduction)
    with seed_torch(context.seed, "init", "balance"):
        balancer = build_plugin("balance", recipe.balance, weights, reduce)
    return Plan(
        network=network,
        tasks=context.tasks,
        definitions=context.definitions,
        source=DerivedSource(context.source, context.definitions, fillers),
        train=train,
        val=val,
        data=recipe.data,
        options=recipe.train,
        objective=objective,
        balancer=balancer,
        seed=context.seed,
        terms=terms_of(context, network),
        identity=identity_of(filled, val, start),
        previous=partial(previous_model, context, number or context.project.round_number),
        labels=tasks_by_image(context.source.labels),
        derived={image_id: frozenset(tasks) for image_id, tasks in fillers.items()},
        relations=declared_relations(recipe.relations, context.definitions),
        continued=bool(start),
        encoders=context.encoders,
    )


def identity_of(filled: FilledLabels, val: Sequence[str], start: str) -> str:
    """Everything that affects the trained weights, as JSON.

    A checkpoint with another identity is not resumed.

    Args:
        filled: the filled labels of the training images.
        val: the val images.
        start: see `plan_of`.
    """
    context = filled.context
    train = filled.image_ids
    used = {*train, *val}
    labels = []
    for cell, label in context.source.labels.items():
        if cell.image_id in used:
            labels.append((cell.image_id, cell.task, label.path.name, label.weight))
    recipe = context.recipe.effective()
    recipe["train"] = context.recipe.train.shaping()
    del recipe["score"]
    tasks = [(task.name, task.kind, asdict(task.form)) for task in context.definitions.values()]
    supplied = [supplied_identity(context.suppliers, train)] if context.suppliers else []
    data = hash_of(train, val, sorted(labels), *supplied)
    identity = {
        "recipe": recipe,
        "seed": context.seed,
        "tasks": tasks,
        "data": data,
        "start": start,
        "options": training_options(context.recipe),
    }
    cameras = filled.cameras()
    if cameras:
        identity["cameras"] = hash_of(cameras)
    on_supplied = filled.on_supplied()
    if on_supplied:
        identity["on supplied"] = hash_of(on_supplied)
    return json.dumps(identity, sort_keys=True)


def fit(
    project: ProjectFolder,
    progress: Progress,
    recipe: str = "",
    changes: Json | None = None,
    weights: Path | None = None,
    group: TrainingGroup = ALONE,
) -> Fit:
    """Train the open round's network on the current labels, or resume its training.

    Then evaluate it on the held-out labels. `recipe`, `changes` and `weights` (of the backbone)
    replace the project's. With several processes, `group`, this process is the first; the others
    call `take_part`.

    Raises:
        TrainingError: there is no label, or a loss is not finite.
        RecipeError: the recipe is wrong.
        ProjectError: it lacks a term that the strategy reads.
        ModelError: the network or its weights cannot be used.
        LabelError: a label's file is missing or has changed.
    """
    event = project.store.last_event()  # before the labels are read: none is taken for a known one
    context = context_of(project, recipe, changes)
    _refuse_early(context)
    splits = splits_for_training(context, progress)
    filled = FilledLabels(context, splits[0])
    check_cameras(filled, progress)
    say_refused(filled, progress)
    _check_labels(context, {*splits[0], *splits[1], *labelled_images(project, "heldout")})
    without = training_without_weights(project.folder, recipe, changes)
    network = new_network(context, progress, weights, without=without)
    is_other = bool(recipe or changes)  # for this training alone
    _check_network(context, network, progress, may_go_on=is_other)
    number = project.open_round().number
    plan = _whole_plan(context, network, splits=splits, number=number, progress=progress)
    refuse_undivided(plan, group)
    kept = kept_maps_words(network, context.recipe, len(plan.train))
    if kept:
        progress.say(kept)
    spent = project.store.spent(("train", "val"))
    _remove_outdated_fit(project.round_folder(number), plan.identity, progress)
    group.tell({"round": number, "splits": splits, "identity": plan.identity, "changes": changes})
    for task in sorted(context.tasks.keys() - plan.labelled_tasks):
        progress.say(
            f"No label of '{task}' yet: it has no supervised loss, and its cells no scores."
        )
    checkpoint = train(plan, project.round_folder(number) / "fit", progress, group)
    saved = load(checkpoint, project.encoders)
    model = restore_states(saved, network, plan.terms)
    learned = set(plan.train)
    labels = _count_labels(context, learned)
    record = Fit(
        round=number,
        checkpoint=checkpoint.relative_to(project.folder).as_posix(),
        model=model.digest,
        recipe=json.loads(context.recipe.json()),
        seed=context.seed,
        trained=sorted(plan.labelled_tasks),
        images=len(learned),
        labels=labels,
        spent=spent,
        named=recipe,
        tasks=target_declarations(context.definitions),
        filled=dict(Counter(task for tasks in plan.derived.values() for task in sorted(tasks))),
        derived=filled.worth(),
        changes=changes or {},
        event=event,
        encoder=saved.encoder.get("hash", ""),
    )
    record_model(project, record)
    remove_unneeded_encoders(project)
    try:
        measure_heldout(context, model=model, fit=record, progress=progress)
    except ImageError as error:
        if project.settings.oracle:
            raise  # a run of a study is not done without its metrics
        progress.say(
            "The training is finished, but nothing was measured on the held-out images. "
            f"{error.what} When they are back, `{command('evaluate', project.folder)}` measures."
        )
    group.tell(asdict(record))
    return record


def take_part(
    folder: Path, group: TrainingGroup, recipe: str = "", weights: Path | None = None
) -> Fit:
    """Compute a process's share of a training that the group's first process runs by `fit`.

    Nothing is written.

    Args:
        folder: the project's.
        group: the processes.
        recipe: as in `fit`.
        weights: as in `fit`.

    Returns:
        The record that the first process wrote.

    Raises:
        TrainingError: this process reads other labels or settings than the first process.
        LabelgridError: as `fit` raises.
    """
    told = group.tell()  # from here on, the first process changes nothing that this one reads
    with ProjectFolder.open(folder, read_only=True) as project, project.store.steady():
        context = context_of(project, recipe, told["changes"])
        network = new_network(context, Silent(), weights)
        plan = _whole_plan(
            context, network, splits=told["splits"], number=told["round"], progress=Silent()
        )
        if plan.identity != told["identity"]:
            raise TrainingError(
                f"Process {group.rank + 1} of {group.size} finds other labels, another recipe or "
                "another version of labelgrid than the first one.",
                where=folder,
                next_step="Let all processes see the same folder and run the same installation; "
                "then run the same command again.",
            )
        train(plan, project.round_folder(told["round"]) / "fit", Silent(), group)
    return Fit(**group.tell())


def _whole_plan(
    context: RoundContext, network: Network, *, splits: Splits, number: int, progress: Progress
) -> Plan:
    start = ""
    previous = fit_to_continue(context, number)
    if previous and continue_training(
        context.project, previous, network, name=f"round {previous.round}", progress=progress
    ):
        start = previous.model
    return plan_of(context, network, start=start, splits=splits, number=number)


def _refuse_early(context: RoundContext) -> None:
    """Refuse a training without a label, or without a term that the strategy reads."""
    project = context.project
    if not labelled_images(project, "train"):
        raise TrainingError(
            "There is no label to learn from.",
            where=project.folder,
            next_step="Run `labelgrid query`, `labelgrid export` and then `labelgrid import` to "
            "get labels.",
            unchanged="Nothing was trained.",
        )
    try:
        name, strategy = strategy_of(project)
        tables = {"statistics": context.recipe.score, "terms": context.recipe.terms}
        check_expected_options(f"The strategy '{name}'", strategy, tables)
        lacking = lacking_term(strategy, context.recipe.terms)
    except PluginError:  # a strategy that is only where queries are made
        return
    if lacking:
        statistic, term = lacking
        raise ProjectError(
            f"The strategy '{name}' needs the statistic '{statistic}', which reads the term "
            f"'{term}'; the recipe trains without it.",
            where=project.folder,
            next_step=f'Add a table [terms."{term}"] to the recipe, or choose another strategy.',
            unchanged="Nothing was trained.",
        )


@note_unchanged("Nothing was trained.")
def _check_network(
    context: RoundContext, network: Network, progress: Progress, *, may_go_on: bool
) -> None:
    """Refuse a network for which the strategy's statistics cannot be computed.

    With `may_go_on`, or if nothing is left to pick, that is only said.
    """
    project = context.project
    try:
        _, strategy = strategy_of(project)
        options = needed_options(strategy, context.recipe.score)
    except PluginError:  # a strategy that is only where queries are made
        return
    try:
        check_network(options, network, context.tasks)
    except ModelError as error:
        is_left = any(count.missing for count in project.store.counts(("train",)).values())
        if is_left and not may_go_on:
            raise
        progress.say(f"The strategy '{project.settings.strategy.name}' cannot pick: {error.what}")


def _count_labels(context: RoundContext, image_ids: Collection[str]) -> dict[str, int]:
    """The labels of images by task; regions count by their share of pixels."""
    counts = defaultdict[str, float](float)
    for cell, label in context.source.labels.items():
        if cell.image_id in image_ids:
            counts[cell.task] += 1 if label.parts is None else label.parts.share
    return {task: max(1, round(count)) for task, count in counts.items()}


def _check_labels(context: RoundContext, image_ids: set[str]) -> None:
    """Check the files of labels, so that damage stops the fit before anything is removed."""
    if isinstance(context.source, ProjectSource):
        for cell, label in context.source.labels.items():
            if cell.image_id in image_ids:
                label.check()


def _remove_outdated_fit(folder: Path, identity: str, progress: Progress) -> None:
    """Remove a training of a round with another identity.

    Its record goes first, and `last.ckpt` last, so that a killed removal is done again. The folder
    `fit` stays: without a record, it stops a query until the new training has finished.
    """
    last = folder / "fit" / "last.ckpt"
    if last.exists() and not same_training(read_identity(last), identity):
        progress.say(
            "The recipe, the tasks or the labels changed since this round's last fit: restarting "
            "the training. What it had trained is removed."
        )
        for name in ("fit.json", "heldout.json"):
            (folder / name).unlink(missing_ok=True)
        for path in sorted((folder / "fit").iterdir(), key=lambda path: path.name == last.name):
            remove_folder(path) if path.is_dir() else path.unlink()
