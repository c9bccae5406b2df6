"""Answers programs with JSON, and does what the page's buttons ask."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field

from labelgrid.api.project import Project
from labelgrid.web.changes import MOST, Action, Change, apply
from labelgrid.web.grid_page import GridQuery, grid_page


class ChangeBody(BaseModel):
    """The cells to change."""

    cells: list[str] = Field(max_length=MOST, description="Each as IMAGE:TASK.")
    seen: dict[str, int] = Field(
        default_factory=dict,
        max_length=MOST,
        description="By cell, the number of its last event that was seen; with a newer one: 409.",
    )


def router(opened: Callable[[], Project]) -> APIRouter:
    """The routes of the API; `opened` opens the project."""
    routes = APIRouter(prefix="/api", tags=["project"])

    @routes.get("/status")
    def read_status() -> dict[str, Any]:
        """What `labelgrid status --json` prints."""
        with opened() as project:
            return project.status()

    @routes.get("/images")
    def read_images(query: Annotated[GridQuery, Query()]) -> dict[str, Any]:
        """A page of images with the states of their cells."""
        with opened() as project:
            view = grid_page(project, query)
        images = []
        for image in view.found.images:
            states = {task: state.name.lower() for task, state in image.states.items()}
            images.append({"image": image.image_id, "split": image.split, "states": states})
        return {"total": view.found.total, "page": view.query.page, "images": images}

    @routes.get("/history")
    def read_history(cell: str) -> list[dict[str, Any]]:
        """All events of a cell, given as IMAGE:TASK."""
        with opened() as project:
            return project.history(cell)

    @routes.post("/cells/{action}")
    def change_cells(action: Action, body: ChangeBody) -> dict[str, list[str]]:
        """Withdraw labels (`unlabel`), cancel requests, or ask for skipped cells again."""
        with opened() as project:
            changed = apply(project, action, Change(cells=body.cells, seen=body.seen))
        return {"changed": [f"{cell.image_id}:{cell.task}" for cell in changed]}

    @routes.post("/form/{action}", include_in_schema=False)
    def change_by_form(
        request: Request,
        action: Action,
        cell: Annotated[list[str], Form()],
        back: Annotated[str, Form(max_length=2000)] = "/",
        seen: Annotated[int | None, Form()] = None,
    ) -> Response:
        """The same from a form of the page, without JavaScript."""
        request.state.back = "/" + back.lstrip("/\\")  # where an error leads
        known = {} if seen is None else dict.fromkeys(cell, seen)
        with opened() as project:
            apply(project, action, Change(cells=cell, seen=known))
        return RedirectResponse(request.state.back, status_code=303)

    return routes
