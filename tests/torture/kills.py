"""`kill -9` of every command at random moments: the same command again must end in the undisturbed command's project.

A kill comes after a random time, or before a random moment at which something becomes durable
(`tests.e2e.killing`). Right after it, no event of the ledger and no label file may be gone, and the
events must be those before the command or those after it, none between. A command that would go on,
such as `undo`, is run again only if its events are those before.
"""

import json
import random
import re
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import databases
from tests.e2e.killing import Ended, ended, is_leftover
from tests.torture.counting import Row
from tests.torture.pool import WORKERS
from tests.torture.projects import STEPS, Stages

Content = dict[str, Any]
#: How often a trial is repeated whose command was faster than the kill.
TRIES = 6


#: When a report was made.
MADE = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d UTC")


def content(room: Path) -> Content:
    """Everything below a folder that is read later: rows of ledgers, files without times.

    No leftovers.
    """
    found: Content = {}
    for path in sorted(room.rglob("*")):
        name = path.relative_to(room)
        if not path.is_file() or any(is_leftover(part) for part in (name, *name.parents)):
            continue
        if path.name == "labelgrid.db":
            found[str(name)] = repr(databases.content(path)).replace(str(room), "ROOM")
        elif path.name == "log.jsonl":
            found[str(name)] = [
                json.loads(line) | {"seconds": 0, "waited": 0}
                for line in path.read_text().splitlines()
            ]
        elif path.name == "runs.json":
            found[str(name)] = "how the runs of the last call ended"
        elif path.suffix == ".ckpt":
            found[str(name)] = "its weights are known by their stamp, in the ledger"
        elif not path.name.startswith("labelgrid.db"):
            found[str(name)] = MADE.sub(b"", path.read_bytes().replace(str(room).encode(), b"ROOM"))
    return found


def acknowledged(room: Path) -> tuple[list[Any], Content]:
    """The events of a project's ledger, and its label files.

    Read from a copy, which repairs what a kill left.
    """
    flat = room / "flat"
    if not (flat / "labelgrid.db").exists():
        return [], {}
    with tempfile.TemporaryDirectory() as copy:
        for path in flat.glob("labelgrid.db*"):
            shutil.copy(path, copy)
        rows = databases.content(Path(copy, "labelgrid.db"))
    assert isinstance(rows, dict), "the ledger is damaged"
    labels = {
        str(path): path.read_bytes() for path in (flat / "labels").rglob("*") if path.is_file()
    }
    return rows["events"], {path.removeprefix(str(room)): data for path, data in labels.items()}


@dataclass(frozen=True)
class Twin:
    """An undisturbed command: how it ended, and what it left.

    `varying` are the files that differ from run to run.
    """

    end: Ended
    before: tuple[list[Any], Content]
    after: tuple[list[Any], Content]
    content: Content
    varying: frozenset[str]

    def same(self, found: Content) -> str:
        """The first file that is not as the undisturbed command left it; empty if there is none."""
        return next((name for name in {**self.content, **found} if not self._same(name, found)), "")

    def _same(self, name: str, found: Content) -> bool:
        if name in self.varying:
            return (name in found) == (name in self.content)
        return found.get(name) == self.content.get(name)


def twin(stages: Stages, name: str, folder: Path) -> Twin:
    """Run a command undisturbed, twice."""
    found, ends = [], []
    for number in (0, 1):
        room = stages.room(STEPS[name].stage, folder / f"{name.replace(' ', '-')}-{number}")
        before = acknowledged(room)
        ends.append(ended(*stages.words(name, room)))
        assert ends[-1].code == 0, ends[-1].text
        found.append(content(room))
    varying = {n for n in {**found[0], **found[1]} if found[0].get(n) != found[1].get(n)}
    return Twin(
        ends[1], before, after=acknowledged(room), content=found[1], varying=frozenset(varying)
    )


def kill(
    stages: Stages, name: str, twin: Twin, room: Path, draw: random.Random
) -> tuple[str, str] | None:
    """Kill a command once and run it again; None if it ended before it was killed."""
    stages.room(STEPS[name].stage, room)
    moments = len(twin.end.moments)
    die, after = 0, None
    if moments and draw.random() < 0.5:
        die = draw.randint(1, moments)
    else:
        after = draw.uniform(0.02, twin.end.seconds)
    if ended(*stages.words(name, room), die=die, after=after).code is not None:
        return None
    when = f"{name}, killed {f'before moment {die}' if die else f'after {after:.2f} s'}"
    events, labels = acknowledged(room)
    if (
        events[: len(twin.before[0])] != twin.before[0]
        or not twin.before[1].items() <= labels.items()
    ):
        return "lost", when
    if events not in (twin.before[0], twin.after[0]):
        return "wrong", f"{when}: half of its events"
    is_over = STEPS[name].goes_on and events == twin.after[0]
    again = Ended(0) if is_over else ended(*stages.words(name, room), after=120)
    return _judged(again, twin, room, when)


def _judged(again: Ended, twin: Twin, room: Path, when: str) -> tuple[str, str]:
    """How a command ended that was run again after a kill, and in what words."""
    if again.code is None:
        return "hang", when
    if again.code not in (0, 1, 2) or "Traceback" in again.text:
        return "traceback", f"{when}: {again.text[-300:]}"
    if other := twin.same(content(room)):
        return "wrong", f"{when}: {other} is not as it should be; {again.text[-300:]}"
    return ("right" if again.code == 0 else "refused"), when


def kills(stages: Stages, folder: Path, name: str, count: int, seed: int) -> Row:
    """Kill a command `count` times."""
    row, found = Row(f"`kill -9` of `{name}`"), twin(stages, name, folder)

    def trial(number: int) -> tuple[str, str] | None:
        draw, room = (
            random.Random(f"{seed} {name} {number}"),
            folder / f"{name.replace(' ', '-')}-k{number}",
        )
        tries = (kill(stages, name, twin=found, room=room, draw=draw) for _ in range(TRIES))
        result = next(filter(None, tries), None)
        shutil.rmtree(room, ignore_errors=True)
        return result

    with ThreadPoolExecutor(WORKERS) as threads:
        for result in threads.map(trial, range(count)):
            if result:
                row.count(*result)
    return row
