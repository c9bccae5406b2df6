"""Makes the tables of a study whose strategies bought labels: gains, labels by task, equal cost, compared pairs."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import mean

from labelgrid.basics.comparison import LEVEL, smallest_p
from labelgrid.basics.results import LOSS
from labelgrid.basics.words import count_text
from labelgrid.lab.reports.campaign_measures import DELTA_MTL, campaign_measures
from labelgrid.lab.reports.final_networks import EQUAL_COST, LAST, equal_cost_ending
from labelgrid.lab.reports.means import (
    delta_mtl_getter,
    label_count,
    label_count_getter,
    metric_getter,
)
from labelgrid.lab.reports.measure import CampaignMeasure
from labelgrid.lab.reports.study_content import PointResults, StudyReport
from labelgrid.project.records import Measurement
from tools.table_about import About
from tools.table_records import Records, unit, with_keys
from tools.table_values import NONE, Columns, difference, digits_of, markdown, shown, spread

#: The unit of measures that count labels.
LABELS = "labels"
#: The measures that chosen pairs are compared by.
CHOSEN = tuple(f"{name} {where}" for name in (LOSS, DELTA_MTL) for where in (LAST, EQUAL_COST))


def bought(report: StudyReport) -> bool:
    """Whether its strategies bought labels."""
    return any(len(run.measured) > 1 for run in report.runs)


def columns(report: StudyReport) -> Columns:
    """The gains of the last networks by run: over every label, otherwise over the first networks."""
    values: dict[str, dict[str, list[float]]] = {}
    for results in report.points:
        for name in results.strategies:
            runs = results.finished(name)
            first = {seed: run.measured[0] for seed, run in runs.items()}
            heading = "delta_mtl, %" if results.full else "gain over the first network, %"
            value = delta_mtl_getter(results.full or first, report.headlines)
            gains = [value(seed, run.measured[-1]) for seed, run in runs.items()]
            values.setdefault(heading, {})[with_keys(name, results.point)] = gains
        if results.full:
            gain = delta_mtl_getter(results.full, report.headlines)
            starts = [run for run in results.runs if run.strategy == "start" and run.measured]
            gains = [gain(run.seed, run.measured[-1]) for run in starts]
            values.setdefault("delta_mtl, %", {})[with_keys("start", results.point)] = gains
    return values


def sections(report: StudyReport, records: Records, about: About) -> Iterator[str]:
    """The parts of a page, each with a heading."""
    for grid_point in report.points:
        point = about.names.get(grid_point.point, grid_point.point)
        finished = [name for name in grid_point.strategies if grid_point.finished(name)]
        if not finished:
            continue
        results = replace(grid_point, point=point, strategies=finished)
        where = f": {point}" if point else ""
        if labels := labels_by_task(results, report):
            yield f"## Labels of each task{where}\n\n{labels}"
        if about.gains:
            yield f"## Gains over the first network, %{where}\n\n{task_gains(results, report)}"
        yield from _compared(results, report, records, about)
        if about.cost_without:
            yield from _without(results, report, records, about)


def _compared(
    results: PointResults, report: StudyReport, records: Records, about: About
) -> Iterator[str]:
    where = f": {results.point}" if results.point else ""
    measures = campaign_measures(results, report.headlines)
    least = smallest_p(seeds_of(results))
    if cost := equal_cost(results, report, records):
        yield f"## At equal cost{where}\n\n{cost}"
    if about.curves or least <= LEVEL:
        yield f"## Over the curve{where}\n\n{curves(results, measures)}"
    if least <= LEVEL:
        yield f"## Compared pairs{where}\n\n{pairs(results, measures, about.pairs)}"
    else:
        yield f"With {count_text(seeds_of(results), 'seed')} p is at least {least:.2g}: no pair can differ significantly."


def _without(
    results: PointResults, report: StudyReport, records: Records, about: About
) -> Iterator[str]:
    """The comparison at equal cost without strategies that end at a low cost."""
    names = [name for name in results.strategies if name not in about.cost_without]
    fewer = replace(results, strategies=names)
    measures = campaign_measures(fewer, report.headlines)
    alike = [one for one in measures if one.name.endswith(EQUAL_COST)]
    left_out = ", ".join(f"`{name}`" for name in about.cost_without)
    yield f"## At equal cost without {left_out}\n\n{equal_cost(fewer, report, records)}"
    yield pairs(fewer, alike, about.pairs)


def seeds_of(results: PointResults) -> int:
    """The largest number of seeds that a strategy has finished."""
    return max((len(results.finished(name)) for name in results.strategies), default=0)


def labels_by_task(results: PointResults, report: StudyReport) -> str:
    """The mean number of labels of each task after the last round; "" if all strategies have the same."""
    names: dict[tuple[str, ...], list[str]] = {}
    for name in results.strategies:
        last = [run.measured[-1] for run in results.finished(name).values()]
        row = tuple(f"{mean(map(label_count_getter(task), last)):.0f}" for task in report.headlines)
        names.setdefault(row, []).append(f"`{name}`")
    if len(names) == 1:
        return ""
    rows = [[", ".join(alike), *row] for row, alike in names.items()]
    costs = ["cost of one label", *(f"{report.costs[task]:g}" for task in report.headlines)]
    return markdown(["strategy", *report.headlines], [*rows, costs])


def task_gains(results: PointResults, report: StudyReport) -> str:
    """The mean relative gain of each task's metric over the first network, and that of all per 100 of cost."""
    rows = []
    for name in results.strategies:
        runs = results.finished(name)
        cells = []
        for task, headline in report.headlines.items():
            values = [_gain({task: headline}, run.measured) for run in runs.values()]
            cells.append(shown(mean(values), 1))
        gain = mean(_gain(report.headlines, run.measured) for run in runs.values())
        cost = mean(run.measured[-1].spent - run.measured[0].spent for run in runs.values())
        labels = mean(
            label_count(run.measured[-1]) - label_count(run.measured[0]) for run in runs.values()
        )
        rows.append(
            [
                f"`{name}`",
                *cells,
                shown(gain, 1),
                f"{labels:.0f}",
                f"{cost:,.0f}",
                shown(100 * gain / cost, 1),
            ]
        )
    return markdown(
        ["bought", *report.headlines, "mean", "labels", "cost", "mean per 100 of cost"], rows
    )


def _gain(headlines: Mapping[str, str], measured: Sequence[Measurement]) -> float:
    return delta_mtl_getter({0: measured[0]}, headlines)(0, measured[-1])


def equal_cost(results: PointResults, report: StudyReport, records: Records) -> str:
    """The metrics at the largest cost that all strategies of a seed reach; "" where all cost the same."""
    rows = []
    costs = []
    for name, networks in equal_cost_ending(results).networks.items():
        if not networks:
            continue
        ends = list(networks.values())
        costs += [one.spent for one in ends]
        cells = [spread([one.loss_mtl for one in ends], 3)]
        if results.full:
            gain = delta_mtl_getter(results.full, report.headlines)
            cells.append(spread([gain(seed, one) for seed, one in networks.items()], 1))
        for task, headline in report.headlines.items():
            digits = digits_of(records.metric(f"{task} {headline}"))
            cells.append(spread([metric_getter(task, headline)(one) for one in ends], digits))
        rows.append([f"`{name}`", *cells, f"{mean(map(label_count, ends)):.0f}"])
    if not rows:
        return ""
    metrics = [f"{task} {headline}" for task, headline in report.headlines.items()]
    headings = [f"{name}, {unit(records.metric(name))}" for name in metrics]
    text = f"Each seed at the largest cost that all its strategies reach ({mean(costs):,.0f} on average), on straight"
    gain_heading = ["delta_mtl, %"] if results.full else []
    table = markdown(["strategy", LOSS, *gain_heading, *headings, "labels"], rows)
    return f"{text} lines between rounds.\n\n{table}"


def curves(results: PointResults, measures: Sequence[CampaignMeasure]) -> str:
    """The measures of whole curves: mean losses, and the labels that reach the goal."""
    whole = [one for one in measures if one.name.startswith(("Mean loss", "Labels to reach"))]
    rows = []
    for name in results.strategies:
        cells = [_curve_value(one, name) for one in whole]
        rows.append([f"`{name}`", *cells])
    return markdown(["strategy", *(one.name for one in whole)], rows)


def _curve_value(measure: CampaignMeasure, name: str) -> str:
    return spread(list(measure.values[name].values()), 0 if measure.unit else 3)


def pairs(
    results: PointResults, measures: Sequence[CampaignMeasure], chosen: Sequence[Sequence[str]]
) -> str:
    """The significant pairs of each measure, those without a test, and those shown whatever their p."""
    count = len(results.strategies) * (len(results.strategies) - 1) // 2
    seeds = seeds_of(results)
    note = (
        f"Exact test of sign flips over {seeds} seeds, corrected (Holm) for the tested pairs of a measure, at most {count}. "
        f"Significant is p ≤ {LEVEL:g}; before the correction p is at least {smallest_p(seeds):.2g}. *a* > *b*: *a* is "
        "better."
    )
    texts = {one.name: "; ".join([*significant(one), *doubts(one)]) for one in measures}
    rows = [[name, text] for name, text in texts.items() if text]
    none = [name for name, text in texts.items() if not text]
    if none:
        rows.append([", ".join(none), "none"])
    parts = [note, markdown(["measure", "significant pairs"], rows)]
    if shown_pairs := [
        row for one in measures if one.name in CHOSEN for row in chosen_rows(one, chosen)
    ]:
        parts.append(markdown(["measure", "pair", "difference", "p", "p (Holm)"], shown_pairs))
    return "\n\n".join(parts)


def significant(measure: CampaignMeasure) -> list[str]:
    """The significant pairs of a measure with their mean differences, the better one first."""
    worse: dict[str, list[str]] = {}
    for (first, second), pair in measure.pairs.items():
        if not pair.is_difference:
            continue
        digits = 0 if measure.unit == LABELS else 2
        if pair.verdict == "better":
            worse.setdefault(first, []).append(f"`{second}` ({shown(pair.mean, digits)})")
        else:
            worse.setdefault(second, []).append(f"`{first}` ({shown(-pair.mean, digits)})")
    return [f"`{name}` > {', '.join(others)}" for name, others in worse.items()]


def doubts(measure: CampaignMeasure) -> list[str]:
    """How many pairs of a measure have no verdict for which reason."""
    pairs = measure.pairs.values()
    counts = Counter(pair.why for pair in pairs if pair.why)
    every = count_text(len(pairs), "pair")
    return [f"{count} of {every}: no verdict, {why}" for why, count in counts.items()]


def chosen_rows(measure: CampaignMeasure, chosen: Sequence[Sequence[str]]) -> Iterator[list[str]]:
    """The comparisons of chosen pairs, of those that the measure has."""
    both = measure.pairs
    for first, second in chosen:
        if (first, second) in both:
            pair = both[first, second]
        elif (second, first) in both:
            turned = both[second, first]
            pair = replace(turned, mean=-turned.mean, low=-turned.high, high=-turned.low)
        else:
            continue
        yield [
            measure.name,
            f"`{first}` − `{second}`",
            difference(pair, 2),
            f"{pair.p:.3f}" if pair.is_tested else NONE,
            f"{pair.holm:.3f}" if pair.is_tested else NONE,
        ]
