"""Laws of a study of a project's own labels: the project is only read, and no cell without a label is bought."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from labelgrid.api import study
from labelgrid.basics.errors import LabelError, ProjectError
from labelgrid.basics.progress import Silent
from labelgrid.formats.codec import LabelArray
from labelgrid.imports.import_labels import import_labels
from labelgrid.imports.import_supplied import import_supplied
from labelgrid.lab.simulation.study_recipe import study_of
from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.operations.labelled_copy import copy_labelled
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.settings import read_settings, settings_text
from labelgrid.suppliers.supplied import bind_supplier, supplied_labels
from tests.projects import make_project

COVERS = ["labelgrid.operations.labelled_copy"]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the project `flat`: 12 training images and 3 held-out ones with all labels."""
    folder = tmp_path_factory.mktemp("own")
    project, made = make_project(folder, n=15, holdout=3, tasks=("semseg", "depth"))
    with project:
        import_labels(project, made.labels, accept=True)
        import_supplied(project, made.labels, supplier="made", accept=True)
    return folder


@pytest.fixture
def flat(labelled: Path, tmp_path: Path) -> Path:
    """A copy of the project."""
    shutil.copytree(labelled / "flat", tmp_path / "flat")
    return tmp_path / "flat"


def take_back(flat: Path, split: str, count: int, task: str = "") -> list[Cell]:
    """Make labelled cells of a split missing, all of them but `count`; returns these."""
    with ProjectFolder.open(flat) as project:
        rows = project.store.cells(state=State.LABELLED, task=task or None)
        splits = {row.image_id: row.split for row in project.store.images()}
        cells = [row.cell for row in rows if splits[row.cell.image_id] == split]
        gone = cells[: len(cells) - count]
        with project.store.transaction("undo"):
            project.store.move([Move(cell=cell, to=State.MISSING) for cell in gone])
    return gone


def content(folder: Path) -> dict[str, bytes]:
    """The bytes of every file below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def refused(flat: Path, **options: object) -> str:
    """Why a study of a project is refused, which leaves nothing behind."""
    before = content(flat)
    with pytest.raises(ProjectError) as fault:
        study.simulate(None, flat, flat.parent / "out", **options)
    assert content(flat) == before and not (flat.parent / "out").exists()
    assert "Nothing was run." in str(fault.value)
    return " ".join(str(fault.value).split())


def test_a_study_buys_labels_of_the_project_alone_and_leaves_it_as_it_was(
    flat: Path, tmp_path: Path
) -> None:
    gone = take_back(flat, "train", 5, "depth")
    before = content(flat)
    options = {"strategies": ["random_cells", "random_images"], "budget": 4, "initial": 2}
    result = study.simulate(
        None, flat, tmp_path / "out", rounds=2, seeds=1, full=False, jobs=1, **options
    )
    assert not result.failed and content(flat) == before
    for name in ("random_cells-seed0", "random_images-seed0"):
        with ProjectFolder.open(tmp_path / "out" / "runs" / name) as run:
            rows = {row.cell: row for row in run.store.cells()}
            bought = [row.cell for row in rows.values() if row.round > 1]
            assert bought and not {*gone} & {*bought}
            assert {row.state for row in rows.values()} == {State.LABELLED, State.SKIPPED}
            assert {cell for cell, row in rows.items() if row.state == State.SKIPPED} <= {*gone}
            assert [row.budget for row in run.store.rounds() if row.number in (2, 3)] == [4, 4]
    resumed = study.simulate(None, flat, tmp_path / "out")
    assert {status.state for status in resumed.runs.values()} == {"done"}


def test_its_file_has_the_values_and_the_recipe_of_the_project_and_can_be_edited(
    flat: Path, tmp_path: Path
) -> None:
    settings = read_settings(flat / "labelgrid.toml")
    text = settings_text(settings).replace('group = ""', 'group = "^(.)"')
    (flat / "labelgrid.toml").write_text(text + "[changes.train]\nbatch = 3\n")
    out = tmp_path / "out"
    plan = study.estimate(None, flat, out, seeds=2)
    values = plan.request.study
    assert (values.pool, values.test, values.val, values.data) == (
        "train",
        "heldout",
        "",
        "project",
    )
    assert (values.initial, values.budget, values.seeds, values.group) == (4, 2, 2, "^(.)")
    assert values.strategies == ("partal", "random_cells", "random_images")
    assert not out.exists()
    out.mkdir()
    (out / "study.toml").write_text(_file(flat, tmp_path).replace("budget = 2", "budget = 3"))
    assert study.estimate(None, flat, out).request.study.budget == 3
    assert study_of(str(out / "study.toml")).budget == 3
    assert sorted(path.name for path in out.iterdir()) == ["study.toml"]
    assert "batch = 3" in (out / "study.toml").read_text()


def _file(flat: Path, tmp_path: Path) -> str:
    """The text of the file of a study that was begun."""
    begun = tmp_path / "begun"
    words = {"strategies": ["random_cells"], "rounds": 0, "seeds": 1, "full": False}
    study.simulate(None, flat, begun, jobs=1, **words)
    return (begun / "study.toml").read_text()


def test_the_copy_has_the_labels_of_trusted_suppliers_and_later_labels_change_nothing(
    flat: Path, tmp_path: Path
) -> None:
    take_back(flat, "train", 20)
    with (flat / "labelgrid.toml").open("a") as file:
        file.write("[changes.suppliers.made]\ntrust = 0.5\n")
    out = tmp_path / "out"
    words = {"strategies": ["random_cells"], "rounds": 0, "seeds": 1, "full": False}
    result = study.simulate(None, flat, out, jobs=1, **words)
    assert not result.failed
    with ProjectFolder.open(out / "runs" / "start-seed0") as run:
        assert (run.folder / "supplied" / "made" / "index.json").is_file()
        images = run.store.count_images(("train",))
    take_back(flat, "train", 2)
    assert study.estimate(None, flat, out).runs == 0
    with ProjectFolder.open(out / "labelled") as copy:
        assert copy.store.count_images(("train",)) == images


def test_a_copy_of_other_classes_and_of_confidence_reads_as_the_project_does(
    flat: Path, tmp_path: Path
) -> None:
    given = tmp_path / "given"
    shutil.copytree(flat / "labels/semseg", tmp_path / "kept")
    (given / "semseg").mkdir(parents=True)
    (given / "semseg.confidence").mkdir()
    names = []
    for path in sorted((flat / "labels/semseg").rglob("*.png")):
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        names.append(path.name.split(".")[0])
        turned = np.where(pixels < 4, 3 - pixels, pixels)  # the classes in another order
        cv2.imwrite(str(given / "semseg" / f"{names[-1]}.png"), turned)
        np.save(given / "semseg.confidence" / f"{names[-1]}.npy", np.full(pixels.shape, 0.5, "f4"))
    classes = ["ball", "box", "floor", "wall"]
    (given / "supplier.toml").write_text(f"classes = {{ semseg = {classes} }}\n")
    found = []
    with ProjectFolder.open(flat) as project:
        import_supplied(project, given, supplier="turned", accept=True)
        found.append(read_supplied(project))
        copy_labelled(project, tmp_path / "copy", ["turned"], Silent())
    with ProjectFolder.open(tmp_path / "copy") as copy:
        import_supplied(copy, tmp_path / "copy/suppliers/turned", supplier="turned", accept=True)
        found.append(read_supplied(copy))
    assert found[0].keys() == found[1].keys() and found[0]
    for image_id, label in found[0].items():
        other = found[1][image_id]
        np.testing.assert_array_equal(other.value, label.value)
        np.testing.assert_array_equal(other.valid, label.valid)
        np.testing.assert_array_equal(other.confidence, label.confidence)


def read_supplied(project: ProjectFolder) -> dict[str, LabelArray]:
    """The labels of a supplier with other classes, by image."""
    task = project.tasks()["semseg"]
    bound = bind_supplier(project, "turned", {"semseg": 1.0})
    images = [row.image_id for row in project.store.images(("train",))]
    labels = supplied_labels(project, bound, task, usual=None, image_ids=images)
    given = {image_id: labels.label(image_id, task) for image_id in images}
    return {image_id: label for image_id, label in given.items() if label}


def test_a_project_with_too_few_labels_is_refused_with_how_many_are_needed(flat: Path) -> None:
    assert "The study needs 28 labels: about 8 at the start, and 1 round of 20." in refused(
        flat, budget=20, rounds=1
    )
    take_back(flat, "train", 7)
    assert "at least 10 labelled training images. The project has" in refused(flat)
    take_back(flat, "heldout", 0)
    assert "No held-out image has a label" in refused(flat)


def test_tasks_without_labels_to_measure_on_are_left_out(flat: Path, tmp_path: Path) -> None:
    take_back(flat, "heldout", 0, "depth")
    plan = study.estimate(None, flat, tmp_path / "out")
    assert list(plan.request.study.used_tasks) == ["semseg"]


def test_a_label_that_has_changed_and_a_run_of_a_study_are_refused(
    flat: Path, tmp_path: Path
) -> None:
    path = next((flat / "labels" / "depth").iterdir())
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(whole[:-1])
    with pytest.raises(LabelError, match="changed"):
        study.estimate(None, flat, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with (flat / "labelgrid.toml").open("a") as file:
        file.write(f'[oracle]\ndata = "folder"\nroot = "{tmp_path}"\n')
    assert "run of a study" in refused(flat)


def test_a_folder_without_a_project_needs_a_recipe(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="name a RECIPE"):
        study.simulate(None, tmp_path, tmp_path / "out")


def test_a_folder_with_other_files_is_refused_and_kept(flat: Path, tmp_path: Path) -> None:
    before = content(flat)
    with pytest.raises(ProjectError, match="other files"):
        study.simulate(None, flat, flat)
    assert content(flat) == before
