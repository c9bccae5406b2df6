"""Laws of naming the kind of task that a refused label file is of."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from labelgrid.ledger.grid import TaskRow
from labelgrid.tasks.other_kinds import other_kind
from labelgrid.tasks.task import TaskDef

RNG = np.random.default_rng(0)


def task(kind: str) -> TaskDef:
    options = {"classes": ["wall", "floor"]} if kind == "semseg" else {}
    return TaskDef.of(TaskRow(name="mine", kind=kind, cost=1.0, options=options))


def millimetres(folder: Path) -> Path:
    path = folder / "label.png"
    cv2.imwrite(str(path), RNG.integers(1, 9000, (40, 60), np.uint16))
    return path


@pytest.mark.parametrize("kind", ["semseg", "edges", "normals"])
def test_a_depth_map_is_named_where_another_task_was_given_it(tmp_path: Path, kind: str) -> None:
    sentence = " It looks like a depth map (kind of task: depth)."
    assert other_kind(millimetres(tmp_path), task(kind)) == sentence


def test_all_kinds_of_a_format_are_named(tmp_path: Path) -> None:
    path = tmp_path / "label.png"
    cv2.imwrite(str(path), 255 * RNG.integers(0, 2, (40, 60), np.uint8))
    sentence = " It looks like a binary map (kind of task: edges, saliency)."
    assert other_kind(path, task("depth")) == sentence


def test_nothing_is_said_of_a_file_of_the_tasks_own_format_or_of_none(tmp_path: Path) -> None:
    path = millimetres(tmp_path)
    assert other_kind(path, task("depth")) == ""
    path.write_bytes(path.read_bytes()[:-1])
    assert other_kind(path, task("semseg")) == ""


def test_nothing_is_said_where_two_formats_are_as_sure(tmp_path: Path) -> None:
    path = tmp_path / "label.png"
    cv2.imwrite(str(path), np.full((40, 60), 255, np.uint8))
    assert other_kind(path, task("depth")) == ""


def test_nothing_is_said_for_a_format_that_recognises_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABELGRID_TRUST", "tests.plugins.optical_flow")
    own = task("tests.plugins.optical_flow:build")
    assert other_kind(millimetres(tmp_path), own) == ""
