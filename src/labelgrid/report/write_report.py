"""Writes a report: an HTML page, drawings as files, numbers as JSON values.

Loads no torch.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from labelgrid.basics import files
from labelgrid.basics.errors import ProjectError
from labelgrid.basics.files import open_regular, write_text
from labelgrid.basics.progress import Progress, Silent
from labelgrid.basics.results import replace_non_finite
from labelgrid.basics.shown import Shown
from labelgrid.basics.type_names import Values
from labelgrid.drawings.drawing import drawing_files
from labelgrid.project.folder import ProjectFolder
from labelgrid.report.html_page import BEGINS, render
from labelgrid.report.page_blocks import Page
from labelgrid.report.project_data import project_report
from labelgrid.report.project_page import project_page
from labelgrid.report.project_view import newest_scored_round


@dataclass(frozen=True, repr=False)
class WrittenReport(Shown):
    """A report that was written.

    Args:
        page: the HTML file.
        drawings: the number of drawing files.
        values: its numbers as JSON values.
    """

    page: Path
    drawings: int
    values: Values

    def __str__(self) -> str:
        return f"Wrote {self.page}."


def write_report(
    folder: Path,
    out: Path,
    drawings: Path | None = None,
    *,
    pictures: bool = False,
    progress: Progress | None = None,
) -> WrittenReport:
    """Write the report of a project; see `write_project_report`.

    Args:
        folder: the folder of the project.
        out: the HTML file.
        drawings: a folder for the drawings, or None for no files.
        pictures: predict the shown cells that have no pictures yet; loads torch.
        progress: shows the steps, the first of which has started; None: silent.
    """
    with ProjectFolder.open(folder, looking=True) as project, project.store.steady():
        note = project.copy_note()
        if note and progress:
            progress.say(note)
        check_out(out)
        if pictures:
            redraw_pictures([(folder, newest_scored_round(project))])
        return write_project_report(project, out, drawings, progress=progress)


def write_project_report(
    project: ProjectFolder,
    out: Path,
    drawings: Path | None = None,
    *,
    progress: Progress | None = None,
) -> WrittenReport:
    """Write the report of a project as one HTML file. It replaces an older report.

    Args:
        project: the project.
        out: the HTML file.
        drawings: a folder for each drawing as SVG and PNG, created if needed; None for no files.
        progress: as for `write_report`.

    Raises:
        ProjectError: the folder of `out` does not exist, `out` is something other than a report, or
            a round's file is damaged.
    """
    check_out(out)
    report = project_report(project)
    measured = []
    for network in report.measured:
        row = asdict(replace(network, without={}))  # `without`: many numbers that nobody reads
        measured.append(replace_non_finite(row))
    values = {
        "project": report.name,
        "headlines": dict(report.headlines),
        "measured": measured,
        "unsure": report.uncertainty,
    }
    shown = progress or Silent()
    return write_page(project_page(report), out, drawings, values=values, progress=shown)


def redraw_pictures(shown: Sequence[tuple[Path, int]]) -> None:
    """Draw the pictures of these rounds again; loads torch if there are any."""
    for folder, number in shown:
        from labelgrid.rounds.previews import redraw

        redraw(folder, number)


def write_page(
    page: Page, out: Path, drawings: Path | None, *, values: Values, progress: Progress
) -> WrittenReport:
    """Write a page of a report, with its drawings if a folder is given."""
    progress.advance()  # what was measured is read
    progress.start("Drawing the page", 1, "steps")
    made = {}
    if drawings is not None:
        with files.disk_errors(drawings):
            drawings.mkdir(parents=True, exist_ok=True)
            for name, content in drawing_files(page.drawings()):
                with files.atomic_write(drawings / name) as temporary:
                    temporary.write_bytes(content)
                made[name] = len(content)
    write_text(out, render(page))
    progress.advance()
    return WrittenReport(out, len(made), {"report": str(out), **values})


def check_out(out: Path) -> None:
    """Refuse to write to an impossible place or over a file that is no report.

    Raises:
        ProjectError: it is.
    """
    if not out.parent.is_dir():
        fault = "The report's folder does not exist"
        next_step = f"Create {out.parent}, or give another --out."
    elif out.is_dir():
        fault = "The report is a file, but this is a folder"
        next_step = f"Use --out {out / 'report.html'}."
    elif out.exists() and not _is_report(out):
        fault = "The file exists and is not a labelgrid report"
        next_step = "Give another --out, or remove the file."
    else:
        return
    raise ProjectError(
        f"{fault}.", where=out, next_step=next_step, unchanged="Nothing was written."
    )


def _is_report(path: Path) -> bool:
    with open_regular(path) as file:
        return file.read(len(BEGINS)) == BEGINS.encode()
