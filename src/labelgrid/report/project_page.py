"""Builds the report page of one project: pictures, metrics, rounds, costs, picks and training."""

from labelgrid.basics.words import count_text, join_names
from labelgrid.drawings.charts import Bars, Chart, Line
from labelgrid.project.suppliers import SUPPLIER_COLUMNS
from labelgrid.report.content import ProjectReport, SplitCells
from labelgrid.report.measured_blocks import measured_blocks
from labelgrid.report.page_blocks import (
    Blocks,
    Column,
    DataTable,
    Facts,
    Figure,
    Gallery,
    Heading,
    Help,
    Page,
    Section,
    Text,
    Value,
    hint_blocks,
    number_columns,
)
from labelgrid.report.shared_blocks import grid_map, picked_cells
from labelgrid.report.summary import after_round, summary

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
#: Explains the states of cells.
STATES_HELP = Help(
    "What is a cell?",
    "A cell is one task of one image. Each cell is missing, requested, labelled or skipped. "
    "Skipped means that the annotator refused it.",
)
DERIVED_HELP = Help(
    "What is a derived label?",
    "A derived label is not bought: it follows from other labels of the image, and counts neither "
    "as missing nor as labelled here.",
)
HELDOUT_HELP = Help(
    "What are held-out images?",
    "These images were drawn at random at the start and are never trained on. Every live metric of "
    "this report is measured on them alone. Their cost is not part of any curve or round.",
)
TRAINING_HELP = Help(
    "What do training losses tell?",
    "The mean training loss of each task by epoch; lower is better. Training losses say nothing "
    "about new images.",
)


def project_page(report: ProjectReport) -> Page:
    """The page of a project."""
    picks = hint_blocks(report.hints.get("picks"))
    if report.picked:
        picks += picked_cells(report.picked)
    sections = [
        Section("curves", "Learning curves", measured_blocks(report)),
        Section("rounds", "Rounds", _rounds(report)),
        Section("status", "Labels and cost", _status(report)),
        Section("picks", "Picks", picks),
        Section("training", "Training", _training(report)),
        Section("settings", "Settings", [Facts(report.about)]),
    ]
    if report.advice:
        sections.insert(1, Section("advice", "Advice", [*map(Text, report.advice)]))
    return Page(report.name, report.made, [*summary(report), *_pictures(report)], sections)


def _pictures(report: ProjectReport) -> Blocks:
    if report.predictions:
        return [Heading("Held-out predictions"), Gallery(report.predictions)]
    hints = hint_blocks(report.hints.get("pictures"))
    if report.overlays:
        return [Heading("Labels on their photographs"), Gallery(report.overlays), *hints]
    return hints


def _status(report: ProjectReport) -> Blocks:
    blocks: Blocks = [STATES_HELP]
    if any(task.derived for part in report.parts for task in part.tasks):
        blocks.append(DERIVED_HELP)
    for index, part in enumerate(report.parts):
        blocks += [
            Heading(f"{part.name}: {count_text(part.images, 'image')}"),
            cells_figure(part, f"cells-{index}"),
        ]
    if report.suppliers:
        first, second, *others = SUPPLIER_COLUMNS
        columns = [Column(first), Column(second), *number_columns(*others)]
        blocks += [Heading("Labels of suppliers"), DataTable(columns, report.suppliers)]
    if report.requests is not None:
        blocks += [
            Heading("Requests by round"),
            grid_map(report.requests, "grid", "Training images"),
        ]
    if report.heldout:
        blocks += [
            Heading(f"Held out for measuring: {count_text(report.heldout.images, 'image')}"),
            HELDOUT_HELP,
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
    bars = {}
    rows = []
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


def _rounds(report: ProjectReport) -> Blocks:
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
    if report.changed:
        columns.append(Column("other settings than before"))
    rows = []
    for row in report.rounds:
        images, labels = row.trained or (None, None)
        picks = [row.picks.get(task, 0) for task in report.headlines]
        today = [row.now.get(state, 0) for state in ("labelled", "skipped", "requested")]
        changed = []
        if report.changed:
            changed.append(join_names(report.changed.get(row.number, ()), 6) or None)
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
                *changed,
            ]
        )
    return [*blocks, DataTable(columns, rows)]


def _training(report: ProjectReport) -> Blocks:
    blocks = hint_blocks(report.hints.get("training"))
    training = report.training
    if training is None or not training.losses:
        return blocks
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
    rows = []
    for epoch in training.epochs:
        values = [loss.get(epoch) for loss in training.losses.values()]
        rows.append([epoch, *values])
    numbers = DataTable(number_columns("epoch", *training.losses), rows)
    text = Text(f"{after_round(training.round)}, by epoch.")
    return [*blocks, text, TRAINING_HELP, Figure(drawings=drawings, numbers=numbers)]
