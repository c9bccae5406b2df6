"""Opens the project that a command is about."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from labelgrid.basics.processes import loading
from labelgrid.cli import screen

if TYPE_CHECKING:
    from labelgrid.api.reader import ProjectReader


@contextmanager
def open_project(folder: Path, *, looking: bool = False) -> "Iterator[ProjectReader]":
    """Open a project with progress of long work on the screen, and close it at the end.

    Args:
        folder: the project's folder.
        looking: open one that cannot be written, too.
    """
    project_class = _load()
    with (
        screen.Bar() as bar,
        project_class.open(folder, progress=bar, is_command=True, looking=looking) as project,
    ):
        yield project


@cache
def _load() -> "type[ProjectReader]":
    """Load what all projects need; to look for garbage took a quarter of the time of `status`."""
    with loading():
        from labelgrid.api.reader import ProjectReader
    return ProjectReader
