"""Laws of the maker `project` beside those of all makers: tasks by name and kind, classes by names."""

from pathlib import Path

import numpy as np
import pytest

from labelgrid.basics.errors import ModelError, ProjectError
from labelgrid.basics.progress import Silent
from labelgrid.ledger.grid import TaskRow
from labelgrid.project.sources import ImageFiles
from labelgrid.suppliers.maker import LabelPlace
from labelgrid.suppliers.makers.project import Options, build
from labelgrid.tasks.task import TaskDefs, definitions
from labelgrid.testing.scenes import CLASSES, make_dataset
from tests.makers.project import trained, with_distances
from tests.projects import make_project


def tasks_of(*rows: TaskRow) -> TaskDefs:
    return definitions(rows, ())


SEMSEG = TaskRow("semseg", "semseg", 1.0, {"classes": ["sky", *CLASSES[::-1][:2]]})


def test_tasks_of_the_same_name_and_kind_are_taken_and_classes_by_their_names() -> None:
    tasks = tasks_of(SEMSEG, TaskRow("normals", "depth", 1.0, {}), TaskRow("depth", "depth", 1.0))
    maker = build(trained(), tasks, {}, Options())
    assert list(maker.files) == ["semseg"]
    assert maker.declared["classes"] == {"semseg": list(CLASSES)}
    assert maker.declared["map"] == {"wall": "ignore", "floor": "ignore"}
    assert maker.declared["revision"] and maker.declared["settings"]["project"] == "flat"


def test_another_task_is_taken_if_a_person_says_so() -> None:
    tasks = tasks_of(TaskRow("directions", "normals", 1.0, {}))
    assert list(build(trained(), tasks, {"directions": "normals"}, Options()).files) == [
        "directions"
    ]
    with pytest.raises(ModelError, match="no task of a name and kind"):
        build(trained(), tasks, {}, Options())
    with pytest.raises(ModelError, match="no pair of tasks directions = x"):
        build(trained(), tasks, {"directions": "x"}, Options())


def test_distances_of_two_sorts_are_two_suppliers() -> None:
    folder = with_distances()
    far = TaskRow("far", "depth", 1.0)
    tasks = tasks_of(far, TaskRow("near", "depth", 1.0, {"disparity": True}))
    for chosen in ({"far": "depth"}, {"near": "depth"}):
        assert list(build(folder, tasks, chosen, Options()).files) == list(chosen)
    with pytest.raises(ModelError, match="The numbers of far, near differ") as refused:
        build(folder, tasks, {"far": "depth", "near": "depth"}, Options())
    assert "under two names" in refused.value.next_step


def test_labels_are_what_the_other_project_predicts(tmp_path: Path) -> None:
    made = make_dataset(tmp_path / "made", n=1, size=(32, 48))
    name = made.names[0]
    axes = "x right, y down, z away from the camera"
    tasks = tasks_of(SEMSEG, TaskRow("normals", "normals", 1.0, {"axes": axes}))
    maker = build(trained(), tasks, {}, Options())
    images = ImageFiles(paths={name: made.images / name})
    assert not maker.make(images, LabelPlace(folder=tmp_path / "out"), Silent())
    others = tasks_of(TaskRow("semseg", "semseg", 1.0, {"classes": list(CLASSES)}))
    stem = Path(name).stem
    assert others["semseg"].read(tmp_path / f"out/semseg/{stem}.png").size == (32, 48)
    label = tasks["normals"].read_prediction(tmp_path / f"out/normals/{stem}.png")
    assert np.allclose(np.linalg.norm(label.value, axis=2), 1, atol=1e-3)


def test_a_project_without_a_network_and_a_folder_without_a_project_are_sentences(
    tmp_path: Path,
) -> None:
    project, _ = make_project(tmp_path, n=2, holdout=0)
    project.close()
    with pytest.raises(ModelError, match="no trained network"):
        build(tmp_path / "flat", tasks_of(SEMSEG), {}, Options())
    with pytest.raises(ProjectError, match="no labelgrid project"):
        build(tmp_path / "nothing", tasks_of(SEMSEG), {}, Options())


def test_a_process_that_fails_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    import shutil

    shutil.copytree(trained(), tmp_path / "flat")
    for path in (tmp_path / "flat").rglob("*.ckpt"):
        path.write_bytes(b"no weights")
    made = make_dataset(tmp_path / "made", n=1, size=(32, 48))
    maker = build(tmp_path / "flat", tasks_of(SEMSEG), {}, Options())
    images = ImageFiles(paths={made.names[0]: made.images / made.names[0]})
    with pytest.raises(ModelError, match="ended with code 1: Error: ") as refused:
        maker.make(images, LabelPlace(folder=tmp_path / "out"), Silent())
    assert "labelgrid predict" in refused.value.next_step
