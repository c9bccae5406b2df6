"""The whole loop from Python: make a project, and go round by round with an `answer` that labels requests."""

from collections.abc import Callable
from pathlib import Path

from labelgrid.progress import Silent
from labelgrid.project import create, export, import_labels
from labelgrid.project.settings import Settings
from labelgrid.project.task_spec import task_row
from labelgrid.reporting import write
from labelgrid.rounds import fit, query
from labelgrid.select.strategy import Budget


def campaign(
    folder: Path, images: Path, tasks: list[str], settings: Settings, answer: Callable[[Path], None], rounds: int = 2
) -> Path:
    """Rounds of labelling; `answer` puts label files into a request's folder. Returns the report."""
    quiet = Silent()
    rows = [task_row(words) for words in tasks]
    with create.create(folder, [images], rows, settings, quiet, holdout=2) as project:
        for number in range(1, rounds + 1):
            query.query(project, Budget(6, "labels"), quiet)
            request = folder / "rounds" / f"{number:04d}" / "request"
            export.export(project, request)
            answer(request)
            import_labels.import_labels(project, request)
            fit.fit(project, quiet)
        return write.write_project_report(project, folder / "report.html").page
