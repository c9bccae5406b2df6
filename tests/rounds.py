"""What tests of rounds share: a labelled project, a training killed in a step and resumed, and a whole round."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labelgrid.basics.progress import Silent
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import Fit, newest_fit
from labelgrid.rounds import fit, query
from labelgrid.select.strategy import Budget
from tests.projects import answer, make_project
from tests.support import Made

#: Changes to train quickly, where networks do not matter: a checkpoint of few tensors, written once.
QUICK: dict[str, Any] = {
    "network": {"name": "shared_heads", "options": {}},
    "train": {"epochs": 1},
}


class Killed(BaseException):
    """Ends a command where it stands."""


class Killing(Silent):
    """Kills the training in a step."""

    def __init__(self, step: int) -> None:
        self.left, self.what = step, ""

    def start(self, what: str, total: int, unit: str) -> None:
        self.what = what

    def advance(self, amount: int = 1, note: str = "") -> None:
        self.left -= self.what == "Training"
        if not self.left:
            raise Killed


def labelled(folder: Path, images: int = 5, **options: Any) -> tuple[ProjectFolder, Made]:
    """A project of which so many images are labelled, whole, and nothing is trained."""
    project, made = make_project(folder, **options)
    tasks = len(project.tasks())
    query.query(project, Budget(images * tasks), Silent())
    answer(project, made)
    return project, made


def with_control(folder: Path, **options: Any) -> tuple[ProjectFolder, Made]:
    """A project with first labels, a quick model, and a round of picks beside a control, all answered.

    Each round drew half of its labels as a control; later trainings are quick, too.
    """
    words = {"n": 14, "strategy": "random_tasks", "tasks": ("semseg", "depth"), **options}
    project, made = make_project(folder, **words)
    project.settings = replace(project.settings, changes=QUICK)
    query.query(project, Budget(6), Silent(), control="50%", prelabels=False)
    answer(project, made)
    fit.fit(project, Silent())
    query.query(project, Budget(8), Silent(), control="50%", prelabels=False)
    answer(project, made)
    return project, made


def copied(project: ProjectFolder, folder: Path) -> ProjectFolder:
    """Another project like it."""
    return open_copy(project.folder, folder)


def open_copy(source: Path, target: Path) -> ProjectFolder:
    """Another project like the one in a folder, which no process may be changing."""
    return ProjectFolder.open(shutil.copytree(source, target))


def fit_killed(project: ProjectFolder, changes: dict[str, Any], step: int) -> Fit:
    """Train a round, killed in an optimiser step and resumed."""
    with pytest.raises(Killed):
        fit.fit(project, Killing(step), changes=changes)
    return fit.fit(project, Silent(), changes=changes)


def whole_round(
    folder: Path, changes: dict[str, Any], step: int = 3, **options: Any
) -> tuple[ProjectFolder, Made]:
    """Query, import, fit, score, query: the training is killed in a step and resumed, and is what it is without that.

    Returns:
        the project and its made labels, the second query's requests open.
    """
    project, made = labelled(folder, **options)
    with copied(project, folder / "twin" / "flat") as twin:
        undisturbed = fit.fit(twin, Silent(), changes=changes)
    resumed = fit_killed(project, changes, step)
    assert resumed.model == undisturbed.model and newest_fit(project.folder) == resumed
    assert query.query(project, Budget(4), Silent()).picks
    return project, made
