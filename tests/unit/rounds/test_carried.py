"""What a budget leaves over is said, kept in the ledger, and added to the next budget in the same unit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labelgrid.basics.errors import LabelgridError, LedgerError, NothingToBuyError
from labelgrid.ledger.grid import Cell, Move, State, Unit
from labelgrid.rounds import query
from labelgrid.rounds.query import unspent_budget
from labelgrid.select.strategy import Budget
from tests.projects import Said, make_project
from tests.rounds import copied

COVERS = ["labelgrid.rounds.query"]


def asked(
    project, amount: float, unit: Unit = "labels", strategy: str = "random_images", **options: bool
):
    said = Said()
    found = query.query(project, Budget(amount, unit), said, strategy=strategy, **options)
    return found, [line for line in said.lines if "not spend" in line or "Not spent" in line]


@pytest.fixture
def project(tmp_path: Path):
    opened, _ = make_project(tmp_path, holdout=0, tasks=("depth", "normals", "semseg"))
    with opened:
        yield opened


def test_labels_that_whole_images_leave_over_are_added_to_the_next_budget(project) -> None:
    first, said = asked(project, 5)
    assert len(first.picks) == 3 and unspent_budget(project, "labels") == 2
    assert said == [
        "Not spent: 2 of 5 labels; no further pick of 'random_images' fits. The rest is for the next query with a "
        "budget in labels."
    ]
    second, said = asked(project, 5, new=True)
    assert (
        len(second.picks) == 6
        and said[0] == "Added to the budget: 2 labels that earlier queries did not spend."
    )
    assert unspent_budget(project, "labels") == 1
    third, said = asked(project, 5, strategy="random_cells")
    assert len(third.picks) == 6 and len(said) == 1 and unspent_budget(project, "labels") == 0
    assert [row.budget for row in project.store.rounds() if row.state == "closed"] == [5, 5, 5]


def test_a_dry_run_and_a_repeated_query_carry_nothing(project) -> None:
    asked(project, 5, dry_run=True)
    assert unspent_budget(project, "labels") == 0
    first, _ = asked(project, 5)
    again, said = asked(project, 5)
    assert (
        again.repeated
        and again.picks == first.picks
        and said == []
        and unspent_budget(project, "labels") == 2
    )


def test_what_is_left_over_belongs_to_its_unit_and_never_exceeds_the_pool(project) -> None:
    cheapest = min(row.cost for row in project.store.tasks())
    left = cheapest / 2
    asked(project, 2 * cheapest + left, "cost", strategy="random_cells")
    kept = unspent_budget(project, "cost")
    assert kept >= left and unspent_budget(project, "labels") == 0
    missing = int(project.store.grid().eligible.sum())
    found, said = asked(project, missing)
    assert len(found.picks) == missing and said == [] and unspent_budget(project, "cost") == kept


def test_what_rounding_leaves_of_a_budget_of_costs_is_nothing(tmp_path: Path) -> None:
    project, _ = make_project(tmp_path, holdout=0, tasks=("depth",))
    with project:
        (row,) = project.store.tasks()
        project.store.update_task(replace(row, cost=0.1))
        assert sum([0.1] * 8) < 0.8
        found, said = asked(project, 0.8, "cost", strategy="random_cells")
        assert len(found.picks) == 8 and said == [] and unspent_budget(project, "cost") == 0


def test_a_budget_in_images_that_buys_the_whole_pool_leaves_nothing_over(project) -> None:
    (first, *_) = project.store.images()
    cells = [Cell(first.image_id, task) for task in ("depth", "normals")]
    project.store.move([Move(cell=cell, to=State.LABELLED, path="x", digest="x") for cell in cells])
    images = project.store.count_images(("train",))
    found, said = asked(project, images, "images", strategy="random_cells")
    assert (
        len(found.picks) == 3 * images - 2 and said == [] and unspent_budget(project, "images") == 0
    )


@pytest.mark.parametrize("note", [[], "x", *({"labels": wrong} for wrong in ("a", -10, True))])
def test_a_note_of_unspent_budgets_that_is_none_is_refused(project, note) -> None:
    project.store.put("carried", note)
    with pytest.raises(LedgerError, match=r"holds no unspent budget(.|\n)*Nothing was requested"):
        asked(project, 5)


@pytest.mark.parametrize("unit", ["labels", "cost"])
def test_over_rounds_what_is_bought_and_left_over_is_the_sum_of_the_budgets(
    project, tmp_path_factory, unit: Unit
) -> None:
    """Whatever the budgets, prices and units of the strategies, until the pool has nothing left to buy."""

    @settings(max_examples=12, deadline=None)
    @given(
        st.lists(st.integers(1, 9), min_size=1, max_size=4),
        st.lists(st.sampled_from([0.5, 1.0, 2.0, 7.0]), min_size=3, max_size=3),
        st.sampled_from(["random_cells", "random_images"]),
    )
    def check(budgets: list[int], costs: list[float], strategy: str) -> None:
        with copied(project, tmp_path_factory.mktemp("p") / "flat") as own:
            for row, cost in zip(own.store.tasks(), costs, strict=True):
                own.store.update_task(replace(row, cost=cost))
            price = np.array(costs) if unit == "cost" else np.ones(3)
            total = 0.0
            for amount in budgets:
                available = float((own.store.grid().eligible * price).sum())
                try:
                    asked(own, amount, unit, strategy, new=True)
                except NothingToBuyError:  # such a query spends and keeps nothing
                    continue
                except LabelgridError as refused:
                    assert not available and "pool is empty" in str(refused)
                    continue
                total += amount
                open_cells = own.store.grid().eligible
                spent = float((~open_cells * price).sum())
                assert spent <= total + 1e-6
                if open_cells.any():
                    assert spent + unspent_budget(own, unit) == pytest.approx(total)

    check()
