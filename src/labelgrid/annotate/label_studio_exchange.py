"""Exchanges requests and answers with a Label Studio server: one project a task and round."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from labelgrid.annotate.answer_folder import IMAGES
from labelgrid.annotate.answers import Answers
from labelgrid.annotate.connector import ProjectIndex, ToolServer
from labelgrid.annotate.drawing_requests import refuse_undrawn
from labelgrid.annotate.label_studio_client import connect
from labelgrid.annotate.label_studio_images import LocalFiles, Uploads
from labelgrid.annotate.label_studio_json import TOOL, answers_of, config_of, tasks_of
from labelgrid.annotate.label_studio_server import LabelStudioServer
from labelgrid.annotate.request import Request, RequestItem
from labelgrid.basics.errors import LabelError
from labelgrid.basics.progress import Progress

_FOUND_BY = "labelgrid finds this project by this text: do not change it."


def upload_request(request: Request, out: Path, server: ToolServer, progress: Progress) -> int:
    """Send what a server lacks of a request; how many tasks were new there.

    Args:
        request: the request.
        out: the folder with its images, if the server serves them from its own machine.
        server: the server.
        progress: counts the tasks.

    Raises:
        UsageError: the request has cells whose labels cannot be drawn, or the server's address is
            wrong.
        ServerError: the server cannot be reached, refuses, or stores another thing than was sent.
    """
    refuse_undrawn(request, TOOL)
    client = connect(server.url, server.token_file)
    keeper = LabelStudioServer(client)
    new = 0
    for (task, number), items in _by_project(request).items():
        part = replace(request, items=items)
        project = keeper.find_or_create_project(
            f"{_start(server)}{task}, round {number}. {_FOUND_BY}",
            f"{server.project}: {task}, round {number}",
            config_of(part),
        )
        sent = {part.names[image_id]: path for image_id, path in part.images.items()}
        images: Uploads | LocalFiles = Uploads(client, project, sent)
        if server.root:
            images = LocalFiles(client, project, out / IMAGES, server.root)
        new += keeper.send_tasks(project, tasks_of(part, str), images.url, progress).new
        keeper.order_by(project, "score")
    return new


def download_answers(server: ToolServer, index: ProjectIndex, progress: Progress) -> Answers:
    """The answers to all requests of a project that are on a server.

    Raises:
        UsageError: the server's address is wrong.
        ServerError: the server cannot be reached, or refuses.
        LabelError: no answer is there.
    """
    keeper = LabelStudioServer(connect(server.url, server.token_file))
    projects = keeper.projects(_start(server))
    if not projects:
        raise LabelError(
            "No request of this project is on the server.",
            where=server.url,
            next_step="Send them: labelgrid export DIR --to label-studio --url URL.",
        )
    answers = answers_of({"": _tasks(keeper, projects, progress)}, index)
    if answers == Answers():
        raise LabelError(
            "No request on the server is answered yet.",
            where=server.url,
            next_step="Submit annotations in Label Studio.",
        )
    return answers


def _by_project(request: Request) -> dict[tuple[str, int], list[RequestItem]]:
    groups: dict[tuple[str, int], list[RequestItem]] = defaultdict(list)
    for item in request.items:
        groups[item.cell.task, item.round].append(item)
    return groups


def _start(server: ToolServer) -> str:
    """How the descriptions of all of a project's requests start."""
    return f"labelgrid {server.key}, "


def _tasks(
    keeper: LabelStudioServer, projects: Mapping[str, int], progress: Progress
) -> Iterator[Mapping[str, Any]]:
    progress.start("Reading answers from Label Studio", len(projects), "projects")
    for project in projects.values():
        yield from keeper.fetch_tasks(project)
        progress.advance()
