"""Builds a study's curves and comparison tables, by strategy and by pair of strategies."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain

from labelgrid.basics.results import mean_and_deviation
from labelgrid.drawings.charts import MAX_BANDS, Chart, Level, Line
from labelgrid.drawings.dots import Dots
from labelgrid.drawings.drawing import Drawing
from labelgrid.drawings.wording import add_unit, number, rough_number, rough_range, spread
from labelgrid.lab.reports.differences import difference_blocks, differences_method
from labelgrid.lab.reports.final_networks import Ending
from labelgrid.lab.reports.hindsight import hindsight_lines
from labelgrid.lab.reports.means import (
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
from labelgrid.lab.reports.measure import CampaignMeasure
from labelgrid.lab.reports.study_content import Headlines, PointResults
from labelgrid.lab.reports.verdicts import span_name
from labelgrid.project.records import Measurement
from labelgrid.report.page_blocks import (
    Block,
    Column,
    DataTable,
    Figure,
    Heading,
    Help,
    Text,
    Value,
    number_columns,
)

#: A table of more pairs is folded.
MAX_OPEN_PAIRS = 15


def band_text(results: PointResults) -> str:
    """Explains the lines and bands of the curves."""
    if has_no_rounds(results):
        return (
            "Each point is the mean over seeds, the line through it one standard deviation to "
            "either side."
        )
    dashed = ""
    if results.full:
        dashed = "The dashed line is the mean of the networks trained on every label of the pool. "
    if not _has_bands(results):
        return (
            f"Each line is the mean over seeds. {dashed}The numbers have the standard deviations."
        )
    return (
        "Each line is the mean over seeds. Its band is one standard deviation over seeds to either "
        f"side; with one seed there is none. {dashed}Bands include variation between seeds that "
        "all strategies share. The comparisons exclude it, because they are made seed by seed."
    )


def has_no_rounds(results: PointResults) -> bool:
    """Whether every strategy has one network only: no labels were bought."""
    runs = chain.from_iterable(results.of(strategy).values() for strategy in results.strategies)
    return {len(run.measured) for run in runs} == {1}


def _has_bands(results: PointResults) -> bool:
    strategies = [strategy for strategy in results.strategies if results.of(strategy)]
    return len(strategies) + len(results.best_of) <= MAX_BANDS


def curve_blocks(
    results: PointResults, headlines: Headlines, reference: str, name: str
) -> list[Block]:
    """The curves over all tasks and of each task, with the differences to a reference.

    All are drawn against labels and against cost.
    """
    difference = partial(difference_blocks, results, reference=reference)
    blocks: list[Block] = [
        Heading("All tasks together: loss_mtl, lower is better"),
        curve_figure(results, total_loss, "loss_mtl", f"{name}-overall"),
    ]
    differences = difference(
        same_for_all_seeds(total_loss), label="loss_mtl", better="lower", name=f"{name}-overall"
    )
    gains = difference(
        delta_mtl_getter(results.full, headlines),
        label=add_unit("delta_mtl", "%"),
        better="higher",
        name=f"{name}-delta_mtl",
    )
    blocks += differences
    if gains:
        blocks += [Heading("All tasks together: delta_mtl, higher is better"), *gains]
    has_differences = bool(differences or gains)
    networks = list(chain.from_iterable(run.measured for run in results.runs))
    for task, metric in headlines.items():
        result = first_result(networks, task, metric)
        if not result:
            continue
        unit = f" in {result.unit}" if result.unit else ""
        value_of = metric_getter(task, metric)
        label = add_unit(metric, result.unit)
        drawing = f"{name}-task-{task}"
        differences = difference(
            same_for_all_seeds(value_of), label=label, better=result.better, name=drawing
        )
        blocks += [
            Heading(f"{task}: {metric}{unit}, {result.better} is better"),
            curve_figure(results, value_of, label, drawing),
            *differences,
        ]
        has_differences |= bool(differences)
    if has_differences:
        question = f"How are differences to {reference} computed?"
        return [Help(question, differences_method(reference)), *blocks]
    return blocks


def curve_figure(
    results: PointResults, value_of: ValueGetter, label: str, name: str, *, cost: bool = True
) -> Figure:
    """The curves of all strategies, and of the best in hindsight, against labels.

    With `cost`, also against cost.
    """
    means: dict[str, list[RoundMean]] = {}
    for strategy in results.strategies:
        means[strategy] = means_by_round(list(results.of(strategy).values()), value_of)
    means |= hindsight_lines(results, value_of)
    full = list(results.full.values())
    level, deviation = mean_and_deviation([value_of(network) for network in full])
    drawings: list[Drawing] = []
    if has_no_rounds(results):
        last = {strategy: points[-1] for strategy, points in means.items() if points}
        marks = {strategy: (point.value, point.deviation) for strategy, point in last.items()}
        if full:
            marks["every label"] = (level, deviation)
        if marks:
            drawings.append(Dots(name, label, {"": marks}))
    else:
        levels = [Level(f"every label: {number(level)}", level)] if full else []
        charts = _charts(results, means, levels=levels, label=label, name=name)
        drawings += charts if cost else charts[:1]
    columns = [
        Column("strategy"),
        *number_columns("rounds bought", "labels", "cost"),
        *number_columns(f"{label}, mean", "±", "seeds"),
    ]
    rows: list[list[Value]] = []
    for strategy, points in means.items():
        for p in points:
            row: list[Value] = [strategy, p.rounds_bought, p.labels, p.cost]
            rows.append([*row, p.value, p.deviation, p.seeds])
    if full:
        rows.append(["every label", None, *labels_and_cost(full), level, deviation, len(full)])
    return Figure(drawings=drawings, numbers=DataTable(columns, rows))


def _charts(
    results: PointResults,
    means: Mapping[str, Sequence[RoundMean]],
    levels: Sequence[Level],
    label: str,
    name: str,
) -> list[Chart]:
    has_bands = _has_bands(results)
    charts = []
    for axis, (x_label, _) in AXES.items():
        lines = []
        for strategy, points in means.items():
            if points:
                line = Line(
                    name=strategy,
                    x=[getattr(point, axis) for point in points],
                    y=[point.value for point in points],
                    low=[point.value - point.deviation for point in points if has_bands],
                    high=[point.value + point.deviation for point in points if has_bands],
                )
                lines.append(line)
        if lines:
            chart = Chart(
                name=f"{name}-{axis}",
                x_label=x_label,
                y_label=label,
                lines=lines,
                levels=levels,
                whole=axis == "labels",
            )
            charts.append(chart)
    return charts


def strategy_table(measures: Sequence[CampaignMeasure], strategies: Sequence[str]) -> DataTable:
    """Each measure of whole campaigns by strategy: mean and standard deviation over seeds.

    The rows are the measures or, if there are more of them, the strategies.
    """
    names = [add_unit(measure.name, measure.unit) for measure in measures]
    rows = []
    if len(strategies) > len(measures):
        for strategy in strategies:
            summaries = [_summary(measure, strategy) for measure in measures]
            rows.append([strategy, *summaries])
        return DataTable([Column("strategy"), *number_columns(*names)], rows)
    for name, measure in zip(names, measures, strict=True):
        summaries = [_summary(measure, strategy) for strategy in strategies]
        rows.append([name, *summaries])
    return DataTable([Column("measure"), *number_columns(*strategies)], rows)


def _summary(measure: CampaignMeasure, strategy: str) -> Value:
    mean, deviation, seeds = measure.summary(strategy)
    return spread(mean, deviation) if seeds else None


def ending_table(ending: Ending, results: PointResults, headlines: Headlines) -> list[Block]:
    """Labels, cost, loss and each task's headline metric of the networks that strategies end with.

    An empty list without networks.
    """
    networks = _ending_networks(ending, results)
    if not networks:
        return []
    all_networks = list(chain.from_iterable(networks.values()))
    getters: dict[str, ValueGetter] = {"loss_mtl": total_loss}
    for task, name in headlines.items():
        result = first_result(all_networks, task, name)
        if result:
            getters[add_unit(f"{task} {name}", result.unit)] = metric_getter(task, name)
    columns = [Column("strategy"), *number_columns("seeds", "labels", "cost", *getters)]
    rows = []
    for name, group in networks.items():
        row: list[Value] = [name, len(group), *labels_and_cost(group)]
        row += [_finite_summary(group, getter) for getter in getters.values()]
        rows.append(row)
    heading = Heading(f"Metrics {ending.name}: mean ± standard deviation over seeds")
    return [heading, Text(ending.method, "small"), DataTable(columns, rows)]


def _ending_networks(ending: Ending, results: PointResults) -> dict[str, list[Measurement]]:
    """The networks of each strategy at an ending, and the references of the same seeds.

    Empty without a network of a strategy.
    """
    seeds = set().union(*ending.networks.values())
    networks = dict(ending.networks)
    networks["every label"] = results.full
    for name, single in results.single.items():
        networks[f"{name}: a network for each task"] = single
    of_seeds = {}
    for name, by_seed in networks.items():
        same_seeds = []
        for seed, network in by_seed.items():
            if seed in seeds:
                same_seeds.append(network)
        if same_seeds:
            of_seeds[name] = same_seeds
    return of_seeds


def _finite_summary(networks: Sequence[Measurement], value_of: ValueGetter) -> str:
    """Mean and standard deviation of the finite values, and their number if some are not."""
    mean = round_mean(0, networks, value_of)
    text = spread(mean.value, mean.deviation)
    if 0 < mean.seeds < len(networks):
        return f"{text} ({mean.seeds} of {len(networks)} seeds)"
    return text


def pair_blocks(measure: CampaignMeasure, name: str) -> list[Block]:
    """A drawing of a measure by strategy, and its differences and verdicts pair by pair.

    Many pairs are folded. An empty list if no pair can be compared.
    """
    pairs = measure.pairs
    if not pairs:
        return []
    columns = [
        Column("pair"),
        *number_columns("difference", span_name(pairs.values())),
        *number_columns("p", "p corrected", "seeds"),
        Column("verdict"),
    ]
    rows: list[list[Value]] = []
    for (first, second), compared in pairs.items():
        verdict = compared.words
        if compared.is_difference:
            verdict = f"{first} is {verdict}"
        rows.append(
            [
                f"{first} − {second}",
                rough_number(compared.mean),
                rough_range(compared.low, compared.high),
                compared.p,
                compared.holm,
                compared.seeds,
                verdict,
            ]
        )
    seeds = set()
    for values in measure.values.values():
        if values:
            seeds.add(frozenset(values))
    differ = " They are not of the same seeds for all strategies." if len(seeds) > 1 else ""
    text = (
        f"{measure.better.capitalize()} is better. "
        "Points are means over seeds, lines one standard deviation to either side."
        f"{differ} The pairs are compared seed by seed."
    )
    title = add_unit(measure.name, measure.unit)
    figure = Figure(
        drawings=[Dots(name, title, {"": _best_first(measure)})],
        numbers=DataTable(columns, rows),
        summary="The pairs",
        open=len(rows) <= MAX_OPEN_PAIRS,
    )
    question = Help("How is it computed?", measure.method)
    return [Heading(title), Text(text, "small"), question, figure]


def _best_first(measure: CampaignMeasure) -> dict[str, tuple[float, float]]:
    """The mean and standard deviation of each strategy, the best first."""
    marks = {}
    for name, values in measure.values.items():
        if values:
            marks[name] = measure.summary(name)[:2]
    higher_first = measure.better == "higher"
    return dict(sorted(marks.items(), key=lambda mark: mark[1][0], reverse=higher_first))
