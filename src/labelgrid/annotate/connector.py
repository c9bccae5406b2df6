"""What connects labelgrid with a labelling tool: a request is sent to it, and its answer is received."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from labelgrid.annotate.answers import Answers
from labelgrid.annotate.request import Request
from labelgrid.labels.grid import SPLITS, Cell
from labelgrid.labels.store import Store
from labelgrid.progress import Progress
from labelgrid.tasks.task import TaskDef


class ProjectIndex:
    """What an answer can be about: the project's tasks, images and requests, read from its ledger on demand.

    Args:
        store: the project's ledger, which is only read.
        tasks: the project's tasks by name.
    """

    def __init__(self, store: Store, tasks: Mapping[str, TaskDef]) -> None:
        self.tasks = tasks
        self._store = store

    def images(self) -> Sequence[str]:
        """All image ids, sorted."""
        return self._store.grid(SPLITS).images

    def requests(self, ids: Collection[str]) -> dict[str, Cell]:
        """Request id -> its cell, of those that are open or answered; ids the project does not know are left out."""
        return {row.request_id: row.cell for row in self._store.cells() if row.request_id in ids}


class Connector(Protocol):
    """A labelling tool, both ways: `send` writes a request in the tool's form, `receive` reads what it answers.

    A plug-in of `labelgrid.annotate` has a `build()` that returns one. `labelgrid export --to NAME` calls `send`,
    `labelgrid import --format NAME` calls `receive`. What must hold of both is in `tests/contracts/test_connectors.py`.
    """

    def send(self, request: Request, out: Path, progress: Progress, *, link: bool = False) -> None:
        """Write the request to the folder `out`.

        Sent again, `out` becomes what the request is now, and answers in it stay. A run after a killed one completes
        the folder.

        Args:
            request: the cells, images and prelabels.
            out: a folder; missing, empty, or an earlier request of this connector.
            progress: told of each file.
            link: link to the images instead of copying them, where the tool's form has image files.

        Raises:
            ProjectError: the folder holds something else, which is left as it is, or the disk refuses.
        """

    def receive(self, answer: Path, index: ProjectIndex) -> Answers:
        """The labels and skips in an answer. What is wrong with a file or line is a fault, not an exception.

        Args:
            answer: the folder or file that the tool left.
            index: the project's tasks, images and requests.

        Raises:
            LabelError: there is no answer at all.
        """
