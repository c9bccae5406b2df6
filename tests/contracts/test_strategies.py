"""Every strategy of `labelgrid.select` satisfies the laws of strategies.

For each law, a wrong one breaks it.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import Phase, settings

from labelgrid.basics import plugins
from labelgrid.ledger.grid import State
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.recipes.resolve import build_plugin
from labelgrid.select.parts import AsIs, ComposedStrategy, ScorerResult, best_cells, best_images
from labelgrid.select.strategy import Budget, Selection
from labelgrid.testing import strategies as laws

COVERS = ["labelgrid.testing.strategies"]


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", plugins.names("strategies"))
def test_a_strategy_keeps_the_law(name, law):
    law(build_plugin("strategies", PluginChoice(name)))


#: Options that pick by other code than the defaults.
VARIANTS = [
    ("clasp_pe", {"by_class": 0.0}),
    ("clasp_pe", {"by_class": 1.0}),
    ("clasp_pe", {"statistic": "ensemble"}),
    ("equal", {"task": "depth"}),
    ("joint", {"gains": "equal", "images": "separate"}),
    ("learning_loss", {"unit": "cells"}),
    ("partal", {"normalise": "none"}),
    ("partal", {"normalise": "each", "unit": "images"}),
    ("random_tasks", {"shares": "cost"}),
    ("stratified", {"unit": "cells"}),
    ("stratified", {"by": "features"}),
    ("tcd", {"unit": "cells"}),
    ("tcd", {"unit": "cells", "distance": "cosine", "normalise": "none"}),
    ("tcd", {"score": "inconsistency", "tasks": "mean"}),
    ("tcd", {"score": "diversity", "weigh": "none"}),
]


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=str)
def test_a_strategy_keeps_the_law_with_other_options(name, options, law):
    law(build_plugin("strategies", PluginChoice(name, options)))


@pytest.mark.parametrize(
    "law",
    [
        laws.at_most_the_budget_is_spent_and_on_missing_cells_alone,
        laws.the_same_cells_are_picked_in_any_pool_order,
        laws.a_budget_of_the_whole_pool_buys_the_whole_pool,
    ],
)
def test_shares_of_very_different_size_keep_the_law(law):
    shares = {"depth": 1e6, "normals": 1, "semseg": 2}
    law(build_plugin("strategies", PluginChoice("random_tasks", {"shares": shares})))


@dataclass(frozen=True)
class Wrong:
    """Picks cells in the order of the pool; this is its only fault."""

    needs: frozenset = field(default=frozenset({"dropout"}))
    unit: str = "cells"

    def scores(self, pool):
        count = pool.grid.state.size
        return np.where(
            pool.grid.eligible, -np.arange(float(count)).reshape(pool.grid.state.shape), np.nan
        )

    def select(self, pool, budget):
        return Selection(
            picks=best_cells(
                scores := self.scores(pool),
                pool.grid,
                budget=budget,
                why="first",
                drawn=np.isnan(scores),
                valued=False,
            )
        )


class Overspends(Wrong):
    def select(self, pool, budget):
        return super().select(pool, Budget(budget.amount + 1, budget.unit))


class PicksLabelled(Wrong):
    def select(self, pool, budget):
        state = np.where(pool.grid.state == State.LABELLED, State.MISSING, pool.grid.state)
        return super().select(replace(pool, grid=replace(pool.grid, state=state)), budget)


class LeavesTheLast(Wrong):
    def select(self, pool, budget):
        found = super().select(pool, budget)
        return replace(found, picks=found.picks[: int(pool.grid.eligible.sum()) - 1])


class DropsTheUnknown(Wrong):
    def scores(self, pool):
        return np.where(pool.grid.eligible, pool.statistics["dropout"], np.nan)


class PutsTheUnknownLast(Wrong):
    def scores(self, pool):
        known = np.nan_to_num(pool.statistics["dropout"], nan=-1e9)
        return np.where(pool.grid.eligible, known, np.nan)


@dataclass(frozen=True)
class PutsItsImagesLast(PutsTheUnknownLast):
    unit: str = "images"

    def select(self, pool, budget):
        scores = self.scores(pool)
        return Selection(
            picks=best_images(
                scores, pool.grid, budget=budget, why="known", drawn=np.isnan(scores), valued=False
            )
        )


class KeepsArrays(Wrong):
    def select(self, pool, budget):
        return replace(super().select(pool, budget), calibration={"bounds": (1.0, 2.0)})


class WritesIntoStatistics(Wrong):
    def scores(self, pool):
        pool.statistics["dropout"][0] = 0
        return super().scores(pool)


class FailsOnEmptyPools(Wrong):
    def select(self, pool, budget):
        pool.statistics["dropout"].max()
        return super().select(pool, budget)


class BuysOnlyBesideLabels(Wrong):
    def scores(self, pool):
        started = (pool.grid.state == State.LABELLED).any()
        return np.where(pool.grid.eligible & started, 1.0, np.nan)


@pytest.mark.parametrize(
    "law", [law for law in laws.LAWS if law is not laws.the_same_cells_are_picked_in_any_pool_order]
)
def test_the_wrong_strategy_keeps_all_laws_but_one(law):
    law(Wrong())


@pytest.mark.parametrize(
    ("wrong", "law"),
    [
        (Wrong, laws.the_same_cells_are_picked_in_any_pool_order),
        (Overspends, laws.at_most_the_budget_is_spent_and_on_missing_cells_alone),
        (PicksLabelled, laws.at_most_the_budget_is_spent_and_on_missing_cells_alone),
        (LeavesTheLast, laws.a_budget_of_the_whole_pool_buys_the_whole_pool),
        (DropsTheUnknown, laws.a_task_nobody_knows_about_and_a_pool_of_one_task_are_picked_from),
        (PutsTheUnknownLast, laws.a_task_without_any_label_is_picked_beside_the_others),
        (PutsItsImagesLast, laws.a_task_without_any_label_is_picked_beside_the_others),
        (KeepsArrays, laws.what_is_kept_of_a_choice_can_be_kept),
        (BuysOnlyBesideLabels, laws.pools_at_the_edge_are_picked_from),
    ],
)
def test_a_wrong_strategy_breaks_the_law(monkeypatch, wrong, law):
    monkeypatch.setattr(laws, "law", settings(laws.law, phases=[Phase.generate]))  # as it is found
    with pytest.raises(AssertionError):
        law(wrong())


@pytest.mark.parametrize(
    ("wrong", "law", "fault"),
    [
        (WritesIntoStatistics, laws.what_is_kept_of_a_choice_can_be_kept, "read-only"),
        (FailsOnEmptyPools, laws.pools_at_the_edge_are_picked_from, "zero-size array"),
    ],
)
def test_a_strategy_that_fails_breaks_the_law(wrong, law, fault):
    with pytest.raises(ValueError, match=fault):
        law(wrong())


def test_terms_of_another_shape_break_the_law():
    def scorer(pool):
        return ScorerResult(
            np.zeros(pool.grid.state.shape), {"odd": np.zeros(pool.grid.state.size + 1)}
        )

    with pytest.raises(AssertionError):
        laws.what_is_kept_of_a_choice_can_be_kept(
            ComposedStrategy(
                needs=frozenset(), scorer=scorer, normaliser=AsIs(), unit="cells", why="why"
            )
        )


def test_states_have_the_numbers_the_grid_is_kept_in():
    assert [int(state) for state in State] == [0, 1, 2, 3]
