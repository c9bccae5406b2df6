"""Exchanges requests and labels with Label Studio as files: tasks to import, its JSON export."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from labelgrid.annotate.answer_folder import README
from labelgrid.annotate.answers import Answers
from labelgrid.annotate.connector import ProjectIndex, ToolServer
from labelgrid.annotate.drawing_requests import refuse_undrawn
from labelgrid.annotate.earlier_request import foreign_folder_error, is_vacant
from labelgrid.annotate.image_copies import copy_images
from labelgrid.annotate.json_files import Decoder, plain_text, read_entries
from labelgrid.annotate.label_studio_client import connect
from labelgrid.annotate.label_studio_images import LocalFiles, Uploads
from labelgrid.annotate.label_studio_json import TOOL, answers_of, config_of, image_name, tasks_of
from labelgrid.annotate.label_studio_server import LabelStudioServer
from labelgrid.annotate.manifest import IMAGES
from labelgrid.annotate.matching import is_inside, link_fault
from labelgrid.annotate.request import Request, RequestItem
from labelgrid.basics import files
from labelgrid.basics.encodings import begin
from labelgrid.basics.errors import LabelError
from labelgrid.basics.progress import Progress
from labelgrid.basics.recognition import Recognition
from labelgrid.basics.type_names import Values
from labelgrid.tasks.task import TaskDef

TASKS = "tasks.json"
CONFIG = "config.xml"
#: Where an answer may be put; any other name will do.
ANSWERS = "answers.json"
#: Bytes of an export, at most; those that are read to recognise one.
_LARGEST = 2**32
_START = 2**16
_LIST = re.compile(r"\s*\[\s*\{")
#: A key of every annotation.
_OF_ANNOTATIONS = ('"completed_by"', '"was_cancelled"', '"to_name"')
_TEXT = """\
A request of labelgrid for Label Studio. Tasks: {tasks}. Images: {images}.

1. Start Label Studio so that it may serve this folder:
   LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true \\
   LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT="THIS_FOLDER" label-studio start
2. Make a project. In its labelling setup choose the custom template, and paste config.xml.
3. In the project's settings, Cloud Storage: add a source storage, "Local files", with the path
   THIS_FOLDER/images, and save it. Do not sync it: tasks.json is imported instead.
4. Import tasks.json. The model's predictions, if there are some, are where an annotation starts.
   Best first is the order of the file; `score` is a column that can be sorted.
5. Each task asks for one sort of label, which its first line names. Draw with that brush alone.
   A task that cannot be labelled: write why into the field, and press Skip.
6. Export as JSON, put the file into this folder as answers.json, and
   run: labelgrid import PROJECT THIS_FOLDER

answers.json is kept when the request is written again.
"""
_FOUND_BY = "labelgrid finds this project by this text: do not change it."


class LabelStudioConnector:
    """Writes tasks for Label Studio, and reads the JSON export.

    See `labelgrid.annotate.connector.Connector`.
    """

    def send(self, request: Request, out: Path, progress: Progress, *, link: bool = False) -> None:
        """Write the images, `tasks.json`, `config.xml` and `README.txt`.

        An earlier request in the folder is updated, and other files in it are kept.
        """
        tasks = tasks_of(request)
        with files.disk_errors(out, "Answers in it were not changed."):
            earlier = _earlier_images(out)
            files.remove_files(out / IMAGES, earlier - {*request.names.values()})
            lines = ",\n".join(map(json.dumps, tasks))
            files.write_text(out / TASKS, f"[\n{lines}\n]\n")
            files.write_text(out / CONFIG, config_of(request))
            files.write_text(
                out / README, _TEXT.format(tasks=len(tasks), images=len(request.images))
            )
            copy_images(request, out / IMAGES, link=link, progress=progress)

    def takes(self, task: TaskDef) -> bool:
        """Whether labels of a task can be drawn as regions."""
        return bool(task.region_names)

    def receive(self, answer: Path, index: ProjectIndex) -> Answers:
        """Read a JSON export: a file, or those in a folder.

        See `label_studio_json.answers_of`.
        """
        paths = _answer_files(answer)
        exports = {}
        for path in paths:
            name = path.relative_to(answer).as_posix() if path != answer else ""
            if not is_inside(answer, path):
                return Answers(faults=[link_fault(name)])
            exports[name if len(paths) > 1 else ""] = _read_tasks(path, index.decode)
        answers = answers_of(exports, index)
        if answers == Answers():
            raise LabelError(
                "No task in it has an annotation.",
                where=paths[0] if len(paths) == 1 else answer,
                next_step="Submit annotations in Label Studio, and export as JSON.",
                unchanged="Nothing was imported.",
            )
        return answers

    def upload(self, request: Request, out: Path, server: ToolServer, progress: Progress) -> int:
        """Send what a server lacks of a request; how many tasks were new there."""
        if server.root:
            self.send(request, out, progress)
        refuse_undrawn(request, TOOL)
        client = connect(server.url, server.token_file)
        keeper = LabelStudioServer(client)
        by_project: dict[tuple[str, int], list[RequestItem]] = defaultdict(list)
        for item in request.items:
            by_project[item.cell.task, item.round].append(item)
        new = 0
        for (task, number), items in by_project.items():
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

    def download(self, server: ToolServer, index: ProjectIndex, progress: Progress) -> Answers:
        """Read the annotations of all requests of a project that are on a server."""
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

    def recognise(self, path: Path) -> Recognition | None:
        """Recognise an export, or tasks of a request, by the beginning of the file."""
        try:
            file = _answer_files(path)[0]
            if file != path and not is_inside(path, file):
                return None
            with files.open_regular(file) as opened:
                text = begin(opened.read(_START)).decode("utf-8", errors="replace")
        except (OSError, ValueError, LabelError):
            return None
        if not _LIST.match(text):
            return None
        if '"annotations"' in text and any(key in text for key in _OF_ANNOTATIONS):
            return Recognition("a JSON export of Label Studio", 1.0)
        if '"request_id"' in text and '"data"' in text:
            return Recognition("a request for Label Studio", 0.9)
        return None


build = LabelStudioConnector


def _answer_files(answer: Path) -> list[Path]:
    """The exports: the file itself, or the JSON files of a folder beside the tasks.

    Without any, the JSON files of the folders in it.
    """
    if not answer.is_dir():
        return [answer]
    below = sorted(answer.glob("*.json")) or sorted(answer.glob("*/*.json"))
    exports = [path for path in below if not path.name.startswith(".")]
    exports = [path for path in exports if path.name != TASKS] or exports
    if not exports:
        raise LabelError(
            "The folder holds no JSON files.",
            where=answer,
            next_step="Export as JSON, and import that file.",
            unchanged="Nothing was imported.",
        )
    return exports


def _read_tasks(path: Path, decoder: Decoder = plain_text) -> Iterator[object]:
    try:
        with files.open_regular(path, _LARGEST) as file:
            text = decoder(file.read())
        yield from read_entries(text)
    except (OSError, ValueError, RecursionError) as error:
        fault = error.strerror if isinstance(error, OSError) else error
        raise LabelError(
            f"The file is no JSON list of tasks: {fault or error}.",
            where=path,
            next_step=getattr(error, "advice", "Export as JSON from Label Studio again."),
            unchanged="Nothing was imported.",
        ) from error


def _earlier_images(out: Path) -> set[str]:
    if is_vacant(out):
        return set()
    try:
        return {_own_image(task) for task in _read_tasks(out / TASKS)}
    except LabelError as error:
        raise foreign_folder_error(out, "request for Label Studio") from error


def _own_image(task: object) -> str:
    data = task.get("data") if isinstance(task, Mapping) else None
    if isinstance(data, Mapping) and isinstance(data.get("request_id"), str):
        address = data.get("image")
        if isinstance(address, str) and isinstance(data.get("image_id"), str):
            return image_name(address).removeprefix(f"{IMAGES}/")
    raise LabelError("It is no task that was sent.")


def _start(server: ToolServer) -> str:
    return f"labelgrid {server.key}, "


def _tasks(
    keeper: LabelStudioServer, projects: Mapping[str, int], progress: Progress
) -> Iterator[Values]:
    progress.start("Reading answers from Label Studio", len(projects), "projects")
    for project in projects.values():
        yield from keeper.fetch_tasks(project)
        progress.advance()
