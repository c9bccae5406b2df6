"""How the report of a study is laid out: which strategy won, the curves, the differences, what was bought."""

from labelgrid.report.blocks import (
    Block,
    Column,
    Facts,
    Heading,
    Page,
    Said,
    Section,
    Table,
    Text,
    Value,
    hinted,
    numeric,
)
from labelgrid.report.bought import bought
from labelgrid.report.comparing import BAND, by_pair, by_strategy, curve_figure, curves
from labelgrid.report.findings import Measure, loss, measures
from labelgrid.report.parts import UNSURE, grid_map, picked_cells, unsure_charts
from labelgrid.report.statistics import LEAST_PAIRS
from labelgrid.report.trials import PointResults, StudyReport
from labelgrid.report.verdicts import power, verdicts
from labelgrid.report.wording import counted

#: How differences are judged.
METHOD = (
    "Strategies are compared seed by seed: those of one seed begin with the same labels and the same network. The "
    f"interval is a bootstrap one of the mean difference (95 %; of fewer than {LEAST_PAIRS} seeds the least and the "
    "largest difference are told instead), p is of the exact paired permutation test (two-sided), "
    "corrected for the number of pairs (Holm); a corrected p of 5 % or less counts as a difference. Only finished runs "
    "are compared."
)


def study_page(report: StudyReport) -> Page:
    """The page of a study; each point of its grid has sections of its own."""
    lead: list[Block] = []
    sections: list[Section] = []
    for place, trial in enumerate(report.trials):
        found = measures(trial, report.headlines, report.reference)
        lead += _verdict(trial, found, place)
        sections += _sections(report, trial, found, place)
    runs, settings = Section("runs", "Runs", _runs(report)), Section("settings", "Settings", [Facts(report.about)])
    return Page(report.name, report.made, [*_unfinished(report), *lead], [*sections, runs, settings])


def _unfinished(report: StudyReport) -> list[Block]:
    """How many runs are not done, before anything is said of the others."""
    runs = report.runs
    left = [run for run in runs if run.ending != "done"]
    if not left:
        return []
    names = ", ".join(f"{run.key} ({run.ending})" for run in left[:12])
    more = f" and {len(left) - 12} more" if len(left) > 12 else ""
    said = f"{len(left)} of {counted(len(runs), 'run')} are not done: {names}{more}. They are in no comparison."
    return [Text(said, "caution")]


def _verdict(trial: PointResults, found: list[Measure], place: int) -> list[Block]:
    """Which strategy won, and the overall curve."""
    blocks: list[Block] = [Heading(trial.point)] if trial.point else []
    if found:
        lines = verdicts(found[0])
        blocks += [Said(lines)] if lines else []
    blocks.append(Text(_power(trial, found), "small"))
    name = _named("lead", place)
    figure = curve_figure(trial, loss, "loss_mtl", name, cost=False)
    return [*blocks, figure, Text(f"{BAND} Lower is better.", "small")] if figure.drawings else blocks


def _power(trial: PointResults, found: list[Measure]) -> str:
    if len(trial.strategies) < 2:
        return "One strategy alone: there is nothing to compare it with."
    return power(found[0].pairs() if found else {})


def _named(word: str, place: int) -> str:
    """The name of a section or a drawing: of the first point as it is, of others numbered."""
    return f"{word}-{place + 1}" if place else word


def _sections(report: StudyReport, trial: PointResults, found: list[Measure], place: int) -> list[Section]:
    said = f" ({trial.point})" if trial.point else ""
    blocks: dict[tuple[str, str], list[Block]] = {
        ("curves", "Learning curves"): [Text(BAND), *curves(trial, report.headlines, _named("curve", place))],
        ("differences", "Differences"): _differences(trial, found),
        ("bought", "Labels and cost"): [
            Text("Means over seeds, of the labels that each network learned from or, on a val split, was chosen by."),
            bought(trial, report.prices),
        ],
        ("grid", "The grid"): _grids(trial, place),
        ("uncertainty", "Uncertainty of the pool"): _unsure(trial, place),
        ("cells", "Hardest cells"): _cells(report, trial),
    }
    return [Section(_named(id_, place), f"{title}{said}", own) for (id_, title), own in blocks.items()]


def _differences(trial: PointResults, found: list[Measure]) -> list[Block]:
    if not found:
        return [Text("No run of a strategy is finished yet.", "hint")]
    blocks: list[Block] = [Text(METHOD), Text(_power(trial, found), "caution")]
    blocks += [Heading("By strategy: mean ± standard deviation over seeds"), by_strategy(found, trial.strategies)]
    for measure in found:
        blocks += by_pair(measure)
    return blocks


def _grids(trial: PointResults, place: int) -> list[Block]:
    shown = [seen for seen in trial.seen if seen.asked is not None]
    if not shown:
        return [Text("No run's ledger is here to be looked at.", "hint")]
    blocks: list[Block] = [Text(f"What each strategy asked for, and when: seed {shown[0].seed}.")]
    for index, seen in enumerate(shown):
        assert seen.asked is not None
        name, title = f"{_named('grid', place)}-{index + 1}", f"{seen.strategy}, seed {seen.seed}"
        blocks.append(grid_map(seen.asked, name, title))
    return blocks


def _unsure(trial: PointResults, place: int) -> list[Block]:
    blocks: list[Block] = []
    for index, seen in enumerate(trial.seen):
        name = f"{_named('uncertainty', place)}-{index + 1}"
        blocks += unsure_charts(seen.unsure, name, f"{seen.strategy}, seed {seen.seed}")
    if not blocks:
        return [Text("No strategy of this study scored the pool.", "hint")]
    return [Text(UNSURE), *blocks]


def _cells(report: StudyReport, trial: PointResults) -> list[Block]:
    seen = next((seen for seen in trial.seen if seen.picked), None)
    if seen is None or seen.picked is None:
        return [Text("No strategy of this study scored the pool, so none of its cells is known to be hard.", "hint")]
    blocks: list[Block] = [Heading(f"{seen.strategy}, seed {seen.seed}")]
    return [*blocks, *hinted(report.hints.get("cells")), *picked_cells(seen.picked)]


def _runs(report: StudyReport) -> list[Block]:
    columns = [Column("run"), Column("of"), *numeric("seed"), Column("point"), Column("state")]
    rows: list[list[Value]] = [
        [run.key, run.strategy, run.seed, run.point or None, run.ending, len(run.measured), run.wanted, run.fault]
        for run in report.runs
    ]
    return [Table([*columns, *numeric("networks measured", "of at most"), Column("fault")], rows)]
