"""The whole loop from Python: make a project, and go round by round with an `answer` that labels requests."""

from collections.abc import Callable
from pathlib import Path

from labelgrid.campaign import exporting, fitting, importing, querying, reporting, setup
from labelgrid.campaign.project import Settings
from labelgrid.campaign.taskwords import task_row
from labelgrid.progress import Silent
from labelgrid.select.strategy import Budget


def campaign(
    folder: Path, images: Path, tasks: list[str], settings: Settings, answer: Callable[[Path], None], rounds: int = 2
) -> Path:
    """Rounds of labelling; `answer` puts label files into a request's folder. Returns the report."""
    quiet = Silent()
    rows = [task_row(words) for words in tasks]
    with setup.create(folder, [images], rows, settings, quiet, holdout=2) as project:
        for number in range(1, rounds + 1):
            querying.query(project, Budget(6, "labels"), quiet)
            request = folder / "rounds" / f"{number:04d}" / "request"
            exporting.export(project, request)
            answer(request)
            importing.import_labels(project, request)
            fitting.fit(project, quiet)
        return reporting.report(project, folder / "report.html").page
