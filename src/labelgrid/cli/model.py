"""Commands that use the model: fit, score, query, predict, export-model, evaluate, control."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from labelgrid.api.requests import (
    ControlRequest,
    EvaluateRequest,
    ExportModelRequest,
    FitRequest,
    PredictRequest,
    QueryRequest,
    ScoreRequest,
)
from labelgrid.basics.errors import command, note_unchanged
from labelgrid.basics.processes import TOGETHER
from labelgrid.basics.words import count_text, join_names
from labelgrid.cli import screen
from labelgrid.cli.grid import left_out_values, say_left_out
from labelgrid.cli.opening import open_project
from labelgrid.cli.options import with_options
from labelgrid.cli.shares import said_share, share_at, share_values

if TYPE_CHECKING:
    from labelgrid.rounds.query import QueryResult

#: The picks that `query` prints.
SHOWN = 10


@note_unchanged("Labels and earlier rounds are unchanged.")
@with_options(report="--report: then write the report, DIR/report.html")
def fit(
    folder: Path,
    request: FitRequest,
    report: bool = False,
    json: bool = False,
) -> None:
    """Train on all labels or resume a stopped training, then measure on the held-out images.

    Example: [bold]labelgrid fit flat --epochs 20[/]
    """
    from labelgrid.executors.together import is_first_place

    with open_project(folder) as project:
        with _say_what_resumes():
            done = project.fit(**request)
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
@with_options()
def score(
    folder: Path,
    request: ScoreRequest,
    json: bool = False,
) -> None:
    """Score the pool with the newest model, or resume a stopped run.

    The strategy says what it needs.

    Example: [bold]labelgrid score flat --workers 8[/]
    """
    with open_project(folder) as project:
        table = project.score(**request)
    if said_share(request.on, json):  # the table is not there yet
        return
    values = {"images": len(table.images), "statistics": list(table.statistics)}
    images = count_text(len(table.images), "image")
    text = f"Scored {images}: {', '.join(table.statistics) or 'no statistics needed'}."
    screen.print_result(values, json, text)


@note_unchanged("Nothing was requested.")
@with_options(export="--export: then write all open requests as files into this folder")
def query(
    folder: Path,
    request: QueryRequest,
    export: Path | None = None,
    json: bool = False,
) -> None:
    """Pick cells within the budget, mark them requested and close the round.

    Example: [bold]labelgrid query flat --budget 240 --strategy partal[/]
    """
    dry_run = request.dry_run
    if request.budget is None and request.picks is None:
        from labelgrid.select.draws import need_budget

        need_budget(None, request.pairs, request.audit)
    with open_project(folder) as project:
        result = project.query(**request)
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
    return ", ".join(f"{count} {task}" for task, count in counts.items())


@with_options()
def predict(
    folder: Path,
    request: PredictRequest,
    json: bool = False,
) -> None:
    """Predict all tasks of images as label files, at the images' original size.

    Example: [bold]labelgrid predict flat holiday --out predicted[/]
    """
    with open_project(folder) as project:
        count = project.predict(**request)
        if json:
            values = {"written": count} | left_out_values(project)
            screen.print_json(values | share_values(share_at(request.on)))
            return
        say_left_out(project)
    screen.say(f"Wrote {count_text(count, 'prediction')} -> {request.out}")


@note_unchanged("Nothing was written.")
@with_options()
def export_model(
    folder: Path,
    request: ExportModelRequest,
    json: bool = False,
) -> None:
    """Write the newest network as a file that programs without labelgrid run.

    Example: [bold]labelgrid export-model flat --to onnx[/]
    """
    with open_project(folder) as project:
        done = project.export_model(**request)
    if json:
        screen.print_json(asdict(done) | {"path": str(done.path)})
        return
    screen.say(f"Round {done.round}: {join_names(done.tasks)} -> {done.path}")
    worst = max(done.differences.values())
    screen.say(f"ONNX Runtime and the network differ by at most {worst:.1e} of the largest value.")


@with_options()
def evaluate(
    folder: Path,
    request: EvaluateRequest,
    json: bool = False,
) -> None:
    """Measure the newest model, or prediction files, at the images' original size.

    Example: [bold]labelgrid evaluate flat --split test[/]
    """
    with open_project(folder) as project:
        values = project.evaluate(**request)
    if json:
        screen.print_json(values)
    else:
        screen.print_metrics(values)


@note_unchanged("The rounds are unchanged; finished trainings of the comparison are kept.")
@with_options()
def control(
    folder: Path,
    request: ControlRequest,
    json: bool = False,
) -> None:
    """Measure whether a strategy's picks pay: compare them with as many random labels.

    The random labels are those of `query --control`.

    Example: [bold]labelgrid control flat[/]
    """
    from labelgrid.advice.control_verdict import table_rows

    with open_project(folder) as project:
        compared = project.control(**request)
    if json:
        screen.print_json(compared)
        return
    columns = ["on the held-out images", "picks", "random", "difference", "95 % interval", "p"]
    screen.print_table("", columns, table_rows(compared.measures))
    labels = _say_counts({row.task: row.compared for row in compared.labels if row.compared})
    screen.say(
        f"All trainings share {count_text(compared.shared, 'label')}. To these come {labels}: "
        f"picks of {join_names(compared.strategies)}, or labels of the control."
    )
    screen.say(compared.text)


#: The commands of this module.
COMMANDS = (fit, score, query, predict, export_model, evaluate, control)
