"""Learns while labels are made: waits for labels and wishes, trains, and publishes predictions."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from labelgrid.basics.errors import ImageError, LabelgridError, LedgerError
from labelgrid.basics.processes import started_at
from labelgrid.basics.progress import Progress
from labelgrid.basics.words import count_text
from labelgrid.executors.job import signs_of_life
from labelgrid.ledger.grid import Cell
from labelgrid.project.cells.measuring_cells import MeasuringCells
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.live_folder import LiveFolder, LiveState
from labelgrid.rounds.live_model import LiveModel

#: Seconds between two looks for labels and wishes.
EVERY = 0.5


def learn_while_labelling(folder: Path, *, minutes: float, server: int, progress: Progress) -> None:
    """Learn from each new label, and predict what pages ask for, until nothing is new any more.

    Args:
        folder: the project's.
        minutes: the time without a new label after which it ends.
        server: the process with which it ends; 0: with none.
        progress: is told what was learnt.

    Raises:
        StateError: another process does so.
        LabelgridError: there is no project, or the network cannot be built.
    """
    born = started_at(server) if server else None
    with ProjectFolder.open(folder, read_only=True) as project:
        place = LiveFolder.of(project)
        with place.owned(), signs_of_life(place.job.give_sign):
            worker = LiveWorker(project, place, progress)
            while worker.idle < 60 * minutes:
                if server and (born is None or started_at(server) != born):
                    progress.say("Ended with the page's server.")
                    return
                if not worker.turn():
                    time.sleep(EVERY)
            progress.say(f"Ended: no new label for {minutes:g} minutes.")


class LiveWorker:
    """Learns and predicts in turns; only predictions are written.

    Args:
        project: an open project.
        place: the folder of the predictions.
        progress: is told what was learnt.
    """

    def __init__(self, project: ProjectFolder, place: LiveFolder, progress: Progress) -> None:
        self.project = project
        self.place = place
        self.progress = progress
        self.model = LiveModel(project, progress)
        self._event = -1
        # No earlier process has published under the same number.
        self._count = time.time_ns() // 1000
        self._shown: set[Cell] = set()
        self._said = set[str]()
        self._since = time.monotonic()

    @property
    def idle(self) -> float:
        """The seconds without a new label."""
        return time.monotonic() - self._since

    def turn(self) -> bool:
        """Learn for a moment, or predict what is wished; whether there was something to do.

        Raises:
            LabelgridError: the network cannot be built, or does not learn.
        """
        is_new = self._look()
        learns = self.model.learns
        if learns:
            self._learn(is_new)
        if is_new and not self.model.learnt:
            self.place.withdraw()
        wishes = self.place.wishes()
        # Not after each moment of learning: a prediction that changes all the time is no help.
        is_due = is_new or (learns and not self.model.learns)
        is_wished = not self._shown.issuperset(wishes)
        if self.model.learnt and (is_due or is_wished):
            self._publish(wishes)
            return True
        return learns

    def _learn(self, is_new: bool) -> None:
        began = time.monotonic()
        self.model.learn()
        if is_new:
            labels = count_text(self.model.labels, "label")
            self.progress.say(f"Learnt from {labels} in {time.monotonic() - began:.1f} s.")

    def _look(self) -> bool:
        """Read whether labels are new."""
        event = self.project.store.change_count()
        if event == self._event:
            return False
        self._event = event
        is_new = self.model.take()
        if is_new:
            self._since = time.monotonic()
        return is_new

    def _publish(self, wishes: list[Cell]) -> None:
        """Write the predictions of cells that may be predicted; if the disk refuses, say so."""
        self._count += 1
        state = LiveState(
            event=self._event, labels=self.model.labels, folder=f"{self._event}-{self._count}"
        )
        self._shown = set(wishes)
        try:
            with self.place.publishing(state) as building:
                for image_id, paths in self._paths(wishes, building).items():
                    self._predict(image_id, paths)
        except LabelgridError as error:
            self._say_once(f"No prediction is shown: {error.what}")

    def _predict(self, image_id: str, paths: Mapping[str, Path]) -> None:
        try:
            self.model.predict(image_id, paths)
        except ImageError as error:
            self._say_once(f"{image_id} is not predicted: {error.what}")

    def _paths(self, wishes: list[Cell], folder: Path) -> Mapping[str, Mapping[str, Path]]:
        paths: dict[str, dict[str, Path]] = {}
        for cell in self._allowed(wishes):
            extension = self.model.context.definitions[cell.task].codec.EXTENSIONS[0]
            name = self.place.name_of(cell, extension)
            paths.setdefault(cell.image_id, {})[cell.task] = folder / name
        return paths

    def _allowed(self, wishes: list[Cell]) -> Iterator[Cell]:
        """The cells of learnt tasks whose labels measure nothing."""
        measuring = MeasuringCells(self.project)
        for cell in wishes:
            try:
                purpose = measuring.purpose(cell)
            except LedgerError:  # there is no such image
                continue
            if not purpose and cell.task in self.model.learnt:
                yield cell

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self.progress.say(text)
        self._said.add(text)
