"""What users read of each strategy's picks: unit, statistics, named tasks, reasons, terms, and what ranks leave out."""

from dataclasses import replace

import numpy as np
import pytest

from labelgrid.basics import plugins
from labelgrid.basics.errors import PluginError
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.recipes.resolve import build_plugin
from labelgrid.select.strategy import Budget
from labelgrid.testing.strategies import TASKS, grid_of, pool_of
from tests.contracts import own

#: Strategy and options; unit, statistics, named tasks; reasons, terms, what is left out.
DECLARED = [
    ("bald", {}, "cells", "dropout", "", "predictions disagree most", "uncertainty", "normalisation"),
    ("clasp_pe", {}, "cells", "class_entropy dropout", "", "uncertain about one class|most uncertain, with noise",
     "uncertainty|exponent|noise|class", "noise|classes"),
    ("clasp_pe", {"by_class": 0.0}, "cells", "class_entropy dropout", "", "most uncertain, with noise",
     "uncertainty|exponent|noise", "noise"),
    ("clasp_pe", {"statistic": "ensemble"}, "cells", "class_entropy ensemble", "",
     "uncertain about one class|most uncertain, with noise", "uncertainty|exponent|noise|class", "noise|classes"),
    ("core_set", {}, "images", "features", "", "far from all labelled images", "distance", ""),
    ("equal", {}, "images", "flips", "", "changes most when mirrored", "flips", "normalisation|depth|normals|semseg"),
    ("equal", {"task": "depth"}, "images", "flips", "depth", "changes most when mirrored", "flips", ""),
    ("learning_loss", {}, "images", "learning_loss", "", "expected to be predicted worst", "predicted loss",
     "depth|normals|semseg"),
    ("learning_loss", {"unit": "cells"}, "cells", "learning_loss", "", "expected to be predicted worst",
     "predicted loss", ""),
    ("least_confidence", {}, "cells", "dropout", "", "least confident", "uncertainty", "normalisation"),
    ("margin", {}, "cells", "dropout", "", "smallest margin", "uncertainty", "normalisation"),
    ("partal", {}, "cells", "dropout", "", "most uncertain", "uncertainty", "normalisation"),
    ("partal", {"unit": "images", "statistic": "flips"}, "images", "flips", "", "most uncertain", "uncertainty",
     "normalisation|depth|normals|semseg"),
    ("random_cells", {}, "cells", "", "", "random cell", "", ""),
    ("random_images", {}, "images", "", "", "random image", "", ""),
    ("random_tasks", {}, "cells", "", "", "random image of this task", "", ""),
    ("random_tasks", {"shares": {"depth": 1, "semseg": 2}}, "cells", "", "depth semseg", "random image of this task",
     "", ""),
    ("rbal", {}, "images", "dropout", "", "ranks among the most uncertain", "uncertainty|uncertainty rank",
     "depth|normals|semseg"),
    ("stratified", {}, "images", "classes features", "", "random of its stratum", "stratum|images in it", "strata"),
    ("stratified", {"unit": "cells", "by": "features"}, "cells", "features", "", "random of its stratum",
     "stratum|images in it", "strata"),
    ("tcd", {}, "images", "committee embedding", "", "inconsistent, and far from the labelled images",
     "inconsistency|diversity", "diversity|inconsistency"),
    ("tcd", {"unit": "cells"}, "cells", "committee embedding", "", "inconsistent, and far from the labelled images",
     "inconsistency|diversity", "diversity|inconsistency"),
    ("tcd", {"score": "inconsistency"}, "images", "committee", "", "most inconsistent", "inconsistency", ""),
    ("tcd", {"score": "diversity"}, "images", "embedding", "", "far from the labelled images", "diversity", ""),
    ("typiclust", {}, "images", "features", "", "typical of images like which few are labelled",
     "typicality|images like it|labelled like it", "clusters"),
]  # fmt: skip


def parts(text, by="|"):
    return set(text.split(by)) - {""}


#: The strategies whose own test module says what they declare.
OTHERS = sorted({*plugins.names("strategies")} - {name for name, *_ in DECLARED})
#: The columns of the table but the strategy, with what is left out of a row of a test module.
COLUMNS = {
    "options": {},
    "unit": "",
    "needs": "",
    "tasks": "",
    "whys": "",
    "terms": "",
    "without": "",
}


def own_rows():
    for name in OTHERS:
        for row in own.declared("strategies", name, "DECLARED") or ():
            yield (name, *(COLUMNS | row).values())


@pytest.mark.parametrize("name", OTHERS)
def test_a_strategy_says_what_users_read_of_its_picks(name):
    rows = own.declared("strategies", name, "DECLARED")
    assert rows and {*rows[0]} <= {*COLUMNS}, (
        f"Users read what {name} declares. Write into {own.place_of_test('strategies', name)}: "
        'DECLARED = [{"unit": "cells", "needs": "dropout", "whys": "most uncertain", "terms": '
        '"uncertainty"}], a row for each set of options that changes it. The columns: options (a '
        "table), unit, needs and tasks (names between spaces), whys, the reasons of picks, terms "
        "and without (names between |). Empty ones may be left out."
    )


def test_the_table_has_no_strategy_that_is_gone():
    assert {name for name, *_ in DECLARED} <= {*plugins.names("strategies")}


@pytest.mark.parametrize(
    ("name", "options", "unit", "needs", "tasks", "whys", "terms", "without"),
    [*DECLARED, *own_rows()],
    ids=lambda value: str(value),
)
def test_a_strategy_declares_and_explains_what_the_table_says(
    name, options, unit, needs, tasks, whys, terms, without
):
    strategy = build_plugin("strategies", PluginChoice(name, options))
    found = strategy.select(
        pool_of(strategy, np.where(np.arange(36).reshape(12, 3) % 7 == 0, 2, 0)), Budget(20)
    )
    declares = {
        "unit": strategy.unit,
        "needs": {*strategy.needs},
        "tasks": {*getattr(strategy, "tasks", ())},
        "whys": {pick.why for pick in found.picks},
        "terms": {*found.terms},
        "without": {*found.without},
    }
    assert declares == {
        "unit": unit,
        "needs": parts(needs, " "),
        "tasks": parts(tasks, " "),
        "whys": parts(whys),
        "terms": parts(terms),
        "without": parts(without),
    }


@pytest.mark.parametrize(
    ("name", "options"), [("equal", {"task": "dept"}), ("random_tasks", {"shares": {"dept": 1}})]
)
def test_a_task_that_does_not_exist_is_refused_in_the_name_of_the_strategy(name, options):
    strategy = build_plugin("strategies", PluginChoice(name, options))
    with pytest.raises(
        PluginError, match=f"The strategy '{name}' picks by the task 'dept', which does not exist"
    ):
        strategy.select(pool_of(strategy, np.zeros((3, 2))), Budget(2))


@pytest.mark.parametrize("name", ["random_cells", "random_images"])
def test_random_draws_are_not_values_that_money_could_buy_more_of(name):
    """With a price that differs by task, the order of the picks stays that of the draws."""
    strategy = build_plugin("strategies", PluginChoice(name))
    pool = pool_of(strategy, np.zeros((40, 3)))
    dear = grid_of(pool.grid.images, pool.grid.state, TASKS, (1.0, 1.0, 50.0))
    picks = strategy.select(replace(pool, grid=dear, statistics={}), Budget(400, "cost")).picks
    scores = [pick.score for pick in picks]
    assert scores == sorted(scores, reverse=True) and any(
        pick.cell.task == "semseg" for pick in picks
    )
