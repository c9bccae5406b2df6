"""Answers with pictures of photographs and labels; a browser keeps them until they change."""

from collections.abc import Callable
from functools import partial
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response

from labelgrid.api.project import Project
from labelgrid.errors import LabelgridError
from labelgrid.ledger.grid import Cell
from labelgrid.web.pictures import LARGE, TILE, KeptPictures, draw_image, draw_label, picture_key

SIZES = {"tile": TILE, "large": LARGE}
#: How each JPEG file begins.
JPEG = b"\xff\xd8"


def router(opened: Callable[[], Project]) -> APIRouter:
    """The routes of the pictures; `opened` opens the project."""
    routes = APIRouter(tags=["pictures"])
    kept = KeptPictures()

    @routes.get("/picture/image", response_class=Response)
    def show_photograph(
        request: Request, image: str, size: Literal["tile", "large"] = "tile"
    ) -> Response:
        """A photograph as JPEG."""
        with opened() as project:
            digest = project.listed_image(image).digest
            key = picture_key("image", image, digest, size)
            draw = partial(draw_image, project, image, SIZES[size])
            return _answer(request, kept, key=key, draw=draw)

    @routes.get("/picture/label", response_class=Response)
    def show_label(
        request: Request, image: str, task: str, size: Literal["tile", "large"] = "tile"
    ) -> Response:
        """A label as PNG in the colours of its task; what is not valid is transparent."""
        cell = Cell(image, task)
        with opened() as project:
            shown = (project.history(cell)[-1:], project.tasks[task].options)
            key = picture_key("label", cell, shown, size)
            draw = partial(draw_label, project, cell, SIZES[size])
            return _answer(request, kept, key=key, draw=draw)

    return routes


def _answer(
    request: Request, kept: KeptPictures, *, key: str, draw: Callable[[], bytes]
) -> Response:
    """A picture, drawn if it is not kept; nothing if the browser has it.

    A file that is gone or damaged is said in the answer's text.
    """
    headers = {"ETag": f'"{key}"', "Cache-Control": "private, no-cache"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    picture = kept.get(key)
    if picture is None:
        try:
            picture = draw()
        except LabelgridError as error:
            return Response(str(error), status_code=404, media_type="text/plain")
        kept.keep(key, picture)
    kind = "image/jpeg" if picture.startswith(JPEG) else "image/png"
    return Response(picture, media_type=kind, headers=headers)
