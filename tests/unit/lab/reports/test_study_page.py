"""Laws of a study's page: who won is said first, every figure has its numbers, and nothing is hidden."""

from dataclasses import replace

import numpy as np
import pytest

from labelgrid.drawings.request_history import RequestHistory
from labelgrid.lab.reports.campaign_measures import study_measures
from labelgrid.lab.reports.comparison_blocks import curve_figure
from labelgrid.lab.reports.means import total_loss
from labelgrid.lab.reports.study_content import PointResults, RunDetails, StudyReport
from labelgrid.lab.reports.study_page import study_page, study_summary
from labelgrid.lab.reports.verdicts import VerdictRow, verdict_rows
from labelgrid.ledger.grid import Cell, Pick
from labelgrid.report.content import RoundPicks, ShownPick
from labelgrid.report.html_page import render
from labelgrid.report.page_blocks import Text
from tests.unit.report.made import Effect, network, nothing, planted, point_results, runs, study
from tests.unit.report.reading import JPEG, Page

COVERS = [
    "labelgrid.lab.reports.comparison_blocks",
    "labelgrid.lab.reports.study_page",
    "labelgrid.report.shared_blocks",
]

pytestmark = pytest.mark.usefixtures("few_pictures")
NO = np.zeros((2, 2), bool)
SEEN = RunDetails(
    strategy="partal",
    seed=0,
    requests=RequestHistory(["semseg", "depth"], np.array([[1, 2], [-1, -1]]), NO, NO),
    uncertainty={"dropout": {"semseg": {2: 0.5, 3: 0.25}, "depth": {3: 0.75}}},
    picked=RoundPicks(
        3,
        9,
        [
            ShownPick(
                Pick(cell=Cell("a.jpg", "depth"), score=0.5, cost=1.0, why="unsure"),
                dict.fromkeys(("image", "label"), JPEG),
            )
        ],
    ),
)


THREE = ("partal", "random_cells", "random_images")


def page(report: StudyReport) -> Page:
    return Page(render(study_page(report, study_measures(report))))


def test_the_verdicts_and_the_overall_curve_come_before_all_else() -> None:
    shown = page(study(point_results(planted("partal", 0.2), 8)))
    words = shown.words[: shown.words.index("Learning curves")]
    assert "Compared with random_cells: better (partal)." in words
    assert shown.tables[1][1][:2] == ["partal", "random_cells"]
    assert shown.tables[1][1][-1] == "better"
    first = shown.named("img")[0]["alt"]
    assert (
        first.startswith("loss_mtl against training labels: partal from")
        and "every label: 3" in first
    )


def test_every_curve_has_its_numbers_and_the_dashed_line_its_value() -> None:
    section = page(study(point_results())).section("curves")
    assert (
        len(section.named("img")) == 2 * (3 + 4) and len(section.tables) == 3 + 4
    )  # values; differences
    overall, *_, depth, _ = section.tables
    assert overall[1][:4] == ["partal", "0", "20", "110"] and len(overall) == 1 + 2 * 4 + 1
    assert overall[-1][0] == "every label" and overall[-1][2:4] == ["200", "1,100"]
    assert depth[0][4] == "RMSE (m), mean" and "depth: RMSE in m, lower is better" in section.words
    assert (
        "one standard deviation over seeds" in section.words
        and "The dashed line is" in section.words
    )


def test_without_networks_of_every_label_no_dashed_line_is_spoken_of() -> None:
    results = point_results()
    shown = page(study(replace(results, runs=[run for run in results.runs if run.kind != "full"])))
    assert "dashed line" not in shown.words and "one standard deviation over seeds" in shown.words


def test_a_study_without_rounds_has_points_instead_of_curves() -> None:
    results = PointResults(
        point="",
        strategies=["partal", "random_cells"],
        runs=runs(["partal", "random_cells"], 3, nothing, rounds=0),
    )
    section = page(study(results)).section("curves")
    shown = [image["alt"] for image in section.named("img")]
    assert (
        len(shown) == 3
        and shown[0].startswith("loss_mtl: partal 6.1")
        and "every label 3.1" in shown[0]
    )
    assert "Each point is the mean over seeds" in section.words and "Each line" not in section.words
    assert section.tables[0][1][:4] == ["partal", "0", "20", "110"]


def test_differences_say_interval_p_and_verdict_pair_by_pair() -> None:
    section = page(study(point_results(planted("partal", 0.2), 8))).section("differences")
    strategy_table, last, area, *_ = section.tables
    assert strategy_table[0] == ["measure", "partal", "random_cells"] and len(
        section.tables
    ) == 1 + len(strategy_table)
    assert last[0] == [
        "strategy",
        "seeds",
        "labels",
        "cost",
        "loss_mtl",
        "semseg mIoU (%)",
        "depth RMSE (m)",
    ]
    assert [row[:4] for row in last[1:]] == [
        [n, "8", "50", "275"] for n in ("partal", "random_cells")
    ] + [["every label", "8", "200", "1,100"]]
    assert area[1][0] == "partal − random_cells" and area[1][3:] == [
        "0.007812",
        "0.007812",
        "8",
        "partal is better",
    ]
    few = page(study(point_results())).section("differences").words
    assert "With 3 seeds, p cannot be below 0.25" in few and "(Holm)" in few


def test_each_measure_is_drawn_with_a_row_for_each_strategy_the_best_first() -> None:
    section = page(study(point_results(planted("random_cells", 0.2), 3))).section("differences")
    area, *_ = section.named("img")
    assert area["alt"].startswith(
        "Mean loss_mtl over labels: random_cells 5.263 ± 0.16; partal 5.4"
    )
    pairs = [one for one in section.named("details") if one.get("class") != "help"]
    assert len(section.named("img")) == len(pairs) == len(section.tables) - 2
    gain = next(
        image["alt"] for image in section.named("img") if image["alt"].startswith("delta_mtl")
    )
    assert gain.index("random_cells") < gain.index("partal")  # higher is better
    goal = next(
        image["alt"] for image in section.named("img") if image["alt"].startswith("Labels to reach")
    )
    assert "random_cells 46.14 ± 0.38; partal 50 ± 0" in goal


def test_drawings_of_other_seeds_say_so() -> None:
    whole = point_results()
    cut = [replace(r, state="unfinished") if r.key == "partal-seed1" else r for r in whole.runs]
    assert (
        "not of the same seeds"
        in page(study(replace(whole, runs=cut))).section("differences").words
    )
    assert "not of the same seeds" not in page(study(whole)).words


def test_many_pairs_are_folded_and_many_strategies_are_rows() -> None:
    six, seven = (
        page(study(point_results(strategies=tuple("abcdefg"[:n])))).section("differences")
        for n in (6, 7)
    )
    folded = [one for one in six.named("details") if one.get("class") != "help"]
    assert folded and all("open" in attributes for attributes in folded)
    assert (
        not any("open" in attributes for attributes in seven.named("details"))
        and "The pairs" in seven.words
    )
    names = tuple(f"arm{letter}" for letter in "abcdefghijkl")
    many = page(study(point_results(strategies=names))).section("differences")
    by_strategy, _, first, *_ = many.tables
    assert (
        by_strategy[0][:2] == ["strategy", "Mean loss_mtl over labels"]
        and len(first) == 1 + 12 * 11 // 2
    )
    assert [row[0] for row in by_strategy[1:]] == list(names)


def test_many_lines_have_no_bands_and_the_text_says_so() -> None:
    names = tuple(f"arm{letter}" for letter in "abcdefgh")
    few, many = (point_results(strategies=shown) for shown in (names[:7], names))
    assert all(
        line.low for line in curve_figure(few, total_loss, "loss_mtl", "a").drawings[0].lines
    )
    hindsight = replace(few, best_of={"best": names[:2]})
    for shown in (many, hindsight):
        assert not any(
            line.low for line in curve_figure(shown, total_loss, "loss_mtl", "a").drawings[0].lines
        )
    assert "Its band is one standard deviation" in page(study(few)).words
    words = page(study(many)).words
    assert (
        "Its band" not in words[: words.index("Differences")]
        and "The numbers have the standard deviations." in words
    )


def test_what_limits_the_comparison_is_said_first() -> None:
    shown = page(
        replace(study(point_results()), notes=["Runs were resumed with other code of a:b."])
    )
    assert "other code of a:b" in shown.words[: shown.words.index("Learning curves")]


def test_labels_and_costs_are_those_of_each_task_and_round() -> None:
    table = page(study(point_results())).section("bought").tables[0]
    assert table[1] == ["partal", "0", "3", "10", "10", "20", "100", "10", "110"]
    assert table[4][1:6] == ["3", "3", "25", "25", "50"] and len(table) == 9


def test_a_run_is_looked_at_closely() -> None:
    shown = page(
        study(replace(point_results(), details=[SEEN, RunDetails(strategy="random_cells", seed=0)]))
    )
    grid, uncertainty, cells = (shown.section(name) for name in ("grid", "uncertainty", "cells"))
    assert (
        grid.tables[0][1] == ["semseg", "1", "0", "0", "0", "1"] and "partal, seed 0" in grid.words
    )
    assert uncertainty.tables[0][1:] == [["2", "0.5", "–"], ["3", "0.25", "0.75"]]
    assert "equations 1 and 8" in uncertainty.words
    assert [image["alt"] for image in cells.named("img")] == ["image of pick 1", "label of pick 1"]
    assert "The label is the one that came in after the pick." in cells.words


def test_unfinished_and_failed_runs_are_named_at_the_head_and_in_the_table() -> None:
    whole = point_results()
    cut = [
        replace(r, state="failed", fault="no memory") if r.key == "partal-seed1" else r
        for r in whole.runs
    ]
    shown = page(study(replace(whole, runs=cut)))
    assert (
        "1 of 9 runs are not done: partal-seed1 (failed)."
        in shown.words[: shown.words.index("Verdicts")]
    )
    row = next(row for row in shown.section("runs").tables[0] if row[0] == "partal-seed1")
    assert row == ["partal-seed1", "partal", "1", "–", "failed", "4", "4", "no memory"]
    assert "not done" not in page(study(whole)).words


def test_each_point_of_a_grid_has_sections_of_its_own() -> None:
    shown = page(
        study(
            replace(point_results(), point="train.steps=5"),
            replace(point_results(), point="train.steps=9"),
        )
    )
    places = [attributes["id"] for _, attributes in shown.tags if "id" in attributes]
    assert len(places) == len(set(places)) and {"curves", "curves-2", "differences-2"} <= set(
        places
    )
    assert {link["href"][1:] for link in shown.named("a")} == set(places)
    assert "Learning curves (train.steps=9)" in shown.words


def test_a_run_that_points_share_is_told_once() -> None:
    left = [
        replace(run, state="unfinished") if run.key == "full-seed0" else run
        for run in point_results().runs
    ]
    points = [
        replace(point_results(), runs=left, point=f"score.dropout.passes={count}")
        for count in (5, 9)
    ]
    shown = page(study(*points))
    assert (
        "1 of 9 runs are not done: full-seed0 (unfinished)."
        in shown.words[: shown.words.index("Verdicts")]
    )
    assert len(shown.section("runs").tables[0]) == 1 + 9


def test_a_study_that_has_only_begun_still_makes_a_page() -> None:
    whole = point_results(seeds=1)
    none = [replace(run, measured=[], state="not started") for run in whole.runs]
    shown = page(study(replace(whole, runs=none)))
    assert "Nothing to compare yet." in shown.words and not shown.named("img")
    one = [replace(run, measured=[network(0, 6.0)], state="unfinished") for run in whole.runs]
    assert "No run of a strategy is finished yet." in page(study(replace(whole, runs=one))).words


def test_names_from_outside_never_become_markup() -> None:
    evil = "<script>alert(1)</script>\"'"
    shown = page(
        replace(
            study(point_results(strategies=(evil, "random_cells"))), name=evil, about={evil: evil}
        )
    )
    assert not shown.named("script") and evil in shown.text


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
