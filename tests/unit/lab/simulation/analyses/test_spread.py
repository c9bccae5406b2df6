"""Over how many images, and groups of images, labels are spread: against counts of the picks."""

from pathlib import Path
from typing import Any

import pytest

from labelgrid.lab.simulation.analyse import analyse
from labelgrid.lab.simulation.study_results import read_outcomes
from tests.unit.lab.simulation.finished import SIMULATE, finished_study


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A study of whole images, two of each room."""
    simulate = SIMULATE.replace("full = false", "full = false\ngroup = '^(room_[0-9]+)/'")
    arm = '[simulate.arms.images]\nstrategy = "random_images"\n'
    return finished_study(tmp_path_factory.mktemp("grouped"), simulate + arm, group=2)


def found(folder: Path) -> dict[tuple[str, int, str], float]:
    return {
        (finding.run.name, int(finding.keys["round"]), finding.result.name): finding.result.value
        for finding in analyse(folder, "spread").findings
    }


def test_images_with_a_label_are_counted_by_round(study: Any) -> None:
    values = found(study.folder)
    labels = {
        (row.strategy, row.round): row.labels
        for row in read_outcomes(study.folder)
        if row.kind == "strategy"
    }
    for arm in ("images", "cells", "uncertain"):
        seen: set[str] = set()
        for number in (1, 2, 3):
            picks = study.picked(arm, 0, number)
            seen |= {pick.cell.image_id for pick in picks}
            assert values[arm, number + 1, "images"] == len(seen)
            assert labels[arm, number + 1] - labels.get((arm, number), 0) == len(
                picks
            )  # the rounds of outcomes.csv
    assert (
        values["images", 4, "images"] < values["cells", 4, "images"]
    )  # else the counts may be of anything
    assert {number for _, number, _ in values} == {2, 3, 4}
    assert not any(name == "groups" for _, _, name in values)  # images of no group


def test_groups_are_counted_if_the_study_has_them(rooms: Any) -> None:
    values = found(rooms.folder)
    picks = [
        pick.cell.image_id for number in (1, 2, 3) for pick in rooms.picked("images", 0, number)
    ]
    assert values["images", 4, "images"] == len(set(picks)) == 7
    assert values["images", 4, "groups"] == len({image.split("/")[0] for image in picks}) < 7


def test_a_round_in_which_every_answer_was_a_skip_has_the_images_of_the_round_before(
    tmp_path: Path,
) -> None:
    simulate = SIMULATE.replace("initial = 3", "initial = 1").replace("budget = 6", "budget = 1")
    missing = [
        (index, task)
        for index in range(10)
        for task in ("semseg", "depth", "normals")
        if index != 3
    ]
    kept = [(index, "depth") for index in range(4)] + [
        (index, "semseg") for index in (3, 10, 11, 12)
    ]
    gone = [one for one in missing if one not in kept]
    arm = '[simulate.arms.cells]\nstrategy = "random_cells"\nrounds = 6\n'
    folder = finished_study(
        tmp_path, simulate.replace("rounds = 2", "rounds = 6") + arm, gone
    ).folder
    values = found(folder)
    rounds = sorted(number for _, number, _ in values)
    assert rounds == list(range(2, 2 + len(rounds))) and len(set(values.values())) < len(rounds)


def test_drawings_show_each_arm_by_round(rooms: Any, tmp_path: Path) -> None:
    files = analyse(rooms.folder, "spread", tmp_path / "out").files
    assert {path.name for path in files} >= {"spread.csv", "spread-images.svg", "spread-groups.svg"}
    assert "groups with a label" in (tmp_path / "out" / "spread-groups.svg").read_text()
