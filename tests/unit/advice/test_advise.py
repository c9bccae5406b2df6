"""Advice of a project: from its rounds alone, each sentence with its numbers, and refused where it is too early."""

import inspect
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from labelgrid.advice.advice_sentence import advice_sentence
from labelgrid.advice.advise import Advised, advise, flat_advice, next_round_advice
from labelgrid.advice.advised import Advice
from labelgrid.advice.buying_advice import Offer, buying_advice
from labelgrid.advice.control_record import (
    ANSWER,
    ComparisonRecord,
    read_comparison,
    write_comparison,
)
from labelgrid.advice.flat_rounds import FlatRounds
from labelgrid.advice.further_advice import further_images, heldout_advice, late_fall
from labelgrid.advice.task_curves import TaskCurve, task_curves
from labelgrid.api.reader import ProjectReader
from labelgrid.basics.errors import ProjectError, UsageError
from labelgrid.basics.progress import Silent
from labelgrid.basics.results import LOSS, ClassScore, Result
from labelgrid.cli import app
from labelgrid.imports.import_supplied import import_supplied
from labelgrid.ledger.store import Store
from labelgrid.operations.next_step import NextStep, next_step
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import (
    EpochRecord,
    Fit,
    Measurement,
    read_fit,
    write_fit,
    write_measurement,
)
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.rounds.query import query
from labelgrid.select.curve_priors import PRIORS
from labelgrid.select.label_curve import CurvePoint, MetricScale, fit_curve, prior_of
from labelgrid.select.strategy import Budget
from labelgrid.web.overview_page import overview
from tests.pages import client_of
from tests.projects import answer, make_project

COVERS = [
    "labelgrid.advice.advice_sentence",
    "labelgrid.advice.advise",
    "labelgrid.advice.advised",
    "labelgrid.advice.buying_advice",
    "labelgrid.advice.control_record",
    "labelgrid.advice.advise",
    "labelgrid.advice.forecast_text",
    "labelgrid.advice.further_advice",
    "labelgrid.advice.advise",
    "labelgrid.advice.task_curves",
    "labelgrid.select.curve_priors",
]
METRICS = {
    "depth": ("RMSE", "m", "lower"),
    "semseg": ("mIoU", "%", "higher"),
    "normals": ("mErr", "degree", "lower"),
}


@pytest.fixture
def project(tmp_path: Path) -> Iterator[ProjectFolder]:
    made, _ = make_project(tmp_path, n=14, tasks=("semseg", "depth", "normals"))
    with made:
        yield made


def measured(
    number: int, labels: int, values: Mapping[str, float], **options: Any
) -> tuple[Fit, Measurement]:
    """A round with so many labels of each task, and its headline metrics."""
    counts = dict.fromkeys(values, labels)
    fit = Fit(
        round=number,
        checkpoint=f"rounds/{number:04d}/fit/last.ckpt",
        model=f"model {number}",
        recipe={},
        seed=0,
        trained=sorted(values),
        images=labels,
        labels=counts,
        spent=11.0 * labels,
    )
    metrics = {}
    for task, value in values.items():
        name, unit, better = METRICS[task]
        metrics[task] = {name: Result(name, value, unit, better)}  # type: ignore[arg-type]
    measurement = Measurement(
        round=number,
        model=fit.model,
        labels=counts,
        spent=fit.spent,
        heldout_labels=dict.fromkeys(values, 40),
        metrics=metrics,
        loss_mtl=1.0,
        **options,
    )
    return fit, measurement


def write_round(project: ProjectFolder, fit: Fit, measurement: Measurement) -> None:
    folder = project.round_folder(fit.round)
    folder.mkdir(parents=True)
    write_fit(folder, fit)
    write_measurement(folder, measurement, 0.0, {})


def curve(
    task: str, values: tuple[float, ...], labels: tuple[int, ...] = (20, 40, 60)
) -> TaskCurve:
    name, unit, better = METRICS[task]
    points = [CurvePoint(own, 2 * own, value) for own, value in zip(labels, values, strict=False)]
    scale = MetricScale(unit, better)  # type: ignore[arg-type]
    fitted = fit_curve(points, scale, prior_of(name, unit, PRIORS))
    return TaskCurve(task=task, metric=name, unit=unit, points=points, curve=fitted)


def of_topic(advised: Advised, topic: str) -> list[Advice]:
    return [advice for advice in advised.advice if advice.topic == topic]


def test_a_project_without_rounds_is_told_what_would_tell(project: ProjectFolder) -> None:
    advised = advise(project)
    answered = [advice.topic for advice in advised.advice if advice.answered]
    assert answered == ["follows"]  # normals may follow from depth
    assert "too early to say. 0 rounds measured" in of_topic(advised, "buy")[0].text
    assert "labelgrid control" in of_topic(advised, "picks")[0].text


def test_two_rounds_are_enough_for_what_to_buy_and_what_comes_next(project: ProjectFolder) -> None:
    write_round(project, *measured(1, 4, {"depth": 0.8, "semseg": 20.0}))
    write_round(project, *measured(2, 8, {"depth": 0.76, "semseg": 21.5}))
    advised = advise(project)
    assert advised.budget == 44.0  # as the second round cost
    first, second = of_topic(advised, "buy")
    assert first.task == "semseg"
    compared = f"({first.gain / 8:.2g} % for each 1 of the price)"
    assert (
        f"; the most for its price by the relative gain {compared}, but undecided: depth may gain "
        "as much." in first.text
    )
    assert f" points ({first.gain:.2g} % better), from 21.5 to " in first.text
    assert first.text.endswith(f"`{first.command}` asks for them.")
    line = f"labelgrid query {project.folder} --task semseg --budget 8"
    assert first.command == line and "--task depth --budget 8" in second.command
    limited = "(price 8, twice as many as now at most)"
    assert first.text.startswith(f"8 more labels of semseg {limited}: mIoU +")
    assert second.text.startswith(f"8 more labels of depth {limited}: RMSE −0.0")
    assert second.low is not None and second.value is not None and second.high is not None
    assert second.low < second.value < 0.76 < second.high
    assert second.count == 8 and second.price == 8.0  # no more than a doubling
    upcoming = {advice.task: advice for advice in of_topic(advised, "next round")}
    assert set(upcoming) == {"depth", "semseg"}
    assert "(80 % interval 0." in upcoming["depth"].text
    assert upcoming["depth"].measured == 0.76 == second.measured
    assert upcoming["depth"].now == 0.76 == second.now


def test_a_budget_of_ones_own_buys_as_much(project: ProjectFolder) -> None:
    write_round(project, *measured(1, 4, {"depth": 0.8, "semseg": 20.0}))
    write_round(project, *measured(2, 8, {"depth": 0.76, "semseg": 21.5}))
    bought = {advice.task: advice.count for advice in of_topic(advise(project, 6.5), "buy")}
    assert bought == {"depth": 6, "semseg": 6}
    with pytest.raises(UsageError, match="above 0"):
        advise(project, 0.0)


def test_rounds_on_other_heldout_labels_are_not_compared(project: ProjectFolder) -> None:
    write_round(project, *measured(1, 4, {"depth": 0.8}, heldout_set="old"))
    write_round(project, *measured(2, 8, {"depth": 0.7}, heldout_set="new"))
    (found,) = task_curves(project.folder, project.tasks())
    assert found.curve is None and len(found.points) == 1
    assert "1 round measured" in of_topic(advise(project), "buy")[0].text


def test_without_heldout_labels_losses_on_val_images_tell(project: ProjectFolder) -> None:
    for number, labels in ((1, 4), (2, 8)):
        fit, _ = measured(number, labels, {"depth": 0.8})
        folder = project.round_folder(number)
        (folder / "fit").mkdir(parents=True)
        write_fit(folder, fit)
        line = {"epoch": 1, "loss": {}, "val": {"depth/loss": labels**-0.1, LOSS: 1.0}}
        (folder / "fit" / "log.jsonl").write_text(json.dumps(line) + "\n")
    assert (
        "8 more labels of depth (price 8, twice as many as now at most): loss on val images −"
        in of_topic(advise(project), "buy")[0].text
    )


def test_labels_that_followed_count_for_what_they_were_worth(project: ProjectFolder) -> None:
    changes = {"relations": {"depth_normals": {"trust": 0.5, "coverage": 0.8}}}
    project.settings = replace(project.settings, changes=changes)
    for number, labels in ((1, 4), (2, 8)):
        fit, measurement = measured(number, labels, {"depth": 0.8, "normals": 30.0})
        derived = {"normals": 4.5} if number == 2 else {}  # older files do not say it
        write_round(project, replace(fit, filled={"normals": 10}, derived=derived), measurement)
    points = {
        found.task: [point.labels for point in found.points]
        for found in task_curves(project.folder, project.tasks())
    }
    assert points == {"depth": [4, 8], "normals": [4, 12.5]}
    first = of_topic(advise(project), "buy")[0]
    assert first.task == "depth"  # it brings normals


def test_labels_that_follow_are_not_offered(tmp_path: Path) -> None:
    made, data = make_project(tmp_path, n=8, holdout=0, tasks=("depth", "normals"))
    with made as project:
        only_depth = PluginChoice("random_tasks", {"shares": {"normals": 0, "depth": 1}})
        changes = {"relations": {"depth_normals": {"trust": 0.7}}}
        project.settings = replace(project.settings, strategy=only_depth, changes=changes)
        query(project, Budget(5), Silent(), prelabels=False)
        answer(project, data)
        write_round(project, *measured(2, 4, {"depth": 0.8, "normals": 30.0}))
        write_round(project, *measured(3, 8, {"depth": 0.76, "normals": 29.0}))
        bought = {row.task: row.count for row in of_topic(advise(project, 100.0), "buy")}
    assert bought == {"depth": 3, "normals": 3}  # 5 of 8 normals follow


def test_labels_that_will_follow_are_not_offered_and_are_named(tmp_path: Path) -> None:
    made, data = make_project(tmp_path, n=8, holdout=0, tasks=("depth", "normals"))
    with made as project:
        only_depth = PluginChoice("random_tasks", {"shares": {"normals": 0, "depth": 1}})
        changes = {"relations": {"depth_normals": {"trust": 1.0}}}
        project.settings = replace(project.settings, strategy=only_depth, changes=changes)
        query(project, Budget(5), Silent(), prelabels=False)
        answer(project, data)
        write_round(project, *measured(2, 4, {"depth": 0.8, "normals": 30.0}))
        write_round(project, *measured(3, 8, {"depth": 0.76, "normals": 29.0}))
        advised = advise(project, 100.0)
        assert {row.task: row.count for row in of_topic(advised, "buy")} == {"depth": 3}
        now, later = of_topic(advised, "follows")
        assert (now.count, later.count, later.price) == (5, 3, 3.0)
        assert later.text == (
            "normals: 3 more labels will follow once their images have labels of depth (trust × "
            "coverage 1.00), and need not be bought: no purchase here counts them."
        )


def test_advice_on_classes_has_the_budget_of_the_next_step(
    project: ProjectFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = project.tasks()["semseg"].class_names
    classes = {"semseg": dict.fromkeys(names, ClassScore(10.0, 5))}
    write_round(project, *measured(1, 4, {"semseg": 20.0}, classes=classes))
    asked = []

    def noted(*_: Any, budget: list[str], **__: Any) -> list[Advice]:
        asked.append(budget)
        return []

    told = sys.modules["labelgrid.advice.advise"]
    monkeypatch.setattr(told, "class_advice", noted)
    step = NextStep(command="query", typed=["query"], why="", budget=200, unit="cost")
    for found in (step, replace(step, budget=0)):
        monkeypatch.setattr(told, "next_step", lambda _, found=found: found)
        advise(project)
    assert asked == [["--budget", "200", "--unit", "cost"], ["--budget", "N"]]


def test_classes_are_told_by_the_labels_of_training_images(tmp_path: Path) -> None:
    made, data = make_project(tmp_path, n=8, tasks=("semseg",), strategy="random_cells")
    with made as project:
        query(project, Budget(4), Silent(), prelabels=False)
        answer(project, data)
        names = project.tasks()["semseg"].class_names
        classes = {"semseg": dict.fromkeys(names, ClassScore(10.0, 5))}
        write_round(project, *measured(2, 4, {"semseg": 20.0}, classes=classes))
        worst, early = of_topic(advise(project), "classes")
    assert worst.text.startswith("semseg: the lowest IoU of its 4 classes: ")
    assert "(25.0 % of the pixels, in 4 of 4 labels)" in worst.text
    assert "too early to say" in early.text and not early.answered


def test_what_costs_the_same_and_gains_the_same_cannot_be_told_apart() -> None:
    curves = [curve("depth", (0.8, 0.75, 0.72)), curve("semseg", (20.0, 22.0, 23.0))]
    offers = dict.fromkeys(METRICS, Offer(missing=100, price=1.0, seconds=60.0))
    first, _ = buying_advice(curves, offers, {}, 30, folder=Path("room"))
    assert "undecided: " in first.text and "about 30 min" in first.text
    assert first.seconds == 1800 and "timed label" not in first.text
    for count, said in ((4, "about 30 min from 4 timed labels"), (5, "about 30 min)")):
        one = {name: replace(offer, timed=count) for name, offer in offers.items()}
        assert said in buying_advice(curves, one, {}, 30, folder=Path("room"))[0].text
    dear = {**offers, first.task: Offer(missing=100, price=30.0)}
    other, _ = buying_advice(curves, dear, {}, 30, folder=Path("room"))
    assert other.task != first.task and "undecided" not in other.text


def test_what_cannot_be_bought_is_not_advised() -> None:
    curves = [curve("depth", (0.8, 0.75)), curve("semseg", (20.0, 22.0))]
    offers = {"depth": Offer(missing=0, price=1.0), "semseg": Offer(missing=50, price=0.0)}
    (found,) = buying_advice(curves, offers, {}, 30, folder=Path("room"))
    assert found.count == 40 and found.price == 0


def test_a_budget_below_every_price_and_a_full_grid_are_said() -> None:
    curves = [curve("depth", (0.8, 0.75)), curve("semseg", (20.0, 22.0))]
    dear = {"depth": Offer(missing=0, price=1.0), "semseg": Offer(missing=50, price=100.0)}
    (found,) = buying_advice(curves, dear, {}, 30, folder=Path("room"))
    assert found.text == "For 30 no label can be bought: one of semseg costs 100."
    assert not found.answered
    full = {**dear, "depth": Offer(missing=0, price=1.0)}
    (found,) = buying_advice(curves[:1], full, {}, 30, folder=Path("room"))
    assert found.text == "Every label of depth is bought, or follows from others."


def test_a_task_that_stands_still_has_flattened_and_one_that_falls_has_not() -> None:
    labels = (20, 40, 80, 160, 320, 640)
    still = curve("depth", (0.5,) * 6, labels)
    falling = curve("depth", (0.8, 0.7, 0.6, 0.5, 0.4, 0.3), labels)
    (found,) = flat_advice([still, falling])
    assert found.text.startswith("depth has flattened: twice its 640 labels would take RMSE")
    assert flat_advice([falling]) == []


FLAT = FlatRounds(count=3, fewest=20, most=60, worse=False, by_intervals=True)


def test_a_task_whose_rounds_do_not_differ_is_promised_nothing() -> None:
    still = replace(curve("depth", (0.8, 0.79, 0.8)), flat=FLAT)
    rising = curve("semseg", (18.0, 20.0, 22.0))
    offers = dict.fromkeys(METRICS, Offer(missing=100, price=1.0))
    (buy,) = buying_advice([still, rising], offers, {}, 30, folder=Path("room"))
    assert buy.task == "semseg" and "the most for its price" not in buy.text  # it is alone
    (upcoming,) = next_round_advice([still, rising])
    assert upcoming.task == "semseg"
    (flat,) = flat_advice([still, rising])
    assert flat.text == (
        "depth: the last 3 rounds (20 to 60 labels) do not differ by more than their intervals: "
        "the gain that the curve foresees is known from past campaigns alone."
    )
    assert (flat.task, flat.metric, flat.measured, flat.rounds) == ("depth", "RMSE", 0.8, 3)
    assert flat.value is flat.low is flat.high is flat.now is None and not flat.command


def test_no_purchase_is_advised_where_no_task_has_gained() -> None:
    still = replace(curve("depth", (0.8, 0.79, 0.8)), flat=FLAT)
    chance = replace(FLAT, count=4, by_intervals=False)
    also = replace(curve("semseg", (20.0, 20.1, 20.0)), flat=chance)
    offers = dict.fromkeys(METRICS, Offer(missing=100, price=1.0))
    (none,) = buying_advice([still, also], offers, {}, 30, folder=Path("room"))
    assert none.topic == "buy" and none.answered and none.value is None and not none.command
    assert none.text == (
        "No purchase is advised: the last 3 rounds of depth do not differ by more than their intervals, and the last "
        "4 rounds of semseg do not differ by more than rounds do by chance; the gain that the curve foresees is "
        "known from past campaigns alone. Try a longer training or another recipe first; more held-out "
        "images show smaller gains."
    )
    assert none.rounds == 3
    assert next_round_advice([still, also]) == []


def test_what_flat_rounds_bring_along_is_not_counted() -> None:
    """Depth brings normals, which have gained nothing: only its own gain is one."""
    depth = curve("depth", (0.8, 0.7, 0.6))
    normals = curve("normals", (30.0, 29.0, 28.0))
    offers = dict.fromkeys(METRICS, Offer(missing=100, price=1.0))
    brings = {"depth": {"normals": 0.9}}
    semseg = curve("semseg", (20.0, 21.0, 22.0))
    flat = replace(normals, flat=FLAT)
    rows = buying_advice([depth, flat, semseg], offers, brings, 30, folder=Path("room"))
    alone = buying_advice([depth, semseg], offers, {}, 30, folder=Path("room"))
    assert [row.text for row in rows] == [row.text for row in alone]


def test_flat_rounds_are_found_in_the_files_of_the_rounds(tmp_path: Path) -> None:
    made, _ = make_project(tmp_path, n=14, holdout=0, tasks=("depth",))
    blocks = (0.1, -0.1, 0.05, -0.05, 0.0, 0.15)
    sentence = "the last 3 rounds of depth do not differ by more than their intervals"
    with made as project:
        for number, value in ((1, 0.8), (2, 0.78), (3, 0.79)):
            turned = [value + each for each in (*blocks[number:], *blocks[:number])]
            without = {"depth": {"RMSE": turned}}
            write_round(project, *measured(number, 4 * number, {"depth": value}, without=without))
        (buy,) = of_topic(advise(project), "buy")
        assert sentence in buy.text
        assert of_topic(advise(project), "next round") == []
        assert advice_sentence(project) == buy.text
        words = ["advise", str(project.folder)]
        assert buy.text in CliRunner().invoke(app, words).output
        told = json.loads(CliRunner().invoke(app, [*words, "--json"]).output)["advice"]
    assert [row["rounds"] for row in told if row["topic"] in ("buy", "flat")] == [3, 3]


def test_a_round_without_new_labels_foretells_none() -> None:
    assert next_round_advice([curve("depth", (0.8, 0.7), (20, 20))]) == []
    assert next_round_advice([curve("depth", (0.8,))]) == []


def test_the_next_round_buys_no_more_than_is_left() -> None:
    depth = curve("depth", (0.8, 0.7), (20, 40))
    semseg = curve("semseg", (18.0, 20.0), (20, 40))
    whole = next_round_advice([depth, semseg])
    assert "as far as labels are left" not in whole[0].text
    less = next_round_advice([depth, semseg], {"depth": 50, "semseg": 60})
    assert (
        "if the next round buys and trains as the last one did, as far as labels are left, RMSE"
        in (less[0].text)
    )
    assert "as far as" not in less[1].text
    values = [(one.value or 0.0, few.value or 0.0) for one, few in zip(whole, less, strict=True)]
    assert values[0][0] < values[0][1]
    assert values[1][0] > values[1][1]
    assert next_round_advice([depth, semseg], {"depth": 40, "semseg": 40}) == []


def test_wide_intervals_ask_for_heldout_images() -> None:
    _, measurement = measured(1, 4, {"depth": 0.8, "semseg": 20.0})
    without = {"semseg": {"mIoU": [18.0, 19.0, 20.0, 21.0, 22.0]}, "depth": {"RMSE": [0.8] * 5}}
    headlines = {"depth": "RMSE", "semseg": "mIoU", "normals": "mErr"}
    wide = replace(measurement, without=without)
    room = Path("room")
    (found,) = heldout_advice(wide, headlines, free=9000, folder=room)
    assert found.task == "semseg" and found.count
    assert found.command == f"labelgrid add room --holdout {found.count}"
    assert found.text.endswith(f"{found.count} more would make it ±2: `{found.command}`.")
    assert further_images(40, 8.0, 2.0) == 600
    assert heldout_advice(measurement, headlines, free=9, folder=room) == []
    (most,) = heldout_advice(wide, headlines, free=found.count + 4, folder=room)
    assert most.text.endswith(
        f"`{found.command}` (none of these {found.count} can be picked then; 4 can)."
    )


def test_heldout_images_beyond_those_of_the_project_are_not_asked_for() -> None:
    _, measurement = measured(1, 4, {"semseg": 20.0})
    without = {"semseg": {"mIoU": [18.0, 19.0, 20.0, 21.0, 22.0]}}
    wide = replace(measurement, without=without)
    (few,) = heldout_advice(wide, {"semseg": "mIoU"}, free=10, folder=Path("room"))
    assert "the 10 photographs that can still be held out would make it ±" in few.text
    assert "`labelgrid add room --holdout 10`" in few.text
    assert few.text.endswith(f"±2 takes {few.count} more, and so new photographs.")
    (none,) = heldout_advice(wide, {"semseg": "mIoU"}, free=0, folder=Path("room"))
    assert (
        "no photograph can be held out any more" in none.text
        and "on): ±2 takes" in none.text
        and not none.command
    )


def test_a_purchase_and_the_next_round_start_from_what_the_newest_round_measured() -> None:
    """The newest round lies beside its curve: the forecast starts from it all the same."""
    found = curve("depth", (1.2, 1.18, 1.13))
    assert found.curve is not None and found.curve.fitted.value < 1.128
    offers = {"depth": Offer(missing=30, price=1.0)}
    (buy,) = buying_advice([found], offers, {}, 240, folder=Path("room"))
    (upcoming,) = next_round_advice([found])
    for row in (buy, upcoming):
        assert row.now == row.measured == 1.13
        assert row.low is not None and row.value is not None and row.high is not None
        assert row.low < row.value < 1.13 < row.high
        assert ", from 1.13" in row.text and "on its curve" not in row.text
    assert "(price 30, all that are left)" in buy.text


def test_what_suppliers_leave_to_gain_by_a_purchase_is_told_to_programs_too() -> None:
    offers = {"depth": Offer(missing=30, price=1.0)}
    found = curve("depth", (1.2, 1.18, 1.13))
    (full,) = buying_advice([found], offers, {}, 240, folder=Path("room"))
    offers = {"depth": Offer(missing=30, price=1.0, left=0.4)}
    (part,) = buying_advice([found], offers, {}, 240, folder=Path("room"))
    assert "suppliers leave 40 % of it to gain" in part.text
    assert (full.left, part.left) == (1.0, 0.4)
    assert part.gain is not None and full.gain is not None and 0 < part.gain < full.gain


def test_where_the_curve_misses_the_newest_round_nothing_is_foreseen() -> None:
    """The rounds of the demo: depth fell from 2.3 to 1.02 m, and its curve lies at 1.47 m."""
    missed = curve("depth", (2.3, 1.02))
    rising = curve("semseg", (20.0, 20.8))
    offers = dict.fromkeys(METRICS, Offer(missing=30, price=1.0))
    buy, told = buying_advice([missed, rising], offers, {}, 240, folder=Path("room"))
    assert (buy.task, told.task) == ("semseg", "depth") and not told.answered
    assert told.text.startswith(
        "depth: cannot tell what further labels do. The newest round measured RMSE 1.02 m, but the "
        "curve through all rounds lies at 1."
    )
    assert (told.topic, told.now, told.value, told.low, told.command) == (
        "buy",
        1.02,
        None,
        None,
        "",
    )
    assert [row.task for row in next_round_advice([missed, rising])] == ["semseg"]
    assert flat_advice([missed]) == []
    assert buying_advice([missed], offers, {}, 240, folder=Path("room")) == [told]
    flat = replace(rising, flat=FLAT)
    none, told = buying_advice([missed, flat], offers, {}, 240, folder=Path("room"))
    assert none.text.startswith("No purchase is advised") and told.task == "depth"


def test_that_nothing_can_be_told_stands_in_words_in_json_on_the_page_and_in_the_report(
    tmp_path: Path,
) -> None:
    made, _ = make_project(tmp_path, n=14, holdout=0, tasks=("depth",))
    with made as project:
        write_round(project, *measured(1, 4, {"depth": 2.3}))
        write_round(project, *measured(2, 8, {"depth": 1.02}))
        (told,) = of_topic(advise(project), "buy")
        assert "depth: cannot tell what further labels do." in told.text
        assert advice_sentence(project) == told.text
        words = [str(project.folder)]
        assert told.text in CliRunner().invoke(app, ["advise", *words]).output
        rows = json.loads(CliRunner().invoke(app, ["advise", *words, "--json"]).output)["advice"]
        (row,) = [row for row in rows if row["topic"] == "buy"]
        assert (row["text"], row["answered"], row["value"]) == (told.text, False, None)
        assert "depth: cannot tell" in CliRunner().invoke(app, ["status", *words]).output
        store = project.store
        for number in (1, 2):  # the report shows rounds of the ledger
            store.close_round(replace(project.open_round(), number=number, strategy="joint"), [])
        with ProjectReader.open(project.folder) as opened:
            assert overview(opened).status["advice"] == told.text == opened.status()["advice"]
            page = opened.report().page
        assert "depth: cannot tell what further labels do." in page.read_text()
    with client_of(project.folder) as client:
        for address in ("/", "/budget"):
            assert "depth: cannot tell what further labels do." in client.get(address).text


def test_no_listed_purchase_is_cheaper_and_better_than_the_first() -> None:
    """Also where labels bring others along, gains are negative, or labels are free."""
    draw = np.random.default_rng(0)
    compared = 0
    for _ in range(300):
        curves = []
        for task in METRICS:
            start = {"depth": 1.0, "semseg": 20.0, "normals": 40.0}[task]
            curves.append(curve(task, tuple(start * (1 + 0.05 * draw.normal(size=3)))))
        offers = {
            task: Offer(missing=int(draw.integers(1, 60)), price=float(draw.integers(0, 4)))
            for task in METRICS
        }
        brings = {"depth": {"normals": float(draw.uniform())}}
        rows = buying_advice(curves, offers, brings, 30, folder=Path("room"))
        best, *others = [row for row in rows if row.command] or rows[:1]
        for row in others:
            compared += 1
            cheaper = row.price < best.price and row.gain >= best.gain
            better = row.price <= best.price and row.gain > best.gain
            assert not (cheaper or better)
            assert row.gain > 0
    assert compared > 100


def test_a_purchase_says_what_it_gains_by_labels_that_follow() -> None:
    curves = [curve("depth", (0.8, 0.78, 0.76)), curve("normals", (30.0, 29.0, 28.2))]
    offers = dict.fromkeys(METRICS, Offer(missing=100, price=1.0))
    brings = {"depth": {"normals": 0.9}}
    first, second = buying_advice(curves, offers, brings, 30, folder=Path("room"))
    assert first.gain is not None and second.gain is not None and first.gain > second.gain
    assert (
        f" % better, {first.gain:.2g} % with what follows for normals), from 0.76 to" in first.text
    )


def test_a_task_that_loses_where_others_gain_is_said_to_be_worse() -> None:
    worse = curve("depth", (0.76, 0.78, 0.8))
    assert worse.curve is not None
    down = replace(worse, curve=replace(worse.curve, slopes=-0.1 * abs(worse.curve.slopes)))
    curves = [down, curve("normals", (30.0, 29.0, 28.2))]
    offers = {"depth": Offer(missing=100, price=1.0), "normals": Offer(missing=0, price=1.0)}
    first, *_ = buying_advice(curves, offers, {"depth": {"normals": 1.0}}, 30, folder=Path("room"))
    assert re.search(
        r" m \(0\.\d+ % worse, [\d.]+ % better with what follows for normals\)", first.text
    )


def test_what_is_not_foreseen_to_gain_is_not_advised() -> None:
    worse = curve("depth", (0.76, 0.78, 0.8))
    assert worse.curve is not None
    down = replace(worse, curve=replace(worse.curve, slopes=-abs(worse.curve.slopes)))
    offers = dict.fromkeys(METRICS, Offer(missing=100, price=1.0))
    (none,) = buying_advice([down], offers, {}, 30, folder=Path("room"))
    assert none.text.startswith("No purchase is advised: no gain by further labels of depth alone")
    assert not none.command


def test_a_spent_budget_has_no_other_limit() -> None:
    offers = {"depth": Offer(missing=100, price=1.0)}
    (buy,) = buying_advice([curve("depth", (0.8, 0.75))], offers, {}, 30, folder=Path("room"))
    assert buy.text.startswith("30 more labels of depth (price 30): RMSE")


def test_the_last_answer_of_control_is_shown_and_its_age(project: ProjectFolder) -> None:
    record = ComparisonRecord(answer="pay", text="The picks pay: so it is.", spent=0.0, seeds=6)
    write_comparison(project.folder, record)
    (found,) = of_topic(advise(project), "picks")
    assert found.text == record.text and found.answered
    write_comparison(project.folder, replace(record, spent=5.0, answer="cannot tell"))
    (old,) = of_topic(advise(project), "picks")
    assert "labels have come since" in old.text and not old.answered
    (project.folder / ANSWER).write_text("{")
    with pytest.raises(ProjectError, match="damaged"):
        read_comparison(project.folder)


def test_what_may_follow_is_named_and_what_follows_is_counted(tmp_path: Path) -> None:
    made, data = make_project(tmp_path, n=8, holdout=0, tasks=("depth", "normals"))
    with made as project:
        only_depth = {"normals": 0, "depth": 1}
        strategy = PluginChoice("random_tasks", {"shares": only_depth})
        project.settings = replace(project.settings, strategy=strategy)
        query(project, Budget(4), Silent(), prelabels=False)
        answer(project, data)
        (possible,) = of_topic(advise(project), "follows")
        assert possible.text.startswith(
            "normals may follow from depth: the relation depth_normals is not declared, and would "
            "give 4 labels"
        )
        assert possible.count == 4 and possible.price == 4
        assert possible.text.endswith(
            f"`labelgrid query {project.folder} --pairs 10` asks for labels of both in ten random "
            f"images, and `labelgrid relate {project.folder}` then measures how well."
        )
        for trust, words in ((0.0, "depth_normals is off"), (0.7, "normals: 4 labels follow from")):
            changes = {"relations": {"depth_normals": {"trust": trust}}}
            project.settings = replace(project.settings, changes=changes)
            (found,) = of_topic(advise(project), "follows")
            assert words in found.text and found.count == 4


def test_what_may_follow_comes_before_the_advice_to_buy_it_though_none_follows_yet(
    tmp_path: Path,
) -> None:
    made, data = make_project(tmp_path, n=14, holdout=0, tasks=("depth", "normals"))
    with made as project:
        project.settings = replace(project.settings, strategy=PluginChoice("joint"))
        write_round(project, *measured(1, 3, {"depth": 0.8, "normals": 40}))
        query(project, Budget(3, "images"), Silent(), prelabels=False)
        answer(project, data)
        project.open_round()
        with ProjectReader.open(project.folder) as opened:
            assert opened.status()["relations"] == ""  # for which no numpy is loaded
        write_round(project, *measured(2, 6, {"depth": 0.7, "normals": 30}))
        possible, bought, *_ = advise(project).advice
        assert (possible.topic, bought.topic) == ("follows", "buy")
        assert possible.text == (
            "normals may follow from depth: the relation depth_normals is not declared. 3 training "
            f"images have labels of both, so that `labelgrid relate {project.folder}` measures at "
            "once how well; labels that follow need not be bought."
        )
        assert possible.command == f"labelgrid relate {project.folder}"
        sentence = (
            "normals may follow from depth and need not be bought then: "
            f"`labelgrid relate {project.folder}` measures how well."
        )
        with ProjectReader.open(project.folder) as opened:
            assert opened.status()["relations"] == sentence == opened.offered_relations()
            assert overview(opened).status["relations"] == sentence
        shown = CliRunner().invoke(app, ["status", str(project.folder)]).output
        assert shown.index("normals may follow") < shown.index("Advice: ")
        changes = {"relations": {"depth_normals": {"trust": 0.0}}}
        (project.folder / "labelgrid.toml").write_text(
            (project.folder / "labelgrid.toml").read_text()
            + "\n[changes.relations.depth_normals]\ntrust = 0.0\n"
        )
        project.settings = replace(project.settings, changes=changes)
        assert of_topic(advise(project), "follows") == []
        with ProjectReader.open(project.folder) as opened:
            assert opened.status()["relations"] == "" == opened.offered_relations()


def test_supplied_labels_that_nobody_measured_are_named(tmp_path: Path) -> None:
    made, data = make_project(tmp_path, n=4, holdout=0, tasks=("depth",))
    with made as project:
        import_supplied(project, data.labels, supplier="sensor")
        (found,) = of_topic(advise(project), "follows")
        assert found.text.startswith("4 labels of depth by sensor may save true ones")
        assert "labelgrid query" in found.text and "--audit 10" in found.text
        changes = {"suppliers": {"sensor": {"trust": 0.3}}}
        project.settings = replace(project.settings, changes=changes)
        assert of_topic(advise(project), "follows") == []


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        ((8.0, 6.0, 5.0, 4.0), "still fell by 20%"),
        ((8.0, 6.0, 5.0, 4.99), "long enough for 4 labels"),
        ((8.0, 3.0, 5.0, 4.0), "long enough"),
        ((8.0, 6.0), "too early to say"),
    ],
)
def test_a_training_that_still_improves_is_short(
    project: ProjectFolder, losses: tuple[float, ...], words: str
) -> None:
    fit, measurement = measured(1, 4, {"depth": 0.8})
    write_round(project, fit, measurement)
    folder = project.round_folder(1) / "fit"
    folder.mkdir()
    lines = [
        json.dumps({"epoch": epoch, "loss": {}, "val": {LOSS: loss}})
        for epoch, loss in enumerate(losses, 1)
    ]
    (folder / "log.jsonl").write_text("\n".join(lines) + "\n")
    (found,) = of_topic(advise(project), "training")
    assert words in found.text and found.answered == ("too early" not in words)


def test_epochs_without_val_metrics_show_no_trend() -> None:
    assert late_fall([EpochRecord(epoch, {}) for epoch in range(1, 9)]) is None


def test_the_sentence_is_the_best_purchase_and_waits_for_labels_and_training(
    tmp_path: Path,
) -> None:
    made, data = make_project(tmp_path, n=14, holdout=0, tasks=("depth",))
    with made as project:
        write_round(project, *measured(1, 4, {"depth": 0.8}))
        write_round(project, *measured(2, 8, {"depth": 0.7}))
        sentence = advice_sentence(project)
        assert sentence == of_topic(advise(project), "buy")[0].text
        assert sentence.startswith("8 more labels of depth")
        with ProjectReader.open(project.folder) as opened:
            assert opened.status()["advice"] == sentence == overview(opened).status["advice"]
        shown = CliRunner().invoke(app, ["status", str(project.folder)]).output
        assert "Advice: 8 more labels of depth" in shown
        assert shown.index("Advice: ") < shown.index("Next: labelgrid query")
        assert " ".join(shown.split()).endswith("(of all tasks, if you do not follow the advice)")
        assert of_topic(advise(project), "first") == []
        project.settings = replace(project.settings, strategy=PluginChoice("random_cells"))
        query(project, Budget(4), Silent(), prelabels=False)
        assert_waits_for(project, "labelgrid import")
        answer(project, data)
        assert_waits_for(project, "labelgrid fit")


def assert_waits_for(project: ProjectFolder, words: str) -> None:
    assert words in next_step(project).line
    assert advice_sentence(project) == ""
    first = advise(project).advice[0]
    assert first.text.startswith(next_step(project).why) and first.topic == "first"


def test_a_status_with_advice_finds_the_next_step_once(tmp_path: Path) -> None:
    made, _ = make_project(tmp_path, n=14, holdout=0, tasks=("depth",))
    with made as project:
        write_round(project, *measured(1, 4, {"depth": 0.8}))
        write_round(project, *measured(2, 8, {"depth": 0.7}))
        called: list[str] = []

        def note(frame: FrameType, kind: str, _: object) -> None:
            if kind == "call" and frame.f_code in (
                next_step.__code__,
                inspect.unwrap(Store.counts).__code__,
            ):
                called.append(f"{frame.f_code.co_name} {frame.f_locals.get('splits')}")

        with ProjectReader.open(project.folder) as opened:
            sys.setprofile(note)
            try:
                assert opened.status()["advice"]
            finally:
                sys.setprofile(None)
    assert [name for name in called if name.startswith("next_step")] == ["next_step None"]
    assert called.count("counts None") == 1


def test_there_is_no_sentence_while_it_is_too_early(project: ProjectFolder) -> None:
    assert advice_sentence(project) == ""
    write_round(project, *measured(1, 4, {"depth": 0.8}))
    assert advice_sentence(project) == ""
    assert of_topic(advise(project), "first") == []


def test_the_call_and_its_numbers_are_json(project: ProjectFolder) -> None:
    write_round(project, *measured(1, 4, {"depth": 0.8}))
    write_round(project, *measured(2, 8, {"depth": 0.7}))
    with ProjectReader.open(project.folder) as opened:
        advised = opened.advise(budget=5)
    assert advised == advise(project, 5.0)
    assert json.dumps([vars(advice) for advice in advised.advice])
    assert read_fit(project.round_folder(2)) is not None  # nothing was changed
