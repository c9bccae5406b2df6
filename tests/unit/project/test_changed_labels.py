"""Labels that changed since a training learned from them are counted, and come first."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from labelgrid.advice.advise import advise
from labelgrid.basics import files
from labelgrid.basics.progress import Silent
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import Cell, State
from labelgrid.operations.cancel import unlabel
from labelgrid.operations.next_step import next_step
from labelgrid.operations.undo import undo
from labelgrid.project.changed_labels import changed_labels, changed_text, unseen_labels
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import Fit, newest_fit, write_fit
from labelgrid.rounds.query import query
from labelgrid.select.strategy import Budget
from tests.projects import answer, make_project
from tests.support import Made


@pytest.fixture
def trained(tmp_path: Path) -> tuple[ProjectFolder, Made]:
    """A project with labels of depth, and the record of a training on them in its open round."""
    project, made = make_project(tmp_path, n=10, tasks=("depth",), strategy="random_cells")
    query(project, Budget(4), Silent(), prelabels=False)
    answer(project, made)
    number = project.open_round().number
    fit = Fit(
        round=number,
        checkpoint="last.ckpt",
        model="m",
        recipe={},
        seed=0,
        trained=["depth"],
        images=4,
        labels={"depth": 4},
        spent=4.0,
        event=project.store.last_event(),
    )
    project.round_folder(number).mkdir(parents=True, exist_ok=True)
    write_fit(project.round_folder(number), fit)
    return project, made


def labelled(project: ProjectFolder, split: str = "train") -> list[Cell]:
    return [row.cell for row in project.store.cells(state=State.LABELLED, splits=(split,))]


def replace_label(project: ProjectFolder, cell: Cell, folder: Path, hidden: int = 2) -> None:
    row = project.store.find([cell])[cell]
    target = (folder / cell.task / cell.image_id).with_suffix(".png")
    target.parent.mkdir(parents=True)
    definition = project.tasks()[cell.task]
    label = definition.read(project.inside(row.path))
    label.valid[:hidden] = False
    definition.write(target, label)
    import_labels(project, folder, replace=True, accept=True)


def count(project: ProjectFolder) -> int:
    fit = newest_fit(project.folder)
    assert fit is not None
    return changed_labels(project, fit)


def test_a_replaced_label_is_counted_and_a_training_is_the_next_step(
    trained: tuple[ProjectFolder, Made], tmp_path: Path
) -> None:
    project, _ = trained
    with project:
        assert count(project) == 0 and next_step(project).command == "query"
        replace_label(project, labelled(project)[0], tmp_path / "fix")
        step = next_step(project)
        assert (count(project), step.command) == (1, "fit")
        assert step.why == (
            "1 label has changed since round 2 was trained on it. Train again, and measure."
        )
        first = advise(project).advice[0]
        assert first.topic == "first" and first.text.startswith("1 label has changed since")
        assert first.command == f"labelgrid fit {project.folder}" and first.command in first.text


def test_without_networks_the_advice_to_train_names_two_commands_and_has_one_that_runs(
    trained: tuple[ProjectFolder, Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, _ = trained
    monkeypatch.setattr(files, "TRAINING", ("labelgrid_has_no_such_package",))
    with project:
        replace_label(project, labelled(project)[0], tmp_path / "fix")
        first, *others = advise(project).advice
    assert first.command == f"labelgrid fit {project.folder}"
    assert f" `{files.INSTALL}`, then `{first.command}` trains again" in first.text
    assert all(other.topic != "first" for other in others)


def test_a_replacement_that_is_undone_changes_nothing(
    trained: tuple[ProjectFolder, Made], tmp_path: Path
) -> None:
    project, _ = trained
    with project:
        replace_label(project, labelled(project)[0], tmp_path / "fix")
        undo(project, Silent())
        assert count(project) == 0 and next_step(project).command == "query"


def test_a_withdrawn_label_counts_and_a_new_or_heldout_one_does_not(
    trained: tuple[ProjectFolder, Made], tmp_path: Path
) -> None:
    project, made = trained
    with project:
        replace_label(project, labelled(project, "heldout")[0], tmp_path / "held")
        query(project, Budget(2), Silent(), prelabels=False)
        answer(project, made)
        assert count(project) == 0
        for cell in labelled(project):
            unlabel(project, [f"{cell.image_id}:{cell.task}"])
        assert count(project) == 4


def test_labels_that_came_after_the_open_round_was_trained_come_first(
    trained: tuple[ProjectFolder, Made], tmp_path: Path
) -> None:
    project, made = trained
    with project:
        held = {row.cell.image_id for row in project.store.cells(splits=("heldout",))}
        known = {cell.image_id for cell in labelled(project)}
        late = [name for name in made.names if name not in held | known][:2]
        for name in late:
            target = (tmp_path / "late" / "depth" / name).with_suffix(".png")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(made.label(name, "depth"), target)
        assert all(row.topic != "first" for row in advise(project).advice)
        import_labels(project, tmp_path / "late", accept=True)
        fit = newest_fit(project.folder)
        assert fit is not None
        assert (unseen_labels(project, fit), count(project)) == (2, 0)
        assert unseen_labels(project, replace(fit, event=None)) == 0
        first = advise(project).advice[0]
        assert first.topic == "first" and first.command == f"labelgrid fit {project.folder}"
        assert first.text.startswith("2 labels came after round 2 was trained.")
        assert next_step(project).command == "query"


def test_an_older_record_says_nothing(trained: tuple[ProjectFolder, Made], tmp_path: Path) -> None:
    project, _ = trained
    with project:
        replace_label(project, labelled(project)[0], tmp_path / "fix")
        fit = newest_fit(project.folder)
        assert fit is not None and changed_text(project, fit)
        assert changed_text(project, replace(fit, event=None)) == ""
