"""Fixtures of tests on requests and answers: a small project, and an answered request in it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from labelgrid.campaign.exporting import export
from labelgrid.campaign.project import Project
from tests.campaigns import ask, cells_of, fill, make_project
from tests.support import Made


@pytest.fixture
def data(made: Callable[..., Made]) -> Made:
    return made(n=3, tasks=("semseg", "depth"), size=(16, 24))


@pytest.fixture
def project(data: Made, tmp_path: Path) -> Iterator[Project]:
    with make_project(tmp_path / "project", data) as project:
        yield project


@pytest.fixture
def answered(project: Project, data: Made) -> Path:
    """A request of all cells in round 2, exported and filled."""
    ask(project, cells_of(data), number=2)
    (folder,) = export(project).folders
    fill(data, folder)
    return folder
