"""Finds the pictures that imports of a project wrote."""

import itertools
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from labelgrid.api.reader import ProjectReader
from labelgrid.imports.import_doubts import SHEET
from labelgrid.imports.import_labels import PICTURE
from labelgrid.web.jobs import ShownJob, time_span


def picture_of(project: ProjectReader, job: ShownJob) -> Path | None:
    """The picture of the labels of a job's import, also of one that was refused.

    None if it drew none, or if a later import has replaced it.
    """
    span = time_span(project, job.number)
    if job.command != "import" or span is None:
        return None
    begin, end = span
    times = _times(project, (PICTURE, SHEET))
    found = {path: time for path, time in times.items() if begin <= time <= end}
    return max(found, key=lambda path: found[path], default=None)


def refused_picture(project: ProjectReader) -> Path | None:
    """The picture of the newest import that was refused for how its labels look."""
    times = _times(project, (SHEET,))
    return max(times, key=lambda path: times[path], default=None)


def _times(project: ProjectReader, names: tuple[str, ...]) -> dict[Path, float]:
    """The pictures of these names with the times of their last changes."""
    found = {}
    for place in _places(project.folder):
        for name in names:
            path = place / name
            with suppress(OSError):
                if not path.is_symlink() and path.is_file():
                    found[path] = path.stat().st_mtime
    return found


def _places(folder: Path) -> Iterator[Path]:
    """The project's folder, and those of imports at the same time: `import-2` and so on."""
    yield folder
    for number in itertools.count(2):
        place = folder / f"import-{number}"
        if place.is_symlink() or not place.is_dir():
            return
        yield place
