"""Fixtures of tests on requests and answers: a small project, and an answered request in it."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from labelgrid.basics.progress import Silent
from labelgrid.operations import create
from labelgrid.operations.export import export
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.settings import Settings
from tests.campaigns import DEPTH, NORMALS, Make, ask, cells_of, fill, make_project
from tests.support import Made


@pytest.fixture
def data(made: Callable[..., Made]) -> Made:
    return made(n=3, tasks=("semseg", "depth"), size=(16, 24))


@pytest.fixture
def project(data: Made, tmp_path: Path) -> Iterator[ProjectFolder]:
    with make_project(tmp_path / "project", data) as project:
        yield project


@pytest.fixture
def answered(project: ProjectFolder, data: Made) -> Path:
    """A request of all cells in round 2, exported and filled."""
    ask(project, cells_of(data), number=2)
    (folder,) = export(project).folders
    fill(data, folder)
    return folder


@pytest.fixture
def photos(made: Callable[..., Made]) -> Made:
    """Twelve images, three a folder."""
    return made(n=12, size=(8, 12), tasks=(), group=3)


@pytest.fixture
def make(photos: Made, tmp_path: Path) -> Make:
    def made(
        name: str = "flat",
        images: Sequence[Path] = (),
        seed: int = 0,
        group: str = "",
        **options: Any,
    ) -> ProjectFolder:
        places, settings = list(images) or [photos.images], Settings(seed=seed, group=group)
        return create.create(
            tmp_path / name,
            places,
            tasks=[DEPTH, NORMALS],
            settings=settings,
            progress=Silent(),
            **options,
        )

    return made
