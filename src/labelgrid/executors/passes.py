"""Carries out passes: a function of many things, done in shards with a stamped file each.

What the function computes is not known here. A record is a JSON file with a stamp, which says what
it depends on; so any process may make it, any number of times. Loads no torch.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from labelgrid.basics.config import parse
from labelgrid.basics.errors import LabelgridError, ProjectError
from labelgrid.basics.files import read_text, write_text
from labelgrid.basics.progress import Progress
from labelgrid.basics.words import count_text
from labelgrid.executors.pieces import Piece
from labelgrid.executors.workplace import JOBS, Workplace

UNCHANGED = "What was finished is kept."


@dataclass(frozen=True, kw_only=True)
class Stamped:
    """The base of records of plain values.

    Args:
        stamp: of all that the record depends on.
    """

    stamp: str


R = TypeVar("R", bound=Stamped)


@dataclass(frozen=True, kw_only=True)
class Shard(Generic[R]):
    """Some of the things of a pass, whose result is a record.

    Args:
        kind: of the record.
        path: of the record.
        items: the names of the things.
        stamp: of the record.
    """

    kind: type[R]
    path: Path
    items: Sequence[str]
    stamp: str

    def read(self) -> R | None:
        """The record; None if it is missing, damaged, or has another stamp."""
        with suppress(OSError, ValueError, LabelgridError):
            text = json.loads(read_text(self.path))
            record = parse(self.kind, text, self.path.name, finite=False)
            return record if record.stamp == self.stamp else None
        return None

    def is_done(self) -> bool:
        """Whether a record with this stamp exists."""
        return self.read() is not None


@dataclass(frozen=True, kw_only=True)
class Pass(Generic[R]):
    """A function that is carried out on shards of many things.

    Args:
        what: is done, in words.
        folder: of the records.
        kind: of the records.
        items: the names of the things, in their order.
        stamp: of the record of some of them.
        function: `function(shard, *arguments, progress)` returns the record of a shard; it is of a
            module, and can be pickled.
        arguments: of the function for a shard, made when that is started.
        unit: of the things.
        is_done: whether all that a shard makes is there.
        singly: each thing has a shard of its own, which is called by its name.
    """

    what: str
    folder: Path
    kind: type[R]
    items: Sequence[str]
    stamp: Callable[[Sequence[str]], str]
    function: Callable[..., R]
    arguments: Callable[[Shard[R]], tuple[Any, ...]]
    unit: str = "images"
    is_done: Callable[[Shard[R]], bool] = Shard.is_done
    singly: bool = False

    def shards(self, workplace: Workplace) -> list[Shard[R]]:
        """Cut the things into shards, of the size asked for or of the records on disk."""
        if self.singly:
            return self._cut(1)
        if not workplace.shard:
            sizes = Counter(path.name.partition("-")[0] for path in self.folder.glob("*-*.json"))
            for name, _ in sizes.most_common():
                shards = self._cut(int(name)) if name.isdecimal() and int(name) else []
                if any(map(Shard.is_done, shards)):
                    return shards
        return self._cut(workplace.size(len(self.items)))

    def _cut(self, size: int) -> list[Shard[R]]:
        shards = []
        for place, start in enumerate(range(0, len(self.items), size)):
            items = self.items[start : start + size]
            name = f"{place:05d}.json" if self.singly else f"{size}-{place:05d}.json"
            shard = Shard(
                kind=self.kind, path=self.folder / name, items=items, stamp=self.stamp(items)
            )
            shards.append(shard)
        return shards

    def run(self, shards: Sequence[Shard[R]], workplace: Workplace, progress: Progress) -> bool:
        """Make the records that are missing; returns whether all are there, not only a share's.

        Raises:
            ProjectError: some could not be made.
        """
        if workplace.executor is None:
            progress.start(self.what, sum(len(shard.items) for shard in shards), self.unit)
            for shard in shards:
                if self.is_done(shard):
                    progress.advance(len(shard.items), "done before")
                else:
                    _make(shard, self.function, *self.arguments(shard), progress)
            return True
        pieces = []
        for place, shard in enumerate(shards, 1):
            piece = Piece(
                name=shard.items[0] if self.singly else f"Shard {place}",
                amount=len(shard.items),
                unit=self.unit,
                function=_make_elsewhere,
                arguments=partial(self._arguments, shard),
                is_done=partial(self.is_done, shard),
            )
            pieces.append(piece)
        return workplace.run(self.what, pieces, self.folder / JOBS, progress)

    def _arguments(self, shard: Shard[R]) -> tuple[Any, ...]:
        return self.what, self.unit, shard, self.function, *self.arguments(shard)

    def records(self, shards: Iterable[Shard[R]]) -> Iterator[R]:
        """The records of shards; one at a time is in memory.

        Raises:
            ProjectError: one is not there.
        """
        for shard in shards:
            record = shard.read()
            if record is None:
                raise self.not_there(shard)
            yield record

    def not_there(self, shard: Shard[R]) -> ProjectError:
        """The error of a shard whose result has gone."""
        return ProjectError(
            f"What was found of {count_text(len(shard.items), self.unit[:-1])} is not there.",
            where=str(shard.path),
            next_step="Run the same command again: it does what is missing.",
            unchanged=UNCHANGED,
        )


def _make(shard: Shard[R], function: Callable[..., R], *arguments: Any) -> None:
    record = function(shard, *arguments)
    write_text(shard.path, json.dumps(asdict(record)), UNCHANGED)


def _make_elsewhere(what: str, unit: str, shard: Shard[R], *others: Any) -> None:
    """Make a record as a job; the last argument is the progress."""
    others[-1].start(what, len(shard.items), unit)
    _make(shard, *others)
