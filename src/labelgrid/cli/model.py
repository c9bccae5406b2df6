"""Commands that use the model: fit, score, query, predict, evaluate, control."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from labelgrid.basics.errors import command, note_unchanged
from labelgrid.basics.processes import TOGETHER
from labelgrid.basics.words import count_text, join_names
from labelgrid.cli import screen
from labelgrid.cli.grid import (
    AsJson,
    Changes,
    Folder,
    LeaveOut,
    Weights,
    left_out_values,
    say_left_out,
)
from labelgrid.cli.opening import open_project
from labelgrid.cli.shares import share_at, share_values

if TYPE_CHECKING:
    from labelgrid.rounds.query import QueryResult

#: The picks that `query` prints.
SHOWN = 10
Strategy = Annotated[
    str, typer.Option(help="Replaces the project's strategy; see `labelgrid list strategies`.")
]


On = Annotated[
    str,
    typer.Option(
        metavar="PLACE", help="Work in shards in this place; see `labelgrid list executors`."
    ),
]
Workers = Annotated[
    int, typer.Option(help="How many shards at a time; with --on, one per processor core.", min=0)
]
ShardSize = Annotated[
    int,
    typer.Option(metavar="N", help="The images of a shard; chosen by their number.", min=0),
]


CropOption = Annotated[
    str,
    typer.Option(
        "--crop",
        metavar="CROP",
        help="The part of each image that counts: eigen-nyu, eigen-kitti, garg-kitti, or "
        "TOP:BOTTOM,LEFT:RIGHT in pixels or percent.",
    ),
]
MinDepth = Annotated[
    float | None,
    typer.Option(
        "--min-depth",
        metavar="METRES",
        help="Depths up to this do not count; predictions are raised to it.",
    ),
]
MaxDepth = Annotated[
    float | None,
    typer.Option(
        "--max-depth",
        metavar="METRES",
        help="Depths from this on do not count; predictions are lowered to it.",
    ),
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


class ModelFormat(StrEnum):
    """Formats of a network that other programs run."""

    onnx = "onnx"


class DerivedPredictions(StrEnum):
    """Of which tasks predictions are derived."""

    none = "none"
    missing = "missing"
    mean = "mean"


@note_unchanged("Labels and earlier rounds are unchanged.")
def fit(
    folder: Folder,
    recipe: Annotated[
        str,
        typer.Option(help="Replaces the project's recipe: a shipped one, or the path of a file."),
    ] = "",
    epochs: Annotated[int | None, typer.Option(help="Replaces the recipe's length.", min=1)] = None,
    weights: Weights = None,
    changes: Changes = None,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep", help="Write --set and --epochs to labelgrid.toml, for all later trainings."
        ),
    ] = False,
    devices: Annotated[
        int,
        typer.Option(
            help="Processes that divide each batch: one for each GPU, or parts of the processors.",
            min=1,
        ),
    ] = 1,
    report: Annotated[
        bool, typer.Option("--report", help="Then write the report, DIR/report.html.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Train on all labels or resume a stopped training, then measure on the held-out images.

    Example: [bold]labelgrid fit flat --epochs 20[/]
    """
    from dataclasses import asdict

    from labelgrid.executors.together import is_first_place
    from labelgrid.project.overrides import parse_overrides

    overrides = parse_overrides(changes or [])
    with open_project(folder) as project:
        with _say_what_resumes():
            done = project.fit(
                recipe=recipe,
                epochs=epochs,
                weights=weights,
                changes=overrides,
                keep=keep,
                devices=devices,
            )
        if not is_first_place():
            return
        from labelgrid.api.contents import status_and_step

        page = project.report().page if report else None
        status, step = status_and_step(project.disk)
    if json:
        written = {"report": str(page)} if page else {}
        screen.print_json(asdict(done) | {"headlines": status["headlines"]} | written)
        return
    images = count_text(done.images, "image")
    labels = f"{_say_counts(done.labels)} labels"
    if done.filled:
        labels += f" and {_say_counts(done.filled)} that nobody bought (derived or supplied)"
    screen.say(f"Trained on {images} with {labels}, for round {done.round} -> {done.checkpoint}")
    for headline in status["headlines"]:
        screen.say(headline["text"])
    if page:
        screen.say(f"Wrote {page}")
    screen.say(f"Next: {step.line}")


@contextmanager
def _say_what_resumes() -> Iterator[None]:
    """Say, if a training is stopped, what goes on with it and what begins again."""
    try:
        yield
    except KeyboardInterrupt:
        if TOGETHER not in os.environ:  # else whoever started this process says it once
            screen.note(
                "The training is kept up to its last whole epoch. With other options, settings or "
                "labels, this round's `fit` starts over, and removes it."
            )
        raise


@note_unchanged("Nothing was requested; finished scores are unchanged.")
def score(
    folder: Folder,
    strategy: Strategy = "",
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="The predictions of a network of your own, in place of a training.",
            file_okay=False,
        ),
    ] = None,
    on: On = "",
    workers: Workers = 0,
    shard: ShardSize = 0,
    json: AsJson = False,
) -> None:
    """Score the pool with the newest model, or resume a stopped run.

    The strategy says what it needs.

    Example: [bold]labelgrid score flat --workers 8[/]
    """
    with open_project(folder) as project:
        table = project.score(
            strategy, predictions=predictions, on=on, workers=workers, shard=shard
        )
    share = share_at(on)
    if not share.is_all:  # which was said; the table is not there yet
        if json:
            screen.print_json(share_values(share))
        return
    if json:
        values = {"images": len(table.images), "statistics": list(table.statistics)}
        screen.print_json(values)
        return
    images = count_text(len(table.images), "image")
    screen.say(f"Scored {images}: {', '.join(table.statistics) or 'no statistics needed'}.")


@note_unchanged("Nothing was requested.")
def query(
    folder: Folder,
    budget: Annotated[
        float | None,
        typer.Option(
            help="How much to spend, in --unit; without it, what --pairs and --audit take."
        ),
    ] = None,
    unit: Annotated[
        Unit, typer.Option(help="Labels, images (all missing labels of one) or cost.")
    ] = Unit.labels,
    strategy: Strategy = "",
    tasks: Annotated[
        list[str] | None,
        typer.Option("--task", metavar="TASK", help="Pick cells of this task only. Repeatable."),
    ] = None,
    class_name: Annotated[
        str,
        typer.Option(
            "--class",
            metavar="CLASS",
            help="Pick images of which the model predicts most as this class, or TASK:CLASS.",
        ),
    ] = "",
    like: Annotated[
        str,
        typer.Option(
            metavar="IMAGE", help="Pick images that are most like this one: an id or a file."
        ),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the picks and request nothing.")
    ] = False,
    new: Annotated[
        bool,
        typer.Option("--new", help="Request further cells while the last ones are unanswered."),
    ] = False,
    pairs: Annotated[
        int,
        typer.Option(help="Training images to draw at random, to measure relations on.", min=0),
    ] = 0,
    audit: Annotated[
        int,
        typer.Option(
            help="Cells to draw at random of each supplier and task, to measure suppliers on.",
            min=0,
        ),
    ] = 0,
    control: Annotated[
        str, typer.Option(metavar="N%", help="A share of the budget to spend on random cells.")
    ] = "0",
    prelabels: Annotated[
        bool, typer.Option(help="Write the model's predictions for the picks.")
    ] = True,
    save: Annotated[
        Path | None, typer.Option(help="Keep the picks of a dry run in this file.", dir_okay=False)
    ] = None,
    picks: Annotated[
        Path | None,
        typer.Option(help="Request exactly the picks of such a file.", dir_okay=False),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(help="Then write all open requests as files into this folder."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Pick cells within the budget, mark them requested and close the round.

    Example: [bold]labelgrid query flat --budget 240 --strategy partal[/]
    """
    if budget is None and picks is None:
        from labelgrid.select.draws import need_budget

        need_budget(budget, pairs, audit)
    with open_project(folder) as project:
        result = project.query(
            budget,
            unit.value,
            strategy=strategy,
            tasks=tasks or (),
            dry_run=dry_run,
            new=new,
            pairs=pairs,
            audit=audit,
            control=control,
            prelabels=prelabels,
            save=save,
            picks=picks,
            class_name=class_name,
            like=like,
        )
        exported = project.export(export) if export and not dry_run else None
    if json:
        written = {"exported": str(export)} if exported else {}
        screen.print_json(result.as_json() | {"dry_run": dry_run} | written)
        return
    _show_picks(result, dry_run)
    if exported:
        screen.say(str(exported))
        again = command("import", folder, export)
        screen.say(f"Next: {again}   (once its labels are there)")
    elif not dry_run:
        screen.say(f"Next: {command('export', folder)}")


def _show_picks(result: "QueryResult", dry_run: bool) -> None:
    """Print the first picks, and how many labels of each task they are."""
    first = result.picks[:SHOWN]
    scored = any(pick.score is not None for pick in first)
    columns = ["image", "task", *(["score"] if scored else []), "why"]
    rows = []
    for pick in first:
        row: list[str | float] = [pick.cell.image_id, pick.cell.task]
        if scored:
            row.append("" if pick.score is None else pick.score)
        rows.append([*row, pick.why])
    title = f"Picks: the first {len(first)} of {len(result.picks):,}"
    screen.print_table(title, columns, rows)
    if result.repeated:
        verb = "already requested"
    elif dry_run:
        verb = "would request"
    else:
        verb = "requested"
    labels = _say_counts(Counter(pick.cell.task for pick in result.picks))
    screen.say(f"Round {result.round} ({result.strategy}) {verb} {labels}: cost {result.cost:g}.")


def _say_counts(counts: Mapping[str, int]) -> str:
    """The numbers of labels by task, in words."""
    return ", ".join(f"{count} {task}" for task, count in counts.items())


def predict(
    folder: Folder,
    images: Annotated[
        str,  # as typed: see `Images`
        typer.Argument(metavar="IMAGES", help="A folder of images, or one image, or its address."),
    ],
    out: Annotated[Path, typer.Option(help="The folder for the predictions, as OUT/TASK/IMAGE.")],
    known: Annotated[
        Path | None, typer.Option(help="A folder of known labels to feed to the network.")
    ] = None,
    soft: Annotated[
        bool, typer.Option("--soft", help="Also write class probabilities and the like, as .npz.")
    ] = False,
    overlay: Annotated[
        bool,
        typer.Option(
            "--overlay",
            help="Also draw each photograph with each prediction over it: OUT/overlays.",
        ),
    ] = False,
    relations: Annotated[
        DerivedPredictions,
        typer.Option(
            help="Derive predictions from others by relations that are on: those of tasks that the "
            "network did not learn, or means of both for all that follow."
        ),
    ] = DerivedPredictions.missing,
    leave_out: LeaveOut = False,
    on: On = "",
    workers: Workers = 0,
    shard: ShardSize = 0,
    json: AsJson = False,
) -> None:
    """Predict all tasks of images as label files, at the images' original size.

    Example: [bold]labelgrid predict flat holiday --out predicted[/]
    """
    with open_project(folder) as project:
        count = project.predict(
            images,
            out,
            known=known,
            soft=soft,
            overlay=overlay,
            relations=relations.value,
            leave_out=leave_out,
            on=on,
            workers=workers,
            shard=shard,
        )
        if json:
            values = {"written": count} | left_out_values(project)
            screen.print_json(values | share_values(share_at(on)))
            return
        say_left_out(project)
    screen.say(f"Wrote {count_text(count, 'prediction')} -> {out}")


@note_unchanged("Nothing was written.")
def export_model(
    folder: Folder,
    to: Annotated[ModelFormat, typer.Option(help="The format.")] = ModelFormat.onnx,
    out: Annotated[
        Path | None,
        typer.Option(help="The file; by default model.onnx in the project.", dir_okay=False),
    ] = None,
    known: Annotated[
        list[str] | None,
        typer.Option(help="A task whose labels are inputs of the network, too. Repeatable."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Write the newest network as a file that programs without labelgrid run.

    Example: [bold]labelgrid export-model flat --to onnx[/]
    """
    from dataclasses import asdict

    with open_project(folder) as project:
        done = project.export_model(out, to=to.value, known=known or ())
    if json:
        screen.print_json(asdict(done) | {"path": str(done.path)})
        return
    screen.say(f"Round {done.round}: {join_names(done.tasks)} -> {done.path}")
    worst = max(done.differences.values())
    screen.say(f"ONNX Runtime and the network differ by at most {worst:.1e} of the largest value.")


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
    crop: CropOption = "",
    min_depth: MinDepth = None,
    max_depth: MaxDepth = None,
    json: AsJson = False,
) -> None:
    """Measure the newest model, or prediction files, at the images' original size.

    Example: [bold]labelgrid evaluate flat --split test[/]
    """
    with open_project(folder) as project:
        values = project.evaluate(
            labels,
            split=split.value if split else None,
            predictions=predictions,
            crop=crop,
            min_depth=min_depth,
            max_depth=max_depth,
        )
    if json:
        screen.print_json(values)
    else:
        screen.print_metrics(values)


@note_unchanged("The rounds are unchanged; finished trainings of the comparison are kept.")
def control(
    folder: Folder,
    seeds: Annotated[int, typer.Option(help="The trainings on each of the two; 6 at least.")] = 6,
    json: AsJson = False,
) -> None:
    """Measure whether a strategy's picks pay: compare them with as many random labels.

    The random labels are those of `query --control`.

    Example: [bold]labelgrid control flat[/]
    """
    from dataclasses import asdict

    from labelgrid.advice.control_verdict import table_rows

    with open_project(folder) as project:
        compared = project.control(seeds=seeds)
    if json:
        screen.print_json(asdict(compared))
        return
    columns = ["on the held-out images", "picks", "random", "difference", "95 % interval", "p"]
    screen.print_table("", columns, table_rows(compared.measures))
    labels = _say_counts({row.task: row.compared for row in compared.labels if row.compared})
    screen.say(
        f"All trainings share {count_text(compared.shared, 'label')}. To these come {labels}: "
        f"picks of {join_names(compared.strategies)}, or labels of the control."
    )
    screen.say(compared.text)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for each in (fit, score, query, predict, export_model, evaluate, control):
        app.command()(each)
