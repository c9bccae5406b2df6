"""Shows the verdicts, curves and runs of a study in a browser, as the report does."""

from pathlib import Path
from threading import Lock

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from labelgrid.basics.errors import LedgerError
from labelgrid.basics.results import replace_non_finite
from labelgrid.basics.type_names import Values
from labelgrid.drawings.drawing import Drawing, drawing_bytes
from labelgrid.lab.reports.campaign_measures import study_measures
from labelgrid.lab.reports.json_values import study_values
from labelgrid.lab.reports.study_data import study_report
from labelgrid.lab.reports.study_page import study_page
from labelgrid.report.html_page import cell_text
from labelgrid.report.page_blocks import DataTable
from labelgrid.web.pages import render
from labelgrid.web.pictures import KeptPictures, picture_key

#: How a JPEG file begins.
JPEG = b"\xff\xd8"
#: The sections of the report that the page has, below what the report begins with.
SECTIONS = ("curves", "runs")


def router(folder: Path) -> APIRouter:
    """The routes of a study; each request reads its folder anew.

    Raises:
        LabelgridError: the study is damaged.
    """
    study_report(folder)
    routes = APIRouter()
    pictures = _Pictures()

    @routes.get("/", response_class=HTMLResponse, include_in_schema=False)
    def show_study() -> Response:
        report = study_report(folder)
        page = study_page(report, study_measures(report))
        sections = [section for section in page.sections if section.id in SECTIONS]
        return render(
            "study.html.j2",
            page=page,
            sections=sections,
            chart=pictures.chart,
            jpeg=pictures.jpeg,
            cell_text=cell_text,
        )

    @routes.get("/picture/study/{key}", response_class=Response, include_in_schema=False)
    def show_picture(key: str) -> Response:
        return pictures.answer(key)

    @routes.get("/api/study", tags=["study"])
    def read_study() -> Values:
        """The numbers that `labelgrid report --json` prints of a study."""
        report = study_report(folder)
        return replace_non_finite(study_values(report, study_measures(report)))

    return routes


class _Pictures:
    """The pictures of the page; a chart is drawn once for its numbers."""

    def __init__(self) -> None:
        self._kept = KeptPictures()
        self._lock = Lock()  # Matplotlib's settings are those of the whole process

    def chart(self, drawing: Drawing, numbers: DataTable) -> str:
        """The address of a chart of these numbers."""
        key = picture_key("chart", (drawing.name, drawing.title, drawing.alt), numbers)
        with self._lock:
            if self._kept.get(key) is None:
                self._kept.keep(key, drawing_bytes(drawing, "svg"))
        return f"/picture/study/{key}"

    def jpeg(self, content: bytes) -> str:
        """The address of a JPEG file."""
        key = picture_key("jpeg", content)
        self._kept.keep(key, content)
        return f"/picture/study/{key}"

    def answer(self, key: str) -> Response:
        """A picture.

        Raises:
            LedgerError: another server has shown it, or it was long ago.
        """
        picture = self._kept.get(key)
        if picture is None:
            raise LedgerError(
                "There is no such picture any more.", next_step="Load the page again."
            )
        kind = "image/jpeg" if picture.startswith(JPEG) else "image/svg+xml"
        return Response(picture, media_type=kind)
