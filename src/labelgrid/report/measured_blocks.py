"""Builds the metrics, classes and curves of measured rounds on a project's page."""

import math
from collections.abc import Mapping, Sequence

from labelgrid.basics.results import Better
from labelgrid.basics.words import count_text, join_names
from labelgrid.drawings.charts import Chart, Line, Marks
from labelgrid.drawings.wording import add_unit, rough_number, rough_range, signed_number
from labelgrid.operations.class_rows import class_rows
from labelgrid.operations.headlines import Headline, headlines_of
from labelgrid.report.content import ProjectReport
from labelgrid.report.curves import OVERALL, Curve, curves, newest_metrics, set_changes
from labelgrid.report.page_blocks import (
    Blocks,
    Column,
    DataTable,
    Figure,
    Fold,
    Heading,
    Help,
    Text,
    Value,
    hint_blocks,
    number_columns,
)
from labelgrid.report.shared_blocks import LOSS_HELP, UNCERTAINTY_HELP, uncertainty_charts
from labelgrid.report.summary import after_round

#: The number of a task's classes that are shown at once; the others open on a click.
WORST_CLASSES = 10

#: Says what the verdicts stand on.
NOISE = Help(
    "When is a change better, worse, or within noise?",
    "A change since the round before has a 95 % interval over the held-out images. If 0 lies in "
    "it, the change is within noise; with fewer than five images nothing can be told. The interval "
    "covers the choice of these images, not the chance in training: this is one run.",
)


def measured_blocks(report: ProjectReport) -> Blocks:
    """The newest metrics, the classes, the curves and the uncertainty of the pool."""
    blocks = hint_blocks(report.hints.get("metrics"))
    all_curves = curves(report.measured, report.headlines)
    if all_curves:
        blocks += _cautions(report)
        blocks += [Heading(f"Newest metrics: {_when(report.measured[-1].round)}"), _newest(report)]
        blocks += [NOISE, *_classes(report)]
    headlines = {one.task: one for one in headlines_of(report.measured, report.headlines)}
    for curve in all_curves:
        blocks += _curve(curve, headlines.get(curve.name), report.changed)
    if report.uncertainty:
        blocks += [Heading("Uncertainty of the pool"), UNCERTAINTY_HELP]
        blocks += uncertainty_charts(report.uncertainty, "uncertainty")
    if report.unread_scores:
        text = f"Scores were left out. {report.unread_scores}"
        blocks += [Heading("Uncertainty of the pool"), Text(text, "caution")]
    return blocks


def _cautions(report: ProjectReport) -> Blocks:
    cautions: Blocks = []
    if report.heldout:
        images = count_text(report.heldout.images, "held-out image")
        text = f"Measured on {images}. Costs cover the labels of training and val images."
        cautions.append(Text(text, "small"))
    for number, changed in report.changed.items():
        if any(network.round == number for network in report.measured):
            text = f"Other settings {_when(number)}: {join_names(changed, 6)}."
            cautions.append(Text(f"{text} Its change is no effect of labels alone.", "caution"))
    for before, after in set_changes(report.measured):
        text = (
            f"The networks {_when(before)} and {_when(after)} were measured on different sets of "
            "held-out labels. "
            "Their metrics are not directly comparable."
        )
        cautions.append(Text(text, "caution"))
    return cautions


def _when(training: int) -> str:
    return after_round(training).lower()


def direction(better: Better) -> str:
    """Whether higher or lower is better, in words."""
    return f"{better} is better"


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
        columns += number_columns(
            f"change, from {_when(report.measured[-2].round)}", "95 % interval"
        )
        columns.append(Column("verdict"))
    rows = []
    for row in newest_metrics(report.measured, list(report.headlines)):
        result = row.result
        change = []
        if before:
            interval = rough_range(*row.change_interval) if row.change_interval else None
            amount = None if row.change is None else rough_number(row.change)
            change = [amount, interval, row.verdict]
        rows.append(
            [
                row.task,
                result.name,
                result.value,
                result.unit,
                direction(result.better),
                *change,
                row.images,
            ]
        )
    return DataTable([*columns, *number_columns("held-out labels")], rows)


def _classes(report: ProjectReport) -> Blocks:
    blocks: Blocks = []
    columns = [Column("class"), *number_columns("IoU, %", "change", "share of the pixels, %")]
    for task, rows in class_rows(report.measured).items():
        cells: list[list[Value]] = []
        for row in rows:
            iou = None if math.isnan(row.iou) else row.iou
            change = None if row.change is None else signed_number(row.change)
            cells.append([row.name, iou, change, row.area])
        worst = cells[:WORST_CLASSES]
        others = cells[WORST_CLASSES:]
        blocks += [Heading(f"Classes of {task}, the worst first"), DataTable(columns, worst)]
        if others:
            summary = count_text(len(others), "more class", "more classes")
            blocks.append(Fold(summary, DataTable(columns, others)))
    return blocks


def _curve(curve: Curve, headline: Headline | None, changed: Mapping[int, Sequence[str]]) -> Blocks:
    """A curve against labels and against cost; with fewer than two points, numbers alone.

    The y-axis covers twice the interval of the `headline`, and a tenth of the largest value. Rounds
    with `changed` settings are marked.
    """
    title = curve.name
    name = f"curve-task-{curve.name}"
    if curve.name == OVERALL:
        title = "All tasks together"
        name = "curve-overall"
    in_unit = f" in {curve.unit}" if curve.unit else ""
    blocks: Blocks = [Heading(f"{title}: {curve.metric}{in_unit}, {direction(curve.better)}")]
    if curve.name == OVERALL:
        blocks.append(LOSS_HELP)
    least_height = 0.0
    if headline:
        blocks.append(Text(f"{headline}."))
        low, high = headline.change_interval or (0.0, 0.0)
        least_height = 2 * (high - low)
    drawings = []
    points = curve.finite
    if len(points) > 1:
        largest = max(abs(point.value) for point in points)
        height = max(least_height, largest / 10)
        drawings = _charts(curve, title, name=name, least_height=height, changed=changed)
    elif points:
        blocks.append(Text("Only one round is measured; a curve needs two.", "hint"))
    else:
        blocks.append(Text("There were no held-out labels to measure this on.", "hint"))
    return [*blocks, Figure(drawings=drawings, numbers=_curve_table(curve, changed))]


def _charts(
    curve: Curve, title: str, name: str, least_height: float, changed: Mapping[int, Sequence[str]]
) -> list[Chart]:
    label = add_unit(curve.metric, curve.unit)
    charts = []
    for axis, x_label in (("labels", "training labels"), ("cost", "cost of training labels")):
        x = []
        marks = []
        for point in curve.finite:
            x.append(getattr(point, axis))
            if point.round in changed:
                marks.append(x[-1])
        chart = Chart(
            name=f"{name}-{axis}",
            x_label=x_label,
            y_label=label,
            lines=[Line(name=title, x=x, y=[point.value for point in curve.finite])],
            marks=Marks("other settings", marks) if marks else None,
            whole=axis == "labels",
            least_height=least_height,
        )
        charts.append(chart)
    return charts


def _curve_table(curve: Curve, changed: Mapping[int, Sequence[str]]) -> DataTable:
    is_task = curve.name != OVERALL
    columns = number_columns("after round", "training labels")
    if is_task:
        columns += number_columns(f"of {curve.name}")
    columns += number_columns("their cost", add_unit(curve.metric, curve.unit), "held-out labels")
    if changed:
        columns.append(Column("other settings"))
    rows = []
    for point in curve.points:
        row: list[Value] = [point.round - 1, point.labels]
        if is_task:
            row.append(point.own_labels)
        row += [point.cost, point.value, point.measured_on]
        if changed:
            row.append(join_names(changed.get(point.round, ()), 6) or None)
        rows.append(row)
    return DataTable(columns, rows)
