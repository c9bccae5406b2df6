"""Defines the connector protocol: send a request to a labelling tool, receive its answer."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

from labelgrid.annotate.answers import Answers
from labelgrid.annotate.class_names import ClassNames
from labelgrid.annotate.image_names import ImageNames
from labelgrid.annotate.import_options import ImportOptions
from labelgrid.annotate.request import Request
from labelgrid.annotate.uncovered import Uncovered
from labelgrid.basics.encodings import decode, words_in
from labelgrid.basics.progress import Progress, Silent
from labelgrid.basics.recognition import Recognition
from labelgrid.basics.type_names import Size
from labelgrid.formats.naming import stem
from labelgrid.images.places import image_file
from labelgrid.images.reading import image_size
from labelgrid.ledger.grid import SPLITS, Cell, State
from labelgrid.ledger.store import Store
from labelgrid.tasks.task import TaskDef, TaskDefs


@dataclass(frozen=True)
class RemovedNames:
    """The parts that were taken out of a project.

    Images, their names without extension, tasks, and the ids of the requests of their cells.
    """

    images: frozenset[str]
    stems: frozenset[str]
    tasks: frozenset[str]
    requests: frozenset[str]


class ProjectIndex:
    """The project's tasks, images and requests, to which an answer can refer.

    Read from the ledger on demand, the images once.

    Args:
        store: the project's ledger; it is only read.
        tasks: the project's tasks by name.
        options: what a person says about the answer.

    Attributes:
        heard: the names of regions that a connector asked for, and whether a task knows them.
        encodings: how many texts of each encoding other than UTF-8 were read.
        uncovered: what became of pixels that no region covers.
        progress: reports files whose names are matched.
    """

    def __init__(
        self, store: Store, tasks: TaskDefs, options: ImportOptions = ImportOptions()
    ) -> None:
        self.tasks = tasks
        self.options = options
        self.heard: dict[str, bool] = {}
        self.encodings = Counter[str]()
        self.uncovered = Uncovered()
        self.progress: Progress = Silent()
        self._store = store
        self._images: list[str] = []  # read once

    def of_task(self, task: str) -> "ProjectIndex":
        """The same project for labels of one task, as `--task` says."""
        return self._with(replace(self.options, task=task), {})

    def of_format(self, format: str) -> "ProjectIndex":
        """The same project for an answer that a connector reads."""
        return self._with(replace(self.options, format=format), self.heard)

    def _with(self, options: ImportOptions, heard: dict[str, bool]) -> "ProjectIndex":
        index = copy(self)  # which shares the images, and all that is noted
        index.options = options
        index.heard = heard
        return index

    def decode(self, data: bytes) -> str:
        """A tool's text; the names of classes and images tell an encoding other than Unicode.

        Raises:
            UnicodeDecodeError: its encoding is not known.
        """
        text, encoding = decode(data, self._words)
        if encoding:
            self.encodings[encoding] += 1
        return text

    @cached_property
    def _words(self) -> frozenset[str]:
        names = [*self.options.meanings, *self.images()]
        for task in self.tasks.values():
            names += task.region_names
        return words_in(names)

    def class_names(self) -> ClassNames:
        """The names of regions that the tasks know."""
        return ClassNames(self.tasks, self.options, self.heard)

    def image_names(self) -> ImageNames:
        """The images, found by the names that tools give."""
        return ImageNames(self.images())

    def images(self) -> Sequence[str]:
        """All image ids, sorted."""
        if not self._images:
            self._images.extend(self._store.grid(SPLITS).images)
        return self._images

    def images_by_state(self, task: str) -> dict[State, list[str]]:
        """The images by the state of their cell of a task, sorted; a state without any is left out.

        Reads the whole grid.
        """
        grid = self._store.grid(SPLITS)
        states = grid.state[:, list(grid.tasks).index(task)].tolist()
        images = defaultdict[State, list[str]](list)
        for image_id, state in zip(grid.images, states, strict=True):
            images[State(state)].append(image_id)
        return dict(images)

    def size(self, image_id: str) -> Size:
        """Height and width of an image."""
        (image,) = self._store.images(names=[image_id])
        if image.height:
            return image.height, image.width
        return image_size(image_file(image.root, image.image_id, image.digest))

    def requests(self, ids: Collection[str]) -> dict[str, Cell]:
        """Request id -> cell, for open and answered requests; unknown ids are left out."""
        cells = {}
        for row in self._store.cells():
            if row.request_id in ids:
                cells[row.request_id] = row.cell
        return cells

    def closed(self, ids: Collection[str]) -> set[str]:
        """The ids of earlier requests, which were cancelled, or answered and withdrawn, since."""
        if not ids:
            return set()
        events = self._store.events()
        closed_ids = set()
        for event in events:
            if event.move.request_id in ids:
                closed_ids.add(event.move.request_id)
        return closed_ids

    def removed(self) -> RemovedNames:
        """The removed images, the dropped tasks, and the requests of their cells."""
        images = frozenset(self._store.removed("images"))
        tasks = frozenset(self._store.removed("tasks"))
        request_ids = set()
        if images or tasks:
            for event in self._store.events():
                cell = event.move.cell
                if cell.image_id in images or cell.task in tasks:
                    request_ids.add(event.move.request_id)
        return RemovedNames(
            images, frozenset(map(stem, images)), tasks, frozenset(request_ids - {""})
        )


@dataclass(frozen=True, kw_only=True)
class ToolServer:
    """A labelling tool's server, and by what a project is known there.

    Args:
        url: its address.
        token_file: a file with the token of one of its users.
        project: the project's name, for people.
        key: the project's key, by which its requests are found.
        root: the folder from which the server serves images of its own machine; None: they are
            uploaded.
    """

    url: str
    token_file: Path
    project: str
    key: str
    root: Path | None = None

    def __str__(self) -> str:
        return self.url


class Connector(Protocol):
    """Connects a labelling tool.

    `send` writes a request in the tool's format, `receive` reads the answer. A plug-in of
    `labelgrid.annotate.tools` has a `build()` that returns one. `labelgrid export --to NAME` calls
    `send`, which a connector that only receives does not have; `labelgrid import --format NAME`
    calls `receive`. Without `--format`, the surest `recognise` of the package's connectors chooses;
    a connector need not have it. With `--url`, `upload` and `download` exchange them with a server.
    `labelgrid.testing.tools` has the laws of connectors.
    """

    def send(self, request: Request, out: Path, progress: Progress, *, link: bool = False) -> None:
        """Write the request to the folder `out`.

        If `out` holds an earlier request, it is updated, and answers in it are kept. After a kill,
        calling it again completes the folder.

        Args:
            request: the cells, images and prelabels.
            out: a folder: new, empty, or with an earlier request of this connector.
            progress: reports each file.
            link: link to the images instead of copying them, if the tool's format has image files.

        Raises:
            ProjectError: the folder holds something else, which is not changed, or the disk reports
                an error.
            UsageError: the tool cannot make a label of the request.
        """

    def takes(self, task: TaskDef) -> bool:
        """Whether the tool can make labels of a task; other tasks are not sent. Default: True."""
        return True

    def receive(self, answer: Path, index: ProjectIndex) -> Answers:
        """Read the labels and skips of an answer.

        An error in a file or line is returned as a fault, not raised.

        Args:
            answer: the folder or file that the tool wrote.
            index: the project's tasks, images and requests.

        Raises:
            LabelError: there is no answer; or no task, or more than one, knows its classes.
        """

    def recognise(self, path: Path) -> Recognition | None:
        """Recognise an answer in the tool's format: a file or a folder.

        It reads little: names and the first bytes of files, without following a link out of the
        folder. It raises nothing, whatever the path holds. Default: None, it cannot tell.
        """
        return None

    def recognise_names(self, path: Path, index: ProjectIndex) -> Recognition | None:
        """Recognise a folder by the images and classes of the project in its names.

        Asked only where no connector recognises the folder, and none of its own is named like a
        task. It raises nothing. Default: None, names say nothing.
        """
        return None

    def upload(self, request: Request, out: Path, server: ToolServer, progress: Progress) -> int:
        """Send a request to the tool's server; a second call sends the missing parts.

        A connector without a server does not have it, nor `download`.

        Args:
            request: the cells, images and prelabels.
            out: as in `send`; written only where the server serves images from it.
            server: the server.
            progress: reports each task.

        Returns:
            How many of the cells were not there before.

        Raises:
            ServerError: the server cannot be reached, refuses, or stores something other than what
                was sent.
        """
        raise NotImplementedError

    def download(self, server: ToolServer, index: ProjectIndex, progress: Progress) -> Answers:
        """Read the answers to all requests of the project from the tool's server.

        Raises:
            ServerError: as `upload`.
            LabelError: there is no answer.
        """
        raise NotImplementedError
