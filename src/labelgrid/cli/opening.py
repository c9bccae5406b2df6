"""Opens the project that a command is about."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from labelgrid.cli import screen

if TYPE_CHECKING:
    from labelgrid.api.project import Project


@contextmanager
def open_project(folder: Path) -> "Iterator[Project]":
    """Open a project whose long work shows its progress, and close it at the end."""
    from labelgrid.api.project import Project

    with screen.Bar() as bar, Project.open(folder, progress=bar) as project:
        yield project
