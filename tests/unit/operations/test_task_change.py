"""Laws of changing a task: its labels are read with the new declaration first, and models made before are stale."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from labelgrid.basics.errors import (
    ImageError,
    LabelError,
    LabelgridError,
    LedgerError,
    ProjectError,
)
from labelgrid.basics.progress import Silent
from labelgrid.formats.codec import LabelArray
from labelgrid.formats.codecs import classes
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import Cell, Move, State, TaskRow
from labelgrid.operations import extend
from labelgrid.operations.task_change import (
    Changed,
    TaskChange,
    change_task,
    drop_task,
    restore_task,
)
from labelgrid.project.declaration_changes import redeclared_tasks, target_declarations
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import Fit
from labelgrid.project.requests import request_heldout
from labelgrid.project.sources import source_of
from tests.campaigns import ask, cells_of, ledger, make_project
from tests.projects import Said
from tests.support import Made, make_dataset

COVERS = [
    "labelgrid.project.declaration_changes",
    "labelgrid.ledger.older_classes",
    "labelgrid.operations.task_change",
]


@pytest.fixture
def full(project: ProjectFolder, data: Made) -> ProjectFolder:
    """The project with all labels."""
    import_labels(project, data.labels)
    return project


def changed(
    project: ProjectFolder,
    name: str,
    *added: str,
    merge: dict[str, str] | None = None,
    **values: object,
) -> Changed:
    return change_task(project, name, TaskChange(values, added, merge or {}), Silent())


def read(project: ProjectFolder, data: Made, task: str) -> LabelArray:
    (row,) = project.store.cells(task=task, image_id=data.names[0])
    return project.tasks()[task].read(project.inside(row.path))


def depths(project: ProjectFolder, data: Made) -> list[LabelArray]:
    task = project.tasks()["depth"]
    return [task.read(data.label(name, "depth")) for name in data.names]


def test_a_cost_changes_for_later_labels_and_makes_no_model_stale(full: ProjectFolder) -> None:
    spent, stamp = full.store.counts()["depth"].spent, full.store.pool_hash()
    done = changed(full, "depth", cost=7)
    assert (done.row.cost, done.checked, done.stale) == (7.0, 0, False)
    assert full.store.counts()["depth"].spent == spent and full.store.pool_hash() == stamp


def test_a_scale_is_read_from_then_on_and_models_made_before_are_stale(
    full: ProjectFolder, data: Made
) -> None:
    before, stamp = read(full, data, "depth"), full.store.pool_hash()
    fit = Fit(
        round=1,
        checkpoint="c",
        model="m",
        recipe={},
        seed=0,
        trained=["depth"],
        images=3,
        labels={},
        spent=1.0,
        tasks=target_declarations(full.tasks()),
    )
    assert redeclared_tasks(fit, full.tasks()) == []
    done = changed(full, "depth", scale=0.002)
    assert (done.checked, done.stale) == (3, True) and full.store.pool_hash() != stamp
    np.testing.assert_allclose(read(full, data, "depth").value, 2 * before.value, rtol=1e-6)
    assert redeclared_tasks(fit, full.tasks()) == ["depth"]
    assert not changed(full, "depth", scale=0.002).stale
    assert (
        changed(full, "depth", scale=None).row.options == {}
        and redeclared_tasks(fit, full.tasks()) == []
    )


def test_a_change_says_what_it_does_to_the_values_of_labels(
    full: ProjectFolder, data: Made
) -> None:
    (was, now) = (
        f"{np.median([np.median(v.value[v.valid]) for v in depths(full, data)]) * s:.3g} m"
        for s in (1, 50)
    )
    median, near = changed(full, "depth", scale=0.05).moved
    assert median == f"the median depth was {was} and is {now} now (3 labels)."
    assert near.startswith("the depth of the nearest 5 % was")
    assert (
        not changed(full, "depth", cost=2).moved and not changed(full, "depth", maximum=1e4).moved
    )


def test_labels_that_do_not_fit_refuse_the_change_with_a_list(full: ProjectFolder) -> None:
    before = ledger(full), full.store.tasks()
    with pytest.raises(LabelError) as caught:
        changed(full, "depth", maximum=0.001)
    text = str(caught.value)
    assert text.startswith(
        "3 of 3 labels of 'depth' do not fit the new declaration:\n    0000.jpg:depth: The largest value is"
    )
    assert text.endswith(
        f"Withdraw them with `labelgrid unlabel {full.folder} IMAGE:depth`, or declare otherwise. "
        "The task is unchanged."
    )
    with pytest.raises(
        LabelError, match=r"0000\.jpg:depth: The label is 32x48, its image is 16x24"
    ):
        changed(full, "depth", stride=2)
    assert (ledger(full), full.store.tasks()) == before


def test_classes_are_added_renamed_and_merged_and_files_keep_their_indices(
    full: ProjectFolder, data: Made
) -> None:
    names, before = ["wall", "floor", "box", "ball"], read(full, data, "semseg").value
    said = Said()
    assert changed(full, "semseg", "lamp").row.options["classes"] == [*names, "lamp"]
    change_task(
        full, "semseg", TaskChange({"classes": ["wall", "ground", "box", "ball", "lamp"]}), said
    )
    assert said.lines == ["Renamed: 'floor' is 'ground' now."]
    changed(full, "semseg", merge={"box": "ball"})
    options = full.tasks()["semseg"].options
    assert (
        options.names == ("wall", "ground", "ball", "lamp")
        and full.tasks()["semseg"].build().channels == 4
    )
    after = read(full, data, "semseg")
    np.testing.assert_array_equal(
        after.value[after.valid], np.array([0, 1, 2, 2, 3])[before[after.valid]]
    )
    changed(full, "semseg", merge={"ball": "lamp"})
    assert full.store.tasks()[0].options["merge"] == {"box": "lamp", "ball": "lamp"}


def test_a_label_of_merged_classes_is_written_with_the_files_own_indices(tmp_path: Path) -> None:
    options = classes.Options(("a", "b", "c", "d"), merge={"b": "d"})
    label = LabelArray(np.array([[[0], [1], [2], [0]]]), np.array([[True, True, True, False]]))
    classes.write(tmp_path / "x.png", label, options)
    plain = classes.read(tmp_path / "x.png", classes.Options(("a", "b", "c", "d")))
    assert plain.value[0, :3, 0].tolist() == [0, 2, 3]
    again = classes.read(tmp_path / "x.png", options)
    assert (
        again.value[0, :3, 0].tolist() == [0, 1, 2] and again.valid.tolist() == label.valid.tolist()
    )
    assert "    1  b (counts as d)" in classes.describe(options)


def test_another_first_class_is_read_from_then_on_and_told(full: ProjectFolder, data: Made) -> None:
    before = read(full, data, "semseg")
    fit = Fit(
        round=1,
        checkpoint="c",
        model="m",
        recipe={},
        seed=0,
        trained=["semseg"],
        images=3,
        labels={},
        spent=1.0,
        tasks=target_declarations(full.tasks()),
    )
    done = changed(full, "semseg", first=1)
    assert done.stale and done.moved
    assert redeclared_tasks(fit, full.tasks()) == ["semseg"]
    after = read(full, data, "semseg")
    assert (after.valid == (before.valid & (before.value[..., 0] > 0))).all()
    assert (after.value + 1 == before.value)[after.valid].all()
    with pytest.raises(LabelError, match=r"0 \(.* pixels\).*, which `ids` does not name"):
        changed(
            full, "semseg", first=None, ids={"1": "wall", "2": "floor", "3": "box", "9": "ball"}
        )
    ids = {"0": "ignore", "1": "wall", "2": "floor", "3": "box", "9": "ball"}
    assert changed(full, "semseg", first=None, ids=ids).checked == 3
    assert (read(full, data, "semseg").valid == after.valid).all()


def test_a_model_of_before_an_option_was_new_is_not_stale(full: ProjectFolder) -> None:
    then = {"kind": "depth", "scale": None, "disparity": False, "stride": 1}
    fit = Fit(
        round=1,
        checkpoint="c",
        model="m",
        recipe={},
        seed=0,
        trained=["depth"],
        images=3,
        labels={},
        spent=1.0,
        tasks={"depth": then},
    )
    assert redeclared_tasks(fit, full.tasks()) == []
    assert changed(full, "depth", scale=0.002).stale
    assert redeclared_tasks(fit, full.tasks()) == ["depth"]


WRONG = {
    "another kind": ({"kind": "semseg"}, "The kind of 'depth' is depth and cannot be changed"),
    "an unknown key": ({"scal": 1}, "scal"),
    "a wrong value": ({"scale": -1}, "scale must be larger than 0"),
    "a wrong cost": ({"cost": -1}, "The cost of 'depth' is -1"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_value_is_refused(project: ProjectFolder, fault: str) -> None:
    values, message = WRONG[fault]
    with pytest.raises(LabelgridError, match=message) as caught:
        change_task(project, "depth", TaskChange(values), Silent())
    assert caught.value.unchanged == "The task is unchanged."


def test_wrong_classes_are_refused(project: ProjectFolder) -> None:
    with pytest.raises(ProjectError, match="Class 'wall' has index 0 and would get index 1"):
        changed(project, "semseg", classes=["floor", "wall"])
    with pytest.raises(LabelgridError, match="'box' cannot be merged into 'couch'"):
        changed(project, "semseg", merge={"box": "couch"})
    with pytest.raises(LabelgridError, match="class names must differ"):
        changed(project, "semseg", "wall")
    with pytest.raises(LedgerError, match="The project has no task 'seg'"):
        changed(project, "seg", cost=1)


def test_a_dropped_task_is_gone_until_it_is_restored_with_its_labels(
    full: ProjectFolder, data: Made
) -> None:
    project, cells = full, cells_of(data)
    project.store.move([Move(cell=cells[1], to=State.MISSING)])
    ask(project, [cells[1]], number=1)
    assert drop_task(project, "depth") == 1
    assert (
        list(project.tasks())
        == ["semseg"]
        == list(project.store.counts())
        == list(project.store.grid().tasks)
    )
    assert {row.cell.task for row in project.store.cells()} == {"semseg"}
    with pytest.raises(LedgerError, match="There was a task 'depth'; it was dropped"):
        extend.add(
            project, [], tasks=[TaskRow("depth", "depth", 1.0)], check="full", progress=Silent()
        )
    with pytest.raises(ProjectError, match="'semseg' is the project's only task"):
        drop_task(project, "semseg")
    restore_task(project, "depth")
    labelled = {row.cell for row in project.store.cells(state=State.LABELLED, task="depth")}
    assert labelled == {Cell(name, "depth") for name in data.names[1:]}
    with pytest.raises(LedgerError, match="No task 'depth' was dropped"):
        restore_task(project, "depth")


def test_a_task_that_a_declared_relation_needs_is_not_dropped(tmp_path: Path) -> None:
    made = make_dataset(tmp_path / "made", n=1, size=(16, 24), tasks=("semseg", "depth", "normals"))
    with make_project(tmp_path / "project", made) as project:
        before = ledger(project)

        def declare(**table: object) -> None:
            changes = {"relations": {"depth_normals": table}}
            project.settings = replace(project.settings, changes=changes)

        for table in ({"trust": 0.9}, {"trust": 0.0}):
            declare(**table)
            with pytest.raises(ProjectError, match=r"'depth_normals' .* needs the task 'depth'"):
                drop_task(project, "depth")
        assert ledger(project) == before
        declare(trust=0.9, if_possible=True)
        assert project.relations()
        drop_task(project, "depth")
        assert not project.relations()


def test_a_task_whose_stride_a_new_image_does_not_allow_is_not_restored(
    project: ProjectFolder, data: Made
) -> None:
    changed(project, "depth", stride=2)
    drop_task(project, "depth")
    row = project.store.image(data.names[0])
    project.store.update_images([replace(row, height=row.height + 1)])
    with pytest.raises(ImageError, match="The stride of 'depth'") as caught:
        restore_task(project, "depth")
    assert caught.value.unchanged == "The task is unchanged." and project.store.removed(
        "tasks"
    ) == ["depth"]


def test_a_restored_task_has_its_heldout_requests_again(data: Made, tmp_path: Path) -> None:
    first, second, _ = data.names
    with make_project(tmp_path / "held", data, {first: "heldout", second: "heldout"}) as project:
        request_heldout(project.store, [first, second], ["semseg", "depth"])
        project.store.move(
            [Move(cell=Cell(first, "depth"), to=State.LABELLED, path="x", digest="d")]
        )
        before = list(project.store.cells())
        assert drop_task(project, "depth") == 1
        restore_task(project, "depth")
        assert list(project.store.cells()) == before


def test_a_label_that_arrives_during_the_check_stops_the_change(
    full: ProjectFolder, data: Made, tmp_path: Path
) -> None:
    class Meanwhile(Silent):
        def start(self, what: str, total: int, unit: str) -> None:
            shutil.copytree(full.folder / "labels", tmp_path / "copy")
            full.store.move([Move(cell=Cell(data.names[0], "semseg"), to=State.MISSING)])

    with pytest.raises(LedgerError, match="Another command changed the ledger"):
        change_task(full, "depth", TaskChange({"scale": 0.5}), Meanwhile())
    assert full.store.tasks()[1].options == {}


def test_labels_older_than_a_class_say_nothing_about_it_until_somebody_says_so(
    full: ProjectFolder, data: Made
) -> None:
    def annotated() -> list[bool] | None:
        label = source_of(full).label(data.names[0], full.tasks()["semseg"])
        assert label is not None
        return None if label.annotated is None else label.annotated.tolist()

    count = len(full.tasks()["semseg"].classes)
    assert changed(full, "semseg", cost=2.0).older == 0
    assert annotated() is None
    assert changed(full, "semseg", "hat").older == len(data.names)
    assert annotated() == [True] * count + [False]
    found = change_task(full, "semseg", TaskChange({}, complete=True), Silent())
    assert (found.older, found.stale) == (0, True)
    assert annotated() is None
    assert changed(full, "semseg", "glove").older == len(data.names)
    assert annotated() == [True] * (count + 1) + [False]


def test_a_class_that_joins_an_old_one_is_annotated_in_older_labels(
    full: ProjectFolder, data: Made
) -> None:
    first = full.tasks()["semseg"].classes[0]
    changed(full, "semseg", "hat", "glove", merge={"hat": first})
    label = source_of(full).label(data.names[0], full.tasks()["semseg"])
    assert label is not None and label.annotated is not None
    assert label.annotated.tolist() == [True] * (len(label.annotated) - 1) + [False]
