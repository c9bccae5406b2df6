"""Laws of the best in hindsight: the best mean after each round, over the same seeds, shown and never compared."""

import json
from dataclasses import replace
from math import nan

import pytest

from labelgrid.lab.reports.campaign_measures import study_measures
from labelgrid.lab.reports.hindsight import best_by_round, hindsight_lines
from labelgrid.lab.reports.json_values import study_values
from labelgrid.lab.reports.means import metric_getter, total_loss
from labelgrid.lab.reports.study_content import PointResults
from labelgrid.lab.reports.study_page import study_page
from labelgrid.report.html_page import render
from tests.unit.report.made import point_results, study
from tests.unit.report.reading import Page

ARMS = ("equal-semseg", "equal-depth")


def crossing(name: str, seed: int, place: int) -> float:
    """equal-semseg is better after round 1, equal-depth after 2 and 3, though not in seed 0."""
    if name == "equal-depth":
        return {1: 0.2, 2: -0.3, 3: -0.3}[place] + (0.4 if seed == 0 else 0.0)
    return 0.0


def made() -> PointResults:
    return replace(point_results(crossing, 3, (*ARMS, "random_cells")), best_of={"EquAL*": ARMS})


def test_the_best_mean_of_each_round_is_taken_and_not_the_best_of_each_seed() -> None:
    results = made()
    found = best_by_round(results, ARMS)
    assert [best.arm for best in found] == [
        "equal-semseg",
        "equal-semseg",
        "equal-depth",
        "equal-depth",
    ]
    for bought, best in enumerate(found):
        own = [run.measured[bought] for run in results.of(best.arm).values()]
        assert best.rounds_bought == bought and list(best.networks) == own
        least = (
            sum(
                min(results.of(arm)[seed].measured[bought].loss_mtl for arm in ARMS)
                for seed in range(3)
            )
            / 3
        )
        assert best.mean(total_loss).value == pytest.approx(sum(one.loss_mtl for one in own) / 3)
        assert best.mean(total_loss).value > least or bought < 2
    ((name, line),) = hindsight_lines(results, metric_getter("depth", "RMSE")).items()
    assert name == "EquAL* (in hindsight)"
    assert [mean.value for mean in line] == pytest.approx(
        [best.mean(total_loss).value / 2 for best in found]
    )


def test_only_seeds_in_which_all_arms_got_this_far_choose() -> None:
    results = made()
    cut = [
        replace(run, measured=run.measured[:3]) if run.key == "equal-semseg-seed2" else run
        for run in results.runs
    ]
    found = best_by_round(replace(results, runs=cut), ARMS)
    assert [len(best.networks) for best in found] == [3, 3, 3, 2]
    assert (
        found[3].arm == "equal-depth"
        and found[3].networks[1].loss_mtl == results.of("equal-depth")[1].measured[3].loss_mtl
    )
    fewer = [
        replace(run, measured=[replace(one, loss_mtl=nan) for one in run.measured])
        for run in results.runs
    ]
    assert best_by_round(replace(results, runs=fewer), ARMS) == []
    assert best_by_round(replace(results, runs=[]), ARMS) == []


def test_it_is_in_the_curves_as_chosen_in_hindsight_and_in_no_comparison() -> None:
    results = made()
    report = study(results)
    measures = study_measures(report)
    without = study_measures(study(replace(results, best_of={})))
    assert without == measures
    for own, others in zip(measures[0], without[0], strict=True):
        assert str(own.pairs) == str(others.pairs)
    shown = Page(render(study_page(report, measures)))
    curves = shown.section("curves")
    assert (
        "EquAL* is no strategy: after each round it is the arm with the lowest mean loss_mtl of"
        in curves.words
    )
    assert curves.tables[0][1:][-1][:3] == ["EquAL*", "3", "equal-depth"]
    overall = [row for row in curves.tables[1] if row[0] == "EquAL* (in hindsight)"]
    assert [row[1] for row in overall] == ["0", "1", "2", "3"]
    assert "EquAL* (in hindsight)" in shown.named("img")[0]["alt"]
    assert shown.words.index("EquAL* is no strategy") < shown.words.index("Learning curves")
    for name in ("differences", "bought", "runs"):
        assert "EquAL*" not in shown.section(name).words


def test_programs_get_the_arm_of_each_round_with_its_metrics() -> None:
    report = study(made())
    values = json.loads(json.dumps(study_values(report, study_measures(report)), allow_nan=False))
    best = values["points"][0]["best_in_hindsight"]["EquAL*"]
    assert best["arms"] == list(ARMS)
    last = best["rounds"][-1]
    assert (last["arm"], last["rounds_bought"], last["labels"], last["seeds"]) == (
        "equal-depth",
        3,
        50,
        3,
    )
    assert last["tasks"]["depth"]["RMSE"] == pytest.approx(last["loss_mtl"] / 2)
    assert "EquAL*" not in json.dumps(values["points"][0]["measures"])
    assert study_values(study(point_results()), [[]])["points"][0]["best_in_hindsight"] == {}
