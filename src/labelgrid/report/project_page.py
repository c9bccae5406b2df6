"""How the report of one project is laid out: where it stands, its curves, rounds, picks and training."""

from labelgrid.report.bars import Bars
from labelgrid.report.blocks import (
    Block,
    Column,
    Facts,
    Figure,
    Heading,
    Page,
    Section,
    Table,
    Text,
    Value,
    hinted,
    numeric,
)
from labelgrid.report.charts import Chart, Line
from labelgrid.report.content import Part, Report
from labelgrid.report.curves import OVERALL, Curve, curves, newest, set_changes
from labelgrid.report.parts import UNSURE, grid_map, picked_cells, unsure_charts
from labelgrid.report.wording import counted, number, signed, with_unit
from labelgrid.results import Better

#: States in the bars' order, with colours of Okabe & Ito's palette and a grey.
STATES = {"labelled": "#0072b2", "requested": "#e69f00", "skipped": "#cc79a7", "missing": "#d9d9d9"}


def project_page(report: Report) -> Page:
    """The page of a project."""
    sections = [
        Section("stands", "Where it stands", _stands(report)),
        Section("curves", "Learning curves", _curves(report)),
        Section("rounds", "Rounds", _rounds(report)),
        Section("picks", "The picks", _picks(report)),
        Section("training", "Training", _training(report)),
        Section("settings", "Settings", [Facts(report.about)]),
    ]
    return Page(report.name, report.made, [Text("What to do next:", "verdict", report.next_step)], sections)


def direction(better: Better) -> str:
    """Which way is better."""
    return f"{better} is better"


def _stands(report: Report) -> list[Block]:
    blocks: list[Block] = [
        Text(
            "A cell is one label of one image. Cells are missing, requested, labelled, or skipped (asked for and "
            "refused)."
        )
    ]
    for place, part in enumerate(report.parts):
        blocks += [Heading(f"{part.name}: {counted(part.images, 'image')}"), cells(part, f"cells-{place}")]
    if report.asked is not None:
        blocks += [
            Heading("What was asked for, and when"),
            grid_map(report.asked, "grid", "Images to learn from"),
        ]
    if report.heldout:
        blocks += [
            Heading(f"Held out for measuring: {counted(report.heldout.images, 'image')}"),
            Text(
                "Drawn at random at the start and never trained on. Every live figure of this report comes from them "
                "alone, and their cost is kept apart: it is in no curve and no round."
            ),
            cells(report.heldout, "cells-heldout"),
        ]
    return blocks


def cells(part: Part, name: str) -> Figure:
    """The cells of some images by state, and their costs."""
    rows = {task.task: {state: float(getattr(task, state)) for state in STATES} for task in part.tasks}
    keys = [Column(state, True, colour) for state, colour in STATES.items()]
    columns = [Column("task"), Column("kind"), *keys, *numeric("price of one", "spent", "promised")]
    lines = [[t.task, t.kind, *(getattr(t, s) for s in STATES), t.price, t.spent, t.promised] for t in part.tasks]
    foot: list[Value] = [
        "all tasks",
        "",
        *(_total(part, s) for s in STATES),
        "",
        _total(part, "spent"),
        _total(part, "promised"),
    ]
    return Figure([Bars(name, rows, STATES)], Table(columns, lines, foot), wide=True, open=True)


def _total(part: Part, name: str) -> float:
    return float(sum(getattr(task, name) for task in part.tasks))


def _curves(report: Report) -> list[Block]:
    blocks = hinted(report.hints.get("figures"))
    found = curves(report.measured, report.headlines)
    if found:
        measured_on = f"Measured on {counted(report.heldout.images, 'held-out image')}. " if report.heldout else ""
        blocks.append(
            Text(
                f"{measured_on}This is one run and has no confidence interval: a small difference between rounds may "
                "be chance. Costs are those of the labels that were learned from.",
                "caution",
            )
        )
        blocks += [
            Text(
                f"Rounds {before} and {after} were measured on different sets of held-out labels: their figures do "
                "not compare directly.",
                "caution",
            )
            for before, after in set_changes(report.measured)
        ]
        blocks += [Heading(f"Newest figures: round {report.measured[-1].round}"), _newest(report)]
    for curve in found:
        blocks += _curve(curve)
    if report.unsure:
        blocks += [Heading("How unsure the network is of the pool"), Text(UNSURE)]
        blocks += unsure_charts(report.unsure, "uncertainty")
    return blocks


def _newest(report: Report) -> Table:
    columns = [Column("task"), Column("figure"), *numeric("value"), Column("unit"), Column("direction")]
    before = len(report.measured) > 1
    if before:
        columns += [Column(f"change since round {report.measured[-2].round}", numeric=True), Column("")]
    rows: list[list[Value]] = []
    for row in newest(report.measured, list(report.headlines)):
        result = row.result
        change = [signed(row.change), row.verdict] if before else []
        rows.append(
            [row.task, result.name, result.value, result.unit, direction(result.better), *change, row.measured_on]
        )
    return Table([*columns, *numeric("held-out labels")], rows)


def _curve(curve: Curve) -> list[Block]:
    """A curve against labels and against cost; numbers alone where fewer than two points make no curve."""
    overall = curve.name == OVERALL
    label = with_unit(curve.metric, curve.unit)
    in_unit = f" in {curve.unit}" if curve.unit else ""
    who = "All tasks together" if overall else curve.name
    blocks: list[Block] = [Heading(f"{who}: {curve.metric}{in_unit}, {direction(curve.better)}")]
    if overall:
        blocks.append(Text("The weighted sum of the tasks' losses, with the recipe's weights."))
    columns = numeric("round", "labels learned from", *([] if overall else [f"of {curve.name}"]))
    columns += numeric("their cost", label, "held-out labels")
    rows = [
        [p.round, p.labels, *([] if overall else [p.own_labels]), p.cost, p.value, p.measured_on] for p in curve.points
    ]
    drawings, points = [], curve.finite
    if len(points) > 1:
        values = [point.value for point in points]
        name = f"curve-{'overall' if overall else f'task-{curve.name}'}"
        labels, cost = Line(who, [p.labels for p in points], values), Line(who, [p.cost for p in points], values)
        drawings = [
            Chart(f"{name}-labels", "labels learned from", label, [labels], whole=True),
            Chart(f"{name}-cost", "cost of these labels", label, [cost]),
        ]
    elif points:
        blocks.append(Text("One measured round makes no curve; it needs two.", "hint"))
    else:
        blocks.append(Text("There was no held-out label to measure this on.", "hint"))
    return [*blocks, Figure(drawings, Table(columns, rows))]


def _rounds(report: Report) -> list[Block]:
    blocks = hinted(report.hints.get("rounds"))
    if report.rounds:
        picks = [f"picks of {task}" for task in report.headlines]
        columns = [*numeric("round"), Column("state"), *numeric("images trained on", "labels trained on")]
        columns += [Column("strategy"), Column("budget"), *numeric(*picks, "cost", "labelled by now", "skipped")]
        rows = [
            [r.number, r.state, *(r.trained or (None, None)), r.strategy or None, r.budget or None]
            + [r.picks.get(task, 0) for task in report.headlines]
            + [r.cost, *(r.now.get(state, 0) for state in ("labelled", "skipped", "requested"))]
            for r in report.rounds
        ]
        blocks.append(Table([*columns, *numeric("still requested")], rows))
    return blocks


def _picks(report: Report) -> list[Block]:
    return hinted(report.hints.get("picks")) + (picked_cells(report.picked) if report.picked else [])


def _training(report: Report) -> list[Block]:
    blocks, training = hinted(report.hints.get("training")), report.training
    if training and training.losses:
        blocks.append(
            Text(
                f"Round {number(training.round)}: the mean training loss of each task by epoch, lower is better. These "
                "come from the labels that were learned from, and say nothing of new images."
            )
        )
        drawings = [
            Chart(
                f"training-{place}",
                "epoch",
                "loss",
                [Line(name, list(loss), list(loss.values()))],
                title=name,
                whole=True,
            )
            for place, (name, loss) in enumerate(training.losses.items())
        ]
        rows = [[e, *(losses.get(e) for losses in training.losses.values())] for e in training.epochs]
        blocks.append(Figure(drawings, Table(numeric("epoch", *training.losses), rows)))
    return blocks
