"""Laws of doubt: what is past a limit and among the worst comes first, and noise alone hides nothing."""

import numpy as np

from labelgrid.evidence.doubts import Evidence
from labelgrid.evidence.label_doubt import LIMITS, WORST, rank_by_doubt
from labelgrid.ledger.grid import Cell

CELLS = [Cell(f"{number:03}.png", "depth") for number in range(100)]


def found(values: np.ndarray, name: str) -> dict[Cell, Evidence]:
    return {
        cell: Evidence(float(value), f"{name} {number}")
        for number, (cell, value) in enumerate(zip(CELLS, values, strict=True))
    }


def first(sorts: dict[str, dict[Cell, Evidence]], count: int) -> set[int]:
    return {CELLS.index(doubt.cell) for doubt in rank_by_doubt(CELLS, sorts)[:count]}


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, len(CELLS))


def test_labels_that_one_sort_contradicts_come_first_whatever_the_others_say() -> None:
    edges, figures = -8 + noise(0), noise(1)
    edges[:5], figures[5:9] = 0.0, 30.0
    sorts = {"image edges": found(edges, "edges"), "figures": found(figures, "figures")}
    sorts["model"] = found(noise(2), "model")
    assert first(sorts, 10) >= set(range(9))


def test_a_label_that_two_sorts_contradict_comes_before_those_that_one_does() -> None:
    edges, slopes = np.full(100, -8.0), np.full(100, -0.8)
    edges[:4], slopes[3:7] = (0.3, 0.2, 0.1, 0.0), (0.0, 0.1, 0.2, 0.3)
    sorts = {"image edges": found(edges, "edges"), "other labels": found(slopes, "slopes")}
    worst = rank_by_doubt(CELLS, sorts)[0]
    assert worst.cell == CELLS[3] and set(worst.reasons) == {"edges 3", "slopes 3"}
    assert 1 < worst.score <= 2


def test_doubt_says_how_far_a_label_is_from_the_others_however_many_there_are() -> None:
    many, few = -8 + noise(0), -4 + noise(0)
    many[0], few[0] = -2.0, 6.0
    (just_outside, *_) = rank_by_doubt(CELLS, {"image edges": found(many, "edges")})
    rows = {cell: each for cell, each in found(few, "edges").items() if cell in CELLS[:40]}
    (far_outside, *_) = rank_by_doubt(CELLS[:40], {"image edges": rows})
    assert just_outside.cell == far_outside.cell == CELLS[0]
    assert 0.5 < just_outside.score < far_outside.score < 1


def test_unusual_figures_alone_count_less_than_edges_that_are_not_followed() -> None:
    edges, figures = -8 + noise(0), noise(1)
    edges[0], figures[1], figures[2] = 0.0, 5.0, 1000.0
    sorts = {"image edges": found(edges, "edges"), "figures": found(figures, "figures")}
    unit, exchanged, unusual, *_ = rank_by_doubt(CELLS, sorts)
    assert [each.cell for each in (unit, exchanged, unusual)] == [CELLS[2], CELLS[0], CELLS[1]]


def test_nothing_is_said_of_labels_within_the_limits() -> None:
    edges = found(LIMITS["image edges"] - np.arange(100.0), "edges")
    doubts = rank_by_doubt(CELLS, {"image edges": edges, "figures": found(np.zeros(100), "")})
    assert {doubt.score for doubt in doubts} == {0.0} and not any(d.reasons for d in doubts)
    assert doubts[0].cell == CELLS[0]  # the mean rank still orders them


def test_a_sort_that_cannot_tell_right_from_wrong_speaks_against_few() -> None:
    doubts = rank_by_doubt(CELLS, {"image edges": found(noise(0), "edges")})
    assert sum(doubt.score > 0 for doubt in doubts) == round(WORST * len(CELLS))


def test_labels_of_equal_evidence_are_doubted_together() -> None:
    repeated = dict(list(found(np.ones(100), "same").items())[:40])
    doubts = rank_by_doubt(CELLS, {"repeated file": repeated})
    assert {doubt.cell for doubt in doubts if doubt.score} == set(CELLS[:40])


def test_few_labels_have_no_fence_and_no_label_is_no_error() -> None:
    few = CELLS[:4]
    values = dict(list(found(np.array([0.0, 0, 0, 99] + [0] * 96), "figures").items())[:4])
    assert not any(doubt.score for doubt in rank_by_doubt(few, {"figures": values}))
    assert rank_by_doubt([], {"figures": {}, "model": {}}) == []
    assert len(rank_by_doubt(few, {"model": {}})) == 4
