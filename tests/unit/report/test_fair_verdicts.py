"""Laws of verdicts on many made studies: equal strategies seldom get one, either way, and a better one does."""

import importlib
from types import ModuleType
from typing import Any

import pytest

from tools.source import ROOT

COVERS = ["labelgrid.lab.reports.curve_measures", "labelgrid.lab.reports.measure"]
STUDIES = 200
#: In 200 studies, three standard deviations above 5 %.
MOST = 0.05 + 3 * (0.05 * 0.95 / STUDIES) ** 0.5
REACH = "Labels to reach the highest final loss"


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark that makes the studies."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("verdicts")


@pytest.mark.parametrize("rounds", ["equal", "unequal", "unequal, longer"])
@pytest.mark.parametrize("noise", [1 / 3, 2.0])
def test_equal_strategies_seldom_get_a_verdict(
    verdicts: ModuleType, rounds: str, noise: float
) -> None:
    found = verdicts.verdicts(verdicts.Case(seeds=10, rounds=rounds, noise=noise), STUDIES)
    assert len(found) >= 5
    for name, counts in found.items():
        assert counts["any"] <= MOST * STUDIES, (name, counts)


def test_equal_strategies_are_better_as_often_as_worse(verdicts: ModuleType) -> None:
    sums: dict[str, list[int]] = {}
    for seeds in (8, 12):
        for name, counts in verdicts.verdicts(verdicts.Case(seeds=seeds), STUDIES).items():
            both = sums.setdefault(name, [0, 0])
            both[0] += counts["better"]
            both[1] += counts["worse"]
    assert sums[REACH] != [0, 0]
    for name, (better, worse) in sums.items():
        assert abs(better - worse) <= 3 * (better + worse) ** 0.5, (name, better, worse)


@pytest.mark.parametrize(("better", "verdict"), [(1.0, "better"), (-1.0, "worse")])
@pytest.mark.parametrize("rounds", ["equal", "unequal"])
def test_a_strategy_that_differs_by_a_standard_deviation_is_mostly_found(
    verdicts: ModuleType, better: float, verdict: str, rounds: str
) -> None:
    case = verdicts.Case(seeds=10, rounds=rounds, better=better)
    found = verdicts.verdicts(case, 100)
    wrong = {"better": "worse", "worse": "better"}[verdict]
    for name, counts in found.items():
        assert not counts[wrong], name
        if counts["tested"] and "cost" not in name:
            assert counts[verdict] >= 60, (name, counts)


def test_which_of_two_strategies_comes_first_turns_the_verdict_and_nothing_else(
    verdicts: ModuleType,
) -> None:
    case = verdicts.Case(seeds=10, rounds="unequal", noise=0.5, better=0.7)
    for results in verdicts.studies(case, 20):
        straight = compared(verdicts, results)
        turned = compared(verdicts, verdicts.replace(results, strategies=("second", "first")))
        assert straight.keys() == turned.keys()
        for name, pair in straight.items():
            other = turned[name]
            assert other.mean == pytest.approx(-pair.mean) and other.words == {
                "better": "worse",
                "worse": "better",
            }.get(pair.words, pair.words)


def compared(verdicts: ModuleType, results: Any) -> dict[str, Any]:
    """The only pair of each measure."""
    found = {}
    for measure in verdicts.campaign_measures(results, verdicts.HEADLINES):
        (found[measure.name],) = measure.pairs.values()
    return found


def test_a_third_strategy_that_buys_other_rounds_takes_no_test_from_the_others(
    verdicts: ModuleType,
) -> None:
    case = verdicts.Case(seeds=10, rounds="unequal", arms=3, better=1.0)
    (results,) = verdicts.studies(case, 1)
    for measure in verdicts.campaign_measures(results, verdicts.HEADLINES):
        pair = measure.pairs["first", "third"]
        if measure.name != "Mean loss_mtl over cost":
            assert pair.is_tested, measure.name
        else:
            assert pair.words == "cannot tell: they share no two rounds with the same cost"
