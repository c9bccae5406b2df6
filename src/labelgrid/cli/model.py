"""Commands on the model: train it, score the pool, pick cells, predict, measure."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from labelgrid.cli import screen
from labelgrid.cli.grid import AsJson, Folder
from labelgrid.errors import with_unchanged

Strategy = Annotated[str, typer.Option(help="Instead of the project's: see `labelgrid list select`.")]


class Unit(StrEnum):
    """What a budget counts."""

    labels = "labels"
    images = "images"
    cost = "cost"


class EvaluatedSplit(StrEnum):
    """Splits that can be measured on."""

    heldout = "heldout"
    val = "val"
    test = "test"


@with_unchanged("Labels and earlier rounds are as they were.")
def fit(
    folder: Folder,
    recipe: Annotated[str, typer.Option(help="Instead of the project's: a shipped recipe, or the path of one.")] = "",
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's length.", min=1)] = None,
    json: AsJson = False,
) -> None:
    """Train on the labels there are, or go on where a stopped training was; then measure on the held-out images.

    Example: [bold]labelgrid fit flat --epochs 20[/]
    """
    from dataclasses import asdict

    from labelgrid.project.folder import ProjectFolder
    from labelgrid.project.settings import recipe_word
    from labelgrid.project.status import status_of
    from labelgrid.rounds import fit

    named = recipe_word(recipe) if recipe else ""
    changes = {"train": {"epochs": epochs, "steps": 0}} if epochs else None
    with ProjectFolder.open(folder) as project, project.alone(), screen.Bar() as bar:
        done = fit.fit(project, bar, named, changes)
        next_step = status_of(project)["next"]
    if json:
        screen.as_json(asdict(done))
        return
    counts = ", ".join(f"{count} {task}" for task, count in done.labels.items())
    screen.say(f"Round {done.round}: learned from {done.images} images with {counts} labels -> {done.checkpoint}")
    screen.say(f"Next: {next_step}")


@with_unchanged("Nothing was requested, and finished scores are as they were.")
def score(folder: Folder, strategy: Strategy = "") -> None:
    """Score the pool with the newest model, as the strategy needs it; goes on where a stopped run was.

    Example: [bold]labelgrid score flat[/]
    """
    from labelgrid.project.folder import ProjectFolder
    from labelgrid.rounds import score

    with ProjectFolder.open(folder) as project, project.alone(), screen.Bar() as bar:
        table = score.score(project, bar, strategy)
    screen.say(f"Scored {len(table.images)} images: {', '.join(table.statistics) or 'nothing needed'}.")


@with_unchanged("Nothing was requested.")
def query(
    folder: Folder,
    budget: Annotated[float, typer.Option(help="How much to spend, in --unit.")],
    unit: Annotated[Unit, typer.Option(help="Labels, images (all missing labels of one) or cost.")] = Unit.labels,
    strategy: Strategy = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the picks and request nothing.")] = False,
    prelabels: Annotated[bool, typer.Option(help="Write the model's predictions of the picks.")] = True,
    json: AsJson = False,
) -> None:
    """Pick cells within the budget, mark them requested and close the round.

    Example: [bold]labelgrid query flat --budget 240 --strategy partal[/]
    """
    from dataclasses import asdict

    from labelgrid.project.folder import ProjectFolder
    from labelgrid.rounds import query
    from labelgrid.select.strategy import Budget

    with ProjectFolder.open(folder) as project, project.alone(), screen.Bar() as bar:
        asked = query.query(
            project, Budget(budget, unit.value), bar, strategy=strategy, dry_run=dry_run, prelabels=prelabels
        )
    if json:
        screen.as_json(asdict(asked) | {"dry_run": dry_run})
        return
    counts: dict[str, int] = {}
    for pick in asked.picks:
        counts[pick.cell.task] = counts.get(pick.cell.task, 0) + 1
    rows = [[p.cell.image, p.cell.task, p.score, p.why] for p in asked.picks[:10]]
    screen.table(f"The first of {len(asked.picks)} picks", ["image", "task", "score", "why"], rows)
    parts = ", ".join(f"{count} {task}" for task, count in counts.items())
    did = "would request" if dry_run else "requested"
    screen.say(f"Round {asked.round} ({asked.strategy}) {did} {parts}: cost {asked.cost:g}.")
    if not dry_run:
        screen.say(f"Next: labelgrid export {folder}")


def predict(
    folder: Folder,
    images: Annotated[Path, typer.Argument(metavar="IMAGES", help="A folder of images, or one image.")],
    out: Annotated[Path, typer.Option(help="Where the predictions go, as OUT/TASK/IMAGE.")],
    known: Annotated[Path | None, typer.Option(help="A folder of labels to feed in.")] = None,
    soft: Annotated[bool, typer.Option("--soft", help="Write class probabilities and the like as .npz, too.")] = False,
) -> None:
    """Predict all tasks of images, as label files at their original size.

    Example: [bold]labelgrid predict flat holiday --out predicted[/]
    """
    from labelgrid.project.folder import ProjectFolder
    from labelgrid.rounds import predict

    with ProjectFolder.open(folder) as project, screen.Bar() as bar:
        count = predict.predict(project, images, out, known, bar, soft=soft)
    screen.say(f"Wrote {count} predictions -> {out}")


def evaluate(
    folder: Folder,
    labels: Annotated[Path | None, typer.Argument(metavar="[LABELS]", help="A folder of labels.")] = None,
    split: Annotated[
        EvaluatedSplit | None,
        typer.Option(help="Without LABELS: the project's split to measure on; heldout if not said."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Measure the newest model, at the images' original size.

    Example: [bold]labelgrid evaluate flat --split test[/]
    """
    from labelgrid.errors import UsageError
    from labelgrid.project.folder import ProjectFolder
    from labelgrid.rounds import evaluate

    if labels is not None and split is not None:
        raise UsageError("--split is of the project's own labels, and LABELS are others.", next_step="Leave one away.")
    with ProjectFolder.open(folder) as project, screen.Bar() as bar:
        if labels is not None:
            values = evaluate.evaluate_folder(project, labels, bar)
        else:
            values = evaluate.evaluate_split(project, (split or EvaluatedSplit.heldout).value, bar)
    if json:
        screen.as_json(values)
        return
    rows = [
        [task, values["labels"][task], name, result["value"], result["unit"]]
        for task, group in values["metrics"].items()
        for name, result in group.items()
    ]
    screen.table("", ["task", "labels", "metric", "value", "unit"], rows)
    screen.say(f"loss_mtl {values['loss_mtl']:.4f}")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (fit, score, query, predict, evaluate):
        app.command()(command)
