"""Laws of an audit: planted wrong labels come first, each is judged by a network that did not learn it, nothing else changes."""

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from labelgrid.advice import extra_trainings
from labelgrid.audit import audit_folds
from labelgrid.audit.audit import Audited, audit
from labelgrid.basics import files
from labelgrid.basics.errors import ProjectError, UsageError
from labelgrid.basics.processes import cores
from labelgrid.basics.progress import Progress, Silent
from labelgrid.drawings.label_sheet import SheetTask
from labelgrid.evidence import doubt_sheet
from labelgrid.executors.places.processes import Processes
from labelgrid.executors.share import Share
from labelgrid.executors.workplace import JOBS, Workplace
from labelgrid.imports.import_labels import import_labels
from labelgrid.ledger.grid import Cell, State
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.known_labels import ProjectLabels
from labelgrid.project.label_losses import label_losses
from labelgrid.rounds import fit
from labelgrid.rounds.shard_scorer import PRELOADED
from labelgrid.train.plan import Plan
from tests.campaigns import make_project as plain_project
from tests.campaigns import snapshot
from tests.projects import answer, make_project
from tests.rounds import Killed, Killing, labelled
from tests.support import Made, make_dataset

COVERS = [
    "labelgrid.audit.audit",
    "labelgrid.audit.audit_folds",
]
TASKS = ("semseg", "depth", "normals", "edges")


def exchange(made: Made, task: str, one: int, other: int) -> set[str]:
    """Exchange the labels of two images; returns these."""
    names = made.names[one], made.names[other]
    first, second = (made.label(name, task) for name in names)
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    return set(names)


def mirror(made: Made, task: str, number: int) -> str:
    path = made.label(made.names[number], task)
    with Image.open(path) as picture:
        mirrored = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    mirrored.save(path)
    return made.names[number]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ProjectFolder, Audited]]:
    """A project with wrong labels, and its audit."""
    folder = tmp_path_factory.mktemp("audit")
    made = make_dataset(folder / "made", n=48, size=(120, 160), tasks=TASKS)
    exchange(made, "semseg", 3, 17)
    mirror(made, "depth", 5)
    exchange(made, "normals", 8, 20)
    made.label(made.names[11], "edges").write_bytes(
        made.label(made.names[25], "edges").read_bytes()
    )
    with plain_project(folder / "flat", made) as project:
        import_labels(project, made.labels, accept=True)
        yield project, audit(project, 0, Silent())


def reasons(audited: Audited, number: int, task: str) -> str:
    for label in audited.labels:
        if (label.image, label.task) == (f"{number:04}.jpg", task):
            return "; ".join(label.reasons)
    raise AssertionError


@pytest.mark.parametrize(
    ("task", "numbers", "reason"),
    [
        ("semseg", (3, 17), "its outlines do not follow the image's edges"),
        ("depth", (5,), "mirrored left to right"),
        ("normals", (8, 20), "its outlines do not follow the image's edges"),
        ("edges", (11, 25), "the same file is the label of 00"),
    ],
)
def test_planted_labels_are_the_first_of_their_task_with_the_reason(
    planted: tuple[ProjectFolder, Audited], task: str, numbers: tuple[int, ...], reason: str
) -> None:
    _, audited = planted
    first = [label.image for label in audited.labels if label.task == task and label.place <= 3]
    assert {f"{number:04}.jpg" for number in numbers} <= set(first)
    assert all(reason in reasons(audited, number, task) for number in numbers)


def test_the_table_holds_every_label_and_the_sheet_is_a_picture(
    planted: tuple[ProjectFolder, Audited],
) -> None:
    project, audited = planted
    with audited.table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(audited.labels) == 48 * len(TASKS)
    assert [row["image"] for row in rows] == [label.image for label in audited.labels]
    assert all((project.folder / row["path"]).is_file() for row in rows)
    assert audited.sheet == project.folder / "audit.png"
    with Image.open(audited.sheet) as sheet:
        assert sheet.width >= 1400 and sheet.height > 1000


def test_below_the_sheet_is_what_the_colours_of_its_tasks_mean(
    planted: tuple[ProjectFolder, Audited], monkeypatch: pytest.MonkeyPatch
) -> None:
    project, _ = planted
    told: list[SheetTask] = []
    drawn = doubt_sheet.label_sheet
    monkeypatch.setattr(
        doubt_sheet,
        "label_sheet",
        lambda *given, legends: told.extend(legends) or drawn(*given, legends=legends),
    )
    doubtful = {Cell("0001.jpg", task): ["odd"] for task in ("semseg", "depth")}
    doubt_sheet.draw_doubtful(ProjectLabels(project), doubtful, {}, 2)
    semseg, depth = told
    names = {name for _, name in semseg.legend.swatches}
    assert names and names <= set(project.tasks()["semseg"].class_names)
    assert depth.legend.scale is not None and depth.legend.ends == ("near", "far")


def test_a_label_that_cannot_be_read_is_listed_and_stops_nothing(tmp_path: Path) -> None:
    made = make_dataset(tmp_path / "made", n=4, size=(96, 128), tasks=("depth",))
    with plain_project(tmp_path / "flat", made) as project:
        import_labels(project, made.labels)
        row = project.store.find([Cell("0001.jpg", "depth")])[Cell("0001.jpg", "depth")]
        project.inside(row.path).write_bytes(b"")
        audited = audit(project, 0, Silent())
    assert audited.unread == ["0001.jpg:depth"] and len(audited.labels) == 3


def test_the_picture_of_an_earlier_audit_is_removed_when_nothing_is_doubted(
    tmp_path: Path,
) -> None:
    made = make_dataset(tmp_path / "made", n=2, size=(96, 128), tasks=("depth",))
    with plain_project(tmp_path / "flat", made) as project:
        import_labels(project, made.labels)
        earlier = project.folder / "audit.png"
        earlier.write_bytes(b"of an earlier audit")
        audited = audit(project, 0, Silent())
    assert audited.sheet is None and not earlier.exists()


def test_a_project_without_labels_is_refused(tmp_path: Path) -> None:
    made = make_dataset(tmp_path / "made", n=2, tasks=("depth",))
    project = plain_project(tmp_path / "flat", made)
    with project, pytest.raises(ProjectError, match="no label to audit"):
        audit(project, 0, Silent())


class Trainings:
    """Notes the plans of trainings."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plans: list[Plan] = []
        self._train = extra_trainings.train
        monkeypatch.setattr(extra_trainings, "train", self)

    def __call__(self, plan: Plan, folder: Path, progress: Progress) -> Path:
        self.plans.append(plan)
        return self._train(plan, folder, progress)


def losses(
    project: ProjectFolder, folds: int, progress: Progress | None = None
) -> Mapping[Cell, Any]:
    evidence, pictures = audit_folds.fold_evidence(project, folds, progress or Silent())
    assert all(path.is_file() for path in pictures.values()) and pictures.keys() == evidence.keys()
    return {cell: (one.value, one.text) for cell, one in evidence.items()}


def test_each_label_is_judged_once_by_a_network_that_did_not_learn_from_its_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, _ = labelled(tmp_path, images=6)
    with project:
        fit.fit(project, Silent())  # a model of the rounds, which learned from all
        trainings = Trainings(monkeypatch)
        found = losses(project, 3)
        everything = {row.cell for row in project.store.cells() if row.path}
        seen = [image for plan in trainings.plans for image in plan.train]
        images = {cell.image_id for cell in everything}
        trained = images & set(seen)
        assert found.keys() == everything and len(trainings.plans) == 3
        assert all(seen.count(image) == 2 for image in trained)  # left out of its own fold
        assert all(plan.previous() is None for plan in trainings.plans)
        assert losses(project, 3) == found and len(trainings.plans) == 3  # kept, not trained again


def test_networks_that_are_trained_elsewhere_say_the_same_and_shares_are_put_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, _ = labelled(tmp_path, images=6, tasks=("depth",))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with project:
        folder = project.folder / audit_folds.FOLDER
        expected = losses(project, 3)
        told = {path.parent.name: path.read_bytes() for path in folder.glob("*/labels.json")}
        extra_trainings.remove_folder(folder)
        for index in (0, 1):
            there = Processes(PRELOADED, cores(), Share(index, 2))
            audited = audit(project, 3, Silent(), workplace=Workplace(there))
            assert not audited.labels and not audited.table.exists()
        trainings = Trainings(monkeypatch)
        audited = audit(project, 3, Silent(), workplace=Workplace(Processes(PRELOADED, cores())))
        assert audited.labels and not trainings.plans
        assert {path.parent.name: path.read_bytes() for path in folder.glob("*/*.json")} == told
        assert not (folder / JOBS).exists()
        assert losses(project, 3) == expected
    torch.set_num_threads(threads)


def test_images_of_a_group_and_copies_of_an_image_are_in_one_fold(tmp_path: Path) -> None:
    project, made = make_project(tmp_path, n=16, tasks=("depth",))
    with project:
        rows = {row.image_id: row for row in project.store.images()}
        one, copy, beside, *others = made.names
        project.store.update_images(
            [
                replace(rows[copy], digest=rows[one].digest, group="place"),
                replace(rows[beside], group="place"),
            ]
        )
        fold_of = audit_folds._draw_folds(project, made.names, 8)
    assert fold_of[one] == fold_of[copy] == fold_of[beside]
    assert len({fold_of[name] for name in others}) > 4


def test_a_killed_audit_resumes_and_finds_the_same_and_changes_nothing_of_the_rounds(
    tmp_path: Path,
) -> None:
    project, _ = labelled(tmp_path, images=5, tasks=("semseg",))
    with project:
        before = snapshot(project)
        undisturbed = losses(project, 2)
        extra_trainings.remove_folder(project.folder / audit_folds.FOLDER)
        with pytest.raises(Killed):
            losses(project, 2, Killing(3))
        assert losses(project, 2) == undisturbed
        audited = audit(project, 2, Silent())
        rows = list(project.store.cells(state=State.LABELLED))
        kept = label_losses(project, "semseg", [row.digest for row in rows])
        expected = [math.exp(undisturbed[row.cell][0]) for row in rows]
        assert kept.tolist() == pytest.approx(expected)
        for path in (audited.table, project.folder / "audit.png"):
            path.unlink(missing_ok=True)
        extra_trainings.remove_folder(project.folder / audit_folds.FOLDER)
        assert snapshot(project) == before


def test_changed_labels_are_judged_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, made = labelled(tmp_path, images=5, tasks=("depth",))
    with project:
        found = losses(project, 2)
        cell = next(iter(found))
        folder = tmp_path / "new" / "depth"
        folder.mkdir(parents=True)
        other = next(name for name in made.names if name[:4] != cell.image_id[:4])
        with (
            Image.open(made.label(cell.image_id, "depth")) as own,
            Image.open(made.label(other, "depth")) as wrong,
        ):
            label = wrong.resize(own.size, Image.Resampling.NEAREST)
        label.save((folder / cell.image_id).with_suffix(".png"))
        import_labels(project, folder.parent, replace=True, accept=True)
        trainings = Trainings(monkeypatch)
        assert losses(project, 2)[cell] != found[cell] and trainings.plans


class Started(Silent):
    """Keeps which steps began."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def start(self, what: str, total: int, unit: str) -> None:
        self.steps.append(what)


def test_without_networks_folds_are_refused_before_a_label_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, made = make_project(tmp_path, n=6)
    answer(project, made)
    monkeypatch.setattr(files, "TRAINING", ("labelgrid_has_no_such_package",))
    progress = Started()
    with project, pytest.raises(ProjectError, match="base install leaves out"):
        audit(project, 2, progress)
    assert progress.steps == []


def test_one_fold_is_refused(tmp_path: Path) -> None:
    project, _ = labelled(tmp_path, images=3, tasks=("depth",))
    with project, pytest.raises(UsageError, match="leaves nothing to learn from"):
        audit(project, 1, Silent())


def test_too_few_labels_for_the_folds_are_refused(tmp_path: Path) -> None:
    project, _ = make_project(tmp_path, tasks=("depth",))
    with project, pytest.raises(ProjectError, match="no label"):
        audit(project, 3, Silent())
