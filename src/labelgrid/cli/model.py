"""Commands that use the model: fit, score, query, predict, evaluate."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from labelgrid.cli import screen
from labelgrid.cli.grid import AsJson, Folder, Weights
from labelgrid.errors import command, note_unchanged
from labelgrid.words import count_text

Strategy = Annotated[
    str, typer.Option(help="Replaces the project's strategy; see `labelgrid list strategies`.")
]


class Unit(StrEnum):
    """The unit of a budget."""

    labels = "labels"
    images = "images"
    cost = "cost"


class EvaluatedSplit(StrEnum):
    """Splits that can be evaluated."""

    heldout = "heldout"
    val = "val"
    test = "test"


@note_unchanged("Labels and earlier rounds are unchanged.")
def fit(
    folder: Folder,
    recipe: Annotated[
        str,
        typer.Option(help="Replaces the project's recipe: a shipped one, or the path of a file."),
    ] = "",
    epochs: Annotated[int | None, typer.Option(help="Replaces the recipe's length.", min=1)] = None,
    weights: Weights = None,
    json: AsJson = False,
) -> None:
    """Train on all labels or resume a stopped training, then measure on the held-out images.

    Example: [bold]labelgrid fit flat --epochs 20[/]
    """
    from dataclasses import asdict

    from labelgrid.project.folder import ProjectFolder
    from labelgrid.project.settings import resolve_recipe
    from labelgrid.project.status import status_of
    from labelgrid.rounds import fit

    named = resolve_recipe(recipe) if recipe else ""
    overrides = {"train": {"epochs": epochs}} if epochs else None
    with ProjectFolder.open(folder) as project, project.lock(), screen.Bar() as bar:
        done = fit.fit(project, bar, recipe=named, changes=overrides, weights=weights)
        status = status_of(project)
    if json:
        screen.print_json(asdict(done) | {"headlines": status["headlines"]})
        return
    counts = ", ".join(f"{count} {task}" for task, count in done.labels.items())
    screen.say(
        f"Round {done.round}: trained on {count_text(done.images, 'image')} with {counts} labels -> {done.checkpoint}"
    )
    for headline in status["headlines"]:
        screen.say(headline["text"])
    screen.say(f"Next: {status['next']}")


@note_unchanged("Nothing was requested; finished scores are unchanged.")
def score(folder: Folder, strategy: Strategy = "") -> None:
    """Score the pool with the newest model, or resume a stopped run.

    The strategy says what it needs.

    Example: [bold]labelgrid score flat[/]
    """
    from labelgrid.project.folder import ProjectFolder
    from labelgrid.rounds import score

    with ProjectFolder.open(folder) as project, project.lock(), screen.Bar() as bar:
        table = score.score(project, bar, strategy)
    screen.say(
        f"Scored {count_text(len(table.images), 'image')}: {', '.join(table.statistics) or 'no statistics needed'}."
    )


@note_unchanged("Nothing was requested.")
def query(
    folder: Folder,
    budget: Annotated[float, typer.Option(help="How much to spend, in --unit.")],
    unit: Annotated[
        Unit, typer.Option(help="Labels, images (all missing labels of one) or cost.")
    ] = Unit.labels,
    strategy: Strategy = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the picks and request nothing.")
    ] = False,
    new: Annotated[
        bool,
        typer.Option("--new", help="Request further cells while the last ones are unanswered."),
    ] = False,
    prelabels: Annotated[
        bool, typer.Option(help="Write the model's predictions for the picks.")
    ] = True,
    json: AsJson = False,
) -> None:
    """Pick cells within the budget, mark them requested and close the round.

    Example: [bold]labelgrid query flat --budget 240 --strategy partal[/]
    """
    from labelgrid.project.folder import ProjectFolder
    from labelgrid.rounds import query
    from labelgrid.select.strategy import Budget

    with ProjectFolder.open(folder) as project, project.lock(), screen.Bar() as bar:
        options = {"dry_run": dry_run, "new": new, "prelabels": prelabels}
        asked = query.query(project, Budget(budget, unit.value), bar, strategy=strategy, **options)
    if json:
        screen.print_json(asked.as_json() | {"dry_run": dry_run})
        return
    counts: dict[str, int] = {}
    for pick in asked.picks:
        counts[pick.cell.task] = counts.get(pick.cell.task, 0) + 1
    rows = [[p.cell.image_id, p.cell.task, p.score, p.why] for p in asked.picks[:10]]
    screen.print_table(
        f"Picks: the first {len(rows)} of {len(asked.picks):,}",
        ["image", "task", "score", "why"],
        rows,
    )
    parts = ", ".join(f"{count} {task}" for task, count in counts.items())
    verb = "already requested" if asked.repeated else "would request" if dry_run else "requested"
    screen.say(f"Round {asked.round} ({asked.strategy}) {verb} {parts}: cost {asked.cost:g}.")
    if not dry_run:
        screen.say(f"Next: {command('export', folder)}")


def predict(
    folder: Folder,
    images: Annotated[
        Path, typer.Argument(metavar="IMAGES", help="A folder of images, or one image.")
    ],
    out: Annotated[Path, typer.Option(help="The folder for the predictions, as OUT/TASK/IMAGE.")],
    known: Annotated[
        Path | None, typer.Option(help="A folder of known labels to feed to the network.")
    ] = None,
    soft: Annotated[
        bool, typer.Option("--soft", help="Also write class probabilities and the like, as .npz.")
    ] = False,
) -> None:
    """Predict all tasks of images as label files, at the images' original size.

    Example: [bold]labelgrid predict flat holiday --out predicted[/]
    """
    from labelgrid.project.folder import ProjectFolder
    from labelgrid.rounds import predict

    with ProjectFolder.open(folder) as project, screen.Bar() as bar:
        count = predict.predict(project, images, out=out, known=known, progress=bar, soft=soft)
    screen.say(f"Wrote {count_text(count, 'prediction')} -> {out}")


def evaluate(
    folder: Folder,
    labels: Annotated[
        Path | None, typer.Argument(metavar="[LABELS]", help="A folder of labels.")
    ] = None,
    split: Annotated[
        EvaluatedSplit | None,
        typer.Option(help="Without LABELS: the project's split to measure on; heldout by default."),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="Measure the predictions in this folder, not the newest model's.", file_okay=False
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Measure the newest model, or prediction files, at the images' original size.

    Example: [bold]labelgrid evaluate flat --split test[/]
    """
    from labelgrid.project.folder import ProjectFolder
    from labelgrid.rounds.evaluate import evaluate_project

    with ProjectFolder.open(folder) as project, screen.Bar() as bar:
        values = evaluate_project(
            project,
            bar,
            labels=labels,
            split=split.value if split else None,
            predictions=predictions,
        )
    if json:
        screen.print_json(values)
    else:
        screen.print_metrics(values)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for each in (fit, score, query, predict, evaluate):
        app.command()(each)
