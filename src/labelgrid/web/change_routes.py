"""Does what the page's buttons ask: each is a request of the API, and a form without JavaScript."""

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field

from labelgrid.api.reader import ProjectReader
from labelgrid.basics.errors import UsageError
from labelgrid.basics.progress import Silent
from labelgrid.operations.by_hand import hold_out
from labelgrid.web.changes import DEEDS, MOST, Action, Change, apply, cells_of_images
from labelgrid.web.guard import local_address
from labelgrid.web.pages import Opened

#: What a form of the page can do.
FormAction = Action | Literal["hold-out"]


class ChangeBody(BaseModel):
    """The cells to change."""

    cells: list[str] = Field(max_length=MOST, description="Each as IMAGE:TASK.")
    seen: dict[str, int] = Field(
        default_factory=dict,
        max_length=MOST,
        description="By cell, the number of its last event that was seen; with a newer one: 409.",
    )
    why: str = Field("", description="The reason of a skip.")


class ImagesBody(BaseModel):
    """Images to hold out."""

    images: list[str] = Field(min_length=1, max_length=MOST)


class ChangeForm(BaseModel):
    """The fields of a form: cells, or images whose fitting cells are changed."""

    cell: list[str] = Field(default_factory=list, max_length=MOST)
    image: list[str] = Field(default_factory=list, max_length=MOST)
    task: str = ""
    seen: int | None = None
    why: str = ""
    back: str = Field("/", max_length=2000)

    def change(self, project: ProjectReader, action: Action) -> Change:
        """The cells to change.

        Raises:
            UsageError: no cell is in the state that the action changes.
        """
        cells = self.cell or cells_of_images(project, action, self.image, self.task)
        if not cells:
            state = DEEDS[action].state
            raise UsageError(
                f"No {state} cell is among the chosen images.",
                next_step="Choose images by the boxes above their names.",
                unchanged="Nothing was changed.",
            )
        seen = {} if self.seen is None else dict.fromkeys(cells, self.seen)
        return Change(cells=cells, seen=seen, why=self.why)


def router(opened: Opened) -> APIRouter:
    """The routes of the changes."""
    routes = APIRouter(prefix="/api", tags=["changes"])

    @routes.post("/cells/{action}")
    def change_cells(action: Action, body: ChangeBody) -> dict[str, list[str]]:
        """Do to cells what a button does: `unlabel` withdraws labels, `requeue` asks again."""
        change = Change(cells=body.cells, seen=body.seen, why=body.why)
        with opened() as project:
            return {"changed": list(apply(project, action, change))}

    @routes.post("/images/hold-out")
    def hold_out_images(body: ImagesBody) -> dict[str, list[str]]:
        """Hold images out for measuring, with their groups and copies."""
        with opened() as project:
            return {"held_out": hold_out(project.disk, body.images, Silent())}

    @routes.post("/form/{action}", include_in_schema=False)
    def change_by_form(
        request: Request, action: FormAction, form: Annotated[ChangeForm, Form()]
    ) -> Response:
        """The same from a form of the page, without JavaScript."""
        back = local_address(form.back)
        request.state.back = back  # where an error leads
        with opened() as project:
            if action == "hold-out":
                done = len(hold_out(project.disk, form.image, Silent()))
            else:
                done = len(apply(project, action, form.change(project, action)))
        joined = "&" if "?" in back else "?"
        return RedirectResponse(f"{back}{joined}done={done}", status_code=303)

    return routes
