"""Laws of identities: all that changes a run's results changes its identity, and nothing else does."""

import json
from pathlib import Path

import pytest

from labelgrid.lab.simulation.run_identity import Identities, differences, identities_of
from labelgrid.lab.simulation.runs import runs_of
from labelgrid.lab.simulation.study_request import StudyRequest
from tests.studies import study_request


def identities(of: StudyRequest, images: str = "") -> Identities:
    return identities_of(of, runs_of(of.study)).with_images(images)


def changed_runs(before: Identities, now: Identities) -> set[str]:
    """The runs of both whose hashes differ; each of them has a difference, and no other one."""
    keys = before.runs.keys() & now.runs.keys()
    changed = {key for key in keys if before.runs[key] != now.runs[key]}
    assert changed == {key for key in keys if before.changes(key, now)}
    return changed


CELLS = "image,task\n0000.jpg,depth\n0001.jpg,semseg\n"
MINE = {"mine": {"initial": {"plan": "cells", "file": "cells.csv"}}}
BUYING = {"partal-seed0", "random_cells-seed0"}
ALL = {*BUYING, "start-seed0", "full-seed0"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"budget": 4}, BUYING),
        ({"unit": "cost", "budget": 11}, BUYING),
        ({"control": 0.2}, BUYING),
        ({"control": 0.0, "pairs": 0}, set()),
        ({"threads": 2}, ALL),
        ({"group": "^(.)"}, ALL),
        ({"only": ["depth"]}, ALL),
        ({"initial": 2}, ALL - {"full-seed0"}),
        ({"changes": {"full": {"train": {"steps": 7}}}}, {"full-seed0"}),
        ({"changes": {"start": {"train": {"steps": 7}}}}, {"start-seed0", *BUYING}),
        ({"changes": {"strategy": {"score": {"dropout": {"passes": 9}}}}}, {"partal-seed0"}),
        ({"changes": {"strategy": {"score": {"features": {}}}}}, set()),
        ({"changes": {"strategy": {"train": {"workers": 3, "cache": 0.5}}}}, set()),
        ({"rounds": 7, "spend": 50.0, "explain": True, "full": False, "single": True}, set()),
        ({"seeds": 3, "strategies": ["random_images", "partal", "random_cells"]}, set()),
        ({"best_of": {"Best": ["partal", "random_cells"]}}, set()),
        ({"variants": {"raw": {"name": "partal", "options": {"normalise": "none"}}}}, set()),
    ],
)
def test_a_change_of_the_study_changes_the_runs_that_depend_on_it(
    tmp_path: Path, changes: dict[str, object], expected: set[str]
) -> None:
    before = identities(study_request(tmp_path))
    now = identities(study_request(tmp_path, **changes))
    assert changed_runs(before, now) == expected


def test_the_cost_of_a_task_changes_all_and_its_key_names_the_task(tmp_path: Path) -> None:
    of = study_request(tmp_path)
    tasks = {**of.study.tasks, "depth": {"cost": 7.0}}
    before, now = identities(of), identities(study_request(tmp_path, tasks=tasks))
    assert changed_runs(before, now) == ALL
    assert [each.key for each in before.changes("full-seed0", now)] == ["tasks.depth.cost"]


def test_images_weights_and_listed_cells_count(tmp_path: Path) -> None:
    of = study_request(tmp_path, arms=MINE, strategies=["mine"], full=False)
    (of.root / "cells.csv").write_text(CELLS)
    before = identities(of)
    assert changed_runs(before, identities(of, "digest")) == set(before.runs)
    (of.root / "cells.csv").write_text(CELLS.replace("0001", "0002"))
    now = identities(of)
    assert changed_runs(before, now) == set(before.runs)
    assert [each.key for each in before.changes("mine-seed0", now)] == [
        "initial.cells",
    ]
    (of.root / "other.csv").write_text(CELLS)  # the same cells in another file
    moved = {"mine": {"initial": {"plan": "cells", "file": "other.csv"}}}
    other = study_request(tmp_path, arms=moved, strategies=["mine"], full=False)
    assert changed_runs(before, identities(other)) == set()


def test_runs_that_differ_in_their_seed_share_an_identity_and_json_keeps_it(tmp_path: Path) -> None:
    of = study_request(tmp_path, seeds=2)
    now = identities(of)
    assert now.runs["partal-seed0"] == now.runs["partal-seed1"] != now.runs["random_cells-seed0"]
    assert len(now.values) == len(now.runs) / 2
    assert Identities.read(json.loads(json.dumps(now.as_json()))) == now


@pytest.mark.parametrize(
    "kept", [{}, {"runs": 3}, {"runs": {"a": ["b"]}, "identities": {}}, {"runs": {"a": "b"}}]
)
def test_damaged_identities_are_none(kept: dict[str, object]) -> None:
    assert not Identities.read(kept).runs


def test_options_that_a_strategy_sets_are_complete_and_those_of_each_arm(tmp_path: Path) -> None:
    strategies = ["partal", "bald", "clasp_pe"]  # the last one relies on a default
    now = identities(study_request(tmp_path, strategies=strategies))
    score = {name: now.of_run(f"{name}-seed0")["score"] for name in strategies}
    assert score["bald"]["dropout"] == score["partal"]["dropout"] | {"measure": "information"}
    assert list(score["clasp_pe"]) == ["class_entropy", "dropout"]


def test_differences_are_those_of_values_that_are_new_gone_or_changed() -> None:
    before = {"a": {"b": 1, "c": {"d": [1, 2]}}, "e": 1}
    now = {"a": {"b": 2, "c": 3}, "f": None}
    assert [str(each) for each in differences(before, now)] == [
        "a.b changed from 1 to 2",
        'a.c changed from {"d": [1, 2]} to 3',
        "e is gone",
        "f is new",
    ]
    assert not list(differences(before, before))


def test_a_damaged_start_is_compared_as_it_is() -> None:
    kept = {"runs": {"a": "1"}, "identities": {"1": {"start": {"x": 1}}}}
    now = Identities({"a": "2"}, {"2": {"start": "3"}, "3": {"x": 1}})
    assert not Identities.read(kept).changes("a", now)
    assert Identities.read(kept | {"identities": {"1": {"start": []}}}).changes("a", now)
