"""Says in three sentences which arms of a study are better, what they cost, and what comes next."""

from collections.abc import Sequence

from labelgrid.basics.comparison import LEVEL, seeds_needed, smallest_p
from labelgrid.basics.words import count_text, join_names
from labelgrid.drawings.wording import number
from labelgrid.lab.reports.means import label_cost, label_count
from labelgrid.lab.reports.measure import CampaignMeasure, deciding_measure
from labelgrid.lab.reports.study_content import StudyReport
from labelgrid.lab.reports.verdicts import VerdictRow
from labelgrid.report.blocks import Block, Text

#: At most so many arms of a verdict are named.
NAMED = 4


def study_summary(
    report: StudyReport, measures_of: Sequence[list[CampaignMeasure]], rows: Sequence[VerdictRow]
) -> list[Block]:
    """The three sentences at the top of a study's page.

    Args:
        report: the study.
        measures_of: the measures of each point of its grid.
        rows: the verdicts of all points.
    """
    return [
        Text(_how_good(report, rows), "verdict"),
        Text(_cost(report)),
        Text(_next(report, measures_of)),
    ]


def _how_good(report: StudyReport, rows: Sequence[VerdictRow]) -> str:
    """The verdicts, each with its arms; over several points of a grid their numbers alone."""
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


def _cost(report: StudyReport) -> str:
    """The most that a run bought."""
    networks = [run.measured[-1] for run in report.runs if run.kind == "strategy" and run.measured]
    if not networks:
        return "No label was bought yet."
    labels = number(max(map(label_count, networks)))
    cost = number(max(map(label_cost, networks)))
    return f"A run had at most {labels} labels, for {cost}."


def _next(report: StudyReport, measures_of: Sequence[list[CampaignMeasure]]) -> str:
    """What to do: finish the runs, take more seeds, or look at the differences."""
    unfinished = sum(run.state != "done" for run in report.runs)
    if unfinished:
        left = count_text(unfinished, "run is", "runs are")
        return f"Next: run the same command again; {left} left."
    seeds, pairs = _seeds_and_pairs(measures_of)
    if pairs and smallest_p(seeds) * pairs > LEVEL:
        return f"Next: take at least {seeds_needed(pairs)} seeds; {seeds} cannot show a difference."
    return "Next: read the differences of each task; what is within noise may need more seeds."


def _seeds_and_pairs(measures_of: Sequence[list[CampaignMeasure]]) -> tuple[int, int]:
    """The most seeds and the most pairs that a comparison by the deciding measure has."""
    seeds = 0
    pairs = 0
    for measures in measures_of:
        measure = deciding_measure(measures)
        if measure:
            tested = [one.seeds for one in measure.pairs().values() if one.is_tested]
            pairs = max(pairs, len(tested))
            seeds = max([seeds, *tested])
    return seeds, pairs
