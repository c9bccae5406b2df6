"""Finds the pictures that imports of a project wrote."""

import itertools
import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from labelgrid.api.reader import ProjectReader
from labelgrid.imports.import_doubts import SHEET
from labelgrid.imports.import_labels import PICTURE
from labelgrid.web.jobs import ShownJob, time_span


def picture_of(project: ProjectReader, job: ShownJob) -> Path | None:
    """The picture of the labels of a job's import, also of a refused import.

    None if it drew none, or if a later import has replaced it.
    """
    span = time_span(project, job.number)
    if job.command != "import" or span is None:
        return None
    return _newest(project, (PICTURE, SHEET), span)


def refused_picture(project: ProjectReader) -> Path | None:
    """The picture of the newest import with doubtful labels, which was refused."""
    return _newest(project, (SHEET,))


def _newest(
    project: ProjectReader, names: Sequence[str], span: tuple[float, float] = (0.0, math.inf)
) -> Path | None:
    """The picture that was changed last in a time; imports at once write into `import-2` ...."""
    times: dict[Path, float] = {}
    folder = project.folder
    for number in itertools.count(2):
        for path in (folder / name for name in names):
            with suppress(OSError):
                if not path.is_symlink() and path.is_file():
                    times[path] = path.stat().st_mtime
        folder = project.folder / f"import-{number}"
        if folder.is_symlink() or not folder.is_dir():
            break
    begin, end = span
    within = [path for path, time in times.items() if begin <= time <= end]
    return max(within, key=times.__getitem__, default=None)
