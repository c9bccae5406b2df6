"""Over how many images, and groups of images, labels are spread: against counts of the picks."""

from pathlib import Path
from typing import Any

import pytest

from labelgrid.simulation.analyse import analyse
from tests.unit.simulation.conftest import SIMULATE, finished_study


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
    for arm in ("images", "cells", "uncertain"):
        seen: set[str] = set()
        for number in (1, 2, 3):
            seen |= {pick.image for pick in study.picked(arm, 0, number)}
            assert values[arm, number, "images"] == len(seen)
    assert values["images", 3, "images"] < values["cells", 3, "images"]  # else the counts may be of anything
    assert not any(name == "groups" for _, _, name in values)  # images of no group


def test_groups_are_counted_if_the_study_has_them(rooms: Any) -> None:
    values = found(rooms.folder)
    picks = [pick.image for number in (1, 2, 3) for pick in rooms.picked("images", 0, number)]
    assert values["images", 3, "images"] == len(set(picks)) == 7
    assert values["images", 3, "groups"] == len({image.split("/")[0] for image in picks}) < 7


def test_drawings_show_each_arm_by_round(rooms: Any, tmp_path: Path) -> None:
    files = analyse(rooms.folder, "spread", tmp_path / "out").files
    assert {path.name for path in files} >= {"spread.csv", "spread-images.svg", "spread-groups.svg"}
    assert "groups with a label" in (tmp_path / "out" / "spread-groups.svg").read_text()
