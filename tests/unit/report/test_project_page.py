"""Laws of a project's page: every section shows its metrics, or what it lacks and how to get it."""

import math
import re
from dataclasses import replace

import pytest

from labelgrid.basics.results import ClassScore
from labelgrid.ledger.grid import Cell, Explanation, Pick
from labelgrid.operations.headlines import headlines_of
from labelgrid.report.content import (
    Hint,
    PictureLegend,
    PictureRow,
    Round,
    RoundPicks,
    ShownPick,
    TaskPictures,
    Training,
)
from tests.unit.report.reading import JPEG, TWO, Page, a_report, html, measured

COVERS = ["labelgrid.report.measured_blocks"]

pytestmark = pytest.mark.usefixtures("few_pictures")


def test_each_curve_has_two_charts_and_its_numbers_beside_them() -> None:
    section = Page(html(a_report(measured=TWO))).section("curves")
    assert len(section.named("img")) == 3 * 2
    overall, semseg, depth = section.tables[1:]
    assert overall[1:] == [["0", "20", "110", "2.25", "8"], ["1", "40", "220", "1.75", "8"]]
    assert semseg[1:] == [
        ["0", "20", "10", "110", "21.25", "4"],
        ["1", "40", "20", "220", "33.75", "4"],
    ]
    assert depth[1:] == [
        ["0", "20", "10", "110", "1.125", "4"],
        ["1", "40", "20", "220", "0.875", "4"],
    ]


def test_labels_of_suppliers_and_what_follows_from_them_are_shown_where_there_are_any() -> None:
    rows = [["net", "depth", 12, 0.0, 0.5, 0.5], ["net", "normals, derived", "", "", 0.4, ""]]
    section = Page(html(a_report(suppliers=rows))).section("status")
    assert "Labels of suppliers" in section.words
    (table,) = [table for table in section.tables if table[0][0] == "supplier"]
    assert table[2] == ["net", "normals, derived", "", "", "0.4", ""]
    assert "suppliers" not in Page(html(a_report())).section("status").words


def test_units_and_the_direction_of_better_are_said() -> None:
    words = Page(html(a_report(measured=TWO))).section("curves").words
    assert "semseg: mIoU in %, higher is better" in words
    assert "depth: RMSE in m, lower is better" in words
    assert "All tasks together: loss_mtl, lower is better" in words


def test_the_newest_metrics_show_their_change_its_interval_and_the_verdict() -> None:
    newest = Page(html(a_report(measured=[measured(1, 21.25, 1.125), measured(2, 20.0, 0.875)])))
    assert newest.section("curves").tables[0][1:] == [
        ["semseg", "mIoU", "20", "%", "higher is better", "−1.25", "–", "cannot tell", "4"],
        ["semseg", "pixAcc", "71.5", "%", "higher is better", "0", "–", "cannot tell", "4"],
        ["depth", "RMSE", "0.875", "m", "lower is better", "−0.25", "–", "cannot tell", "4"],
    ]


def test_the_worst_ten_classes_are_shown_and_the_others_open_on_a_click() -> None:
    scores = {f"class-{number:02d}": ClassScore(float(number), 10) for number in range(13)}
    newest = replace(measured(1, 21.25, 1.125), classes={"semseg": scores})
    section = Page(html(a_report(measured=[newest]))).section("curves")
    worst, others = section.tables[1:3]
    assert [row[0] for row in worst[1:]] == [f"class-{number:02d}" for number in range(10)]
    assert [row[0] for row in others[1:]] == ["class-10", "class-11", "class-12"]
    assert "3 more classes" in section.words
    closed = [one for one in section.named("details") if "open" not in one]
    assert {one.get("class") for one in closed} == {None, "help"}


def test_each_task_s_curve_has_the_sentence_of_the_status() -> None:
    words = Page(html(a_report(measured=TWO))).section("curves").words
    for headline in headlines_of(TWO, {"semseg": "mIoU", "depth": "RMSE"}):
        assert f"is better {headline}." in words


def test_one_measured_round_is_shown_as_numbers_and_two_are_asked_for() -> None:
    section = Page(html(a_report(measured=[measured(1, 21.25, 1.125)]))).section("curves")
    assert not section.named("img")
    assert "Only one round is measured; a curve needs two." in section.words
    assert ["0", "20", "10", "110", "21.25", "4"] in section.tables[2]
    tables = [one for one in section.named("details") if one.get("class") != "help"]
    assert tables and all("open" in details for details in tables)


def test_the_page_says_how_few_images_it_measured_on_and_that_it_is_one_run() -> None:
    words = Page(html(a_report(measured=TWO))).section("curves").words
    assert "Measured on 4 held-out images." in words
    assert "not the chance in training: this is one run." in words


def test_changed_settings_are_marked_in_the_curves_and_in_the_tables_of_rounds() -> None:
    rounds = [Round(number=1, state="closed"), Round(number=2, state="open")]
    report = a_report(measured=TWO, rounds=rounds, changed={2: ["train.steps 100 → 200"]})
    shown = Page(html(report))
    curves = shown.section("curves")
    assert "Other settings after round 1: train.steps 100 → 200." in curves.words
    marked = [image["alt"] for image in curves.named("img")]
    assert len(marked) == 6 and all("other settings at " in alt for alt in marked)
    assert "other settings at 40" in marked[0] and "other settings at 220" in marked[1]
    assert curves.tables[1][0][-1] == "other settings"
    assert [row[-1] for row in curves.tables[1][1:]] == ["–", "train.steps 100 → 200"]
    table = shown.section("rounds").tables[0]
    assert [row[-1] for row in table] == [
        *("other settings than before", "–", "train.steps 100 → 200")
    ]
    same = Page(html(a_report(measured=TWO, rounds=rounds)))
    assert "other settings" not in same.words


def test_loss_mtl_is_explained_where_it_is_first_used() -> None:
    words = Page(html(a_report(measured=TWO))).words
    first = words.index("loss_mtl")
    assert words[first:].startswith("loss_mtl, lower is better What is loss_mtl? The weighted sum")
    assert words.count("What is loss_mtl?") == 1


def test_pictures_come_before_all_sections_predictions_before_labels() -> None:
    legend = PictureLegend([("#ff0000", "wall")], JPEG, ("near", "far"))
    pictures = {"photograph": JPEG + b"1", "label": JPEG + b"2", "prediction": JPEG + b"3"}
    shown = [
        TaskPictures(
            "semseg", [PictureRow("worst of 4 images: a.jpg", pictures)], legend, "All: 5 %."
        )
    ]
    overlays = [TaskPictures("depth", [PictureRow("", {"b.jpg": JPEG})], legend)]
    page = Page(html(a_report(measured=TWO, predictions=shown, overlays=overlays)))
    before = Page(page.html[: page.html.index("<nav>")].partition("<body>")[2] + "</header>")
    assert [image["alt"] for image in before.named("img")] == [
        *(f"semseg: {name}, worst of 4 images: a.jpg" for name in pictures),
        "colours of semseg",
    ]
    assert "All: 5 %." in before.words
    assert "wall" in before.words and "near" in before.words and "Labels on" not in before.words
    labels = Page(html(a_report(overlays=overlays)))
    assert labels.named("img")[0]["alt"] == "depth: b.jpg"
    assert "Labels on their photographs" in labels.words


def test_advice_is_a_section_of_its_own_and_none_is_no_section() -> None:
    advice = "60 more labels of depth: <RMSE> −0.02 m. `labelgrid query <flat>` asks for them."
    page = html(a_report(advice=(advice,)))
    assert 'id="advice"' in page and "60 more labels of depth: &lt;RMSE&gt; −0.02 m." in page
    assert "<code>labelgrid query &lt;flat&gt;</code> asks for them." in page
    assert 'id="advice"' not in html(a_report())


def test_picks_without_scores_are_in_no_order() -> None:
    drawn = [ShownPick(Pick(cell=Cell("a.jpg", "depth"), score=None, cost=1.0, why="random cell"))]
    words = Page(html(a_report(picked=RoundPicks(3, 1, drawn)))).section("picks").words
    assert "score" not in words and "best first" not in words and "random cell" in words


def test_rounds_measured_on_different_label_sets_are_marked() -> None:
    same = Page(html(a_report(measured=TWO))).section("curves").words
    other = a_report(measured=[measured(1, 21.25, 1.125), measured(2, 33.75, 0.875, heldout=3)])
    said = "The networks before round 1 and after round 1 were measured on different sets of held-out labels"
    assert said not in same and said in Page(html(other)).section("curves").words


def test_a_value_that_is_not_a_number_is_a_dash_and_no_point() -> None:
    rounds = [measured(1, math.nan, 1.125), measured(2, 33.75, 0.875)]
    section = Page(html(a_report(measured=rounds))).section("curves")
    assert len(section.named("img")) == 2 * 2  # overall and depth; semseg has one point left
    assert ["0", "20", "10", "110", "–", "4"] in section.tables[2]
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


def test_metrics_are_of_the_round_that_is_done_and_a_white_key_has_a_border() -> None:
    page = Page(html(a_report(measured=TWO)))
    words = page.section("curves").words
    assert "Newest metrics: after round 1" in words and "change, from before round 1" in words
    assert page.section("curves").tables[1][0][0] == "after round"
    assert re.search(r"\.key \{[^}]*border: 1px solid", html(a_report(measured=TWO)))
