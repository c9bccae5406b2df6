"""Laws of a project's page: every section shows its metrics, or what it lacks and how to get it."""

import math
import re

import pytest

from labelgrid.ledger.grid import Cell, Explanation, Pick
from labelgrid.report.content import Hint, Round, RoundPicks, ShownPick, Training
from tests.unit.report.reading import JPEG, TWO, Page, a_report, html, measured

pytestmark = pytest.mark.usefixtures("few_pictures")


def test_each_curve_has_two_charts_and_its_numbers_beside_them() -> None:
    section = Page(html(a_report(measured=TWO))).section("curves")
    assert len(section.named("img")) == 3 * 2
    overall, semseg, depth = section.tables[1:]
    assert overall[1:] == [["1", "20", "110", "2.25", "8"], ["2", "40", "220", "1.75", "8"]]
    assert semseg[1:] == [
        ["1", "20", "10", "110", "21.25", "4"],
        ["2", "40", "20", "220", "33.75", "4"],
    ]
    assert depth[1:] == [
        ["1", "20", "10", "110", "1.125", "4"],
        ["2", "40", "20", "220", "0.875", "4"],
    ]


def test_units_and_the_direction_of_better_are_said() -> None:
    words = Page(html(a_report(measured=TWO))).section("curves").words
    assert "semseg: mIoU in %, higher is better" in words
    assert "depth: RMSE in m, lower is better" in words
    assert "All tasks together: loss_mtl, lower is better" in words


def test_the_newest_metrics_show_their_change_and_whether_it_is_for_the_better() -> None:
    newest = Page(html(a_report(measured=[measured(1, 21.25, 1.125), measured(2, 20.0, 0.875)])))
    assert newest.section("curves").tables[0][1:] == [
        ["semseg", "mIoU", "20", "%", "higher is better", "−1.25", "worse", "4"],
        ["semseg", "pixAcc", "71.5", "%", "higher is better", "0", "", "4"],
        ["depth", "RMSE", "0.875", "m", "lower is better", "−0.25", "better", "4"],
    ]


def test_one_measured_round_is_shown_as_numbers_and_two_are_asked_for() -> None:
    section = Page(html(a_report(measured=[measured(1, 21.25, 1.125)]))).section("curves")
    assert not section.named("img")
    assert "Only one round is measured; a curve needs two." in section.words
    assert ["1", "20", "10", "110", "21.25", "4"] in section.tables[2]
    assert all("open" in details for details in section.named("details"))


def test_the_page_says_how_few_images_it_measured_on_and_that_it_is_one_run() -> None:
    words = Page(html(a_report(measured=TWO))).section("curves").words
    assert "Measured on 4 held-out images." in words
    assert "This is one run. The intervals at the top of this page cover" in words


def test_rounds_measured_on_different_label_sets_are_marked() -> None:
    same = Page(html(a_report(measured=TWO))).section("curves").words
    other = a_report(measured=[measured(1, 21.25, 1.125), measured(2, 33.75, 0.875, heldout=3)])
    said = "Rounds 1 and 2 were measured on different sets of held-out labels"
    assert said not in same and said in Page(html(other)).section("curves").words


def test_a_value_that_is_not_a_number_is_a_dash_and_no_point() -> None:
    rounds = [measured(1, math.nan, 1.125), measured(2, 33.75, 0.875)]
    section = Page(html(a_report(measured=rounds))).section("curves")
    assert len(section.named("img")) == 2 * 2  # overall and depth; semseg has one point left
    assert ["1", "20", "10", "110", "–", "4"] in section.tables[2]
    assert not re.search(r"\b(nan|inf)\b", section.text.lower())


def test_a_task_that_was_never_measured_says_so() -> None:
    rounds = [measured(1, math.nan, 1.125), measured(2, math.nan, 0.875)]
    assert (
        "There were no held-out labels to measure this on."
        in Page(html(a_report(measured=rounds))).words
    )


def test_the_cost_of_held_out_labels_stands_apart() -> None:
    section = Page(html(a_report())).section("status")
    learnt, heldout = section.tables
    assert learnt[-1] == ["all tasks", "", "12", "4", "2", "2", "", "66", "4"]
    assert heldout[-1] == ["all tasks", "", "12", "4", "2", "2", "", "47.25", "4"]
    assert "Their cost is not part of any curve or round." in section.words
    assert "Held out" not in Page(html(a_report(heldout=None))).section("status").words


def test_rounds_show_what_they_picked_and_what_became_of_it() -> None:
    rounds = [
        Round(
            number=1,
            state="closed",
            strategy="partal",
            budget="24 labels",
            picks={"depth": 5},
            cost=17.5,
            now={"labelled": 3, "skipped": 1, "requested": 1},
        ),
        Round(number=2, state="open", trained=(4, 9)),
    ]
    table = Page(html(a_report(rounds=rounds))).section("rounds").tables[0]
    assert table[1:] == [
        ["1", "closed", "–", "–", "partal", "24 labels", "0", "5", "17.5", "3", "1", "1"],
        ["2", "open", "4", "9", "–", "–", "0", "0", "0", "0", "0", "0"],
    ]
    assert {len(row) for row in table} == {12}


def test_picks_show_their_pictures_side_by_side_with_score_and_reason() -> None:
    pictures = {"image": JPEG + b"1", "prediction": JPEG + b"2", "uncertainty": JPEG + b"3"}
    first = [
        ShownPick(Pick(cell=Cell("a.jpg", "depth"), score=0.75, cost=2.0, why="unsure"), pictures),
        ShownPick(Pick(cell=Cell("b.jpg", "semseg"), score=None, cost=1.0)),
    ]
    section = Page(html(a_report(picked=RoundPicks(3, 40, first)))).section("picks")
    assert "The first 2 of the 40 picks of round 3, best first." in section.words
    assert "1. depth a.jpg" in section.words and "score 0.75, cost 2: unsure" in section.words
    assert section.words.endswith("2. semseg b.jpg cost 1")
    assert len({image["src"] for image in section.named("img")}) == 3
    assert [image["alt"] for image in section.named("img")] == [
        f"{what} of pick 1" for what in pictures
    ]


def test_a_pick_is_explained_in_a_line() -> None:
    why = Explanation(
        quantiles={"unsure": 0.9995, "far": 0.031},
        rank=12,
        without={"noise": 4800},
        nearest="b.jpg",
        distance=3.25,
    )
    known = ShownPick(
        Pick(
            cell=Cell("a.jpg", "depth"),
            score=0.75,
            cost=2.0,
            why="it",
            terms={"unsure": 2.3125, "far": -1.5, "in it": 3.0},
            explanation=why,
        )
    )
    unknown = ShownPick(
        Pick(
            cell=Cell("c.jpg", "depth"),
            score=0.5,
            cost=2.0,
            why="it",
            terms={"unsure": float("nan")},
        )
    )
    section = Page(html(a_report(picked=RoundPicks(3, 40, [known, unknown])))).section("picks")
    line = "unsure 2.312: higher than 99 % of candidates far -1.5: lower than 96 % of candidates in it 3 "
    assert f"{line}rank 12; 4,800 without noise nearest labelled image: b.jpg" in section.words
    assert (
        section.words.endswith("score 0.5, cost 2: it")
        and "The grey lines explain the picks." in section.words
    )
    plain = Page(html(a_report(picked=RoundPicks(3, 40, [unknown])))).section("picks")
    assert "The grey lines" not in plain.words


def test_training_shows_a_chart_and_the_numbers_of_each_loss() -> None:
    training = Training(2, {"depth": {1: 0.5, 2: 0.25}, "validation: loss_mtl": {2: 1.5}})
    section = Page(html(a_report(training=training))).section("training")
    assert len(section.named("img")) == 2
    assert section.tables[0] == [
        ["epoch", "depth", "validation: loss_mtl"],
        ["1", "0.5", "–"],
        ["2", "0.25", "1.5"],
    ]


@pytest.mark.parametrize("section", ["metrics", "rounds", "picks", "training"])
def test_a_section_that_lacks_something_says_what_and_the_next_command(section: str) -> None:
    report = a_report(
        hints={section: Hint("There is nothing yet.", "labelgrid query flat --budget N")}
    )
    place = {"metrics": "curves"}.get(section, section)
    assert (
        "There is nothing yet. Next: labelgrid query flat --budget N"
        in Page(html(report)).section(place).words
    )
