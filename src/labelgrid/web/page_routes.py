"""Answers with the pages that a user reads; no page needs JavaScript."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response

from labelgrid.operations.class_rows import class_rows
from labelgrid.project.records import measured_rounds
from labelgrid.web import jobs
from labelgrid.web.grid_page import GridQuery, grid_page, overlays
from labelgrid.web.image_page import ImageQuery, image_view
from labelgrid.web.overview_page import overview
from labelgrid.web.pages import Opened, render
from labelgrid.web.predictions import Predictions, can_predict

#: How much a form has changed, of which the page then tells.
Done = Annotated[int | None, Query(ge=0)]


def router(opened: Opened, predictions: Predictions) -> APIRouter:
    """The routes of the pages."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/", response_class=HTMLResponse)
    def show_overview(done: Done = None) -> Response:
        with opened() as project:
            job = jobs.staying(project)
            return render(
                "overview.html.j2",
                project=project,
                done=done,
                view=overview(project),
                job=jobs.active(project),
                learning=job if job and job.is_active else None,
                elsewhere=jobs.elsewhere(project),
            )

    @routes.get("/grid", response_class=HTMLResponse)
    def show_grid(query: Annotated[GridQuery, Query()], done: Done = None) -> Response:
        with opened() as project:
            view = grid_page(project, query)
            over = overlays(project, view, predictions)
            predictable = can_predict(project)
        return render(
            "grid.html.j2",
            project=project,
            view=view,
            over=over,
            predictable=predictable,
            done=done,
        )

    @routes.get("/classes", response_class=HTMLResponse)
    def show_classes() -> Response:
        with opened() as project:
            tables = class_rows(measured_rounds(project.folder, newest=2))
            return render("classes.html.j2", project=project, tables=tables)

    @routes.get("/image", response_class=HTMLResponse)
    def show_image(query: Annotated[ImageQuery, Query()], done: Done = None) -> Response:
        with opened() as project:
            view = image_view(project, query, predictions)
        return render("image.html.j2", project=project, view=view, done=done)

    return routes
