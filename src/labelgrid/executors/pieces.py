"""Carries out independent pieces of work in some place, and retries the pieces that die."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labelgrid.basics.errors import ProjectError
from labelgrid.basics.progress import Progress
from labelgrid.basics.words import count_text
from labelgrid.executors.executor import Executor, SaidWait
from labelgrid.executors.job import JobEnd, JobFolder, JobReader, without_numbers

#: Seconds between two looks at the jobs.
POLL = 0.2
#: How many times a piece is tried again whose process died, or that the machine failed.
RETRIES = 3
#: After so many pieces that failed for good, no further one is begun.
ENOUGH = 3


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A piece of work, whose result is a file.

    Args:
        name: a name in words, such as "shard 3".
        amount: its units of progress.
        unit: the unit of the piece's steps; steps that the job counts in another unit count only at
            its end.
        function: carries it out, see `Executor.start`.
        arguments: the arguments of the function, before its progress.
        is_done: whether the result is there; asked before and after.
    """

    name: str
    amount: int
    unit: str = "images"
    function: Callable[..., None]
    arguments: Callable[[], tuple[Any, ...]]
    is_done: Callable[[], bool]


@dataclass(kw_only=True)
class _Try:
    """A piece that runs."""

    piece: Piece
    reader: JobReader
    number: int = 1
    counted: int = 0


@dataclass(kw_only=True)
class PieceList:
    """Pieces of work, as they are carried out.

    Args:
        pieces: all of them, whether done or not: in the same order for all who have a share.
        executor: where; its share says which.
        folder: the folder of the jobs' folders.
        progress: its step has begun, and gets the units of each piece once.
    """

    pieces: Sequence[Piece]
    executor: Executor
    folder: Path
    progress: Progress
    _running: dict[Path, _Try] = field(init=False, default_factory=dict)
    _failed: list[str] = field(init=False, default_factory=list)
    _said: set[str] = field(init=False, default_factory=set)

    def run(self) -> None:
        """Carry out the unfinished pieces of this share.

        Raises:
            ProjectError: some could not be; all others are done, unless several failed.
            KeyboardInterrupt: somebody asked to stop; what is finished stays.
        """
        waiting = self._waiting()
        said = SaidWait(self.progress.say)
        try:
            while self._start(waiting) or self._running:
                is_begun = any(JobFolder(path).owner for path in self._running)
                said.look(is_begun, "a worker that begins")
                ends = self.executor.wait(POLL)
                for running in self._running.values():
                    self._follow(running)
                for path, end in ends.items():
                    self._finish(path, end)
        finally:
            self.executor.stop()
        if self._failed:
            count = count_text(len(self._failed), "piece of work", "pieces of work")
            raise ProjectError(
                f"{count} could not be finished. {self._failed[0]}",
                where=str(self.folder),
                next_step="Remove the cause and run the same command again: it does what is "
                "missing.",
                unchanged="What was finished is kept.",
            )

    def _waiting(self) -> list[tuple[Path, Piece]]:
        """The unfinished pieces of this share, the last first."""
        waiting = []
        for index, piece in enumerate(self.pieces):
            if self.executor.share.takes(index):
                if piece.is_done():
                    self.progress.advance(piece.amount, "done before")
                else:
                    waiting.append((self.folder / f"{index:05d}", piece))
        return waiting[::-1]

    def _start(self, waiting: list[tuple[Path, Piece]]) -> bool:
        """Start as many pieces as run at a time; return whether any was started."""
        free = self.executor.workers - len(self._running)
        if len(self._failed) >= ENOUGH:
            free = 0
        started = False
        for _ in range(min(free, len(waiting))):
            path, piece = waiting.pop()
            JobFolder(path).clear()
            self._running[path] = _Try(piece=piece, reader=JobReader(JobFolder(path)))
            self.executor.start(path, piece.function, *piece.arguments())
            started = True
        return started

    def _follow(self, running: _Try) -> None:
        for message in running.reader.new_messages():
            key = without_numbers(message)
            if key not in self._said:  # other pieces say the same of other numbers
                self._said.add(key)
                self.progress.say(message)
        step = running.reader.new_step()
        if step and step.unit == running.piece.unit:
            self._count(running, min(step.done, running.piece.amount))

    def _count(self, running: _Try, done: int) -> None:
        """Report further units; a piece may begin again."""
        new = done - running.counted
        if new > 0:
            running.counted = done
            self.progress.advance(new)

    def _finish(self, path: Path, end: JobEnd) -> None:
        running = self._running.pop(path)
        piece = running.piece
        if piece.is_done():  # perhaps it died after its last write
            self._count(running, piece.amount)
            return
        fault = end.fault
        again = end.again
        if end.state == "ended":
            fault = "It ended, and its result is not there."
            again = True
        if again and running.number <= RETRIES:
            self.progress.say(f"{piece.name}: {fault} It is tried again.")
            running.number += 1
            self._running[path] = running
            self.executor.start(path, piece.function, *piece.arguments())
            return
        tries = f" It was tried {running.number} times." if again else ""
        self._failed.append(f"{piece.name}: {fault}{tries}")
