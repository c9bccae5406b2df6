"""Eight processes at once on one project, and commands on a disk that is almost full."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from labelgrid.basics.files import digest
from labelgrid.ledger.grid import State
from labelgrid.project.folder import ProjectFolder
from tests.e2e.killing import Ended, ended
from tests.torture.counting import Row
from tests.torture.projects import Stages, init_words

ROOT = Path(__file__).resolve().parents[2]
AT_ONCE = [
    *(
        "import FLAT FLAT/rounds/0001/request",
        "import FLAT FLAT/rounds/0000/request",
        "export FLAT",
        "status FLAT",
    ),
    *(
        "cancel FLAT --round 1",
        "import FLAT FLAT/rounds/0001/request",
        "query FLAT --budget 3",
        "verify FLAT",
    ),
]
#: Mounts a small disk at $1 (visible to this process only), and runs the rest.
SMALL_DISK = 'mount -t tmpfs -o size=8m none "$1" && shift 1 && exec "$@"'
ON_DISK = [
    *(
        "import ROOM/flat ROOM/flat/rounds/0001/request",
        "export ROOM/flat",
        "query ROOM/flat --budget 3 --new",
    ),
    *(
        "init ROOM/new INIT",
        "add ROOM/flat --task edges",
        "cancel ROOM/flat --round 1",
        "report ROOM/flat",
    ),
]


def ended_well(end: Ended) -> str:
    if end.code is None:
        return "hang"
    return {0: "right", 1: "refused", 2: "refused"}.get(end.code, "traceback")


def faults(flat: Path, imported: list[str]) -> Iterator[str]:
    """What is wrong with a project: a label of an import that succeeded is missing, or the ledger is inconsistent."""
    with ProjectFolder.open(flat) as project:
        if project.store.rebuild():
            yield "the cells are not those of the events"
        rows = list(project.store.cells())
        for row in rows:
            if row.state == State.LABELLED and digest(project.inside(row.path)) != row.digest:
                yield f"the label of {row.cell} is not the imported one"
        labelled = sum(row.state == State.LABELLED for row in rows)
        wanted = 0
        for words in imported:
            folder = flat / words.split("flat/")[1]
            wanted = max(wanted, len(json.loads((folder / "manifest.json").read_text())))
        if labelled < wanted:
            yield f"{labelled} labels of {wanted} that were imported"


def at_once(stages: Stages, folder: Path, count: int, seed: int) -> Row:
    """Start eight commands together, `count` times."""
    row = Row("eight processes at once")
    for number in range(count):
        flat = stages.room("answered", folder / f"together-{number}") / "flat"
        commands = [words.replace("FLAT", str(flat)) for words in AT_ONCE]
        random.Random(f"{seed} {number}").shuffle(commands)
        with ThreadPoolExecutor(8) as threads:
            ends = list(threads.map(lambda words: ended(*words.split(), after=120), commands))
        imported = [
            w
            for w, end in zip(commands, ends, strict=True)
            if w.startswith("import") and end.code == 0
        ]
        wrong = list(faults(flat, imported))
        for words, end in zip(commands, ends, strict=True):
            lost = wrong and words in (imported or commands[:1])
            row.count(
                "lost" if lost else ended_well(end),
                f"{words}: {end.code} {end.text[-200:]} {wrong}",
            )
        shutil.rmtree(flat.parent)
    return row


def inits(stages: Stages, folder: Path, count: int) -> Row:
    """Start five inits of one project together, `count` times: exactly one may make it."""
    row = Row("five inits at once")
    for number in range(count):
        room = folder / f"inits-{number}"
        room.mkdir()
        words = f"init {room}/flat {init_words(stages.data)}".split()
        with ThreadPoolExecutor(5) as threads:
            ends = list(threads.map(lambda each: ended(*each, after=120), [words] * 5))
        made = sum(end.code == 0 for end in ends)
        for end in ends:
            row.count("lost" if made != 1 else ended_well(end), f"{made} made: {end.text[-200:]}")
        shutil.rmtree(room)
    return row


def small_disks(stages: Stages, folder: Path, count: int, seed: int) -> Row:
    """Run commands with a random number of kilobytes free, each followed by the same command with space."""
    row, disk = Row("disks with 0 to 200 kilobytes free"), folder / "disk"
    disk.mkdir()
    mounts = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    shell = [*mounts, "sh", "-c", SMALL_DISK, "sh", str(disk)]
    if (
        not shutil.which("unshare")
        or subprocess.run([*shell, "true"], capture_output=True, check=False).returncode
    ):
        row.not_run = "this system does not allow a test to mount a disk"
        return row
    draw, steps = random.Random(f"disk {seed}"), []
    for number in range(count):
        words = (
            ON_DISK[number % len(ON_DISK)]
            .replace("INIT", init_words(stages.data))
            .replace("ROOM", str(disk))
            .split()
        )
        fresh = str(stages.folder / "stages/answered/flat")
        steps += [{"words": words, "left": draw.randrange(200), "fresh": fresh}, {"words": words}]
    done = subprocess.run(
        [*shell, sys.executable, "-m", "tests.e2e.alone", str(disk)],
        input=json.dumps(steps),
        capture_output=True,
        cwd=ROOT,
        check=False,
        text=True,
    )
    if done.returncode:
        row.count("traceback", done.stderr[-1500:])
        return row
    results = json.loads(done.stdout)
    for step, first, again in zip(steps[::2], results[::2], results[1::2], strict=True):
        row.count(
            of_disk(first, again),
            f"{step['words'][:4]} {step['left']} {first['err'][-300:]} {again['err'][-300:]}",
        )
    return row


def of_disk(first: dict[str, Any], again: dict[str, Any]) -> str:
    """How a command on a full disk, and the same with space, ended: refused, it must have changed no cell."""
    if "Traceback" in first["err"] + again["err"] or {first["code"], again["code"]} - {0, 1, 2}:
        return "traceback"
    if first["code"]:
        return "refused" if first["cells"] and again["code"] == 0 else "lost"
    return "right"
