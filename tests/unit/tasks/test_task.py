from pathlib import Path

import numpy as np
import pytest
import torch

from labelgrid.errors import LabelError, PluginError, RecipeError
from labelgrid.labels.codec import Form, LabelArray
from labelgrid.labels.grid import TaskRow
from labelgrid.pixel.target import Target
from labelgrid.plugins import names
from labelgrid.tasks.task import TaskDef, build_all, definitions, spec_of

ROWS = (TaskRow("near", "depth", 2.0), TaskRow("parts", "semseg", 9.0, {"classes": ["head", "torso"]}))


def test_definitions_come_by_name_in_the_ledgers_order() -> None:
    tasks = definitions(ROWS)
    assert list(tasks) == ["near", "parts"]
    assert list(build_all(tasks)) == ["near", "parts"]
    assert build_all(tasks)["parts"].channels == 2


def test_an_unknown_kind_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(PluginError, match="There is no tasks plug-in 'dept'") as refused:
        TaskDef.of(TaskRow("depth", "dept", 1.0))
    assert "Did you mean 'depth'?" in str(refused.value)


def test_an_unknown_option_is_refused_with_its_task_and_the_nearest_one() -> None:
    with pytest.raises(RecipeError, match="did you mean 'scale'") as refused:
        TaskDef.of(TaskRow("near", "depth", 1.0, {"scal": 0.1}))
    assert "task 'near'" in str(refused.value)


def test_a_kind_of_ones_own_is_reached_by_module_and_function() -> None:
    assert spec_of("labelgrid.tasks.depth:build") == spec_of("depth")


def test_what_label_files_hold_is_one_line_that_ends_and_a_line_a_class() -> None:
    tasks = definitions([*ROWS, *(TaskRow(kind, kind, 1.0) for kind in names("tasks") if kind != "semseg")])
    for task in tasks.values():
        first, *classes = task.describe().splitlines()
        assert first.endswith(".")
        assert [line.split()[-1] for line in classes] == list(getattr(task.options, "classes", ()))


def test_a_definition_reads_what_it_writes(tmp_path: Path) -> None:
    task = definitions(ROWS)["parts"]
    label = LabelArray(np.array([[[0], [1]]]), np.array([[True, False]]))
    task.write(tmp_path / "a.png", label)
    read = task.read(tmp_path / "a.png")
    assert read.valid.tolist() == [[True, False]]
    assert read.value[0, 0, 0] == 0


def test_a_loss_is_a_mean_over_an_images_valid_pixels() -> None:
    task = definitions(ROWS)["near"].build()
    target = Target(torch.tensor([[[[3.0, 9.0]]], [[[1.0, 1.0]]]]), torch.tensor([[[[True, False]]], [[[False] * 2]]]))
    assert task.loss(torch.ones(2, 1, 1, 2), target).tolist() == [2, 0]


def test_uncertainty_is_that_of_all_samples_at_once() -> None:
    task = definitions(ROWS)["parts"].build()
    certain = torch.eye(2).view(2, 1, 2, 1, 1)
    torch.testing.assert_close(task.uncertainty(certain), torch.full((1, 1, 1, 1), 2.0).log())


@pytest.mark.parametrize("kind", ["semseg", "saliency", "edges", "depth", "normals"])
def test_coarser_labels_stand_for_blocks_of_pixels(tmp_path: Path, kind: str) -> None:
    options = {"classes": ["a", "b"]} if kind == "semseg" else {}
    plain, coarse = (TaskDef.of(TaskRow("t", kind, 1.0, {**options, **more})) for more in ({}, {"coarser": 3}))
    value = np.ones((2, 4, 1), np.int64 if kind == "semseg" else np.float32)
    value[0] = 0 if kind != "depth" else 2
    if kind == "normals":
        value = np.concatenate([value, 0 * value, 1 - value], 2)
    label = LabelArray(value, np.ones((2, 4), bool))
    plain.write(tmp_path / "a.png", label)
    seen = coarse.read(tmp_path / "a.png")
    assert seen.size == (6, 12)
    np.testing.assert_allclose(seen.value, np.kron(value, np.ones((3, 3, 1))), atol=1e-4)
    coarse.write(tmp_path / "b.png", seen)
    assert (tmp_path / "b.png").read_bytes() == (tmp_path / "a.png").read_bytes()
    assert "Its sides are 1/3 of the image's." in coarse.describe().splitlines()[0]
    with pytest.raises(LabelError, match="2x4, and the task's labels are 3 times coarser"):
        coarse.write(tmp_path / "c.png", label)
    with pytest.raises(RecipeError, match="coarser lies between 1 and 64; it is 0"):
        TaskDef.of(TaskRow("t", kind, 1.0, {**options, "coarser": 0}))


def test_a_coarser_label_is_thinned_from_the_middle_of_its_blocks() -> None:
    values = np.arange(36, dtype=np.float32).reshape(6, 6, 1)
    thinned = Form(coarser=3).thinned(LabelArray(values, values[..., 0] != 7))
    assert thinned.value[..., 0].tolist() == [[7, 10], [25, 28]]
    assert thinned.valid.tolist() == [[False, True], [True, True]]
