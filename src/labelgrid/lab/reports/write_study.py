"""Writes the report of a study: an HTML page, drawings as files, numbers as JSON values.

Loads no torch.
"""

from pathlib import Path

from labelgrid.basics.progress import Progress, Silent
from labelgrid.lab.reports.campaign_measures import study_measures
from labelgrid.lab.reports.json_values import study_values
from labelgrid.lab.reports.study_data import shown_rounds, study_report
from labelgrid.lab.reports.study_page import study_page
from labelgrid.report.write_report import WrittenReport, check_out, redraw_pictures, write_page


def write_study_report(
    folder: Path,
    out: Path,
    drawings: Path | None = None,
    *,
    pictures: bool = False,
    progress: Progress | None = None,
) -> WrittenReport:
    """Write the report of a study; the arguments are those of `write_report` of a project."""
    check_out(out)
    if pictures:
        redraw_pictures(shown_rounds(folder))
    study = study_report(folder)
    measures = study_measures(study)
    return write_page(
        study_page(study, measures),
        out,
        drawings,
        values=study_values(study, measures),
        progress=progress or Silent(),
    )
