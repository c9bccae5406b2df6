"""Builds a study's curves and comparison tables, by strategy and by pair of strategies."""

from collections.abc import Mapping, Sequence

from labelgrid.drawings.charts import MAX_BANDS, Chart, Level, Line
from labelgrid.drawings.dots import Dots
from labelgrid.drawings.drawing import Drawing
from labelgrid.drawings.wording import add_unit, number, rough_number, rough_range, spread
from labelgrid.project.records import Measurement
from labelgrid.report.blocks import (
    Block,
    Column,
    DataTable,
    Figure,
    Heading,
    Text,
    Value,
    number_columns,
)
from labelgrid.report.campaign_measures import CampaignMeasure
from labelgrid.report.differences import difference_blocks, differences_method
from labelgrid.report.final_networks import Ending
from labelgrid.report.hindsight import hindsight_lines
from labelgrid.report.means import (
    AXES,
    RoundMean,
    ValueGetter,
    delta_mtl_getter,
    first_result,
    labels_and_cost,
    means_by_round,
    metric_getter,
    round_mean,
    same_for_all_seeds,
    total_loss,
)
from labelgrid.report.study_content import PointResults
from labelgrid.results import Result, mean_and_deviation

#: A table of more pairs is folded.
MAX_OPEN_PAIRS = 15


def band_text(results: PointResults) -> str:
    """Explains the lines and bands of the curves."""
    if has_no_rounds(results):
        return "Each point is the mean over seeds, the line through it one standard deviation to either side."
    dashed = (
        "The dashed line is the mean of the networks trained on every label of the pool. "
        if results.full
        else ""
    )
    if not _banded(results):
        return f"Each line is the mean over seeds. {dashed}The numbers have the standard deviations.".strip()
    return (
        "Each line is the mean over seeds. Its band is one standard deviation over seeds to either side; with one seed "
        f"there is none. {dashed}Bands include variation between seeds that all strategies share. The comparisons "
        "exclude it, because they are made seed by seed."
    )


def has_no_rounds(results: PointResults) -> bool:
    """Whether every strategy has one network only: no labels were bought."""
    return {
        len(run.measured) for name in results.strategies for run in results.of(name).values()
    } == {1}


def _banded(results: PointResults) -> bool:
    drawn = [strategy for strategy in results.strategies if results.of(strategy)]
    return len(drawn) + len(results.best_of) <= MAX_BANDS


def curve_blocks(
    results: PointResults, headlines: Mapping[str, str], reference: str, name: str
) -> list[Block]:
    """The overall curves and those of each task, against labels and against cost, and the differences to a reference.

    Args:
        results: the runs.
        headlines: by task, the metric of its curve.
        reference: the strategy that the others are compared with.
        name: the start of the names of the drawings.
    """
    losses: list[Block] = [
        Heading("All tasks together: loss_mtl, lower is better"),
        curve_figure(results, total_loss, "loss_mtl", f"{name}-overall"),
    ]
    compared = difference_blocks(
        results,
        same_for_all_seeds(total_loss),
        label="loss_mtl",
        better="lower",
        reference=reference,
        name=f"{name}-overall",
    )
    deltas = delta_mtl_getter(results.full, headlines)
    gains = difference_blocks(
        results,
        deltas,
        label=add_unit("delta_mtl", "%"),
        better="higher",
        reference=reference,
        name=f"{name}-delta_mtl",
    )
    heading: list[Block] = (
        [Heading("All tasks together: delta_mtl, higher is better")] if gains else []
    )
    sections: list[tuple[list[Block], list[Block]]] = [(losses, compared), (heading, gains)]
    for task, own in headlines.items():
        known = first_result((one for run in results.runs for one in run.measured), task, own)
        if known:
            sections.append(
                _task_curves(
                    results, task, known=known, reference=reference, name=f"{name}-task-{task}"
                )
            )
    explained = (
        [Text(differences_method(reference))]
        if any(differences for _, differences in sections)
        else []
    )
    return [*explained, *(block for section in sections for blocks in section for block in blocks)]


def _task_curves(
    results: PointResults, task: str, known: Result, reference: str, name: str
) -> tuple[list[Block], list[Block]]:
    """The curves of a task's metric, and its differences to the reference.

    `known` is one of its results.
    """
    unit = f" in {known.unit}" if known.unit else ""
    value_of = metric_getter(task, known.name)
    label = add_unit(known.name, known.unit)
    heading = Heading(f"{task}: {known.name}{unit}, {known.better} is better")
    differences = difference_blocks(
        results,
        same_for_all_seeds(value_of),
        label=label,
        better=known.better,
        reference=reference,
        name=name,
    )
    return [heading, curve_figure(results, value_of, label, name)], differences


def curve_figure(
    results: PointResults, value_of: ValueGetter, label: str, name: str, *, cost: bool = True
) -> Figure:
    """The curves of all strategies, and of the best in hindsight, against labels and, with `cost`, against cost."""
    lines = {s: means_by_round(list(results.of(s).values()), value_of) for s in results.strategies}
    lines |= hindsight_lines(results, value_of)
    full = list(results.full.values())
    level, deviation = mean_and_deviation([value_of(one) for one in full])
    levels = [Level(f"every label: {number(level)}", level)] if full else []
    if has_no_rounds(results):
        ends = {
            own: (points[-1].value, points[-1].deviation) for own, points in lines.items() if points
        }
        ends |= {"every label": (level, deviation)} if full else {}
        drawings: list[Drawing] = [Dots(name, label, {"": ends})] if ends else []
    else:
        drawings = [
            *_charts(results, lines, levels=levels, label=label, name=name)[: 2 if cost else 1]
        ]
    columns = [
        Column("strategy"),
        *number_columns("rounds bought", "labels", "cost", f"{label}, mean", "±", "seeds"),
    ]
    rows: list[list[Value]] = [
        [strategy, p.rounds_bought, p.labels, p.cost, p.value, p.deviation, p.seeds]
        for strategy, points in lines.items()
        for p in points
    ]
    if full:
        rows.append(["every label", None, *labels_and_cost(full), level, deviation, len(full)])
    return Figure(drawings=drawings, numbers=DataTable(columns, rows))


def _charts(
    results: PointResults,
    lines: Mapping[str, Sequence[RoundMean]],
    levels: Sequence[Level],
    label: str,
    name: str,
) -> list[Chart]:
    """The curves against labels and against cost; an empty list if there are none."""
    banded = _banded(results)
    points_of = {own: points for own, points in lines.items() if points}
    if not points_of:
        return []
    labels = [
        _line(own, points, [p.labels for p in points], banded) for own, points in points_of.items()
    ]
    costs = [
        _line(own, points, [p.cost for p in points], banded) for own, points in points_of.items()
    ]
    return [
        Chart(
            name=f"{name}-labels",
            x_label=AXES["labels"][0],
            y_label=label,
            lines=labels,
            levels=levels,
            whole=True,
        ),
        Chart(
            name=f"{name}-cost", x_label=AXES["cost"][0], y_label=label, lines=costs, levels=levels
        ),
    ]


def _line(name: str, points: Sequence[RoundMean], x: Sequence[float], banded: bool) -> Line:
    low = [p.value - p.deviation for p in points] if banded else []
    high = [p.value + p.deviation for p in points] if banded else []
    return Line(name=name, x=x, y=[p.value for p in points], low=low, high=high)


def strategy_table(measures: Sequence[CampaignMeasure], strategies: Sequence[str]) -> DataTable:
    """Each measure of whole campaigns by strategy: mean and standard deviation over seeds.

    The rows are the measures or, if there are more of them, the strategies.
    """
    names = [add_unit(measure.name, measure.unit) for measure in measures]
    cells = [[_summary(measure, strategy) for strategy in strategies] for measure in measures]
    if len(strategies) > len(measures):
        rows = [[strategy, *own] for strategy, *own in zip(strategies, *cells, strict=True)]
        return DataTable([Column("strategy"), *number_columns(*names)], rows)
    return DataTable(
        [Column("measure"), *number_columns(*strategies)],
        [[name, *own] for name, own in zip(names, cells, strict=True)],
    )


def _summary(measure: CampaignMeasure, strategy: str) -> Value:
    """A strategy's mean and standard deviation as text; None without a seed."""
    mean, deviation, seeds = measure.summary(strategy)
    reached = _reached(measure, strategy)
    return (
        spread(mean, deviation) + (f" (reached by {reached})" if reached else "") if seeds else None
    )


def _reached(measure: CampaignMeasure, strategy: str) -> str:
    """How many of a strategy's seeds reached the goal of a measure, such as "0 of 3"; "" if all did."""
    seeds = measure.summary(strategy)[2]
    count = (measure.reached or {}).get(strategy, seeds)
    return f"{count} of {seeds}" if count < seeds else ""


def ending_table(
    ending: Ending, results: PointResults, headlines: Mapping[str, str]
) -> list[Block]:
    """Labels, cost, loss and each task's headline metric of the networks that strategies end with.

    An empty list without networks.
    """
    networks = {name: list(own.values()) for name, own in ending.networks.items() if own}
    if not networks:
        return []
    seeds = set().union(*ending.networks.values())
    full = [one for seed, one in results.full.items() if seed in seeds]
    networks |= {"every label": full} if full else {}
    for name, references in results.single.items():
        own = [one for seed, one in references.items() if seed in seeds]
        networks |= {f"{name}: a network for each task": own} if own else {}
    getters: dict[str, ValueGetter] = {"loss_mtl": total_loss}
    for task, name in headlines.items():
        known = first_result((one for own in networks.values() for one in own), task, name)
        getters |= (
            {add_unit(f"{task} {name}", known.unit): metric_getter(task, name)} if known else {}
        )
    columns = [Column("strategy"), *number_columns("seeds", "labels", "cost", *getters)]
    rows: list[list[Value]] = []
    for name, own in networks.items():
        rows.append(
            [
                name,
                len(own),
                *labels_and_cost(own),
                *(_of_finite(own, getter) for getter in getters.values()),
            ]
        )
    heading = Heading(f"Metrics {ending.name}: mean ± standard deviation over seeds")
    return [heading, Text(ending.method, "small"), DataTable(columns, rows)]


def _of_finite(networks: Sequence[Measurement], value_of: ValueGetter) -> str:
    """Mean and standard deviation of the finite values, and their number if it is smaller."""
    found = round_mean(0, networks, value_of)
    return spread(found.value, found.deviation) + (
        f" ({found.seeds} of {len(networks)} seeds)" if 0 < found.seeds < len(networks) else ""
    )


def pair_blocks(measure: CampaignMeasure, name: str) -> list[Block]:
    """A drawing of a measure by strategy, and its differences and verdicts pair by pair, folded if there are many.

    An empty list if no pair can be compared.
    """
    pairs = measure.pairs()
    span = "95 % interval" if all(c.has_interval for c in pairs.values()) else "smallest to largest"
    columns = [
        Column("pair"),
        *number_columns("difference", span, "p", "p corrected", "seeds"),
        Column("verdict"),
    ]
    rows: list[list[Value]] = []
    for (first, second), c in pairs.items():
        verdict = c.verdict if c.verdict == "no difference seen" else f"{first} is {c.verdict}"
        rows.append(
            [
                f"{first} − {second}",
                rough_number(c.mean),
                rough_range(c.low, c.high),
                c.p,
                c.holm,
                c.seeds,
                verdict,
            ]
        )
    if not rows:
        return []
    text = f"{measure.method} {measure.better.capitalize()} is better. {_dots_text(measure)}"
    shown = Figure(
        drawings=[_dots(measure, name)],
        numbers=DataTable(columns, rows),
        summary="The pairs",
        open=len(rows) <= MAX_OPEN_PAIRS,
    )
    return [Heading(add_unit(measure.name, measure.unit)), Text(text, "small"), shown]


def _dots_text(measure: CampaignMeasure) -> str:
    """Explains the drawing of a measure by strategy."""
    seeds = {frozenset(values) for values in measure.values.values() if values}
    differ = " They are not of the same seeds for all strategies." if len(seeds) > 1 else ""
    reached = " (n of m): only n of m seeds reached it." if measure.reached else ""
    return (
        f"Points are means over seeds, lines one standard deviation to either side.{differ}{reached} The pairs are "
        "compared seed by seed."
    )


def _dots(measure: CampaignMeasure, name: str) -> Dots:
    """The mean and standard deviation of each strategy, the best first."""
    known = [strategy for strategy, values in measure.values.items() if values]
    known.sort(
        key=lambda strategy: measure.summary(strategy)[0], reverse=measure.better == "higher"
    )
    names = {
        one: f"{one} ({reached})" if (reached := _reached(measure, one)) else one for one in known
    }
    marks = {names[strategy]: measure.summary(strategy)[:2] for strategy in known}
    return Dots(name, add_unit(measure.name, measure.unit), {"": marks})
