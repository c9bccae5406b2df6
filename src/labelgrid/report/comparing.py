"""How a study's curves and differences are laid out: a line a strategy with its band, tables by strategy and pair."""

from collections.abc import Mapping, Sequence

from labelgrid.report.blocks import Block, Column, Figure, Heading, Table, Text, Value, numeric
from labelgrid.report.charts import Chart, Level, Line
from labelgrid.report.findings import Mean, Measure, Of, cost_of, labels_of, loss, mean_of, means, metric
from labelgrid.report.trials import PointResults
from labelgrid.report.wording import number, rough, spread, with_unit

#: What the bands of the curves are.
BAND = (
    "Each line is the mean over seeds, its band one standard deviation over seeds to either side (none with one seed). "
    "The dashed line is the mean of the networks that learned from every label of the pool. Bands also hold what "
    "differs from seed to seed for all strategies alike; the comparisons are made seed by seed and do not."
)


def curves(trial: PointResults, headlines: Mapping[str, str], name: str) -> list[Block]:
    """The overall curve and each task's, against labels and against cost."""
    blocks: list[Block] = [Heading("All tasks together: loss_mtl, lower is better")]
    blocks.append(curve_figure(trial, loss, "loss_mtl", f"{name}-overall"))
    for task, own in headlines.items():
        results = (one.metrics.get(task, {}).get(own) for run in trial.runs for one in run.measured)
        known = next((result for result in results if result), None)
        if known:
            unit = f" in {known.unit}" if known.unit else ""
            blocks.append(Heading(f"{task}: {own}{unit}, {known.better} is better"))
            blocks.append(curve_figure(trial, metric(task, own), with_unit(own, known.unit), f"{name}-task-{task}"))
    return blocks


def curve_figure(trial: PointResults, of: Of, label: str, name: str, *, cost: bool = True) -> Figure:
    """A figure of all strategies against labels and, unless said otherwise, against cost."""
    lines = {strategy: means(list(trial.of(strategy).values()), of) for strategy in trial.strategies}
    full = list(trial.full.values())
    level, deviation = mean_of([of(one) for one in full])
    levels = [Level(f"every label: {number(level)}", level)] if full else []
    drawings = []
    if any(lines.values()):
        labels = [_line(own, points, [p.labels for p in points]) for own, points in lines.items() if points]
        costs = [_line(own, points, [p.cost for p in points]) for own, points in lines.items() if points]
        drawings = [Chart(f"{name}-labels", "labels learned from", label, labels, levels, whole=True)]
        drawings += [Chart(f"{name}-cost", "cost of these labels", label, costs, levels)] if cost else []
    columns = [Column("strategy"), *numeric("rounds bought", "labels", "cost", f"{label}, mean", "±", "seeds")]
    rows: list[list[Value]] = [
        [strategy, p.place, p.labels, p.cost, p.value, p.deviation, p.seeds]
        for strategy, points in lines.items()
        for p in points
    ]
    if full:
        labels_there, spent = (mean_of([figure(one) for one in full])[0] for figure in (labels_of, cost_of))
        rows.append(["every label", None, labels_there, spent, level, deviation, len(full)])
    return Figure(drawings, Table(columns, rows))


def _line(name: str, points: Sequence[Mean], x: Sequence[float]) -> Line:
    low = [p.value - p.deviation for p in points]
    high = [p.value + p.deviation for p in points]
    return Line(name, x, [p.value for p in points], low, high)


def by_strategy(found: Sequence[Measure], strategies: Sequence[str]) -> Table:
    """Each figure of whole campaigns by strategy: mean and standard deviation over seeds."""
    rows: list[list[Value]] = []
    for measure in found:
        row: list[Value] = [with_unit(measure.name, measure.unit)]
        for strategy in strategies:
            mean, deviation, seeds = measure.summary(strategy)
            reached = (measure.reached or {}).get(strategy, seeds)
            never = f" ({reached} of {seeds} got there)" if reached < seeds else ""
            row.append(f"{spread(mean, deviation)}{never}" if seeds else None)
        rows.append(row)
    return Table([Column("figure"), *numeric(*strategies)], rows)


def by_pair(measure: Measure) -> list[Block]:
    """A figure's differences and verdicts, pair by pair; nothing where no pair can be compared."""
    pairs = measure.pairs()
    span = "95 % interval" if all(c.has_interval for c in pairs.values()) else "seeds from … to"
    columns = [Column("pair"), *numeric("difference", span, "p", "p corrected", "seeds"), Column("verdict")]
    rows: list[list[Value]] = []
    for (first, second), c in pairs.items():
        verdict = c.verdict if c.verdict == "no difference seen" else f"{first} is {c.verdict}"
        interval = f"{rough(c.low)} to {rough(c.high)}"
        rows.append([f"{first} − {second}", rough(c.mean), interval, c.p, c.holm, c.seeds, verdict])
    if not rows:
        return []
    said = f"{measure.said} {measure.better.capitalize()} is better."
    return [Heading(with_unit(measure.name, measure.unit)), Text(said, "small"), Table(columns, rows)]
