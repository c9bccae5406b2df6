"""Keeps requests on a Label Studio server: projects and tasks, compared with the sent ones.

Nothing is sent twice: a project is found by its description, a task by the id of its request. The
server says "created" of much that it drops or changes, so all is read back.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any
from xml.etree import ElementTree

from labelgrid.annotate.label_studio_client import AGAIN, Client
from labelgrid.basics.errors import ServerError
from labelgrid.basics.progress import Progress
from labelgrid.basics.type_names import Json, Values
from labelgrid.basics.words import join_names

#: Label Studio's limit of a title.
_TITLE = 50
#: Tasks of one request to the server: few enough for their run lengths.
_BATCH = 20
#: How pages of tasks are read; also twice as many tasks as sent are found in one.
_PAGE = {"fields": "all", "resolve_uri": "false", "page_size": 2 * _BATCH}
_PROJECTS = 100
#: A server that lists more projects, or answered tasks of one, lists them for ever.
_MOST_PROJECTS = 20_000
_MOST_TASKS = 200_000
#: So many pages in a row may bring nothing new.
_STALE = 3
_VIEW = "best first"
Task = Mapping[str, Any]


@dataclass(frozen=True)
class Sent:
    """How many tasks were new on the server, and how many were there already."""

    new: int
    already_there: int


class LabelStudioServer:
    """The projects and tasks of a server."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def projects(self, start: str) -> dict[str, int]:
        """Description -> project id, for descriptions with this start; of two, the older project.

        Raises:
            ServerError: as all methods: the server cannot be reached, or refuses.
        """
        projects: dict[str, int] = {}
        seen: set[int] = set()
        with self._client.understood():
            for page in count(1):
                query = {"page": page, "page_size": _PROJECTS, "ordering": "id"}
                answer = self._client.get("/api/projects/", query)
                before = len(seen)
                for project in answer["results"]:
                    seen.add(project["id"])
                    if project["description"].startswith(start):
                        projects.setdefault(project["description"], project["id"])
                if not answer["next"]:
                    break
                if len(seen) == before or len(seen) > _MOST_PROJECTS:
                    raise self._endless("projects", len(seen))
        return projects

    def find_or_create_project(self, description: str, title: str, config: str) -> int:
        """The id of the project with a description; a missing project is made, with the labels.

        In an existing project, only missing labels are added.

        Args:
            description: the description by which the project is recognised.
            title: for people; 3 characters at least, of which 50 are kept.
            config: Label Studio's XML.

        Raises:
            ServerError: the server did not take the labels as they are.
        """
        if description not in self.projects(description):
            body = {"title": title[:_TITLE], "description": description, "label_config": config}
            self._client.send("POST", "/api/projects/", body)
        with self._client.understood():
            # The older one, if another process made one, too.
            project = self.projects(description)[description]
            path = f"/api/projects/{project}/"
            if not _has_controls(self._client.get(path), config):
                self._client.send("PATCH", path, {"label_config": config})
            if not _has_controls(self._client.get(path), config):
                raise self._differs(title, "the labels of its configuration")
        return project

    def order_by(self, project: int, key: str) -> None:
        """Show the tasks by a value of their data, largest first."""
        with self._client.understood():
            views = self._client.get("/api/dm/views/", {"project": project})
            titles = [view["data"].get("title") for view in views]
            if _VIEW not in titles:
                data = {"title": _VIEW, "ordering": [f"-tasks:data.{key}"]}
                self._client.send("POST", "/api/dm/views/", {"project": project, "data": data})

    def send_tasks(
        self,
        project: int,
        tasks: Sequence[Task],
        image_url: Callable[[Task], str],
        progress: Progress,
    ) -> Sent:
        """Send the tasks that the server does not have, then read back and compare all.

        Called again, also after a kill, it completes what is there.

        Args:
            project: its id.
            tasks: tasks with `predictions`, and with a `request_id` in `data`.
            image_url: provides the image of a task that is new; it replaces `data["image"]`.
            progress: counts the tasks.

        Raises:
            ServerError: the server did not store a task or prediction as it was sent; what was sent
                before stays.
        """
        new = 0
        progress.start("Sending tasks to Label Studio", len(tasks), "tasks")
        with self._client.understood():
            for start in range(0, len(tasks), _BATCH):
                batch = tasks[start : start + _BATCH]
                new += self._send_batch(project, batch, image_url)
                progress.advance(len(batch))
            # The server begins annotations with the predictions of one version of a model.
            versions = set()
            for task in tasks:
                versions |= {row["model_version"] for row in task.get("predictions", ())}
            if versions:
                body = {"model_version": max(versions), "show_collab_predictions": True}
                self._client.send("PATCH", f"/api/projects/{project}/", body)
        return Sent(new, len(tasks) - new)

    def fetch_tasks(self, project: int) -> Iterator[Task]:
        """The answered and the skipped tasks with their annotations, read page by page.

        Raises:
            ServerError: a page cannot be read, or tasks disappeared in the meantime.
        """
        fetched: set[int] = set()
        stale = 0
        with self._client.understood():
            for page in count(1):
                query = _PAGE | {"project": project, "query": _ANSWERED, "page": page}
                answer = self._client.get("/api/tasks", query)
                before = len(fetched)
                for task in answer["tasks"]:
                    if task["id"] not in fetched:  # one answered meanwhile moves others on
                        yield task
                    fetched.add(task["id"])
                if len(fetched) >= answer["total"]:
                    return
                if not answer["tasks"]:
                    raise self._client.wrong_answer()
                stale = stale + 1 if len(fetched) == before else 0
                if stale > _STALE or len(fetched) > _MOST_TASKS:
                    raise self._endless("tasks", len(fetched))

    def _endless(self, items: str, count: int) -> ServerError:
        return ServerError(
            f"The server's list of {items} has no end: after {count:,} it says that there are "
            "more.",
            where=self._client.url,
            next_step="Check the URL: it is the one of Label Studio's first page. If so many are "
            "there, export them in Label Studio, and import the file.",
        )

    def _send_batch(
        self, project: int, batch: Sequence[Task], image_url: Callable[[Task], str]
    ) -> int:
        """Send the tasks that the server lacks, and compare all; how many were new."""
        stored = self._stored(project, batch)
        missing = [task for task in batch if _request_id(task) not in stored]
        if missing:
            # Without their predictions: this import takes wrong ones.
            body = [{"data": {**task["data"], "image": image_url(task)}} for task in missing]
            taken = self._client.send("POST", f"/api/projects/{project}/import", body)["task_count"]
            if taken != len(missing):
                names = join_names([_request_id(task) for task in missing])
                raise self._differs(names, "the tasks", f" It took {taken} of {len(missing)}.")
            stored = self._stored(project, batch)
        if self._send_predictions(project, batch, stored):
            stored = self._stored(project, batch)
        wrong = [name for name in map(_request_id, batch) if name not in stored]
        for task in batch:
            there = stored.get(_request_id(task))
            if there:
                sent = {**task["data"], "image": there["data"].get("image")}
                predictions = task.get("predictions", ())
                is_stored = all(_has_prediction(there, prediction) for prediction in predictions)
                if not (_is_same(there["data"], sent) and is_stored):
                    wrong.append(_request_id(task))
        if wrong:
            raise self._differs(join_names(wrong), "the tasks")
        return len(missing)

    def _send_predictions(
        self, project: int, batch: Sequence[Task], stored: Mapping[str, Task]
    ) -> bool:
        """Import the predictions that the server lacks; whether there were any."""
        body = []
        names = []
        for task in batch:
            there = stored.get(_request_id(task))
            for prediction in task.get("predictions", ()):
                if there and not _has_prediction(there, prediction):
                    body.append({**prediction, "task": there["id"]})
                    names.append(_request_id(task))
        if not body:
            return False
        path = f"/api/projects/{project}/import/predictions"
        count = self._client.send("POST", path, body)["created"]
        if count != len(body):
            taken = f" It took {count} of {len(body)}."
            raise self._differs(join_names(names), "the predictions", taken)
        return True

    def _stored(self, project: int, batch: Sequence[Task]) -> dict[str, Task]:
        """Request id -> the task on the server, for tasks that are there."""
        ids = [_request_id(task) for task in batch]
        rule = {
            "filter": "filter:tasks:data.request_id",
            "operator": "in_list",
            "type": "List",
            "value": ids,
        }
        filters = {"filters": {"conjunction": "and", "items": [rule]}}
        answer = self._client.get("/api/tasks", _PAGE | {"project": project, "query": filters})
        stored: dict[str, Task] = {}
        for task in answer["tasks"]:
            name = _request_id(task)
            if name in stored:
                raise ServerError(
                    f"The server has two tasks of the request {name}.",
                    where=self._client.url,
                    next_step=f"Delete one of them, {stored[name]['id']} or {task['id']}. {AGAIN}",
                )
            stored[name] = task
        return stored

    def _differs(self, names: str, items: str, taken: str = "") -> ServerError:
        return ServerError(
            f"The server did not store {items} as they were sent: {names}.{taken}",
            where=self._client.url,
            next_step=f"Its log may say why. Delete what is wrong there. {AGAIN}",
        )


def _rule(name: str) -> Json:
    return {"filter": f"filter:tasks:{name}", "operator": "greater", "type": "Number", "value": 0}


#: Label Studio counts a skip as a cancelled annotation, and not among all.
_ANSWERED = {
    "filters": {
        "conjunction": "or",
        "items": [_rule("total_annotations"), _rule("cancelled_annotations")],
    },
    "ordering": ["tasks:id"],
}


def _request_id(task: Task) -> str:
    return str(task["data"]["request_id"])


def _has_controls(project: Values, config: str) -> bool:
    stored = project["parsed_label_config"]
    for tag in ElementTree.fromstring(config).iter():
        if "toName" not in tag.attrib:
            continue
        control = stored.get(tag.get("name"))
        if not control or control["type"] != tag.tag:
            return False
        if not {label.get("value") for label in tag} <= {*control["labels"]}:
            return False
    return bool(project["config_has_control_tags"])


def _has_prediction(there: Task, prediction: Values) -> bool:
    return any(
        stored["model_version"] == prediction["model_version"]
        and _is_same(stored["result"], prediction["result"])
        for stored in there["predictions"]
    )


def _is_same(one: Any, other: Any) -> bool:
    """Whether values of JSON are the same, but for the last digits of numbers.

    Example:
        >>> _is_same({"a": [4 / 7]}, {"a": [0.571428571428571]})
        True
    """
    if one == other:
        return True
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return False
