"""Files for Label Studio: what a folder may hold, and what an export may be."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.label_studio_json import local_file
from labelgrid.annotate.tools.label_studio import build
from labelgrid.basics.errors import LabelError, LabelgridError, ProjectError, UsageError
from labelgrid.imports.import_labels import import_labels
from labelgrid.operations.export import export
from labelgrid.project.folder import ProjectFolder
from tests.annotators import label_studio
from tests.campaigns import ask, cells_of, make_project, states
from tests.support import Made, make_dataset


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_dataset(tmp_path / "made", n=2, size=(8, 12), tasks=("semseg", "depth"))


@pytest.fixture
def project(tmp_path: Path, made: Made) -> ProjectFolder:
    project = make_project(tmp_path / "project", made)
    ask(project, cells_of(made), 1)
    return project


def answered(project: ProjectFolder, made: Made, out: Path) -> Path:
    """The folder of a request of class maps, with an answer to it."""
    export(project, out, tool="label_studio", task="semseg")
    rows = [row for row in project.store.cells() if row.cell.task == "semseg"]
    labels = {row.request_id: made.label(row.cell.image_id, "semseg") for row in rows}
    return label_studio.answer(out, labels, {})


def test_only_the_requests_of_a_task_are_sent(
    project: ProjectFolder, made: Made, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="depth cannot be drawn"):
        export(project, tmp_path / "depth", tool="label_studio", task="depth")
    assert not (tmp_path / "depth").exists()
    assert export(project, tmp_path / "out", tool="label_studio").left["depth"]
    tasks = json.loads((tmp_path / "out/tasks.json").read_text())
    assert {task["data"]["task"] for task in tasks} == {"semseg"}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "README.txt",
        "config.xml",
        "images",
        "tasks.json",
    ]
    with pytest.raises(ProjectError, match="No request of 'normals' is open"):
        export(project, tmp_path / "none", tool="label_studio", task="normals")


def test_images_may_be_linked(project: ProjectFolder, made: Made, tmp_path: Path) -> None:
    export(project, tmp_path / "out", tool="label_studio", task="semseg", link=True)
    assert (tmp_path / "out/images/0000.jpg").is_symlink()


def test_an_export_is_recognised_with_its_time_as_file_and_as_folder(
    project: ProjectFolder, made: Made, tmp_path: Path
) -> None:
    out = answered(project, made, tmp_path / "out")
    elsewhere = tmp_path / "export.json"
    elsewhere.write_bytes(b"\xef\xbb\xbf" + (out / "answers.json").read_bytes())
    import_labels(project, elsewhere)
    found = {row.cell: row for row in project.store.cells() if row.cell.task == "semseg"}
    assert {row.state.name for row in found.values()} == {"LABELLED"}
    assert {(row.seconds, row.annotator) for row in found.values()} == {(12.5, "1")}
    before = states(project)
    import_labels(project, out)
    assert states(project) == before


def index_of(project: ProjectFolder) -> ProjectIndex:
    return ProjectIndex(project.store, project.tasks())


def test_a_request_without_an_answer_is_recognised_and_refused(
    project: ProjectFolder, tmp_path: Path
) -> None:
    export(project, tmp_path / "out", tool="label_studio", task="semseg")
    assert build().recognise(tmp_path / "out") is not None
    with pytest.raises(LabelError, match="No task in it has an annotation"):
        import_labels(project, tmp_path / "out")


def test_a_folder_of_no_export_is_refused_and_of_several_all_are_read(
    project: ProjectFolder, made: Made, tmp_path: Path
) -> None:
    out = answered(project, made, tmp_path / "out")
    first, second = json.loads((out / "answers.json").read_text())
    (out / "answers.json").write_text(json.dumps([first]))
    (out / "project-1.json").write_text(json.dumps([second]))
    assert build().recognise(out) is not None
    answers = build().receive(out, index_of(project))
    places = [f"answers.json task {first['id']}", f"project-1.json task {second['id']}"]
    assert sorted(label.where for label in answers.labels) == places and not answers.faults
    with pytest.raises(LabelError, match="holds no JSON files"):
        build().receive(tmp_path / "made", index_of(project))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[",
        "[1",
        "[1,]",
        "[1 2]",
        "[1] 2",
        '[{"id": 1}',
        "[" * 100_000,
        '["\ud800"',
        "[" + "9" * 5000 + "]",
    ],
)
def test_a_file_that_is_damaged_is_refused(
    project: ProjectFolder, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "export.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(LabelError, match="no JSON list of tasks"):
        build().receive(path, index_of(project))


def test_what_is_missing_or_a_pipe_is_refused(project: ProjectFolder, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("missing", "pipe"):
        assert build().recognise(tmp_path / name) is None
        with pytest.raises(LabelError, match="no JSON list"):
            build().receive(tmp_path / name, index_of(project))


@pytest.mark.parametrize(
    "tasks",
    [
        [{"data": {"image": "a.png"}}],
        [3],
        [{"data": {"request_id": "r1", "image_id": 3}}],
        {"a": 1},
    ],
)
def test_a_folder_with_tasks_of_others_is_left_alone(
    project: ProjectFolder, tmp_path: Path, tasks: Any
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/tasks.json").write_text(json.dumps(tasks))
    with pytest.raises(ProjectError, match="earlier request"):
        export(project, tmp_path / "out", tool="label_studio", task="semseg")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["tasks.json"]


def test_images_out_of_the_folder_are_not_removed(project: ProjectFolder, tmp_path: Path) -> None:
    """An earlier list of images is a file that somebody may have changed."""
    out = tmp_path / "out"
    out.mkdir()
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    name = "../../mine.txt"
    listed = [{"data": {"request_id": "r1", "image_id": name, "image": local_file(name)}}]
    (out / "tasks.json").write_text(json.dumps(listed))
    with suppress(LabelgridError):
        export(project, out, tool="label_studio", task="semseg")
    assert mine.read_text() == "mine"
