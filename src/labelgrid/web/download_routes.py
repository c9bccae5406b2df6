"""Answers with exported requests as zip files, packed on the way."""

from typing import Literal
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from labelgrid.basics.errors import LedgerError
from labelgrid.web.exports import export_folder
from labelgrid.web.pages import Opened
from labelgrid.web.zip_stream import packed


def router(opened: Opened) -> APIRouter:
    """The route."""
    routes = APIRouter(tags=["jobs"])

    @routes.get("/download/{kind}/{number}", response_class=StreamingResponse)
    def download(kind: Literal["round", "job"], number: int) -> StreamingResponse:
        """The exported requests of a round or a job, as a zip file.

        Links in the folder are left out.
        """
        with opened() as project:
            folder = export_folder(project, kind, number)
            name = quote(f"{project.folder.resolve().name}-{kind}-{number}.zip")
        if folder is None:
            raise LedgerError(
                f"There are no exported requests of {kind} {number}.",
                next_step="Export the requests first.",
            )
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
        return StreamingResponse(packed(folder), media_type="application/zip", headers=headers)

    return routes
