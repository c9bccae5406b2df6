"""Builds the application: the pages, the pictures, and the JSON API that every button calls."""

from functools import partial
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.staticfiles import StaticFiles

from labelgrid.api.project import Project
from labelgrid.errors import LabelgridError, UsageError
from labelgrid.web import api_routes, page_routes, picture_routes
from labelgrid.web.changes import ConflictError
from labelgrid.web.guard import Access, Guard
from labelgrid.web.pages import render

STATIC = Path(__file__).parent / "static"


def build_app(folder: Path, access: Access | None = None) -> Guard:
    """The application that shows a project.

    Each request opens the project anew, so it always shows what is on the disk.

    Args:
        folder: the project's folder.
        access: who may open it; None: browsers and programs of this machine.

    Raises:
        LabelgridError: there is no project.
    """
    opened = partial(Project.open, folder)
    with opened():
        pass  # a wrong folder is refused at once
    app = FastAPI(
        title="labelgrid",
        description="A project's images, cells and rounds.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    app.include_router(page_routes.router(opened))
    app.include_router(picture_routes.router(opened))
    app.include_router(api_routes.router(opened))
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_exception_handler(LabelgridError, _answer_error)
    return Guard(app, access or Access())


def _answer_error(request: Request, error: Exception) -> Response:
    """What a user or a program is told of an error."""
    assert isinstance(error, LabelgridError)
    status = 409 if isinstance(error, ConflictError) else 404
    if isinstance(error, UsageError):
        status = 400
    if wants_page(request):
        return render("error.html.j2", status=status, error=error)
    names = ("what", "where", "next_step", "unchanged")
    return JSONResponse({name: getattr(error, name) for name in names}, status_code=status)


def wants_page(request: Request) -> bool:
    """Whether a browser asks for a page, not a program for JSON."""
    return "text/html" in request.headers.get("accept", "")
