"""Builds the report page of a study: verdicts, curves, differences, labels and cost."""

from collections.abc import Mapping, Sequence

from labelgrid.basics.comparison import LEVEL, MIN_PAIRS, seeds_needed, smallest_p
from labelgrid.basics.results import mean_and_deviation
from labelgrid.basics.words import count_text, join_names
from labelgrid.drawings.wording import number
from labelgrid.lab.reports.comparison_blocks import (
    band_text,
    curve_blocks,
    curve_figure,
    ending_table,
    pair_blocks,
    strategy_table,
)
from labelgrid.lab.reports.final_networks import equal_cost_ending, last_round_ending
from labelgrid.lab.reports.hindsight import hindsight_blocks, hindsight_texts
from labelgrid.lab.reports.means import (
    label_cost,
    label_count,
    label_count_getter,
    networks_by_round,
    total_loss,
)
from labelgrid.lab.reports.measure import CampaignMeasure, deciding_measure
from labelgrid.lab.reports.study_content import PointResults, StudyReport
from labelgrid.lab.reports.verdicts import VerdictRow, power_statement, verdict_rows, verdict_table
from labelgrid.report.page_blocks import (
    Block,
    Column,
    DataTable,
    Facts,
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
from labelgrid.report.shared_blocks import (
    LOSS_HELP,
    UNCERTAINTY_HELP,
    grid_map,
    picked_cells,
    uncertainty_charts,
)

#: The statistical method, in words.
METHOD = (
    "Strategies are compared seed by seed. Runs with the same seed start with the same labels and "
    "the same network. The interval is a 95 % bootstrap interval of the mean difference; it holds "
    "the mean in about 95 % of cases if the differences are roughly normal, and less often (88 to "
    f"93 %) if they are as skewed as an exponential. With fewer than {MIN_PAIRS} seeds the "
    "smallest and the largest difference are shown instead. p comes from the exact paired "
    "permutation test (two-sided) and is corrected for the number of pairs (Holm). A corrected p "
    "of 5 % or less counts as a difference. Only finished runs are compared, and only where all is "
    "equal but the strategy: a pair that shares no rounds, ends with other labels and cost, or has "
    "other references has a difference but no p, and the verdict says why."
)
#: Asks about the lines of curves.
BANDS = "What are the lines and bands?"
#: Says why a section is empty.
NO_FOLDERS = "The folders of the runs are not here, so their {what} cannot be shown."
#: At most so many arms of a verdict are named.
NAMED = 4


def study_page(report: StudyReport, measures_of: Sequence[list[CampaignMeasure]]) -> Page:
    """The page of a study, with sections and measures for each point of the grid."""
    rows = []
    sections = []
    for index, (results, measures) in enumerate(zip(report.points, measures_of, strict=True)):
        measure = deciding_measure(measures)
        if measure:
            rows += verdict_rows(measure, report.reference, results.point)
        sections += _sections(report, results, measures, index)
    lead = [
        *study_summary(report, measures_of, rows),
        *_pictures(report),
        *[Text(note, "caution") for note in report.notes],
        *_unfinished(report),
        *_verdicts(rows, measures_of),
    ]
    runs = Section("runs", "Runs", _runs(report))
    settings = Section("settings", "Settings", [Facts(report.about)])
    return Page(report.name, report.made, lead, [*sections, runs, settings])


def _pictures(report: StudyReport) -> list[Block]:
    """Held-out predictions, if there are any, then the curve of each point of the grid."""
    blocks: list[Block] = []
    for results in report.points:
        for details in results.details:
            if details.predictions and not blocks:
                heading = Heading(f"Held-out predictions: {details.title}")
                blocks += [heading, Gallery(details.predictions)]
    for index, results in enumerate(report.points):
        name = _numbered("lead", index)
        figure = curve_figure(results, total_loss, "loss_mtl", name, cost=False)
        if figure.drawings:
            title = f"All tasks together: loss_mtl, lower is better{_point_text(results)}"
            blocks += [Heading(title), figure]
            if not index:
                blocks += [LOSS_HELP, Help(BANDS, band_text(results))]
            blocks += hindsight_texts(results)
    return blocks


def _point_text(results: PointResults) -> str:
    return f" ({results.point})" if results.point else ""


def _verdicts(
    rows: Sequence[VerdictRow], measures_of: Sequence[list[CampaignMeasure]]
) -> list[Block]:
    if not rows:
        return []
    deciding = list(filter(None, map(deciding_measure, measures_of)))
    names = list(dict.fromkeys(measure.name for measure in deciding))
    text = f"Arm minus baseline; {deciding[0].better} is better."
    return [
        Heading(f"Verdicts by {join_names(names)}"),
        Text(text, "small"),
        verdict_table(rows),
        Help("How are arms compared?", METHOD),
    ]


def _unfinished(report: StudyReport) -> list[Block]:
    runs = report.runs
    unfinished = [f"{run.key} ({run.state})" for run in runs if run.state != "done"]
    if not unfinished:
        return []
    warning = (
        f"{len(unfinished)} of {count_text(len(runs), 'run')} are not done: "
        f"{join_names(unfinished, 12)}. They are not compared."
    )
    return [Text(warning, "caution")]


def _numbered(word: str, index: int) -> str:
    """The name of a section or a drawing; from the second point on with a number."""
    return f"{word}-{index + 1}" if index else word


def _sections(
    report: StudyReport, results: PointResults, measures: list[CampaignMeasure], index: int
) -> list[Section]:
    blocks: dict[tuple[str, str], list[Block]] = {
        ("curves", "Learning curves"): [
            Help(BANDS, band_text(results)),
            *hindsight_blocks(results),
            *curve_blocks(results, report.headlines, report.reference, _numbered("curve", index)),
        ],
        ("differences", "Differences"): _differences(report, results, measures, index),
        ("bought", "Labels and cost"): [
            Text(
                "Means over seeds. Labels are those that each network was trained on; the total "
                "cost also covers those of a val split."
            ),
            spending_table(results, report.costs),
        ],
        ("grid", "The grid"): _grids(results, index),
        ("uncertainty", "Uncertainty of the pool"): _uncertainty(results, index),
        ("cells", "Hardest cells"): _cells(report, results),
    }
    point = _point_text(results)
    sections = []
    for (section_id, title), section_blocks in blocks.items():
        sections.append(Section(_numbered(section_id, index), f"{title}{point}", section_blocks))
    return sections


def _differences(
    report: StudyReport, results: PointResults, measures: list[CampaignMeasure], index: int
) -> list[Block]:
    if not measures:
        return [Text("No run of a strategy is finished yet.", "hint")]
    power = "There is only one strategy, so there is nothing to compare."
    if len(results.strategies) > 1:
        measure = deciding_measure(measures)
        power = power_statement(measure.pairs if measure else {})
    blocks: list[Block] = [
        Help("How are arms compared?", METHOD),
        Text(power, "caution"),
        Heading("By strategy: mean ± standard deviation over seeds"),
        strategy_table(measures, results.strategies),
    ]
    for ending in (last_round_ending(results), equal_cost_ending(results)):
        blocks += ending_table(ending, results, report.headlines)
    for measure in measures:
        blocks += pair_blocks(measure, f"{_numbered('measure', index)}-{measure.name}")
    return blocks


def _grids(results: PointResults, index: int) -> list[Block]:
    grids: list[Block] = []
    for details in results.details:
        if details.requests is not None:
            name = f"{_numbered('grid', index)}-{len(grids) + 1}"
            grids.append(grid_map(details.requests, name, details.title))
    if not grids:
        return [Text(NO_FOLDERS.format(what="grids"), "hint")]
    return [Text("The requests of each strategy by round, for one seed."), *grids]


def _uncertainty(results: PointResults, index: int) -> list[Block]:
    blocks = []
    for rank, details in enumerate(results.details, 1):
        name = f"{_numbered('uncertainty', index)}-{rank}"
        blocks += uncertainty_charts(details.uncertainty, name, details.title)
    if blocks:
        return [UNCERTAINTY_HELP, *blocks]
    reason = NO_FOLDERS.format(what="scores")
    if results.details:
        reason = "No strategy of this study scored the pool."
    return [Text(reason, "hint")]


def _cells(report: StudyReport, results: PointResults) -> list[Block]:
    for details in results.details:
        if details.picked:
            hints = hint_blocks(report.hints.get("cells"))
            return [Heading(details.title), *hints, *picked_cells(details.picked)]
    reason = NO_FOLDERS.format(what="picks")
    if results.details:
        reason = "No strategy of this study scored the pool, so it is unknown which cells are hard."
    return [Text(reason, "hint")]


def _runs(report: StudyReport) -> list[Block]:
    columns = [
        Column("run"),
        Column("strategy"),
        *number_columns("seed"),
        Column("point"),
        Column("state"),
        *number_columns("networks measured", "of at most"),
        Column("fault"),
    ]
    rows = []
    for run in report.runs:
        row: list[Value] = [run.key, run.strategy, run.seed, run.point or None, run.state]
        row += [len(run.measured), run.expected, run.fault]
        rows.append(row)
    return [DataTable(columns, rows)]


def spending_table(results: PointResults, label_costs: Mapping[str, float]) -> DataTable:
    """The mean numbers and costs of each task's training labels, over seeds."""
    label_names = [f"{task} labels" for task in label_costs]
    cost_names = [f"{task} cost" for task in label_costs]
    columns = [
        Column("strategy"),
        *number_columns("rounds bought", "seeds"),
        *number_columns(*label_names, "all labels"),
        *number_columns(*cost_names, "all cost"),
    ]
    rows = []
    for strategy in results.strategies:
        by_round = networks_by_round(results.of(strategy).values())
        for bought, networks in enumerate(by_round):
            labels = []
            costs = []
            for task, cost in label_costs.items():
                count, _ = mean_and_deviation(list(map(label_count_getter(task), networks)))
                labels.append(count)
                costs.append(count * cost)
            spent, _ = mean_and_deviation([network.spent for network in networks])
            row: list[Value] = [strategy, bought, len(networks)]
            rows.append([*row, *labels, sum(labels), *costs, spent])
    return DataTable(columns, rows)


def study_summary(
    report: StudyReport, measures_of: Sequence[list[CampaignMeasure]], rows: Sequence[VerdictRow]
) -> list[Block]:
    """The three sentences at the top of a study's page."""
    networks = [run.measured[-1] for run in report.runs if run.kind == "strategy" and run.measured]
    bought = "No label was bought yet."
    if networks:
        labels = number(max(map(label_count, networks)))
        cost = number(max(map(label_cost, networks)))
        bought = f"A run had at most {labels} labels, for {cost}."
    how_good = _how_good(report, rows)
    return [Text(how_good, "verdict"), Text(bought), Text(_next(report, measures_of))]


def _how_good(report: StudyReport, rows: Sequence[VerdictRow]) -> str:
    """The verdicts with the names of arms; over several points of a grid, with numbers alone."""
    if not rows:
        return "Nothing to compare yet."
    by_verdict: dict[str, list[str]] = {}
    for row in rows:
        by_verdict.setdefault(row.compared.verdict, []).append(row.arm)
    if len(report.points) > 1:
        counts = [f"{len(arms)} {verdict}" for verdict, arms in by_verdict.items()]
        points = count_text(len(report.points), "point")
        return f"Compared with the baseline at {points}: {', '.join(counts)}."
    baselines = sorted({row.baseline for row in rows})
    parts = [f"{verdict} ({join_names(arms, NAMED)})" for verdict, arms in by_verdict.items()]
    return f"Compared with {join_names(baselines, NAMED)}: {', '.join(parts)}."


def _next(report: StudyReport, measures_of: Sequence[list[CampaignMeasure]]) -> str:
    unfinished = sum(run.state != "done" for run in report.runs)
    if unfinished:
        left = count_text(unfinished, "run is", "runs are")
        return f"Next: run the same command again; {left} left."
    seeds = 0
    pairs = 0
    for measure in filter(None, map(deciding_measure, measures_of)):
        tested = [compared.seeds for compared in measure.pairs.values() if compared.is_tested]
        pairs = max(pairs, len(tested))
        seeds = max([seeds, *tested])
    if pairs and smallest_p(seeds) * pairs > LEVEL:
        return f"Next: take at least {seeds_needed(pairs)} seeds; {seeds} cannot show a difference."
    return "Next: read the differences of each task; what is within noise may need more seeds."
