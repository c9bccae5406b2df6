"""How a round's network is built, and restored from its checkpoint."""

from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from labelgrid.errors import ModelError, ProjectError
from labelgrid.nets.backbones import Encoder
from labelgrid.nets.network import Network
from labelgrid.progress import Progress
from labelgrid.project.artifacts import Fit, read_fit
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.resolve import build_plugin
from labelgrid.recipes.schema import PluginChoice
from labelgrid.rounds.context import RoundContext, as_fitted, context_of
from labelgrid.streams import seed_of
from labelgrid.train.checkpoint import load, weights_hash
from labelgrid.train.model import TrainedModel


def network_of(crew: RoundContext, weights: Path | None, *, pretrained: bool = True) -> Network:
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
        network: Network = build_plugin("nets", crew.recipe.network, crew.tasks, encoder)
    return network.to(memory_format=torch.channels_last)  # cheaper on a CPU: see benchmarks/training_step.py


def new_network(crew: RoundContext, project: ProjectFolder, progress: Progress) -> Network:
    """The network with its initial weights, which can take images of the training size.

    Raises:
        ModelError: it cannot, or its weights cannot be had.
    """
    weights, backbone = project.weights(), crew.recipe.backbone
    if backbone.pretrained and weights is None:
        progress.say(f"Fetching the ImageNet weights of '{backbone.name}', unless they are here from an earlier time.")
    network = network_of(crew, weights)
    check_size(network, crew.recipe.data.size)
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


def _continue_from(before: Fit, project: ProjectFolder, network: Network, progress: Progress) -> None:
    """Take over the weights of an earlier round's network; what is new (a task's heads) stays as drawn."""
    old, own = load(project.inside(before.checkpoint)).network, network.state_dict()
    fitting = {name: value for name, value in old.items() if name in own and own[name].shape == value.shape}
    progress.say(f"Going on from the weights of round {before.round}.")
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


def restore(project: ProjectFolder, done: Fit) -> tuple[RoundContext, Network]:
    """The network of a finished training, and the context to use it with."""
    context = as_fitted(context_of(project), done)
    return context, restore_model(context, done).network


def restore_model(context: RoundContext, fit: Fit) -> TrainedModel:
    """The network of a finished training and its terms, as they were at its end.

    Args:
        context: of the project; recipe and seed are the training's, whatever this one's are.
        fit: the record of the training.

    Raises:
        ModelError: the checkpoint is not the one that was kept, or the tasks are not the ones it was trained for.
    """
    context = as_fitted(context, fit)
    path = context.project.inside(fit.checkpoint)
    kept = load(path) if path.is_file() else None
    if kept is None or weights_hash(kept.network) != fit.model:
        raise ModelError(
            "The checkpoint is gone or not the one that was trained.",
            where=str(path),
            next_step="Run `labelgrid fit` again.",
        )
    network = network_of(context, None, pretrained=False)
    terms = {
        name: build_plugin("train.terms", PluginChoice(name, options), context.tasks)
        for name, options in context.recipe.terms.items()
    }
    try:
        network.load_state_dict(kept.network)
    except RuntimeError as error:
        raise ModelError(
            f"The model of round {fit.round} was trained for other tasks.",
            where=str(path),
            next_step="Run `labelgrid fit` again.",
        ) from error
    for name, term in terms.items():
        if isinstance(term, nn.Module):
            term.load_state_dict(kept.parts[name])
            term.eval()
    return TrainedModel(network.eval(), terms, fit.model)


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
