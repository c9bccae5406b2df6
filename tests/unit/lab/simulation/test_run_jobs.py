"""Laws of what a study takes: never less than it does, and exactly that where nothing depends on the picks."""

from pathlib import Path

import pytest

from labelgrid.lab.simulation.run_jobs import RunWork, work_of
from labelgrid.lab.simulation.runs import Run
from labelgrid.lab.simulation.study_recipe import Study
from tests.studies import make_data, make_recipe

TASKS = {"depth": {}, "normals": {}}
SMALL = {"batch": 4, "epochs": 3, "steps": 0}
PARTAL = Run(kind="strategy", name="partal", seed=0)
FULL = Run(kind="full", name="full", seed=0)
START = Run(kind="start", name="start", seed=0)


def study(**options: object) -> Study:
    given = {
        "initial": 8,
        "budget": 6,
        "rounds": 2,
        "changes": {k: {"train": SMALL} for k in ("start", "strategy")},
    }
    return Study(data="folder", tasks=TASKS, **{**given, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("run", "options", "wanted"),
    [
        (START, {}, RunWork(16, [6])),
        (FULL, {"changes": {"full": {"train": {"steps": 70}}}}, RunWork(40, [70])),
        (PARTAL, {}, RunWork(28, [9, 15], scored=40, labelled=[14, 20])),
        (PARTAL, {"budget": 900.0}, RunWork(40, [15, 15], scored=40, labelled=[20, 20])),
        (
            PARTAL,
            {"unit": "images", "budget": 2},
            RunWork(24, [6, 9], scored=40, labelled=[10, 12]),
        ),
        (
            PARTAL,
            {"unit": "cost", "budget": 5.0},
            RunWork(26, [9, 12], scored=40, labelled=[13, 18]),
        ),
        (Run(kind="strategy", name="random_cells", seed=0), {}, RunWork(28, [9, 15], scored=0)),
    ],
)
def test_a_run_takes_at_most(run: Run, options: dict[str, object], wanted: RunWork) -> None:
    assert work_of(run, study(**options), "small", 20) == wanted


def test_the_pool_is_counted_in_the_data_set(tmp_path: Path) -> None:
    make_data(tmp_path, pool=8)
    make_recipe(tmp_path)
    splits = Study(data="folder", tasks=TASKS).splits(tmp_path)
    assert len(splits["train"]) == 8
    assert "nowhere" not in splits
