"""Takes what a user hands in for a cell: a label as a file or a drawing, a note, a wish."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, Field

from labelgrid.api.reader import ProjectReader
from labelgrid.basics.errors import LabelgridError, UsageError
from labelgrid.basics.type_names import Json
from labelgrid.formats.codec import LabelArray, codec
from labelgrid.formats.naming import label_name
from labelgrid.ledger.grid import Cell, Hint, State
from labelgrid.web.changes import check_unchanged
from labelgrid.web.drawings import drawn_label, knowing, known_names
from labelgrid.web.guard import local_address
from labelgrid.web.job_orders import file_name
from labelgrid.web.live_view import live_view
from labelgrid.web.pages import Opened
from labelgrid.web.predictions import Predictions

#: The most bytes of a label that is handed in.
MOST_BYTES = 50 * 2**20
Text = Annotated[str, Form()]
#: Where a browser is led.
Back = Annotated[str, Form(max_length=2000, description="Where a browser is led; empty: nowhere.")]


class LabelForm(BaseModel):
    """A label that is handed in: a file in the task's format, or a drawing.

    A drawing is int16, little-endian: the number of the region of each pixel, -1 for none.
    """

    cell: str = Field(description="IMAGE:TASK.")
    file: UploadFile | None = None
    drawing: UploadFile | None = None
    seen: int | None = Field(
        None,
        description="The number of the cell's last event that was seen; with a newer one: 409.",
    )
    seconds: float | None = Field(None, description="How long the label took.")
    annotator: str = Field("", description="Who made it.")
    known: list[str] = Field(
        default_factory=list,
        description="The classes that a drawing knows, if others were not looked for; by default "
        "those that the label knew which it replaces.",
    )
    complete: bool = Field(False, description="A drawing knows all classes of the task.")
    hint: Hint | Literal[""] = Field("", description="What was shown meanwhile; empty: not known.")
    accept: bool = Field(False, description="Take it even if it looks wrong beside other labels.")
    back: str = Field("", max_length=2000, description="Where a browser is led; empty: nowhere.")

    def check(self) -> None:
        """Refuse none or two labels, and a label that is too large.

        Raises:
            UsageError: it is one.
        """
        sizes = [upload.size or 0 for upload in (self.file, self.drawing) if upload]
        if len(sizes) != 1:
            raise UsageError(
                "A label is one file or one drawing.",
                next_step="Choose a file.",
                unchanged="Nothing was changed.",
            )
        if sizes[0] > MOST_BYTES:
            raise UsageError(
                f"A label has at most {MOST_BYTES // 2**20} MB.",
                next_step="Import a larger one with `labelgrid import`.",
                unchanged="Nothing was changed.",
            )


def router(opened: Opened, predictions: Predictions) -> APIRouter:
    """The routes; `predictions` get the predictions that users ask for."""
    routes = APIRouter(prefix="/api", tags=["cells"])

    @routes.post("/labels")
    def take_label(request: Request, form: Annotated[LabelForm, File()]) -> Response:
        """Label a cell, after the checks of an import; an earlier label is replaced.

        Answers with the number of its event, and with the next requested cell of the task.
        """
        _lead_back(request, form.back)
        form.check()
        with opened() as project, _sent_files() as folder:
            cell = project.cell(form.cell)
            _check_seen(project, form)
            cell.import_label(
                _label(project, cell.key, form, folder),
                seconds=form.seconds,
                annotator=form.annotator,
                hint=form.hint or None,
                accept=form.accept,
                confirm=partial(_check_seen, project, form),
            )
            following = project.next_request(cell.key)
            labelled = {
                "event": cell.history()[-1]["event"],
                "next": f"{following.image_id}:{following.task}" if following else "",
            }
            return _answer(form.back, labelled)

    @routes.post("/drawings", response_class=Response)
    def write_drawing(form: Annotated[LabelForm, File()]) -> Response:
        """A drawing as a file in the task's format; nothing is kept."""
        with opened() as project, TemporaryDirectory(prefix="labelgrid-") as folder:
            cell = project.cell(form.cell).key
            task = project.declared_task(cell.task)
            extension = codec(task.spec.codec).EXTENSIONS[0]
            path = Path(folder, f"label{extension}")
            task.write(path, _drawing(project, cell, form))
            content = path.read_bytes()
        name = quote(label_name(Path(cell.image_id).name, extension, whole=False))
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
        return Response(content, media_type="application/octet-stream", headers=headers)

    @routes.get("/notes")
    def read_notes(cell: str) -> list[dict[str, str]]:
        """The notes on a cell, given as IMAGE:TASK."""
        with opened() as project:
            return [vars(note) for note in project.cell(cell).notes()]

    @routes.post("/notes")
    def take_note(request: Request, cell: Text, text: Text, back: Back = "") -> Response:
        """Write a note on a cell."""
        _lead_back(request, back)
        with opened() as project:
            noted = project.cell(cell)
            noted.note(text)
            return _answer(back, {"notes": len(noted.notes())})

    @routes.post("/live")
    def ask_live(cell: Text) -> Json:
        """Ask what learns while labelling for a prediction of a cell, and of the next request.

        `version` changes with the cell's prediction; "" while there is none. `job` is 0 without a
        job of the page.
        """
        with opened() as project:
            return live_view(project, project.cell(cell).key)

    @routes.post("/predictions")
    def predict(request: Request, image: Text, back: Back = "") -> Response:
        """Predict an image with the newest model; its page shows the predictions."""
        _lead_back(request, back)
        with opened() as project:
            predictions.make(project, image)
        return _answer(back, {"predicted": image})

    return routes


@contextmanager
def _sent_files() -> Iterator[Path]:
    """Make a folder for sent files, whose names alone stand in errors."""
    with TemporaryDirectory(prefix="labelgrid-") as folder:
        try:
            yield Path(folder)
        except LabelgridError as error:
            for name in ("what", "where", "next_step"):
                setattr(error, name, getattr(error, name).replace(f"{folder}/", ""))
            raise


def _lead_back(request: Request, back: str) -> None:
    if back:
        request.state.back = local_address(back)


def _answer(back: str, values: Json) -> Response:
    if back:
        return RedirectResponse(local_address(back), status_code=303)
    return JSONResponse(values)


def _label(project: ProjectReader, cell: Cell, form: LabelForm, folder: Path) -> Any:
    """The sent label: a file below a folder, or a function that returns the drawing."""
    if form.drawing:
        label = _drawing(project, cell, form)
        return lambda: label
    assert form.file
    name = form.file.filename or ""
    path = folder / file_name(name, PurePosixPath(name).suffix)
    with path.open("xb") as copy:
        shutil.copyfileobj(form.file.file, copy)
    return path


def _drawing(project: ProjectReader, cell: Cell, form: LabelForm) -> LabelArray:
    if form.drawing is None:
        raise UsageError("There is no drawing.", unchanged="Nothing was changed.")
    task = project.declared_task(cell.task)
    drawn = drawn_label(project, cell, form.drawing.file.read())
    if form.complete:
        return drawn
    class_names = form.known or None
    drawn_on = project.cell(cell)
    if class_names is None and drawn_on.state == State.LABELLED:
        class_names = known_names(task, drawn_on.label())
    return knowing(task, drawn, class_names)


def _check_seen(project: ProjectReader, form: LabelForm) -> None:
    if form.seen is not None:
        check_unchanged(project, form.cell, form.seen)
