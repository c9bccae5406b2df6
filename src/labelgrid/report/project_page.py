"""Builds the report page of one project: status, curves, rounds, picks and training."""

from labelgrid.drawings.bars import Bars
from labelgrid.drawings.charts import Chart, Line
from labelgrid.drawings.wording import add_unit, number, signed_number
from labelgrid.project.headlines import headlines_of
from labelgrid.report.blocks import (
    Block,
    Column,
    DataTable,
    Facts,
    Figure,
    Heading,
    Page,
    Section,
    Text,
    Value,
    hint_blocks,
    number_columns,
)
from labelgrid.report.content import ProjectReport, SplitCells
from labelgrid.report.curves import OVERALL, Curve, curves, newest_metrics, set_changes
from labelgrid.report.shared_blocks import (
    UNCERTAINTY_METHOD,
    grid_map,
    picked_cells,
    uncertainty_charts,
)
from labelgrid.results import Better
from labelgrid.words import count_text

#: States in the bars' order, with colours of Okabe & Ito's palette and a grey.
STATES = {"labelled": "#0072b2", "requested": "#e69f00", "skipped": "#cc79a7", "missing": "#d9d9d9"}
#: The columns of how long labels took, by field of `TaskCells`.
TIMES = {
    "timed": "labels with a time",
    "median": "median seconds",
    "mean": "mean seconds",
    "learned": "learned cost of one label",
}


def project_page(report: ProjectReport) -> Page:
    """The page of a project."""
    sections = [
        Section("status", "Status", _status(report)),
        Section("curves", "Learning curves", _curves(report)),
        Section("rounds", "Rounds", _rounds(report)),
        Section("picks", "Picks", _picks(report)),
        Section("training", "Training", _training(report)),
        Section("settings", "Settings", [Facts(report.about)]),
    ]
    headlines = [
        Text(f"{headline}.") for headline in headlines_of(report.measured, report.headlines)
    ]
    return Page(
        report.name,
        report.made,
        [*headlines, Text("Next step:", "verdict", report.next_step)],
        sections,
    )


def direction(better: Better) -> str:
    """Whether higher or lower is better, in words."""
    return f"{better} is better"


def _status(report: ProjectReport) -> list[Block]:
    blocks: list[Block] = [
        Text(
            "A cell is one task of one image. Each cell is missing, requested, labelled or skipped. Skipped means that "
            "the annotator refused it."
        )
    ]
    for index, part in enumerate(report.parts):
        blocks += [
            Heading(f"{part.name}: {count_text(part.images, 'image')}"),
            cells_figure(part, f"cells-{index}"),
        ]
    if report.requests is not None:
        blocks += [
            Heading("Requests by round"),
            grid_map(report.requests, "grid", "Training images"),
        ]
    if report.heldout:
        blocks += [
            Heading(f"Held out for measuring: {count_text(report.heldout.images, 'image')}"),
            Text(
                "These images were drawn at random at the start and are never trained on. Every live metric of this "
                "report is measured on them alone. Their cost is not part of any curve or round."
            ),
            cells_figure(report.heldout, "cells-heldout"),
        ]
    return blocks


def cells_figure(part: SplitCells, name: str) -> Figure:
    """The cells of a split by state, and their costs."""
    rows = {
        task.task: {state: float(getattr(task, state)) for state in STATES} for task in part.tasks
    }
    keys = [Column(state, True, colour) for state, colour in STATES.items()]
    columns = [
        Column("task"),
        Column("kind"),
        *keys,
        *number_columns("cost of one label", "spent", "promised"),
    ]
    timed = TIMES if any(task.timed for task in part.tasks) else {}
    columns += number_columns(*timed.values())
    lines: list[list[Value]] = [
        [t.task, t.kind, *(getattr(t, s) for s in [*STATES, "cost", "spent", "promised", *timed])]
        for t in part.tasks
    ]
    if part.dropped:
        lines.append(
            [
                "dropped tasks",
                "",
                *(None for _ in STATES),
                None,
                part.dropped,
                None,
                *(None for _ in timed),
            ]
        )
    foot: list[Value] = [
        "all tasks",
        "",
        *(_total(part, s) for s in STATES),
        "",
        _total(part, "spent") + part.dropped,
        _total(part, "promised"),
        *("" for _ in timed),
    ]
    return Figure(
        drawings=[Bars(name, rows, STATES)],
        numbers=DataTable(columns, lines, foot),
        wide=True,
        open=True,
    )


def _total(part: SplitCells, name: str) -> float:
    return float(sum(getattr(task, name) for task in part.tasks))


def _curves(report: ProjectReport) -> list[Block]:
    blocks = hint_blocks(report.hints.get("metrics"))
    all_curves = curves(report.measured, report.headlines)
    if all_curves:
        measured_on = (
            f"Measured on {count_text(report.heldout.images, 'held-out image')}. "
            if report.heldout
            else ""
        )
        blocks.append(
            Text(
                f"{measured_on}This is one run. The intervals at the top of this page cover the choice of the held-out "
                "images, not the chance in training. Costs cover the labels of the training images and of a val split.",
                "caution",
            )
        )
        blocks += [
            Text(
                f"Rounds {before} and {after} were measured on different sets of held-out labels. Their metrics are "
                "not directly comparable.",
                "caution",
            )
            for before, after in set_changes(report.measured)
        ]
        blocks += [Heading(f"Newest metrics: round {report.measured[-1].round}"), _newest(report)]
    heights = {
        headline.task: 2 * (headline.change_interval[1] - headline.change_interval[0])
        for headline in headlines_of(report.measured, report.headlines)
        if headline.change_interval
    }
    for curve in all_curves:
        blocks += _curve(curve, heights.get(curve.name, 0.0))
    if report.uncertainty:
        blocks += [Heading("Uncertainty of the pool"), Text(UNCERTAINTY_METHOD)]
        blocks += uncertainty_charts(report.uncertainty, "uncertainty")
    return blocks


def _newest(report: ProjectReport) -> DataTable:
    columns = [
        Column("task"),
        Column("metric"),
        *number_columns("value"),
        Column("unit"),
        Column("direction"),
    ]
    before = len(report.measured) > 1
    if before:
        columns += [
            Column(f"change since round {report.measured[-2].round}", numeric=True),
            Column(""),
        ]
    rows: list[list[Value]] = []
    for row in newest_metrics(report.measured, list(report.headlines)):
        result = row.result
        change = [signed_number(row.change), row.verdict] if before else []
        rows.append(
            [
                row.task,
                result.name,
                result.value,
                result.unit,
                direction(result.better),
                *change,
                row.measured_on,
            ]
        )
    return DataTable([*columns, *number_columns("held-out labels")], rows)


def _curve(curve: Curve, least_height: float) -> list[Block]:
    """A curve against labels and against cost; with fewer than two points, its numbers alone.

    Its y-axis covers at least `least_height` and a tenth of the largest value.
    """
    overall = curve.name == OVERALL
    label = add_unit(curve.metric, curve.unit)
    in_unit = f" in {curve.unit}" if curve.unit else ""
    who = "All tasks together" if overall else curve.name
    blocks: list[Block] = [Heading(f"{who}: {curve.metric}{in_unit}, {direction(curve.better)}")]
    if overall:
        blocks.append(
            Text("This is the weighted sum of the tasks' losses, with the weights of the recipe.")
        )
    columns = number_columns("round", "training labels", *([] if overall else [f"of {curve.name}"]))
    columns += number_columns("their cost", label, "held-out labels")
    rows = [
        [p.round, p.labels, *([] if overall else [p.own_labels]), p.cost, p.value, p.measured_on]
        for p in curve.points
    ]
    drawings = []
    points = curve.finite
    if len(points) > 1:
        values = [point.value for point in points]
        height = max(least_height, max(map(abs, values)) / 10)
        name = f"curve-{'overall' if overall else f'task-{curve.name}'}"
        labels = Line(name=who, x=[p.labels for p in points], y=values)
        cost = Line(name=who, x=[p.cost for p in points], y=values)
        drawings = [
            Chart(
                name=f"{name}-labels",
                x_label="training labels",
                y_label=label,
                lines=[labels],
                whole=True,
                least_height=height,
            ),
            Chart(
                name=f"{name}-cost",
                x_label="cost of training labels",
                y_label=label,
                lines=[cost],
                least_height=height,
            ),
        ]
    elif points:
        blocks.append(Text("Only one round is measured; a curve needs two.", "hint"))
    else:
        blocks.append(Text("There were no held-out labels to measure this on.", "hint"))
    return [*blocks, Figure(drawings=drawings, numbers=DataTable(columns, rows))]


def _rounds(report: ProjectReport) -> list[Block]:
    blocks = hint_blocks(report.hints.get("rounds"))
    if report.rounds:
        picks = [f"picks of {task}" for task in report.headlines]
        columns = [
            *number_columns("round"),
            Column("state"),
            *number_columns("images trained on", "labels trained on"),
        ]
        columns += [
            Column("strategy"),
            Column("budget"),
            *number_columns(*picks, "cost", "now labelled", "skipped"),
        ]
        rows = [
            [r.number, r.state, *(r.trained or (None, None)), r.strategy or None, r.budget or None]
            + [r.picks.get(task, 0) for task in report.headlines]
            + [r.cost, *(r.now.get(state, 0) for state in ("labelled", "skipped", "requested"))]
            for r in report.rounds
        ]
        blocks.append(DataTable([*columns, *number_columns("still requested")], rows))
    return blocks


def _picks(report: ProjectReport) -> list[Block]:
    return hint_blocks(report.hints.get("picks")) + (
        picked_cells(report.picked) if report.picked else []
    )


def _training(report: ProjectReport) -> list[Block]:
    blocks = hint_blocks(report.hints.get("training"))
    training = report.training
    if training and training.losses:
        blocks.append(
            Text(
                f"Round {number(training.round)}: the mean training loss of each task by epoch; lower is better. "
                "Training losses say nothing about new images."
            )
        )
        drawings = [
            Chart(
                name=f"training-{index}",
                x_label="epoch",
                y_label="loss",
                lines=[Line(name=name, x=list(loss), y=list(loss.values()))],
                title=name,
                whole=True,
            )
            for index, (name, loss) in enumerate(training.losses.items())
        ]
        rows = [
            [e, *(losses.get(e) for losses in training.losses.values())] for e in training.epochs
        ]
        blocks.append(
            Figure(
                drawings=drawings,
                numbers=DataTable(number_columns("epoch", *training.losses), rows),
            )
        )
    return blocks
