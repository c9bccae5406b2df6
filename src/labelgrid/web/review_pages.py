"""Answers with the pages on which people review: a round, and suspect labels."""

from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response

from labelgrid.basics.errors import LedgerError
from labelgrid.basics.files import open_regular
from labelgrid.web import jobs
from labelgrid.web.exports import REPORT
from labelgrid.web.grid_page import MOST_PAGES
from labelgrid.web.import_pictures import picture_of, refused_picture
from labelgrid.web.page_routes import Done
from labelgrid.web.pages import Opened, render
from labelgrid.web.round_page import RoundQuery, round_view
from labelgrid.web.suspects_page import suspects_view

#: The most bytes of a picture or a report.
LARGEST = 64 * 2**20
#: What a report may do: it is one file, with its styles and pictures.
REPORT_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; sandbox"
)


def router(opened: Opened) -> APIRouter:
    """The pages."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/round", response_class=HTMLResponse)
    def show_round(query: Annotated[RoundQuery, Query()]) -> Response:
        with opened() as project:
            return render("round.html.j2", project=project, view=round_view(project, query))

    @routes.get("/suspects", response_class=HTMLResponse)
    def show_suspects(
        page: Annotated[int, Query(ge=1, le=MOST_PAGES)] = 1, done: Done = None
    ) -> Response:
        with opened() as project:
            view = suspects_view(project, page)
        return render("suspects.html.j2", project=project, view=view, done=done)

    @routes.get("/picture/refused-import", response_class=Response)
    def show_refused_import() -> Response:
        """The labels of the newest import that was refused, as PNG."""
        with opened() as project:
            path = refused_picture(project)
        return _picture(path, "No import was refused for how its labels look.")

    @routes.get("/picture/import", response_class=Response)
    def show_import(job: int) -> Response:
        """The labels of a job's import, as PNG."""
        with opened() as project:
            path = picture_of(project, jobs.shown(project, job))
        return _picture(path, f"Job {job} drew no labels, or a later import has replaced them.")

    @routes.get("/report", response_class=HTMLResponse)
    def show_report() -> Response:
        """The newest report, which may run nothing and load nothing."""
        with opened() as project:
            path = project.folder / REPORT
        try:
            with open_regular(path, LARGEST, links=False) as file:
                headers = {"Content-Security-Policy": REPORT_POLICY}
                return HTMLResponse(file.read(), headers=headers)
        except OSError as error:
            raise LedgerError(
                "There is no report, or it cannot be read.",
                next_step="Write it anew on the page of the jobs.",
            ) from error

    return routes


def _picture(path: Path | None, missing: str) -> Response:
    """A picture of the project.

    Raises:
        LedgerError: there is none.
    """
    try:
        if path is None:
            raise FileNotFoundError
        with open_regular(path, LARGEST, links=False) as file:
            return Response(file.read(), media_type="image/png")
    except OSError as error:
        raise LedgerError(missing) from error
