"""A project, its cells and what its methods return show themselves, in words and in a notebook."""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import labelgrid
from labelgrid.api.cells import ProjectCell
from labelgrid.api.contents import ChangedCells, ProjectContents
from labelgrid.basics.shown import Shown
from labelgrid.ledger.grid import Cell
from tests.pages import labelled_project, suspicious_project

#: What a picture of a page begins with.
PICTURE = '<img src="data:image/jpeg;base64,'


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[labelgrid.Project]:
    with labelgrid.Project.open(labelled_project(tmp_path_factory.mktemp("shown"))) as project:
        yield project


def returned() -> set[str]:
    """The names of the classes that methods of a project and of its cells return."""
    names = set()
    for owner in (labelgrid.Project, ProjectCell):
        for name, member in inspect.getmembers(owner, callable):
            if not name.startswith("_"):
                kind = str(inspect.signature(member).return_annotation)
                names |= set(re.findall(r"\b[A-Z]\w+", kind))
    return names


def test_all_that_methods_return_is_exported_and_shows_itself() -> None:
    others = {"None", "Any", "NDArray", "Self", "Path", "TaskDef", "OtherLabel", "CellNote"}
    assert returned() - others <= set(labelgrid.__all__)
    for name in returned() - others:
        kind = getattr(labelgrid, name)
        assert issubclass(kind, Shown) and kind.__repr__ in (
            Shown.__repr__,
            ProjectContents.__repr__,
        )
        assert kind.__str__ is not object.__str__, name


def test_every_class_that_is_exported_is_returned_or_made() -> None:
    classes = {name for name in labelgrid.__all__ if inspect.isclass(getattr(labelgrid, name))}
    made = {"LabelgridError", "Project", "Silent"}
    assert classes - made - {"AuditedLabel", "Pick"} <= returned()


def test_a_project_shows_its_counts_and_what_comes_next(project: labelgrid.Project) -> None:
    html = project._repr_html_()
    assert repr(project).startswith(f"<Project {project.folder}: 8 images (2 held out), 3 tasks")
    assert all(f">{task}</td>" in html for task in project.tasks)
    assert f"Next: {project.status()['next']}" in html


def test_a_project_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    project = labelgrid.Project.open(labelled_project(tmp_path, n=5))
    project.close()
    (project.folder / "labelgrid.db").write_bytes(b"no database")
    assert repr(project).startswith("<Project ") and "<p" in project._repr_html_()


def test_picks_are_photographs_with_their_tasks_and_reasons(project: labelgrid.Project) -> None:
    picked = project.query(4, strategy="random_cells", dry_run=True, new=True)
    images = {pick.cell.image_id for pick in picked.picks}
    html = picked._repr_html_()
    assert html.count(PICTURE) == len(images) and all(image in html for image in images)
    assert all(pick.why in html for pick in picked.picks)
    assert repr(picked).startswith(f"<QueryResult: Round {picked.round} (random_cells) picks ")
    assert repr(picked.picks[0]).startswith(f"<Pick: {picked.picks[0].cell.image_id}:")
    assert dataclasses.replace(picked, places={}) == picked


def test_a_photograph_that_is_gone_is_said_below_its_tasks(tmp_path: Path) -> None:
    with labelgrid.Project.open(labelled_project(tmp_path, n=5)) as project:
        picked = project.query(1, strategy="random_cells", dry_run=True, new=True)
        (image,) = picked.places
        root, _ = picked.places[image]
        Path(root, image).unlink()
        html = picked._repr_html_()
    assert PICTURE not in html and picked.picks[0].cell.task in html


def test_a_cell_is_its_photograph_below_its_label(project: labelgrid.Project) -> None:
    labelled = project.cells(state="labelled", task="semseg")[0]
    cell = project.cell((labelled["image"], "semseg"))
    html = cell._repr_html_()
    assert html.count(PICTURE) == 2 and "import" in html
    assert repr(cell) == f"<ProjectCell: {labelled['image']}:semseg, labelled.>"
    missing = project.cells(state="missing")[0]
    html = project.cell((missing["image"], missing["task"]))._repr_html_()
    assert html.count(PICTURE) == 1


def test_a_cell_of_a_removed_image_has_its_history(tmp_path: Path) -> None:
    with labelgrid.Project.open(labelled_project(tmp_path, n=5)) as project:
        labelled = project.cells(state="labelled", split="train")[0]
        project.remove([labelled["image"]])
        cell = project.cell((labelled["image"], labelled["task"]))
        assert "of a removed image" in repr(cell) and "import" in cell._repr_html_()


def test_an_audit_shows_the_doubtful_labels_and_their_pictures(tmp_path: Path) -> None:
    with labelgrid.Project.open(suspicious_project(tmp_path)) as project:
        audited = project.audit()
    doubtful = audited.doubtful()
    html = audited._repr_html_()
    assert PICTURE in html and all(label.image in html for label in doubtful)
    assert repr(audited).startswith(f"<Audited: Something speaks against {len(doubtful)} of ")
    assert repr(doubtful[0]).startswith(f"<AuditedLabel: {doubtful[0].image}:{doubtful[0].task}, ")


def test_results_say_in_words_what_happened(project: labelgrid.Project, tmp_path: Path) -> None:
    shown: list[Any] = [
        project.sheet(tmp_path / "sheet.png"),
        project.report(tmp_path / "report.html"),
        project.verify(),
        project.advise(),
        project.label((project.cells(state="labelled")[0]["image"], "semseg")),
    ]
    words = [
        "images with labels.",
        "Wrote ",
        "Read 8 images",
        "too early to say",
        "int64, valid at ",
    ]
    for each, word in zip(shown, words, strict=True):
        assert word in repr(each) and repr(each).startswith(f"<{type(each).__name__}: ")
        assert word.strip() in each._repr_html_()
    assert PICTURE in shown[0]._repr_html_()


def test_changed_cells_are_counted_and_the_first_are_named() -> None:
    cells = [Cell(f"{number}.png", "depth") for number in range(5)]
    changed = ChangedCells(cells, cells[:2])
    assert str(changed) == (
        "5 cells, 2 of them held out: 0.png:depth, 1.png:depth, 2.png:depth, and 2 more."
    )


def test_a_cell_that_was_found_is_a_cell_for_every_method(project: labelgrid.Project) -> None:
    name = next(row for row in project.cells(state="labelled"))
    found = project.cell(f"{name['image']}:{name['task']}")
    assert (found.image_id, found.task) == (name["image"], name["task"])
    assert {found, project.cell(found)} == {found}
    assert (project.label(found).value == found.label().value).all()
