"""Carries out passes: a function over many items, computed in shards with one file each.

The module knows nothing about the function. A record is a JSON file with a stamp of all its inputs.
So any process may make the record, any number of times. Loads no torch.
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
        stamp: the stamp of all that the record depends on.
    """

    stamp: str


@dataclass(frozen=True, kw_only=True)
class PassPart:
    """A part of the items of a pass, whose result is a file.

    Args:
        items: the names of the items.
    """

    items: Sequence[str]


P = TypeVar("P", bound=PassPart)
R = TypeVar("R", bound=Stamped)


@dataclass(frozen=True, kw_only=True)
class Shard(PassPart, Generic[R]):
    """A part of the items of a pass, whose result is a record.

    Args:
        kind: the kind of the record.
        path: the path of the record.
        stamp: the stamp of the record.
    """

    kind: type[R]
    path: Path
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
class Pass(Generic[P]):
    """A function over many items, carried out part by part.

    Args:
        activity: what is done, in words.
        folder: the folder of the results.
        function: `function(part, *arguments, progress)` makes the result of a part; it is of a
            module, and can be pickled.
        arguments: the arguments of the function for a part, made when that is started.
        is_done: whether all that the function makes of a part is there.
        unit: the word for the items, such as "images".
        title: the title of a part, by its `number` from 1 and its first `item`.
    """

    activity: str
    folder: Path
    function: Callable[..., Any]
    arguments: Callable[[P], tuple[Any, ...]]
    is_done: Callable[[P], bool]
    unit: str = "images"
    title: str = "Shard {number}"

    def run(self, parts: Sequence[P], workplace: Workplace, progress: Progress) -> bool:
        """Make the results that are missing; returns whether all are there, not only a share's.

        Raises:
            ProjectError: some could not be made.
        """
        if workplace.executor is None:
            progress.start(self.activity, sum(len(part.items) for part in parts), self.unit)
            for part in parts:
                if self.is_done(part):
                    progress.advance(len(part.items), "done before")
                else:
                    self._make(part, *self.arguments(part), progress)
            return True
        pieces = []
        for number, part in enumerate(parts, 1):
            piece = Piece(
                name=self.title.format(number=number, item=part.items[0] if part.items else ""),
                amount=len(part.items),
                unit=self.unit,
                function=_make_elsewhere,
                arguments=partial(self._arguments, part),
                is_done=partial(self.is_done, part),
            )
            pieces.append(piece)
        return workplace.run(self.activity, pieces, self.folder / JOBS, progress)

    @property
    def _make(self) -> Callable[..., None]:
        return self.function

    def _arguments(self, part: P) -> tuple[Any, ...]:
        return self.activity, self.unit, self._make, part, *self.arguments(part)


def _make_elsewhere(
    activity: str, unit: str, make: Callable[..., None], part: PassPart, *others: Any
) -> None:
    """Make the result of a part as a job; the last argument is the progress."""
    others[-1].start(activity, len(part.items), unit)
    make(part, *others)


@dataclass(frozen=True, kw_only=True)
class RecordPass(Pass[Shard[R]]):
    """A pass whose function returns the records of shards.

    Args:
        kind: the kind of the records.
        items: the names of all items, in order.
        stamp: a function that gives the stamp of the record of some items.
        singly: each item is a shard of its own.
    """

    kind: type[R]
    items: Sequence[str]
    stamp: Callable[[Sequence[str]], str]
    is_done: Callable[[Shard[R]], bool] = Shard.is_done
    singly: bool = False

    @property
    def _make(self) -> Callable[..., None]:
        return partial(_make_record, self.function)

    def shards(self, workplace: Workplace) -> list[Shard[R]]:
        """Cut the items into shards, of the given size or of the size on disk."""
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
        for number, start in enumerate(range(0, len(self.items), size)):
            items = self.items[start : start + size]
            name = f"{number:05d}.json" if self.singly else f"{size}-{number:05d}.json"
            shard = Shard(
                kind=self.kind, path=self.folder / name, items=items, stamp=self.stamp(items)
            )
            shards.append(shard)
        return shards

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


def _make_record(function: Callable[..., R], shard: Shard[R], *arguments: Any) -> None:
    record = function(shard, *arguments)
    write_text(shard.path, json.dumps(asdict(record)), UNCHANGED)
