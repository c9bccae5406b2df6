"""Undoes the last operation, after a page that asks whether to."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from labelgrid.basics.type_names import Json
from labelgrid.operations.undo import foresee_undo
from labelgrid.web.pages import Opened, render


class UndoBody(BaseModel):
    """What is to be undone."""

    operation: int = Field(
        ge=1, description="The operation that was seen as the last one; with another one: 409."
    )


def router(opened: Opened) -> APIRouter:
    """The routes."""
    routes = APIRouter()

    @routes.get("/undo", response_class=HTMLResponse, include_in_schema=False)
    def show_undo() -> Response:
        with opened() as project:
            return render("undo.html.j2", project=project, undone=foresee_undo(project.disk))

    @routes.get("/api/undo", tags=["changes"])
    def read_undo() -> Json:
        """The next undo, as `labelgrid undo --dry-run --json` prints it."""
        with opened() as project:
            return foresee_undo(project.disk).as_json()

    @routes.post("/api/undo", tags=["changes"])
    def undo(body: UndoBody) -> Json:
        """Undo the last operation by a new operation; again, the operation before."""
        with opened() as project:
            return project.undo(operation=body.operation).as_json()

    @routes.post("/api/undo-form", include_in_schema=False)
    def undo_by_form(request: Request, form: Annotated[UndoBody, Form()]) -> Response:
        """The same from a form of the page, without JavaScript."""
        request.state.back = "/undo"  # where an error leads
        with opened() as project:
            undone = project.undo(operation=form.operation)
        return RedirectResponse(f"/?done={sum(undone.cells.values())}", status_code=303)

    return routes
