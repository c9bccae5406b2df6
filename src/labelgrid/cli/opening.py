"""Opens the project that a command is about."""

import gc
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
    gc.disable()  # loaded modules are no garbage; looking for it takes a tenth of `status`
    from labelgrid.api.project import Project

    gc.freeze()
    gc.enable()
    with screen.Bar() as bar, Project.open(folder, progress=bar) as project:
        yield project
