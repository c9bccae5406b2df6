"""Laws of supply: whatever dies and wherever it runs, the same labels come; of training images alone, and once."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import pytest

from labelgrid.annotate.answer_folder import DECLARATION
from labelgrid.api.project import Project
from labelgrid.basics.errors import LabelgridError, UsageError
from labelgrid.basics.progress import Silent
from labelgrid.imports import import_supplied as importing
from labelgrid.imports.import_labels import LabelImport
from labelgrid.operations.task_change import TaskChange, change_task
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.suppliers import read_declaration, read_index, supplied_rows
from labelgrid.suppliers import label_maker, supply
from labelgrid.suppliers.makers.onnx import OnnxMaker
from tests.models import class_model, depth_model, grade_model
from tests.projects import Said, make_project
from tests.started import Started

COVERS = ["labelgrid.suppliers.label_maker", "labelgrid.suppliers.maker"]


class Killed(BaseException):
    """Ends a run where it stands."""


@pytest.fixture(autouse=True)
def _no_pictures() -> Iterator[None]:
    with patch.object(LabelImport, "_draw", lambda _, result, *__: result):
        yield


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of twelve images, two held out and one of them of val."""
    folder = tmp_path_factory.mktemp("first")
    project, _ = make_project(folder, n=12)
    project.close()
    return folder


@pytest.fixture
def folder(first: Path, tmp_path: Path) -> Path:
    """A test's own copy, the images where they were."""
    shutil.copytree(first / "flat", tmp_path / "flat")
    shutil.copy(first / "tiny.toml", tmp_path / "tiny.toml")
    return tmp_path / "flat"


def supplied(folder: Path, model: Path, name: str = "made", **options: Any) -> supply.Supplied:
    with Project.open(folder, progress=Said()) as project:
        return project.supply(name, model, **options)


def labels(folder: Path, name: str = "made") -> dict[str, bytes]:
    """The files of a supplier's labels in the project, by their paths."""
    root = folder / "supplied" / name
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.parent != root
    }


def train(folder: Path) -> set[str]:
    with ProjectFolder.open(folder) as project:
        return {row.image_id for row in project.store.images(("train",))}


def labelled(folder: Path) -> set[str]:
    with ProjectFolder.open(folder) as project:
        return {row.cell.image_id for row in supplied_rows(project)}


def test_labels_are_what_the_model_computes_and_are_declared_as_it_is(
    folder: Path, first: Path, tmp_path: Path
) -> None:
    done = supplied(folder, depth_model(tmp_path / "models"), cost=0.5)
    assert (done.made, done.left, done.tasks["depth"].new) == (10, 0, 10)
    assert labelled(folder) == train(folder)
    with ProjectFolder.open(folder) as project:
        declared = read_declaration(folder / "supplied/made" / DECLARATION)
        delivery = read_index(project, "made").deliveries[0]
        task = project.tasks()["depth"]
        for row in supplied_rows(project):
            image = cv2.imread(str(first / "made/images" / row.cell.image_id))
            expected = image.astype(np.float64).mean(axis=2) / 255 * 4 + 1
            given = task.read(folder / row.path).value[..., 0]
            assert np.abs(given - expected).max() < 1e-4
    assert declared.cost == 0.5 and declared.larger_is_nearer is False
    assert declared.licence == "made for a test; no use is forbidden"
    assert len(declared.revision) == 16 and declared.date and declared.origin == "made"
    assert delivery.settings == declared.settings
    assert declared.settings["outputs"] == "depth=out"
    assert not (folder / supply.FOLDER).exists()


def test_the_model_never_sees_an_image_that_measures(folder: Path, tmp_path: Path) -> None:
    seen = []
    real = OnnxMaker.make

    def watched(self: OnnxMaker, images: Any, *others: Any) -> Any:
        seen.extend(images.images())
        return real(self, images, *others)

    with patch.object(OnnxMaker, "make", watched):
        supplied(folder, depth_model(tmp_path / "models"))
    assert set(seen) == train(folder) and len(seen) == 10


def test_again_only_what_lacks_a_label_of_this_revision_is_made(
    folder: Path, first: Path, tmp_path: Path
) -> None:
    model = depth_model(tmp_path / "models")
    assert supplied(folder, model).made == 10
    assert supplied(folder, model).made == 0
    new = tmp_path / "new"
    new.mkdir()
    for name in ("a.png", "b.png"):
        image = cv2.imread(str(next((first / "made/images").iterdir())))
        assert cv2.imwrite(str(new / name), image // 2)
    with Project.open(folder, progress=Said()) as project:
        project.add(new)
    assert supplied(folder, model).made == 2
    assert supplied(folder, depth_model(tmp_path / "models", factor=5.0)).made == 12


def test_equal_labels_of_a_new_revision_are_of_that_revision(folder: Path, tmp_path: Path) -> None:
    model = depth_model(tmp_path / "models")
    supplied(folder, model)
    before = labels(folder)
    depth_model(tmp_path / "models", licence={"stated": "other words"})
    (tmp_path / "models/depth.onnx").write_bytes(
        (tmp_path / "models/depth.onnx").read_bytes() + b"\x1a\x00"  # an empty domain: the same
    )
    assert supplied(folder, model).made == 10
    assert supplied(folder, model).made == 0
    assert labels(folder) == before


def test_a_limit_takes_some_at_random_and_the_next_run_others(folder: Path, tmp_path: Path) -> None:
    model = depth_model(tmp_path / "models")
    assert [supplied(folder, model, limit=4).left for _ in range(3)] == [6, 2, 0]


def test_a_dry_run_tries_one_image_and_keeps_nothing(folder: Path, tmp_path: Path) -> None:
    before = sorted(folder.rglob("*"))
    done = supplied(folder, depth_model(tmp_path / "models"), dry_run=True)
    assert done.left == 10 and done.seconds is not None and not done.made
    assert sorted(folder.rglob("*")) == before


def test_the_licence_is_said_once(folder: Path, tmp_path: Path) -> None:
    said = Said()
    model = depth_model(tmp_path / "models")
    with Project.open(folder, progress=said) as project:
        for limit in (2, 0):
            project.supply("made", model, limit=limit)
    assert [line for line in said.lines if "made for a test" in line] == [
        "The licence of the model, as stated: made for a test; no use is forbidden"
    ]


def test_classes_come_by_their_names_and_others_are_not_labelled(
    folder: Path, tmp_path: Path
) -> None:
    with ProjectFolder.open(folder) as project:
        task = project.tasks()["semseg"]
    names = [task.class_names[1], "zebra", task.class_names[0], "lamp"]
    model = class_model(tmp_path / "models", names)
    done = supplied(folder, model, map={"lamp": task.class_names[2]})
    assert done.left == 0 and done.made == 10
    with ProjectFolder.open(folder) as project:
        declared = read_declaration(folder / "supplied/made" / DECLARATION)
        rows = supplied_rows(project)
        shown = set()
        for row in rows:
            label = project.tasks()["semseg"].read(folder / row.path)
            shown |= set(np.unique(label.value[label.valid]).tolist())
    assert declared.classes == {"semseg": tuple(names)}
    assert declared.map == {"zebra": "ignore", "lamp": task.class_names[2]}
    assert declared.settings["map"] == f"lamp={task.class_names[2]}"
    assert shown and shown <= {0, 1, 2}
    assert supplied(folder, model).made == 0  # those without any known class are noted


def test_a_class_that_the_project_gets_later_is_labelled_from_then_on(
    folder: Path, tmp_path: Path
) -> None:
    with ProjectFolder.open(folder) as project:
        known = project.tasks()["semseg"].class_names
    model = class_model(tmp_path / "models", ["zebra", known[0], "lamp"])
    supplied(folder, model, map={"lamp": known[1]})
    with ProjectFolder.open(folder) as project:
        change_task(project, "semseg", TaskChange({}, classes=["zebra"]), Silent())
    assert supplied(folder, model).made == 10
    assert read_declaration(folder / "supplied/made" / DECLARATION).map == {"lamp": known[1]}


def test_labels_that_another_run_imported_meanwhile_are_no_error(
    folder: Path, tmp_path: Path
) -> None:
    model = depth_model(tmp_path / "models")
    true = supply.take_labels
    taken = []

    def twice(*arguments: Any) -> supply.Supplied:
        taken.append(true(*arguments))
        return true(*arguments)

    with patch.object(supply, "take_labels", twice):
        done = supplied(folder, model)
    assert (taken[0].left, done.left) == (0, 0) and "depth" in taken[0].tasks
    assert not (folder / ".supply").exists()


def test_a_model_without_a_class_of_the_project_is_refused_before_it_runs(
    folder: Path, tmp_path: Path
) -> None:
    model = class_model(tmp_path / "models", ["zebra", "giraffe"])
    with pytest.raises(UsageError, match="None of the model's classes is a class of 'semseg'"):
        supplied(folder, model)


def test_grades_and_the_probabilities_of_classes_are_kept_as_confidence(
    first: Path, tmp_path: Path
) -> None:
    (tmp_path / "classes.txt").write_text("wall\nfloor\nbox\n")
    with Project.create(
        tmp_path / "flat",
        first / "made/images",
        ["edges", f"semseg:{tmp_path}/classes.txt"],
        progress=Said(),
    ) as project:
        project.supply("edges", grade_model(tmp_path / "models"), limit=2)
        project.supply("net", class_model(tmp_path / "models", ["wall", "floor", "lamp"]), limit=2)
        declared = read_declaration(tmp_path / "flat/supplied/edges" / DECLARATION)
        assert declared.grades == ("edges",)
        for name, task in (("edges", "edges"), ("net", "semseg")):
            index = read_index(project._project, name)
            for image_id, label in index.labels[task].items():
                confidence = cv2.imread(str(tmp_path / "flat" / label.confidence), -1)
                image = cv2.imread(str(first / "made/images" / image_id)).mean(axis=2)
                assert confidence.shape == image.shape
                if name == "edges":
                    assert np.abs(confidence - abs(2 * image - 255)).max() <= 2
        assert index.labels["semseg"]


#: Where a run is killed: the object and the name of what is called, and after how many calls.
PHASES: dict[str, tuple[Any, str, int]] = {
    "before the first label": (label_maker, "make_shard", 0),
    "in a shard": (cv2, "imencode", 0),
    "after a shard": (label_maker, "make_shard", 1),
    "before the import": (supply, "import_supplied", 0),
    "in the import": (importing, "write_index", 0),
    "after the import": (supply, "_note_empty", 0),
    "at the end": (supply, "remove_folder", 0),
}


@pytest.mark.parametrize("phase", PHASES)
def test_a_run_that_was_killed_and_is_repeated_gives_the_same_bytes(
    phase: str, folder: Path, tmp_path: Path
) -> None:
    with ProjectFolder.open(folder) as project:
        names = list(project.tasks()["semseg"].class_names[:4])
    model = class_model(tmp_path / "models", names)
    shutil.copytree(folder, tmp_path / "whole/flat")
    supplied(tmp_path / "whole/flat", model, shard=8)
    owner, name, calls = PHASES[phase]
    real = getattr(owner, name)
    done = []

    def killed(*arguments: Any, **named: Any) -> Any:
        if len(done) >= calls:
            raise Killed
        done.append(name)
        return real(*arguments, **named)

    if phase == "in a shard":
        calls = 5
    with pytest.MonkeyPatch.context() as patched, pytest.raises(Killed):
        patched.setattr(owner, name, killed)
        supplied(folder, model, shard=8)
    kept = {path: path.stat().st_mtime_ns for path in (folder / supply.FOLDER).rglob("*.png")}
    made = labels(folder)
    supplied(folder, model, shard=8)
    assert labels(folder) == labels(tmp_path / "whole/flat")
    assert made.items() <= labels(folder).items()
    assert len(kept) >= (0, 1)[phase in ("in a shard", "before the import")]
    assert not (folder / supply.FOLDER).exists()


def test_a_command_that_is_killed_by_the_system_goes_on(folder: Path, tmp_path: Path) -> None:
    model = depth_model(tmp_path / "models")
    shutil.copytree(folder, tmp_path / "whole/flat")
    supplied(tmp_path / "whole/flat", model)
    words = [sys.executable, "-m", "labelgrid", "supply", str(folder), "made"]
    words += ["--model", str(model)]
    for count in (1, 4):
        with Started(*words, stdout=subprocess.DEVNULL) as process:
            limit = time.monotonic() + 250
            while process.poll() is None and time.monotonic() < limit:
                if len(list((folder / supply.FOLDER).rglob("*.npy"))) >= count:
                    process.kill()
                time.sleep(0.002)
            process.wait()
    supplied(folder, model)
    assert labels(folder) == labels(tmp_path / "whole/flat")


def test_labels_of_a_killed_run_are_made_no_second_time(folder: Path, tmp_path: Path) -> None:
    model = depth_model(tmp_path / "models")
    with patch.object(supply, "import_supplied", side_effect=Killed), pytest.raises(Killed):
        supplied(folder, model)
    with patch.object(OnnxMaker, "make", side_effect=AssertionError):
        assert supplied(folder, model).made == 10


def test_labels_of_other_settings_that_a_killed_run_left_are_made_again(
    folder: Path, tmp_path: Path
) -> None:
    with patch.object(supply, "import_supplied", side_effect=Killed), pytest.raises(Killed):
        supplied(folder, depth_model(tmp_path / "models", factor=9.0))
    model = depth_model(tmp_path / "models")
    supplied(folder, model)
    expected = labels(folder)
    shutil.rmtree(folder / "supplied")
    supplied(folder, model)
    assert labels(folder) == expected


def test_processes_make_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    model = depth_model(tmp_path / "models")
    shutil.copytree(folder, tmp_path / "here/flat")
    supplied(tmp_path / "here/flat", model)
    done = supplied(folder, model, workers=2, shard=8)
    assert done.made == 10 and labels(folder) == labels(tmp_path / "here/flat")


def test_an_image_that_cannot_be_read_is_left_out_and_tried_again(
    folder: Path, first: Path, tmp_path: Path
) -> None:
    model = depth_model(tmp_path / "models")
    name = min(train(folder))
    path = first / "made/images" / name
    content = path.read_bytes()
    path.write_bytes(b"no image")
    try:
        done = supplied(folder, model)
    finally:
        path.write_bytes(content)
    assert list(done.faults) == [name] and (done.made, done.left) == (9, 1)
    assert "1 image has no label" in str(done) and name in str(done)
    assert supplied(folder, model).made == 1


def test_a_damaged_list_of_empty_images_says_what_to_do(folder: Path, tmp_path: Path) -> None:
    model = depth_model(tmp_path / "models")
    supplied(folder, model, limit=2)
    (folder / "supplied/made" / supply.EMPTY).write_text("[1]")
    with pytest.raises(LabelgridError, match="Remove it"):
        supplied(folder, model)


def test_labels_that_a_killed_run_of_another_model_left_are_not_imported(
    folder: Path, tmp_path: Path
) -> None:
    one = depth_model(tmp_path / "one", factor=4.0)
    other = depth_model(tmp_path / "other", factor=2.0)
    with patch.object(supply, "import_supplied", side_effect=Killed), pytest.raises(Killed):
        supplied(folder, one)
    done = supplied(folder, other, limit=3)
    assert done.made == 3 and done.left == len(train(folder)) - 3
    assert len(labelled(folder)) == 3
    supplied(folder, other)
    fresh = labels(folder)
    shutil.rmtree(folder / "supplied")
    supplied(folder, other)
    assert labels(folder) == fresh
    assert not (folder / supply.FOLDER).exists()


def test_a_model_that_changes_in_place_is_run_as_it_is_now(folder: Path, tmp_path: Path) -> None:
    supplied(folder, depth_model(tmp_path / "model", factor=4.0))
    supplied(folder, depth_model(tmp_path / "model", factor=2.0))
    changed = labels(folder)
    shutil.rmtree(folder / "supplied")
    supplied(folder, depth_model(tmp_path / "other", factor=2.0))
    assert labels(folder) == changed


def test_a_label_that_was_imported_by_hand_is_not_taken_for_the_model_s(
    folder: Path, tmp_path: Path
) -> None:
    model = depth_model(tmp_path / "models")
    supplied(folder, model)
    before = labels(folder)
    image_id = min(labelled(folder))
    (tmp_path / "given/depth").mkdir(parents=True)
    np.save(tmp_path / f"given/depth/{Path(image_id).stem}.npy", np.full((32, 64), 3, np.float32))
    with Project.open(folder, progress=Said()) as project:
        project.import_supplied(tmp_path / "given", supplier="made")
    assert labels(folder) != before
    assert supplied(folder, model).made == 1
    assert labels(folder) == before
