"""How a round's network and terms are built, and restored from their checkpoint."""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch

from labelgrid.errors import ModelError, ProjectError
from labelgrid.nets.backbones import Encoder
from labelgrid.nets.network import Network
from labelgrid.progress import Progress
from labelgrid.project.artifacts import Fit, MemberRecord, read_fit, read_members
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.resolve import build_plugin
from labelgrid.recipes.schema import PluginChoice
from labelgrid.rounds.context import RoundContext, as_fitted, context_of
from labelgrid.streams import seed_of
from labelgrid.train.checkpoint import load
from labelgrid.train.model import OtherTasksError, TrainedModel, with_states
from labelgrid.train.seeding import keyed
from labelgrid.train.term import Term


def network_of(context: RoundContext, weights: Path | None, *, pretrained: bool = True) -> Network:
    """The network with its initial weights: the backbone's from a file or fetched, the rest drawn from the seed.

    Args:
        context: of the project.
        weights: a local file of backbone weights; None fetches them if the recipe says so.
        pretrained: False leaves the backbone random, for a checkpoint to fill.
    """
    options = context.recipe.backbone
    if not pretrained:
        options = type(options)(**{**asdict(options), "pretrained": False})
    with keyed(context.seed, "init"):
        encoder = partial(Encoder, options, weights if pretrained and options.pretrained else None)
        network: Network = build_plugin("nets", context.recipe.network, context.tasks, encoder)
    return network.to(memory_format=torch.channels_last)  # cheaper on a CPU: see benchmarks/training_step.py


def new_network(context: RoundContext, project: ProjectFolder, progress: Progress) -> Network:
    """The network with its initial weights, which can take images of the training size.

    Raises:
        ModelError: it cannot, or its weights cannot be had.
    """
    weights, backbone = project.weights(), context.recipe.backbone
    if backbone.pretrained and weights is None:
        progress.say(f"Fetching the ImageNet weights of '{backbone.name}', unless they are here from an earlier time.")
    network = network_of(context, weights)
    check_size(network, context.recipe.data.size)
    return network


def check_size(network: Network, size: tuple[int, int]) -> None:
    """Refuse a training size that the network cannot take (some backbones are made for one size).

    Raises:
        ModelError: with the backbone's own words.
    """
    try:
        with torch.inference_mode():
            network.eval()(torch.zeros(1, 3, *size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise ModelError(
            f"The network cannot take images of {size[0]}x{size[1]}: {error}.",
            next_step="Set another `size` in [data], or another backbone.",
            unchanged="Nothing was trained.",
        ) from error


def continue_from(before: Fit, project: ProjectFolder, network: Network, progress: Progress) -> None:
    """Take over the weights of an earlier round's network; what is new (a task's heads) stays as drawn."""
    old, own = load(project.inside(before.checkpoint)).counting, network.state_dict()
    fitting = {name: value for name, value in old.items() if name in own and own[name].shape == value.shape}
    progress.say(f"Continuing from the weights of round {before.round}.")
    if len(fitting) < len(own):
        progress.say(f"{len(own) - len(fitting)} of {len(own)} tensors are new and start as drawn.")
    network.load_state_dict(fitting, strict=False)


def latest(project: ProjectFolder, before: int = 0) -> Fit | None:
    """The newest finished training, or the newest of a round before `before`."""
    for path in sorted(project.folder.glob("rounds/*/fit.json"), reverse=True):
        done = read_fit(path.parent)
        if done and (not before or done.round < before):
            return done
    return None


def terms_of(context: RoundContext, network: Network) -> dict[str, Term]:
    """The recipe's terms, each with random weights of a stream of its own."""
    terms: dict[str, Term] = {}
    for name, options in context.recipe.terms.items():
        with keyed(context.seed, "init", "term", name):
            terms[name] = build_plugin("train.terms", PluginChoice(name, options), context.tasks, network)
    return terms


def restore_model(context: RoundContext, fit: Fit) -> TrainedModel:
    """The model of a finished training: network, terms, and the members that were trained beside it.

    Args:
        context: of the project; recipe and seed are the training's, whatever this one's are.
        fit: the record of the training.

    Raises:
        ModelError: a checkpoint is not the one that was kept, or was trained for other tasks.
    """
    fitted = as_fitted(context, fit)
    model = _restored(fitted, fit.checkpoint, fit.model, f"round {fit.round}")
    kept = read_members(context.project.round_folder(fit.round))
    return replace(model, members=tuple(restore_member(context, fit, name, record) for name, record in kept.items()))


def restore_member(context: RoundContext, fit: Fit, name: str, record: MemberRecord) -> TrainedModel:
    """One further network of a finished training.

    Raises:
        ModelError: as `restore_model`.
    """
    own = replace(as_fitted(context, fit), seed=member_seed(fit, name))
    return _restored(own, record.checkpoint, record.model, f"member '{name}'")


def _restored(context: RoundContext, checkpoint: str, digest: str, name: str) -> TrainedModel:
    path = context.project.inside(checkpoint)
    kept = load(path) if path.is_file() else None
    if kept is None or kept.digest != digest:
        raise ModelError(
            "The checkpoint is gone or not the one that was trained.",
            where=str(path),
            next_step="Run `labelgrid fit` again.",
        )
    network = network_of(context, None, pretrained=False)
    try:
        return with_states(kept, network, terms_of(context, network))
    except OtherTasksError as error:
        error.what, error.where = f"The model of {name} was trained for other tasks, or with other terms.", str(path)
        raise


def previous_model(context: RoundContext, number: int) -> TrainedModel | None:
    """The model of the newest round before `number`; None where there is none, or it knew other tasks.

    Raises:
        ModelError: its checkpoint is not the one that was kept.
    """
    fit = latest(context.project, before=number)
    try:
        return restore_model(context, fit) if fit else None
    except OtherTasksError:
        return None


def member_seed(fit: Fit, name: str) -> int:
    """The seed of a further network of a training."""
    return seed_of(fit.seed, "member", name)


def restore(project: ProjectFolder, fit: Fit) -> tuple[RoundContext, TrainedModel]:
    """The model of a finished training and the context to use it with.

    Raises:
        ModelError: as `restore_model`.
    """
    context = as_fitted(context_of(project), fit)
    return context, restore_model(context, fit)


def model_of(project: ProjectFolder) -> Fit:
    """The newest training.

    Raises:
        ProjectError: there is none.
    """
    done = latest(project)
    if done is None:
        raise ProjectError(
            "There is no model yet.",
            where=str(project.folder),
            next_step=f"Run `labelgrid fit {project.folder}` first.",
        )
    return done
