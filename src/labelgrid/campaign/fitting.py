"""How a round's network is trained, kept and found again, and measured on the held-out images."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import torch

from labelgrid.campaign.assemble import Crew, crew_of, labelled_images, network_of, plan_of
from labelgrid.campaign.project import Project, remove_folder, write_text
from labelgrid.campaign.recipe import Recipe
from labelgrid.campaign.recipefile import hash_of
from labelgrid.campaign.records import Fit, read_fit
from labelgrid.config import parse
from labelgrid.errors import ModelError, TrainingError
from labelgrid.labels.grid import Split, State
from labelgrid.labels.store import RoundRow
from labelgrid.nets.network import Network
from labelgrid.progress import Progress
from labelgrid.train.checkpoint import load, weights_hash
from labelgrid.train.evaluate import Evaluation, evaluate
from labelgrid.train.loop import fit as train


def round_number(project: Project) -> int:
    """The number of the open round, or of the one to open next."""
    current = project.store.current_round()
    return current.number if current else max((row.number for row in project.store.rounds()), default=0) + 1


def open_round(project: Project) -> RoundRow:
    """The open round; opens one if none is."""
    return project.store.current_round() or project.store.open_round()


def fit(project: Project, progress: Progress, recipe: str = "", changes: dict[str, Any] | None = None) -> Fit:
    """Train the open round's network on the labels there are, or go on where a killed training stopped.

    Then measure it on the held-out images that have labels.

    Raises:
        TrainingError: there is no label, or a loss is not a number. RecipeError, ModelError: see their text.
    """
    crew = crew_of(project, recipe, changes)
    if not labelled_images(project, "train"):
        raise TrainingError(
            "There is no label to learn from.",
            where=str(project.folder),
            next_step="`labelgrid query`, then `labelgrid export`, then `labelgrid import` get some.",
            unchanged="Nothing was trained.",
        )
    network = new_network(crew, project, progress)
    number = open_round(project).number
    before = None if crew.recipe.train.restart else latest(project, before=number)
    if before:
        _continue_from(before, project, network, progress)
    plan = plan_of(crew, project, network, start=before.model if before else "")
    used = {*plan.train, *plan.val}
    spent = sum(count.spent for count in project.store.counts(("train", "val")).values())
    _make_way(project, number, plan.identity, progress)
    for task in sorted(crew.tasks.keys() - _trained(crew, plan.train)):
        progress.say(f"No label of '{task}' yet: its head stays as it was drawn, its cells will be picked at random.")
    checkpoint = train(plan, project.round_folder(number) / "fit", progress)
    weights = load(checkpoint).network
    network.load_state_dict(weights)
    done = Fit(
        round=number,
        checkpoint=checkpoint.relative_to(project.folder).as_posix(),
        model=weights_hash(weights),
        recipe=json.loads(crew.recipe.json()),
        seed=crew.seed,
        trained=sorted(_trained(crew, plan.train)),
        images=len(used),
        labels=dict(Counter(cell.task for cell in crew.source.labels if cell.image in used)),
        spent=spent,
    )
    _keep(project, done)
    measure_heldout(project, crew, network, done, progress)
    return done


def new_network(crew: Crew, project: Project, progress: Progress) -> Network:
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


def _make_way(project: Project, number: int, identity: str, progress: Progress) -> None:
    """Remove what the round has of another training: its record first, so that none points to nothing."""
    folder = project.round_folder(number)
    last = folder / "fit" / "last.ckpt"
    if last.exists() and load(last).identity != identity:
        progress.say("The recipe, the tasks or the labels changed since this round's last fit: training anew.")
        for name in ("fit.json", "heldout.json"):
            (folder / name).unlink(missing_ok=True)
        remove_folder(folder / "fit")


def _keep(project: Project, done: Fit) -> None:
    """Write a finished training down; the round may have been closed by a query meanwhile."""
    write_text(project.round_folder(done.round) / "fit.json", json.dumps(asdict(done), indent=1) + "\n")
    with project.store.transaction():
        row = project.store.current_round()
        if row and row.number == done.round:
            project.store.update_round(replace(row, recipe=hash_of(done.recipe), model=done.model))


def _trained(crew: Crew, images: Any) -> set[str]:
    known = set(images)
    return {cell.task for cell in crew.source.labels if cell.image in known}


def _continue_from(before: Fit, project: Project, network: Network, progress: Progress) -> None:
    """Take over the weights of an earlier round's network; what is new (a task's heads) stays as drawn."""
    old, own = load(project.inside(before.checkpoint)).network, network.state_dict()
    fitting = {name: value for name, value in old.items() if name in own and own[name].shape == value.shape}
    progress.say(f"Going on from the weights of round {before.round}.")
    if len(fitting) < len(own):
        progress.say(f"{len(own) - len(fitting)} of {len(own)} tensors are new and start as drawn.")
    network.load_state_dict(fitting, strict=False)


def latest(project: Project, before: int = 0) -> Fit | None:
    """The newest finished training, or the newest of a round before `before`."""
    for path in sorted(project.folder.glob("rounds/*/fit.json"), reverse=True):
        done = read_fit(path.parent)
        if done and (not before or done.round < before):
            return done
    return None


def restore(project: Project, done: Fit, score: Mapping[str, Any] | None = None) -> tuple[Crew, Network]:
    """The network of a finished training, and the crew to use it with; `score` replaces the recipe's [score].

    Raises:
        ModelError: the checkpoint is not the one that was kept, or the tasks are not the ones it was trained for.
    """
    path = project.inside(done.checkpoint)
    weights = load(path).network if path.is_file() else {}
    if weights_hash(weights) != done.model:
        raise ModelError(
            "The checkpoint is gone or not the one that was trained.",
            where=str(path),
            next_step="Run `labelgrid fit` again.",
        )
    recipe = parse(Recipe, {**done.recipe, **({"score": score} if score is not None else {})}, "fit.json")
    crew = replace(crew_of(project), recipe=recipe, seed=done.seed)
    network = network_of(crew, None, pretrained=False)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError(
            f"The model of round {done.round} was trained for other tasks.",
            where=str(path),
            next_step="Run `labelgrid fit` again.",
        ) from error
    return crew, network.eval()


def measure_heldout(project: Project, crew: Crew, network: Network, done: Fit, progress: Progress) -> Evaluation | None:
    """Measure a round's network on the held-out labels there are, for the report; their cost is kept apart."""
    measured = measure(project, crew, network, "heldout", progress)
    if measured is not None:
        spent = sum(count.spent for count in project.store.counts(("heldout",)).values())
        kept = {"round": done.round, "model": done.model, "labels": done.labels, "spent": done.spent}
        kept |= {"heldout_labels": measured.labels, "heldout_spent": spent, **as_json(measured)}
        write_text(project.round_folder(done.round) / "heldout.json", json.dumps(kept, indent=1) + "\n")
    return measured


def measure(project: Project, crew: Crew, network: Network, split: Split, progress: Progress) -> Evaluation | None:
    """The network on a split's labels; None where it has none."""
    names = sorted({row.cell.image for row in project.store.cells(state=State.LABELLED, splits=(split,))})
    if not names:
        return None
    recipe = crew.recipe
    return evaluate(
        network,
        crew.tasks,
        crew.definitions,
        crew.source,
        names,
        recipe.data,
        recipe.objective,
        workers=recipe.train.workers,
        progress=progress,
    )


def as_json(measured: Evaluation) -> dict[str, Any]:
    """An evaluation as JSON values."""
    return {
        "metrics": {t: {name: asdict(r) for name, r in group.items()} for t, group in measured.metrics.items()},
        "losses": dict(measured.losses),
        "loss_mtl": measured.loss_mtl.value,
    }
