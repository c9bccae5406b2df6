"""Laws of a study's three sentences: the verdicts, the most that was bought, and the next step."""

from dataclasses import replace

from labelgrid.lab.reports.campaign_measures import study_measures
from labelgrid.lab.reports.study_content import StudyReport
from labelgrid.lab.reports.study_summary import study_summary
from labelgrid.lab.reports.verdicts import VerdictRow, verdict_rows
from labelgrid.report.blocks import Text
from tests.unit.report.made import Effect, nothing, planted, point_results, study

THREE = ("partal", "random_cells", "random_images")


def sentences(report: StudyReport) -> list[str]:
    measures_of = study_measures(report)
    rows: list[VerdictRow] = []
    for results, measures in zip(report.points, measures_of, strict=True):
        if measures:
            rows += verdict_rows(measures[0], report.reference, results.point)
    blocks = study_summary(report, measures_of, rows)
    return [block.text for block in blocks if isinstance(block, Text)]


def of(effect: Effect, seeds: int) -> list[str]:
    return sentences(study(point_results(effect, seeds, THREE)))


def test_the_verdicts_name_their_arms() -> None:
    good, cost, then = of(planted("partal", 0.2), 8)
    assert good == "Compared with random_cells: better (partal), within noise (random_images)."
    assert cost == "A run had at most 50 labels, for 275."
    assert then.startswith("Next: read the differences")


def test_too_few_seeds_cannot_tell_and_the_next_step_is_how_many_to_take() -> None:
    good, _, then = of(planted("partal", 3.0), 3)
    assert good == "Compared with random_cells: cannot tell (partal, random_images)."
    assert then == "Next: take at least 7 seeds; 3 cannot show a difference."


def test_points_of_a_grid_are_counted_together() -> None:
    points = [point_results(planted("partal", 0.2), 8, THREE), point_results(nothing, 8, THREE)]
    named = [replace(one, point=f"steps={index}") for index, one in enumerate(points)]
    good, *_ = sentences(study(*named))
    assert good == "Compared with the baseline at 2 points: 1 better, 3 within noise."


def test_unfinished_runs_come_before_all_other_next_steps() -> None:
    whole = point_results(nothing, 3)
    runs = [replace(run, state="failed", fault="") for run in whole.runs[:1]]
    *_, then = sentences(study(replace(whole, runs=[*runs, *whole.runs[1:]])))
    assert then == "Next: run the same command again; 1 run is left."


def test_a_study_that_has_not_begun_says_so() -> None:
    whole = point_results(nothing, 3)
    runs = [replace(run, measured=[], state="not started") for run in whole.runs]
    good, cost, _ = sentences(study(replace(whole, runs=runs)))
    assert (good, cost) == ("Nothing to compare yet.", "No label was bought yet.")
