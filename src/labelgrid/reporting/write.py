"""How a report is written: one HTML page, its figures as files, its numbers as JSON. Loads no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labelgrid import files
from labelgrid.errors import ProjectError
from labelgrid.files import write_text
from labelgrid.project.folder import ProjectFolder
from labelgrid.report import plots
from labelgrid.report.blocks import Page
from labelgrid.report.page import BEGINS, render
from labelgrid.report.project_page import project_page
from labelgrid.report.study_page import study_page
from labelgrid.report.values import plain, study_values
from labelgrid.reporting.project_data import gather
from labelgrid.reporting.project_view import newest_scored
from labelgrid.reporting.study_data import cells_shown, gather_study, is_study


@dataclass(frozen=True)
class Written:
    """What was written: the page, how many drawings beside it, and the figures for programs."""

    page: Path
    drawings: int
    values: Mapping[str, Any]


def report_of(folder: Path, out: Path, drawings: Path | None = None, *, pictures: bool = False) -> Written:
    """Write the report of a study's folder or a project's; see `report`.

    Args:
        folder: the study's or the project's.
        out: the file.
        drawings: a folder for each drawing.
        pictures: predict the cells that are shown, where no picture of them was kept; loads torch.
    """
    if is_study(folder):
        _check_place(out)
        _redraw(cells_shown(folder) if pictures else [])
        study = gather_study(folder)
        return _write(study_page(study), out, drawings, study_values(study))
    with ProjectFolder.open(folder) as project:
        _check_place(out)
        _redraw([(folder, newest_scored(project))] if pictures else [])
        return report(project, out, drawings)


def report(project: ProjectFolder, out: Path, drawings: Path | None = None) -> Written:
    """Write all that the project has reached as one HTML file, over an older report.

    Args:
        project: whose.
        out: the file.
        drawings: a folder for each drawing as SVG and PNG; made where it is not there.

    Raises:
        ProjectError: the place is in no folder, or holds something else than a report; or a round's file is damaged.
    """
    _check_place(out)
    found = gather(project)
    measured = [plain(asdict(one)) for one in found.measured]
    values = {"project": found.name, "headlines": dict(found.headlines), "measured": measured, "unsure": found.unsure}
    return _write(project_page(found), out, drawings, values)


def _redraw(shown: Sequence[tuple[Path, int]]) -> None:
    for folder, number in shown:
        from labelgrid.rounds.previews import redraw

        redraw(folder, number)


def _write(page: Page, out: Path, drawings: Path | None, values: Mapping[str, Any]) -> Written:
    made = {}
    if drawings is not None:
        with files.disk(drawings):
            drawings.mkdir(parents=True, exist_ok=True)
            for name, content in plots.files(page):
                with files.atomic_write(drawings / name) as temporary:
                    temporary.write_bytes(content)
                made[name] = len(content)
    write_text(out, render(page))
    return Written(out, len(made), {"report": str(out), **values})


def _check_place(out: Path) -> None:
    if not out.parent.is_dir():
        fault, next_step = "There is no folder to write the report in", f"Make {out.parent}, or name another --out."
    elif out.is_dir():
        fault, next_step = "The report is a file, and this is a folder", f"Say --out {out / 'report.html'}."
    elif out.exists() and not _is_report(out):
        fault, next_step = "There is a file that is no labelgrid report", "Name another --out, or remove it."
    else:
        return
    raise ProjectError(f"{fault}.", where=str(out), next_step=next_step, unchanged="Nothing was written.")


def _is_report(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(BEGINS)) == BEGINS.encode()
