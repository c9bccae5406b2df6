"""Builds the application: the pages, the pictures, and the JSON API that every button calls."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from anyio.to_thread import current_default_thread_limiter
from fastapi import APIRouter, FastAPI
from fastapi.staticfiles import StaticFiles

from labelgrid.api.reader import ProjectReader
from labelgrid.api.study import need_laboratory
from labelgrid.basics.progress import Silent
from labelgrid.project.folder import is_study
from labelgrid.web import (
    api_routes,
    brush_page,
    cell_routes,
    change_routes,
    download_routes,
    faults,
    job_forms,
    job_pages,
    job_routes,
    page_routes,
    picture_routes,
    review_pages,
    undo_routes,
)
from labelgrid.web.guard import Access, Guard
from labelgrid.web.predictions import Predictions

STATIC = Path(__file__).parent / "static"
#: The most requests that are answered at once; each may need the memory of a large project's page.
AT_ONCE = 4
#: The modules of a project's routes, in the order of the API's description.
WITH_PREDICTIONS = (page_routes, brush_page, picture_routes, cell_routes)
WITHOUT_PREDICTIONS = (
    job_pages,
    review_pages,
    download_routes,
    api_routes,
    change_routes,
    undo_routes,
    job_routes,
    job_forms,
)


def build_app(folder: Path, access: Access | None = None) -> Guard:
    """The application that shows a project or a study.

    Each request opens the project anew, so it always shows what is on the disk.

    Args:
        folder: the folder of the project or the study.
        access: who may open it; None: browsers and programs of this machine.

    Raises:
        LabelgridError: there is neither.
    """
    if is_study(folder):
        need_laboratory()
        from labelgrid.web import study_pages  # a part of the laboratory

        routers = [study_pages.router(folder)]
    else:
        routers = _project_routers(folder)
    app = FastAPI(
        title="labelgrid",
        description="A project's images, cells and rounds.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        redirect_slashes=False,
        lifespan=_few_threads,
    )
    for router in routers:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    faults.add_handlers(app)
    return Guard(app, access or Access())


def _project_routers(folder: Path) -> list[APIRouter]:
    opened = partial(ProjectReader.open, folder, is_command=True, looking=True, progress=Silent())
    with opened():
        pass  # a wrong folder is refused at once
    predictions = Predictions()
    routers = [part.router(opened, predictions) for part in WITH_PREDICTIONS]
    return routers + [part.router(opened) for part in WITHOUT_PREDICTIONS]


@asynccontextmanager
async def _few_threads(app: FastAPI) -> AsyncIterator[None]:
    current_default_thread_limiter().total_tokens = AT_ONCE
    yield
