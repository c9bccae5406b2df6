"""Answers with pictures of photographs and labels, which browsers keep until a change."""

import gzip
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from numpy.typing import NDArray

from labelgrid.api.reader import ProjectReader
from labelgrid.basics.errors import LabelgridError, LedgerError
from labelgrid.ledger.grid import Cell
from labelgrid.project.other_labels import OtherLabel
from labelgrid.web.drawings import check_drawable, known_names, layer_regions
from labelgrid.web.layers import LABEL, layer_of, refuse_early_look
from labelgrid.web.pages import Opened
from labelgrid.web.pictures import (
    LARGE,
    MEDIUM,
    TILE,
    WHOLE,
    KeptPictures,
    draw_image,
    draw_label,
    label_values,
    picture_key,
)
from labelgrid.web.predictions import Predictions
from labelgrid.web.scale_legend import draw_scale

Size = Literal["tile", "medium", "large", "whole"]
SIZES: dict[Size, int] = {"tile": TILE, "medium": MEDIUM, "large": LARGE, "whole": WHOLE}
#: How compressed bytes begin.
GZIP = b"\x1f\x8b"
#: The type of an answer by its first bytes.
KINDS = {
    b"\xff\xd8": "image/jpeg",
    b"\x89P": "image/png",
    GZIP: "application/octet-stream",
}


def router(opened: Opened, predictions: Predictions) -> APIRouter:
    """The routes of the pictures."""
    routes = APIRouter(tags=["pictures"])
    kept = KeptPictures()

    @routes.get("/picture/image", response_class=Response)
    def show_photograph(request: Request, image: str, size: Size = "tile") -> Response:
        """A photograph as JPEG."""
        with opened() as project:
            digest = project.disk.store.listed_image(image).digest
            key = picture_key("image", image, digest, size)
            render = partial(draw_image, project, image, SIZES[size])
            return _answer(request, kept, key=key, render=render)

    @routes.get("/picture/label", response_class=Response)
    def show_label(
        request: Request,
        image: str,
        task: str,
        layer: str = LABEL,
        size: Size = "tile",
    ) -> Response:
        """A label as PNG in the colours of the task; pixels without a value are transparent.

        `layer` is a layer that the image's page names, such as a prediction.
        """
        cell = Cell(image, task)
        with opened() as project:
            shown = layer_of(project, cell, layer, predictions)
            key = layer_key(f"label {size}", project, cell, shown)
            return _answer(
                request,
                kept,
                key=key,
                render=lambda: draw_label(project.declared_task(task), shown.read(), SIZES[size]),
            )

    @routes.get("/picture/values", response_class=Response)
    def show_values(request: Request, image: str, task: str, layer: str = LABEL) -> Response:
        """The values of a label's large picture: a line of JSON with their shape, then float32.

        They are little-endian, of rows, columns and channels; NaN where not valid.
        """
        cell = Cell(image, task)
        with opened() as project:
            shown = layer_of(project, cell, layer, predictions)
            key = layer_key("values", project, cell, shown)
            return _answer(
                request, kept, key=key, render=lambda: packed(label_values(shown.read(), LARGE))
            )

    @routes.get("/picture/regions", response_class=Response)
    def show_regions(request: Request, image: str, task: str, layer: str = LABEL) -> Response:
        """A label to draw on, as `/picture/values`, but whole: int16, the number of each class.

        -1 is where there is none. The line of JSON also has the names of the classes that the label
        knows, `known`; null: all.
        """
        cell = Cell(image, task)
        with opened() as project:
            shown = layer_of(project, cell, layer, predictions)
            try:
                check_drawable(project.declared_task(task))
                class_names = known_names(project.declared_task(task), shown.read())
            except LabelgridError as error:
                return _unread(error)
            key = picture_key(layer_key("regions", project, cell, shown), class_names)
            return _answer(
                request,
                kept,
                key=key,
                render=lambda: packed(layer_regions(project, cell, shown), class_names=class_names),
            )

    @routes.get("/picture/uncertainty", response_class=Response)
    def show_uncertainty(request: Request, image: str, task: str) -> Response:
        """The map of what a round's model was unsure of, as JPEG."""
        with opened() as project:
            refuse_early_look(project, Cell(image, task))
            path = project.cell(Cell(image, task)).uncertainty_map()
        if path is None:
            raise LedgerError(f"No round drew the uncertainty of '{image}:{task}'.")
        key = picture_key("uncertainty", path, path.stat().st_mtime_ns)
        return _answer(request, kept, key=key, render=path.read_bytes)

    _add_scale(routes, opened, kept)
    return routes


def _add_scale(routes: APIRouter, opened: Opened, kept: KeptPictures) -> None:
    @routes.get("/picture/scale", response_class=Response)
    def show_scale(request: Request, task: str) -> Response:
        """The colours of a task's scale as PNG; the page of an image names its ends."""
        with opened() as project:
            definition = project.tasks.get(task)
        picture = draw_scale(definition) if definition else None
        if picture is None:
            raise LedgerError(f"There is no scale of '{task:.80}'.")
        key = picture_key("scale", definition)
        return _answer(request, kept, key=key, render=lambda: picture)


def layer_key(picture: str, project: ProjectReader, cell: Cell, layer: OtherLabel) -> str:
    """The key of a picture of a layer."""
    task = project.declared_task(cell.task)
    colours = task.region_colours.tolist()
    return picture_key(picture, (cell, layer.key, layer.version), task.options, colours)


def packed(values: NDArray[Any], class_names: Sequence[str] | None = None) -> bytes:
    """An array, compressed: a line of JSON with its shape, then little-endian numbers.

    The line also has the classes that a label knows.
    """
    numbers = values.astype(values.dtype.newbyteorder("<")).tobytes()
    head = json.dumps({"shape": values.shape, "known": class_names})
    return gzip.compress(f"{head}\n".encode() + numbers, compresslevel=1)


def _answer(
    request: Request, kept: KeptPictures, *, key: str, render: Callable[[], bytes]
) -> Response:
    """A picture, drawn unless a copy is kept; nothing if the browser has the picture.

    A file that is gone or damaged is said in the answer's text.
    """
    headers = {"ETag": f'"{key}"', "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    picture = kept.get(key)
    if picture is None:
        try:
            picture = render()
        except LabelgridError as error:
            return _unread(error)
        kept.keep(key, picture)
    if picture.startswith(GZIP):
        headers["Content-Encoding"] = "gzip"
    return Response(picture, media_type=KINDS[picture[:2]], headers=headers)


def _unread(error: LabelgridError) -> Response:
    """Why there is no picture, as a text that scripts show."""
    return Response(str(error), status_code=404, media_type="text/plain")
