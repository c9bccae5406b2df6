"""Laws of the control: two label sets that differ in who chose, the same answer after a kill, and refusals."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from labelgrid.advice import control_trainings, extra_trainings
from labelgrid.advice.control import ControlComparison, compare_with_control
from labelgrid.basics.errors import ProjectError, UsageError
from labelgrid.basics.progress import Progress, Silent
from labelgrid.basics.results import LOSS
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.project.cells.chosen_labels import chosen_labels
from labelgrid.project.folder import ProjectFolder
from labelgrid.rounds import query
from labelgrid.select.strategy import Budget
from labelgrid.train.plan import Plan
from tests.campaigns import snapshot
from tests.projects import Said, answer, make_project
from tests.rounds import QUICK, Killed, Killing, labelled, open_copy, with_control
from tests.support import Made

COVERS = [
    "labelgrid.advice.control",
    "labelgrid.advice.control_trainings",
    "labelgrid.advice.extra_trainings",
]


class Trainings:
    """Notes the plans of trainings."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plans: list[Plan] = []
        self._train = extra_trainings.train
        monkeypatch.setattr(extra_trainings, "train", self)

    def __call__(self, plan: Plan, folder: Path, progress: Progress) -> Path:
        self.plans.append(plan)
        return self._train(plan, folder, progress)


def compared(
    project: ProjectFolder, progress: Progress | None = None, seeds: int = 6
) -> ControlComparison:
    return compare_with_control(project, seeds, progress or Silent())


@dataclass(frozen=True)
class Finished:
    """A project whose picks were compared with its control: the trainings, what was said, the answer."""

    project: ProjectFolder
    trainings: Trainings
    said: Said
    result: ControlComparison


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Made]:
    """The folder of a project with bought labels, which no test changes."""
    project, made = with_control(tmp_path_factory.mktemp("bought"))
    with project:
        return project.folder, made


def quick_copy(folder: Path, target: Path) -> ProjectFolder:
    """A copy of a project whose later trainings are quick, too."""
    project = open_copy(folder, target)
    project.settings = replace(project.settings, changes=QUICK)
    return project


@pytest.fixture
def bought(first: tuple[Path, Made], tmp_path: Path) -> Iterator[tuple[ProjectFolder, Made]]:
    """A test's own copy of that project."""
    folder, made = first
    with quick_copy(folder, tmp_path / "flat") as project:
        yield project, made


@pytest.fixture(scope="module")
def finished(
    first: tuple[Path, Made], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Finished]:
    """The comparison of that project, which no test changes."""
    folder = tmp_path_factory.mktemp("finished") / "flat"
    said = Said()
    with pytest.MonkeyPatch.context() as patch, quick_copy(first[0], folder) as project:
        trainings = Trainings(patch)
        result = compared(project, said)
        patch.undo()
        yield Finished(project, trainings, said, result)


def learned(plan: Plan) -> set[Cell]:
    """The cells that a training learns from."""
    learn = set(plan.train)
    return {
        Cell(image_id, task)
        for image_id, tasks in plan.labels.items()
        if image_id in learn
        for task in tasks
    }


def counts(cells: Sequence[Cell] | set[Cell]) -> Counter[str]:
    return Counter(cell.task for cell in cells)


def changed(project: ProjectFolder, **train: Any) -> None:
    """Change the recipe of later trainings."""
    changes = project.settings.changes
    project.settings = replace(
        project.settings, changes={**changes, "train": {**changes["train"], **train}}
    )


def test_the_two_sets_differ_in_who_chose_and_in_nothing_else(
    finished: Finished,
) -> None:
    project, result = finished.project, finished.result
    chosen = chosen_labels(project)
    picks, control = set(chosen.picks), set(chosen.control)
    everything = {row.cell for row in project.store.cells(state=State.LABELLED, splits=("train",))}
    plans = finished.trainings.plans
    assert len(plans) == 12 and result.shared == len(everything) - len(picks) - len(control)
    expected = {row.task: row.compared for row in result.labels if row.compared}
    assert sum(expected.values()) >= 2 and result.strategies == ["random_tasks"]
    for first, second in zip(plans[::2], plans[1::2], strict=True):
        shared = everything - picks - control
        assert learned(first) - picks == shared == learned(second) - control
        assert counts(learned(first) & picks) == expected == counts(learned(second) & control)
        assert first.seed == second.seed and first.previous() is None
    assert len({plan.seed for plan in plans}) == 6
    drawn = {frozenset(learned(plan) & control) for plan in plans[1::2]}
    assert len(drawn) > 1  # of 7 labels of the control, 4 at most: another draw for each seed


def test_wrong_labels_of_the_picks_cost(tmp_path: Path) -> None:
    project, _ = with_control(tmp_path, n=22, tasks=("depth",))
    with project:
        changed(project, epochs=16, batch=2, learning_rate=7e-3)
        definition = project.tasks()["depth"]
        for cell in chosen_labels(project).picks:
            row = project.store.find([cell])[cell]
            label = definition.read(project.inside(row.path))
            target = (tmp_path / "wrong" / "depth" / cell.image_id).with_suffix(".png")
            target.parent.mkdir(parents=True, exist_ok=True)
            definition.write(target, replace(label, value=label.value * 0.05))
        import_labels(project, tmp_path / "wrong", replace=True, accept=True)
        result = compared(project)
    assert result.answer == "cost" and result.text.startswith("The picks cost: loss_mtl is ")
    loss, depth = result.measures
    assert (loss.name, depth.name, depth.metric) == (LOSS, "depth", "RMSE")


def test_a_finished_training_is_kept_and_only_further_seeds_are_trained(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = finished.result
    with quick_copy(finished.project.folder, tmp_path / "flat") as project:
        left = project.folder / "control" / "seed-1-picks" / "fit"
        left.mkdir()  # killed before it was removed
        trainings = Trainings(monkeypatch)
        assert compared(project) == result and not trainings.plans
        more = compared(project, seeds=7)
        assert len(trainings.plans) == 2 and more.measures[0].picks[:6] == result.measures[0].picks
        assert not list((project.folder / "control").glob("*/fit"))  # the weights are not needed


def test_another_recipe_or_another_label_starts_anew(
    first: tuple[Path, Made], finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = first[1]
    with quick_copy(finished.project.folder, tmp_path / "flat") as project:
        trainings = Trainings(monkeypatch)
        changed(project, learning_rate=1e-3)
        compared(project)
        assert len(trainings.plans) == 12
        held = next(iter(project.store.images(("heldout",)))).image_id
        other = next(name for name in made.names if name != held)
        definition = project.tasks()["depth"]
        label = definition.read(made.label(held, "depth"))
        target = (tmp_path / "new" / "depth" / held).with_suffix(".png")
        target.parent.mkdir(parents=True)
        definition.write(target, replace(label, value=label.value * 0.9))
        import_labels(project, tmp_path / "new", replace=True, accept=True)
        assert other and compared(project).seeds == 6 and len(trainings.plans) == 24


def test_a_killed_comparison_resumes_to_the_same_answer_and_changes_nothing_of_the_rounds(
    bought: tuple[ProjectFolder, Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, _ = bought
    changed(project, epochs=2)
    before = snapshot(project)
    undisturbed = compared(project)
    extra_trainings.remove_folder(project.folder / control_trainings.FOLDER)
    with pytest.raises(Killed):
        compared(project, Killing(4))
    said = Said()
    trainings = Trainings(monkeypatch)
    assert compared(project, said) == undisturbed
    assert any(line.startswith("Resuming after epoch") for line in said.lines)
    assert len(trainings.plans) < 12
    extra_trainings.remove_folder(project.folder / control_trainings.FOLDER)
    assert snapshot(project) == before


def test_it_is_said_how_long_the_trainings_take(finished: Finished) -> None:
    lines = [line for line in finished.said.lines if line.startswith("Training ")]
    assert len(lines) == 12 and lines[0] == "Training 1 of 12: seed 1, picks."
    assert lines[-1].startswith("Training 12 of 12: seed 6, control; ")
    assert lines[-1].endswith(" s to go.")


def test_a_task_that_only_the_control_has_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, _ = with_control(tmp_path, strategy="random_tasks")
    with project:
        depth = {cell for cell in chosen_labels(project).picks if cell.task == "depth"}
        steps = [Move(cell=cell, to=State.MISSING, why="wrong") for cell in sorted(depth)]
        project.store.move(steps)
        said = Said()
        trainings = Trainings(monkeypatch)
        result = compared(project, said)
        control = set(chosen_labels(project).control)
    rows = {row.task: row for row in result.labels}
    assert rows["depth"].compared == rows["depth"].picks == 0 < rows["depth"].control
    assert any(line.startswith("depth is left out: 0 picks and ") for line in said.lines)
    assert all(counts(learned(plan) & control)["depth"] == 0 for plan in trainings.plans)


def test_no_training_learns_from_a_val_image_and_all_have_the_same(
    bought: tuple[ProjectFolder, Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, _ = bought
    changed(project, val_share=0.3)
    trainings = Trainings(monkeypatch)
    result = compared(project)
    val = set(trainings.plans[0].val)
    assert val and all(set(plan.val) == val for plan in trainings.plans)
    assert not any({cell.image_id for cell in learned(plan)} & val for plan in trainings.plans)
    inside = chosen_labels(project).within({cell.image_id for cell in chosen_labels(project).picks})
    assert sum(row.picks for row in result.labels) < len(inside.picks)


def test_what_cannot_be_compared_is_refused_with_the_next_step(tmp_path: Path) -> None:
    project, made = labelled(tmp_path, images=3, tasks=("depth",), n=14)
    with project:
        with pytest.raises(UsageError, match=r"With 5 seeds no difference.*\n.*--seeds 6"):
            compared(project, seeds=5)
        with pytest.raises(ProjectError, match=r"was drawn as a control.*\n.*--control 20%"):
            compared(project)
        query.query(project, Budget(4), Silent(), control="50%", prelabels=False)
        with pytest.raises(ProjectError, match=r"control.*\n.*Import the labels of the control"):
            compared(project)
        answer(project, made)
        with pytest.raises(ProjectError, match=r"since there was a model.*\n.*labelgrid fit"):
            compared(project)
        assert not (project.folder / "control").exists()


def test_without_held_out_labels_nothing_is_trained(tmp_path: Path) -> None:
    project, _ = make_project(tmp_path, tasks=("depth",))
    with project, pytest.raises(ProjectError, match=r"held-out image(.|\n)*labelgrid export"):
        compared(project)
    none, _ = make_project(tmp_path / "none", tasks=("depth",), holdout=0)
    with none, pytest.raises(ProjectError, match=r"held-out image(.|\n)*add .*--holdout"):
        compared(none)


def test_one_label_in_common_is_too_few(bought: tuple[ProjectFolder, Made]) -> None:
    project, _ = bought
    kept = min(chosen_labels(project).picks)
    gone = [cell for cell in chosen_labels(project).picks if cell != kept]
    project.store.move([Move(cell=cell, to=State.MISSING, why="wrong") for cell in gone])
    with pytest.raises(ProjectError, match=r"fewer than 2 labels of the same tasks: the picks 1 "):
        compared(project)
