"""What tests of the page share: a project with some labels, and a client that talks to its application."""

import atexit
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

from starlette.testclient import TestClient

from labelgrid.basics.progress import Silent
from labelgrid.ledger.grid import Cell
from labelgrid.operations.cancel import unlabel
from labelgrid.project.folder import ProjectFolder
from labelgrid.rounds import query
from labelgrid.select.strategy import Budget
from labelgrid.web.app import build_app
from labelgrid.web.guard import Access
from tests.projects import answer, make_project

HOST = "http://127.0.0.1:8000"


def labelled_project(folder: Path, *, n: int = 8) -> Path:
    """A project whose held-out images and two training images have all labels; two cells are requested."""
    return _copied(_labelled(n), folder)


def suspicious_project(folder: Path) -> Path:
    """A project in which the depth of two training images was exchanged."""
    return _copied(_suspicious(), folder)


def _copied(made: Path, folder: Path) -> Path:
    """A copy of a project with its images: it knows its own files alone."""
    shutil.copytree(made.parent, folder, dirs_exist_ok=True)
    project = folder / made.name
    settings = project / "labelgrid.toml"
    settings.write_text(settings.read_text().replace(str(made.parent), str(folder.absolute())))
    with closing(sqlite3.connect(project / "labelgrid.db")) as ledger, ledger:
        there = (str(made.parent), str(folder.absolute()))
        ledger.execute("UPDATE images SET root = replace(root, ?, ?)", there)
    return project


def _kept() -> Path:
    """A folder that goes when the tests end."""
    folder = tempfile.mkdtemp(prefix="labelgrid-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@cache
def _labelled(n: int) -> Path:
    project, made = make_project(_kept(), n=n, strategy="random_cells")
    with project:
        query.query(project, Budget(2, "images"), Silent(), strategy="random_images")
        answer(project, made)
        query.query(project, Budget(2), Silent(), new=True)
        return project.folder


@cache
def _suspicious() -> Path:
    project, made = make_project(_kept(), n=24, strategy="random_cells")
    one, other = (made.label(made.names[number], "depth") for number in (5, 11))
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)
    with project:
        query.query(project, Budget(22, "images"), Silent(), strategy="random_images")
        answer(project, made)
        return project.folder


@contextmanager
def client_of(folder: Path, access: Access | None = None, host: str = HOST) -> Iterator[TestClient]:
    """A client that follows no redirect."""
    app = build_app(folder, access)
    with TestClient(app, base_url=host, follow_redirects=False) as client:
        yield client


def cell_in(folder: Path, state: str, task: str = "") -> str:
    """A cell in a state, as `IMAGE:TASK`."""
    from labelgrid.api.reader import ProjectReader

    with ProjectReader.open(folder) as project:
        rows = project.cells(state=state, task=task or None)
    row = next(row for row in rows if row["split"] == "train")
    return f"{row['image']}:{row['task']}"


def take_back(folder: Path, cell: str) -> list[Cell]:
    """What somebody else does meanwhile."""
    with ProjectFolder.open(folder) as project:
        return unlabel(project, [cell])
