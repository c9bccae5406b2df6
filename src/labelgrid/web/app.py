"""Builds the application: the pages, the pictures, and the JSON API that every button calls."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from labelgrid.api.project import Project
from labelgrid.web import (
    api_routes,
    brush_page,
    cell_routes,
    change_routes,
    faults,
    job_forms,
    job_pages,
    job_routes,
    page_routes,
    picture_routes,
    review_pages,
)
from labelgrid.web.guard import Access, Guard
from labelgrid.web.predictions import Predictions

STATIC = Path(__file__).parent / "static"
#: The most requests that are answered at once; each may need the memory of a large project's page.
AT_ONCE = 4


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
        redirect_slashes=False,
        lifespan=_few_threads,
    )
    predictions = Predictions()
    app.include_router(page_routes.router(opened, predictions))
    app.include_router(brush_page.router(opened, predictions))
    app.include_router(picture_routes.router(opened, predictions))
    app.include_router(cell_routes.router(opened, predictions))
    app.include_router(job_pages.router(opened))
    app.include_router(review_pages.router(opened))
    app.include_router(api_routes.router(opened))
    app.include_router(change_routes.router(opened))
    app.include_router(job_routes.router(opened))
    app.include_router(job_forms.router(opened))
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    faults.add_handlers(app)
    return Guard(app, access or Access())


@asynccontextmanager
async def _few_threads(app: FastAPI) -> AsyncIterator[None]:
    """Answer few requests at once, and let the others wait."""
    current_default_thread_limiter().total_tokens = AT_ONCE
    yield
