"""Builds the report page of one project: status, curves, rounds, picks and training."""

import math

from labelgrid.drawings.bars import Bars
from labelgrid.drawings.charts import Chart, Line
from labelgrid.drawings.wording import add_unit, number, signed_number
from labelgrid.project.class_rows import class_rows
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
DERIVED = {"derived": "#009e73"}
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
            "A cell is one task of one image. Each cell is missing, requested, labelled or "
            "skipped. Skipped means that the annotator refused it."
        )
    ]
    if any(task.derived for part in report.parts for task in part.tasks):
        blocks.append(
            Text(
                "A derived label is not bought: it follows from other labels of the image, and "
                "counts neither as missing nor as labelled here."
            )
        )
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
                "These images were drawn at random at the start and are never trained on. Every "
                "live metric of this report is measured on them alone. Their cost is not part of "
                "any curve or round."
            ),
            cells_figure(report.heldout, "cells-heldout"),
        ]
    return blocks


def cells_figure(part: SplitCells, name: str) -> Figure:
    """The cells of a split by state, and their costs."""
    has_times = any(task.timed for task in part.tasks)
    times = TIMES if has_times else {}
    has_derived = any(task.derived for task in part.tasks)
    states = {**STATES, **DERIVED} if has_derived else STATES
    saved = ["saved"] if has_derived else []
    columns = [Column("task"), Column("kind")]
    for state, colour in states.items():
        columns.append(Column(state, numeric=True, colour=colour))
    columns += number_columns("cost of one label", "spent", "promised", *saved, *times.values())
    fields = [*states, "cost", "spent", "promised", *saved, *times]
    bars: dict[str, dict[str, float]] = {}
    rows: list[list[Value]] = []
    for task in part.tasks:
        bars[task.task] = {state: float(getattr(task, state)) for state in states}
        rows.append([task.task, task.kind, *(getattr(task, field) for field in fields)])
    if part.dropped:
        no_states = [None] * len(states)
        no_times = [None] * len([*saved, *times])
        rows.append(["dropped tasks", "", *no_states, None, part.dropped, None, *no_times])
    foot: list[Value] = [
        "all tasks",
        "",
        *(_total(part, state) for state in states),
        "",
        _total(part, "spent") + part.dropped,
        _total(part, "promised"),
        *(_total(part, field) for field in saved),
        *[""] * len(times),
    ]
    return Figure(
        drawings=[Bars(name, bars, states)],
        numbers=DataTable(columns, rows, foot),
        wide=True,
        open=True,
    )


def _total(part: SplitCells, name: str) -> float:
    return float(sum(getattr(task, name) for task in part.tasks))


def _curves(report: ProjectReport) -> list[Block]:
    blocks = hint_blocks(report.hints.get("metrics"))
    all_curves = curves(report.measured, report.headlines)
    if all_curves:
        blocks += _cautions(report)
        blocks += [Heading(f"Newest metrics: round {report.measured[-1].round}"), _newest(report)]
        blocks += _classes(report)
    heights = {}
    for headline in headlines_of(report.measured, report.headlines):
        if headline.change_interval:
            low, high = headline.change_interval
            heights[headline.task] = 2 * (high - low)
    for curve in all_curves:
        blocks += _curve(curve, heights.get(curve.name, 0.0))
    if report.uncertainty:
        blocks += [Heading("Uncertainty of the pool"), Text(UNCERTAINTY_METHOD)]
        blocks += uncertainty_charts(report.uncertainty, "uncertainty")
    return blocks


def _cautions(report: ProjectReport) -> list[Block]:
    """What the curves cannot tell."""
    measured_on = ""
    if report.heldout:
        measured_on = f"Measured on {count_text(report.heldout.images, 'held-out image')}. "
    text = (
        f"{measured_on}This is one run. The intervals at the top of this page cover the choice of "
        "the held-out images, not the chance in training. Costs cover the labels of the training "
        "images and of a val split."
    )
    cautions: list[Block] = [Text(text, "caution")]
    for before, after in set_changes(report.measured):
        text = (
            f"Rounds {before} and {after} were measured on different sets of held-out labels. "
            "Their metrics are not directly comparable."
        )
        cautions.append(Text(text, "caution"))
    return cautions


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


def _classes(report: ProjectReport) -> list[Block]:
    """A table of the classes of each task that has some, the worst first."""
    blocks: list[Block] = []
    columns = [Column("class"), *number_columns("IoU, %", "change", "share of the pixels, %")]
    for task, rows in class_rows(report.measured).items():
        cells: list[list[Value]] = []
        for row in rows:
            iou = None if math.isnan(row.iou) else row.iou
            change = None if row.change is None else signed_number(row.change)
            cells.append([row.name, iou, change, row.share])
        blocks += [Heading(f"Classes of {task}, the worst first"), DataTable(columns, cells)]
    return blocks


def _curve(curve: Curve, least_height: float) -> list[Block]:
    """A curve against labels and against cost; with fewer than two points, its numbers alone.

    Its y-axis covers at least `least_height` and a tenth of the largest value.
    """
    title = curve.name
    name = f"curve-task-{curve.name}"
    if curve.name == OVERALL:
        title = "All tasks together"
        name = "curve-overall"
    in_unit = f" in {curve.unit}" if curve.unit else ""
    blocks: list[Block] = [Heading(f"{title}: {curve.metric}{in_unit}, {direction(curve.better)}")]
    if curve.name == OVERALL:
        blocks.append(
            Text("This is the weighted sum of the tasks' losses, with the weights of the recipe.")
        )
    drawings: list[Chart] = []
    points = curve.finite
    if len(points) > 1:
        largest = max(abs(point.value) for point in points)
        height = max(least_height, largest / 10)
        drawings = _charts(curve, title, name=name, least_height=height)
    elif points:
        blocks.append(Text("Only one round is measured; a curve needs two.", "hint"))
    else:
        blocks.append(Text("There were no held-out labels to measure this on.", "hint"))
    return [*blocks, Figure(drawings=drawings, numbers=_curve_table(curve))]


def _charts(curve: Curve, title: str, name: str, least_height: float) -> list[Chart]:
    label = add_unit(curve.metric, curve.unit)
    labels = []
    costs = []
    values = []
    for point in curve.finite:
        labels.append(point.labels)
        costs.append(point.cost)
        values.append(point.value)
    return [
        Chart(
            name=f"{name}-labels",
            x_label="training labels",
            y_label=label,
            lines=[Line(name=title, x=labels, y=values)],
            whole=True,
            least_height=least_height,
        ),
        Chart(
            name=f"{name}-cost",
            x_label="cost of training labels",
            y_label=label,
            lines=[Line(name=title, x=costs, y=values)],
            least_height=least_height,
        ),
    ]


def _curve_table(curve: Curve) -> DataTable:
    """The numbers of a curve, those of a task with the labels of that task."""
    is_task = curve.name != OVERALL
    columns = number_columns("round", "training labels")
    if is_task:
        columns += number_columns(f"of {curve.name}")
    columns += number_columns("their cost", add_unit(curve.metric, curve.unit), "held-out labels")
    rows: list[list[Value]] = []
    for point in curve.points:
        row: list[Value] = [point.round, point.labels]
        if is_task:
            row.append(point.own_labels)
        rows.append([*row, point.cost, point.value, point.measured_on])
    return DataTable(columns, rows)


def _rounds(report: ProjectReport) -> list[Block]:
    blocks = hint_blocks(report.hints.get("rounds"))
    if not report.rounds:
        return blocks
    pick_names = [f"picks of {task}" for task in report.headlines]
    columns = [
        *number_columns("round"),
        Column("state"),
        *number_columns("images trained on", "labels trained on"),
        Column("strategy"),
        Column("budget"),
        *number_columns(*pick_names, "cost", "now labelled", "skipped", "still requested"),
    ]
    rows: list[list[Value]] = []
    for row in report.rounds:
        images, labels = row.trained or (None, None)
        picks = [row.picks.get(task, 0) for task in report.headlines]
        today = [row.now.get(state, 0) for state in ("labelled", "skipped", "requested")]
        rows.append(
            [
                row.number,
                row.state,
                images,
                labels,
                row.strategy or None,
                row.budget or None,
                *picks,
                row.cost,
                *today,
            ]
        )
    return [*blocks, DataTable(columns, rows)]


def _picks(report: ProjectReport) -> list[Block]:
    blocks = hint_blocks(report.hints.get("picks"))
    if report.picked:
        blocks += picked_cells(report.picked)
    return blocks


def _training(report: ProjectReport) -> list[Block]:
    blocks = hint_blocks(report.hints.get("training"))
    training = report.training
    if training is None or not training.losses:
        return blocks
    text = (
        f"Round {number(training.round)}: the mean training loss of each task by epoch; lower is "
        "better. Training losses say nothing about new images."
    )
    drawings = []
    for index, (name, loss) in enumerate(training.losses.items()):
        chart = Chart(
            name=f"training-{index}",
            x_label="epoch",
            y_label="loss",
            lines=[Line(name=name, x=list(loss), y=list(loss.values()))],
            title=name,
            whole=True,
        )
        drawings.append(chart)
    rows: list[list[Value]] = []
    for epoch in training.epochs:
        values = [loss.get(epoch) for loss in training.losses.values()]
        rows.append([epoch, *values])
    numbers = DataTable(number_columns("epoch", *training.losses), rows)
    return [*blocks, Text(text), Figure(drawings=drawings, numbers=numbers)]
