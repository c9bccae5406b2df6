"""Trains the members of a deep ensemble: further networks beside a round's own."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from labelgrid.basics.errors import ModelError, command
from labelgrid.basics.files import remove_folder
from labelgrid.basics.processes import set_threads
from labelgrid.basics.progress import Progress
from labelgrid.executors.passes import Pass, PassPart
from labelgrid.ledger.roster import Roster
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import Fit, MemberRecord, read_members, write_member
from labelgrid.recipes.recipe import Recipe
from labelgrid.rounds.context import RoundContext, context_for_recipe, training_context
from labelgrid.rounds.fit import plan_of, splits_for_training
from labelgrid.rounds.models import (
    continue_training,
    fit_to_continue,
    member_seed,
    new_network,
    restore_member,
)
from labelgrid.train.checkpoint import load, read_identity, same_training
from labelgrid.train.loop import fit as train
from labelgrid.train.plan import Plan
from labelgrid.train.trained_model import TrainedModel


def train_member(context: RoundContext, fit: Fit, name: str, progress: Progress) -> TrainedModel:
    """Train a further network on a round's labels under a seed of its name, or resume the training.

    A member that is already trained is restored. The member is saved in the folder of the round's
    fit, and is part of the model from then on. It uses the same training and val images as the
    round's own network. With `restart = false` it continues from the member of the same name of the
    round before, if there is one, for `member_steps`.

    Args:
        context: the project's context.
        fit: the record of the round's training; the member uses the same recipe.
        name: the member's name and the name of its folder; its seed depends on it.
        progress: receives the progress.

    Returns:
        The trained member.

    Raises:
        TrainingError: a loss is not finite.
        ModelError: a network or its checkpoint cannot be used.
    """
    project = context.project
    round_folder = project.round_folder(fit.round)
    folder = round_folder / "fit" / "members" / name
    fitted = training_context(context, fit)
    existing = read_members(round_folder).get(name)
    if existing:
        return restore_member(fitted, project.folder, fit, name=name, record=existing)
    seeded = replace(fitted, seed=member_seed(fit, name))
    splits = splits_for_training(fitted, progress)
    network = new_network(seeded, progress)
    start = ""
    earlier = fit_to_continue(fitted, fit.round)
    previous = read_members(project.round_folder(earlier.round)).get(name) if earlier else None
    told = f"member '{name}' of the round before"
    if previous and continue_training(project, previous, network, name=told, progress=progress):
        start = previous.model
        seeded = _continuing(seeded)
    plan = plan_of(seeded, network, start=start, splits=splits, number=fit.round)
    _check_same_labels(project, fit, plan)
    last = folder / "last.ckpt"
    if last.exists() and not same_training(read_identity(last), plan.identity):
        progress.say(
            f"The recipe or the labels changed since the training of member '{name}' started: "
            "restarting it."
        )
        remove_folder(folder)
    checkpoint = train(plan, folder, progress)
    path_in_project = checkpoint.relative_to(project.folder).as_posix()
    saved = load(checkpoint, project.encoders)
    record = MemberRecord(path_in_project, saved.digest, saved.encoder.get("hash", ""))
    write_member(round_folder, name, record)
    return restore_member(fitted, project.folder, fit, name=name, record=record)


@dataclass(frozen=True, kw_only=True)
class MemberOrder:
    """The project and the recipe that a member is trained with in another process.

    Args:
        folder: the project's folder.
        roster: the project's tasks and images.
        recipe: the project's current one.
        fit: the record of the round's training.
        threads: the threads with which a member is trained.
    """

    folder: Path
    roster: Roster
    recipe: Recipe
    fit: Fit
    threads: int


def train_ordered_member(part: PassPart, order: MemberOrder, progress: Progress) -> None:
    """Train a member in a job, from its order."""
    set_threads(order.threads)
    with ProjectFolder.open(order.folder) as project, project.store.steady(order.roster):
        context = context_for_recipe(project, order.recipe)
        train_member(context, order.fit, part.items[0], progress)


def member_pass(project: ProjectFolder, order: MemberOrder, folder: Path) -> Pass[PassPart]:
    """The pass that trains members, with jobs below `folder`."""
    round_folder = project.round_folder(order.fit.round)
    return Pass(
        activity="Training members",
        folder=folder,
        function=train_ordered_member,
        arguments=lambda part: (order,),
        is_done=lambda part: part.items[0] in read_members(round_folder),
        unit="networks",
        title="Member '{item}'",
    )


def _continuing(context: RoundContext) -> RoundContext:
    """The context of a member that continues: as long as the recipe says."""
    options = context.recipe.train
    if not options.member_steps:
        return context
    options = replace(options, steps=options.member_steps, label_visits=0.0)
    return replace(context, recipe=replace(context.recipe, train=options))


def _check_same_labels(project: ProjectFolder, fit: Fit, plan: Plan) -> None:
    of_round = json.loads(read_identity(project.inside(fit.checkpoint)))
    of_member = json.loads(plan.identity)
    if of_round["data"] != of_member["data"]:
        raise ModelError(
            f"The labels changed since the training of round {fit.round}, so a member would learn "
            "from others.",
            where=project.folder,
            next_step=f"Run `{command('fit', project.folder)}` first.",
            unchanged="Nothing was trained.",
        )
