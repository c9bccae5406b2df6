"""Laws of choosing: picks are checked before anything is done with them."""

from dataclasses import replace

import numpy as np
import pytest

from labelgrid.basics.errors import PluginError
from labelgrid.basics.progress import Silent
from labelgrid.ledger.grid import Cell, Grid, Pick
from labelgrid.rounds.choose import choose
from labelgrid.select.strategy import Budget, PoolView, Selection

TASKS = ["depth", "normals"]
GRID = Grid(
    images=["a", "b"],
    keys=np.array([1, 2], np.uint64),
    tasks=TASKS,
    state=np.array([[0, 2], [0, 0]], np.int8),
    cost=np.array([1.0, 3.0]),
)


def picks(*cells: tuple[str, str], score: float = 1.0) -> list[Pick]:
    return [Pick(cell=Cell(*cell), score=score) for cell in cells]


def chosen(picked: list[Pick], budget: Budget, *, valued: bool = True):
    class Fixed:
        needs, unit = frozenset[str](), "cells"

        def __init__(self) -> None:
            self.valued = valued

        def select(self, pool: PoolView, budget: Budget) -> Selection:
            return Selection(picks=picked)

    return choose(
        "fixed", Fixed(), number=3, pool=PoolView(grid=GRID), budget=budget, progress=Silent()
    )


@pytest.mark.parametrize(
    ("picked", "budget", "fault"),
    [
        (picks(("a", "depth"), ("a", "depth")), Budget(2), "twice"),
        (picks(("a", "normals")), Budget(2), "not missing"),
        (picks(("c", "depth")), Budget(2), "not missing"),
        (picks(("a", "edges")), Budget(2), "not missing"),
        (picks(("a", "depth"), score=float("nan")), Budget(2), "score nan"),
        (
            picks(("a", "depth"), ("b", "depth"), ("b", "normals")),
            Budget(2),
            "more than the budget of 2 labels: 3",
        ),
        (picks(("b", "normals")), Budget(2, "cost"), "more than the budget of 2 cost: 3"),
        (
            picks(("a", "depth"), ("b", "depth"), ("b", "normals")),
            Budget(1, "images"),
            "more than the budget of 1 images",
        ),
    ],
    ids=["twice", "labelled", "unknown image", "unknown task", "nan", "labels", "cost", "images"],
)
def test_picks_that_no_strategy_may_make_are_refused(
    picked: list[Pick], budget: Budget, fault: str
) -> None:
    with pytest.raises(
        PluginError,
        match=rf"The strategy 'fixed' picked (.|\n)*{fault}(.|\n)*Nothing was requested",
    ):
        chosen(picked, budget)


def test_allowed_picks_are_costed_and_recorded() -> None:
    choice = chosen(picks(("b", "normals"), ("a", "depth")), Budget(4, "cost"))
    assert choice.round == 3
    assert [(pick.cell.image_id, pick.cell.task, pick.cost) for pick in choice.picks] == [
        ("b", "normals", 3.0),
        ("a", "depth", 1.0),
    ]


@pytest.mark.parametrize(("valued", "score"), [(False, None), (True, 1.0)])
def test_picks_of_random_draws_have_no_score(valued: bool, score: float | None) -> None:
    found = chosen(picks(("b", "normals")), Budget(1), valued=valued)
    assert [pick.score for pick in found.picks] == [score]


def test_a_pick_that_was_drawn_has_no_score_among_others_with_one() -> None:
    known, unknown = picks(("b", "normals"), ("a", "depth"))
    found = chosen([known, replace(unknown, drawn=True)], Budget(2))
    assert [pick.score for pick in found.picks] == [1.0, None]
    assert found.picks[1].explanation.rank == 0


def test_choosing_loads_no_torch() -> None:
    import subprocess
    import sys

    code = "import sys, labelgrid.rounds.choose; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
