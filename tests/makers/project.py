"""Tells the laws of a model for the maker `project`: a project that has learned classes and normals."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from labelgrid.testing.scenes import Made


def model(folder: Path, made: Made) -> Path:
    del folder, made
    return trained()


@cache
def trained() -> Path:
    """The folder of a project with a network, trained once."""
    return _trained("semseg", "normals")


@cache
def with_distances() -> Path:
    """The same with depth."""
    return _trained("depth")


def _trained(*tasks: str) -> Path:
    from labelgrid.basics.progress import Silent
    from labelgrid.rounds import fit, query
    from labelgrid.select.strategy import Budget
    from tests.projects import answer, make_project

    project, made = make_project(
        Path(mkdtemp(prefix="labelgrid-trained-")), n=4, holdout=0, tasks=tasks
    )
    with project:
        query.query(project, Budget(2, "images"), Silent(), strategy="random_images")
        answer(project, made)
        fit.fit(project, Silent(), changes={"train": {"epochs": 1}})
        return project.folder
