"""Answers programs with what a project holds, as JSON."""

from typing import Annotated

from fastapi import APIRouter, Query

from labelgrid.basics.type_names import Json
from labelgrid.web.grid_page import GridQuery, grid_page
from labelgrid.web.pages import Opened


def router(opened: Opened) -> APIRouter:
    """The routes of the API."""
    routes = APIRouter(prefix="/api", tags=["project"])

    @routes.get("/status")
    def read_status() -> Json:
        """What `labelgrid status --json` prints."""
        with opened() as project:
            return project.status()

    @routes.get("/images")
    def read_images(query: Annotated[GridQuery, Query()]) -> Json:
        """A page of images with the states of their cells."""
        with opened() as project:
            view = grid_page(project, query)
        images = []
        for image in view.matches.images:
            states = {task: state.name.lower() for task, state in image.states.items()}
            images.append({"image": image.image_id, "split": image.split, "states": states})
        return {"total": view.matches.total, "page": view.query.page, "images": images}

    @routes.get("/history")
    def read_history(cell: str) -> list[Json]:
        """All events of a cell, given as IMAGE:TASK."""
        with opened() as project:
            return project.cell(cell).history()

    return routes
