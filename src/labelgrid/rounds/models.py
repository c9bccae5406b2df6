"""Builds a round's network and terms, and restores both from a checkpoint."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch

from labelgrid.basics.errors import ModelError, ProjectError, UsageError, command
from labelgrid.basics.files import inside
from labelgrid.basics.progress import Progress
from labelgrid.basics.streams import seed_of
from labelgrid.basics.type_names import Size
from labelgrid.basics.words import bytes_text, count_text
from labelgrid.nets.backbones import Encoder, UnfetchedWeightsError
from labelgrid.nets.kept_maps import KeptMaps
from labelgrid.nets.network import Network, reason_to_ignore
from labelgrid.operations.early_warnings import (
    missing_weights_warning,
    training_without_weights,
    unused_weights_warning,
)
from labelgrid.project.declaration_changes import redeclared_tasks
from labelgrid.project.folder import SETTINGS, ProjectFolder
from labelgrid.project.records import Fit, MemberRecord, newest_fit, read_members
from labelgrid.recipes.recipe import PluginChoice, Recipe
from labelgrid.recipes.resolve import build_plugin, has_own_encoder
from labelgrid.rounds.context import ModelContext, RoundContext, context_of, training_context
from labelgrid.train.checkpoint import load
from labelgrid.train.frozen_encoder import has_encoder_of, keep_encoder
from labelgrid.train.seeding import seed_torch
from labelgrid.train.term import Term
from labelgrid.train.trained_model import OtherTasksError, TrainedModel, restore_states


def network_of(context: ModelContext, weights: Path | None, *, pretrained: bool = True) -> Network:
    """Build the network.

    The backbone's weights are read from a file or fetched, all others are random from the seed.

    Args:
        context: the project's context.
        weights: a local file of backbone weights; None fetches them if the recipe says so.
        pretrained: False leaves the backbone's weights random, for a checkpoint to overwrite.
    """
    options = context.recipe.backbone
    if not pretrained:
        options = type(options)(**{**asdict(options), "pretrained": False})
    if not options.pretrained:
        weights = None
    with seed_torch(context.seed, "init"):
        encoder = partial(Encoder, options, weights)
        network: Network = build_plugin("networks", context.recipe.network, context.tasks, encoder)
    part = network.encoder
    folder = context.features if context.recipe.keeps_maps else None
    if folder and isinstance(part, Encoder):
        part.kept = KeptMaps(folder, round(options.kept * 2**30))
        part.keeps_in_training = context.recipe.data.views > 0
    # Cheaper on a CPU: see benchmarks/training_step.py.
    return network.to(memory_format=torch.channels_last)


def new_network(
    context: RoundContext,
    progress: Progress,
    weights: Path | None = None,
    *,
    without: str = "",
) -> Network:
    """Build the network with its initial weights.

    The network is checked to accept images of the training size.

    Args:
        context: the project's context.
        progress: shows what is fetched.
        weights: a file of backbone weights, which replaces the project's.
        without: a sentence that says how to go on if pretrained weights cannot be had; "": by a
            training of the project.

    Raises:
        ModelError: the network does not accept such images; its weights cannot be read or fetched;
            or `weights` is given, and the network has an encoder of its own.
    """
    project = context.project
    backbone = context.recipe.backbone
    without = without or training_without_weights(project.folder)
    fit_with_file = command("fit", project.folder, "--weights", "FILE")
    other_weights = f"Give a file: `{fit_with_file}`, or `weights` in {SETTINGS}. {without}"
    if has_own_encoder(context.recipe.network.name):
        _refuse_unused_weights(context.recipe.network.name, weights, project, progress)
    else:
        weights = weights or project.weights()
        advice = missing_weights_warning(backbone, weights)
        if advice:
            raise ModelError(
                advice,
                where=project.folder,
                next_step=other_weights,
                unchanged="Nothing was trained.",
            )
        if backbone.pretrained and weights is None:
            progress.say(
                f"Fetching the ImageNet weights of '{backbone.name}', unless they are in the local "
                "cache."
            )
    try:
        network = initial_network(context, weights)
    except UnfetchedWeightsError as error:
        error.where = str(project.folder)
        error.next_step = other_weights
        raise
    check_size(network, context.recipe.data.size)
    return network


def _refuse_unused_weights(
    network: str, weights: Path | None, project: ProjectFolder, progress: Progress
) -> None:
    """Refuse the weights of a command; say that the weights of the settings are not used."""
    if weights is not None:
        raise ModelError(
            unused_weights_warning(network, weights),
            where=project.folder,
            next_step="Leave out the weights, or name a network that uses [backbone], such as "
            "shared_heads.",
            unchanged="Nothing was trained.",
        )
    advice = unused_weights_warning(network, project.weights())
    if advice:
        progress.say(advice)


def initial_network(context: ModelContext, weights: Path | None) -> Network:
    """Build the network with the initial weights of the seed and of the file.

    A network with an encoder of its own has no others' weights.
    """
    if has_own_encoder(context.recipe.network.name):
        return network_of(context, None, pretrained=False)
    return network_of(context, weights)


def untrained_model(context: RoundContext, progress: Progress) -> TrainedModel:
    """The network with its initial weights, before any training, and without terms.

    Raises:
        ModelError: as `new_network`.
    """
    without = (
        "Or start from random weights: write `[changes.backbone]` and `pretrained = false` in "
        f"{context.project.folder / SETTINGS}, and repeat the command."
    )
    network = new_network(context, progress, without=without).eval()
    return TrainedModel(network=network, trained=frozenset())


def kept_maps_words(network: Network, recipe: Recipe, images: int) -> str:
    """What the maps of a frozen encoder take on the disk, or why they are not kept; "" else.

    Args:
        network: the network to train.
        recipe: the recipe of the training.
        images: the number of training images.
    """
    encoder = network.encoder
    data = recipe.data
    backbone = recipe.backbone
    if backbone.train != "frozen" or not backbone.kept or not isinstance(encoder, Encoder):
        return ""
    if encoder.kept is None:
        return (
            "The encoder is frozen, but terms or `mix` change images in each step: maps are "
            "computed each time."
        )
    if not data.views:
        return (
            "The encoder is frozen, but zoom, rotate, jitter and crops show a new view of an image "
            "each time: its maps are computed each time. `kept_views = 8` in [data] draws from "
            "eight views that stay, whose maps are computed once."
        )
    with torch.inference_mode():
        maps = encoder.maps(torch.zeros(1, 3, *data.size))
    size = images * data.views * sum(part.numel() * 2 for part in maps)
    seen = f"{count_text(images, 'training image')} in {count_text(data.views, 'view')}"
    return (
        f"The encoder is frozen: its maps of {seen} take "
        f"{bytes_text(size)} in {encoder.kept.folder.resolve()}, which already holds "
        f"{bytes_text(encoder.kept.size)}; those of other images come to it. Up to "
        f"{bytes_text(encoder.kept.limit)} are kept, and computed once."
    )


def check_size(network: Network, size: Size) -> None:
    """Check that the network accepts images of the training size.

    Some backbones accept one size only.

    Raises:
        ModelError: it does not; quotes the backbone's error.
    """
    try:
        with torch.inference_mode():
            network.eval()(torch.zeros(1, 3, *size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise ModelError(
            f"The network does not accept images of {size[0]}x{size[1]}: {error}.",
            next_step="Set another `size` in [data], or another backbone.",
            unchanged="Nothing was trained.",
        ) from error


def fit_to_continue(context: RoundContext, number: int) -> Fit | None:
    """The newest training before a round, unless the recipe restarts each round."""
    if context.recipe.train.restart:
        return None
    return newest_fit(context.project.folder, before=number, outside=False)


def continue_training(
    project: ProjectFolder,
    earlier: Fit | MemberRecord,
    network: Network,
    *,
    name: str,
    progress: Progress,
) -> bool:
    """Load the weights of an earlier network, unless the network has another encoder.

    New tensors (a new task's heads) keep their initial weights. A frozen encoder stays as given:
    heads that learnt the maps of another one are worth nothing. The lost file of a frozen encoder
    is written again if the network has the same encoder.

    Args:
        project: the project.
        earlier: the training of the earlier network.
        network: takes the weights.
        name: the name of the earlier network, for the message.
        progress: receives what is continued.

    Returns:
        Whether the network has the weights.
    """
    kept = keep_encoder(network, project.encoders).get("hash", "")
    old = None
    if not kept or earlier.encoder in (kept, ""):  # else the other encoder's file may be missing
        old = load(project.inside(earlier.checkpoint), project.encoders).counting
    if old is None or not has_encoder_of(network, old):
        progress.say(
            f"The encoder is not that of {name}: the training starts from its initial weights."
        )
        return False
    new = network.state_dict()
    matching = {}
    for key, value in old.items():
        initial = new.get(key)
        if initial is not None and initial.shape == value.shape:
            matching[key] = value
    progress.say(f"Continuing from the weights of {name}.")
    count = len(new) - len(matching)
    if count:
        progress.say(f"{count} of {len(new)} tensors are new and start from random weights.")
    network.load_state_dict(matching, strict=False)
    return True


def terms_of(context: ModelContext, network: Network) -> dict[str, Term]:
    """Build the recipe's terms, each with random weights from its own stream."""
    terms = {}
    for name, options in context.recipe.terms.items():
        with seed_torch(context.seed, "init", "term", name):
            terms[name] = build_plugin("terms", PluginChoice(name, options), context.tasks, network)
    return terms


def restore_model(context: RoundContext, fit: Fit) -> TrainedModel:
    """Restore the network, terms and members of a finished training.

    Args:
        context: the project's context; its recipe and seed are replaced by the training's.
        fit: the record of the training.

    Raises:
        ModelError: a checkpoint is missing, is not the recorded one, or was trained for other
            tasks.
    """
    if fit.predictions:
        raise OtherTasksError(
            f"The newest model is the folder of predictions that round {fit.round} was scored with;"
            " this needs a network that labelgrid trained.",
            where=fit.predictions,
            next_step=f"Predict with your own network, or run "
            f"`{command('fit', context.project.folder)}`.",
        )
    changed = redeclared_tasks(fit, context.definitions)
    if changed:
        raise OtherTasksError(
            f"The declaration of '{changed[0]}' changed since the training of round {fit.round}.",
            where=context.project.folder,
            next_step=f"Run `{command('fit', context.project.folder)}` to train with it.",
        )
    records = read_members(context.project.round_folder(fit.round))
    return restore_trained(training_context(context, fit), context.project.folder, fit, records)


def restore_trained(
    context: ModelContext, folder: Path, fit: Fit, records: Mapping[str, MemberRecord]
) -> TrainedModel:
    """Restore the model of a training in a project's folder, without its ledger.

    Args:
        context: the context of the training.
        folder: the project's.
        fit: the record of the training.
        records: those of its members, by name.

    Raises:
        ModelError: as `restore_network`.
    """
    path = inside(folder, fit.checkpoint)
    model = restore_network(context, path, fit.model, f"round {fit.round}")
    members = tuple(
        restore_member(context, folder, fit, name=name, record=record)
        for name, record in records.items()
    )
    return replace(model, members=members, trained=frozenset(fit.trained))


def restore_member(
    context: ModelContext, folder: Path, fit: Fit, *, name: str, record: MemberRecord
) -> TrainedModel:
    """Restore one member of a finished training, with the arguments of `restore_trained`.

    Raises:
        ModelError: as `restore_network`.
    """
    seeded = replace(context, seed=member_seed(fit, name))
    path = inside(folder, record.checkpoint)
    return restore_network(seeded, path, record.model, f"member '{name}'")


def restore_network(context: ModelContext, path: Path, digest: str, name: str) -> TrainedModel:
    """Restore a network and its terms from a checkpoint.

    Args:
        context: the context of the training.
        path: the path of the checkpoint.
        digest: what the checkpoint must have.
        name: the name of the model, for messages.

    Raises:
        ModelError: the checkpoint is missing, is another one, or was trained for other tasks; or
            its encoder's file is missing or damaged.
    """
    checkpoint = load(path, context.encoders) if path.is_file() else None
    if checkpoint is None or checkpoint.digest != digest:
        raise ModelError(
            "The checkpoint is missing, or is not the one that was recorded after the training.",
            where=path,
            next_step="Run `labelgrid fit` again.",
        )
    network = network_of(context, None, pretrained=False)
    try:
        return restore_states(checkpoint, network, terms_of(context, network))
    except OtherTasksError as error:
        error.what = (
            f"The model of {name} was trained for other tasks, with other terms, or by an earlier "
            "version."
        )
        error.where = str(path)
        raise


def previous_model(context: RoundContext, number: int) -> TrainedModel | None:
    """The model of the newest round before `number`.

    None if there is none, or if it was trained for other tasks.

    Raises:
        ModelError: its checkpoint is missing, or is not the recorded one.
    """
    fit = newest_fit(context.project.folder, before=number, outside=False)
    try:
        if not fit:
            return None
        return restore_model(context, fit)
    except OtherTasksError:
        return None


def member_seed(fit: Fit, name: str) -> int:
    """The seed of a member of a training."""
    return seed_of(fit.seed, "member", name)


def restore(project: ProjectFolder, fit: Fit) -> tuple[RoundContext, TrainedModel]:
    """Restore the model of a finished training, and build the context to use it with.

    Raises:
        ModelError: as `restore_model`.
    """
    context = training_context(context_of(project), fit)
    return context, restore_model(context, fit)


def check_known_is_used(context: RoundContext, model: TrainedModel) -> None:
    """Refuse to feed known labels into a network that ignores labels.

    Raises:
        UsageError: the network ignores known labels, because it has one stage or because of its
            options.
    """
    reason = reason_to_ignore(model.network)
    if reason:
        raise UsageError(
            f"The network '{context.recipe.network.name}' {reason}, so known labels have no "
            "effect.",
            next_step="Predict without known labels, or train a network of two stages, such as "
            "pad_net or mti_net without options.",
            unchanged="Nothing was written.",
        )


def model_of(project: ProjectFolder) -> Fit:
    """The record of the newest finished training.

    Raises:
        ProjectError: there is none.
    """
    fit = newest_fit(project.folder)
    if fit is None:
        raise ProjectError(
            "There is no model yet.",
            where=project.folder,
            next_step=f"Run `{command('fit', project.folder)}` first.",
        )
    return fit
