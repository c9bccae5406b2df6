"""Commands whose descriptors, shared memory or disk run out: a sentence within a minute, no hang.

Each runs in a process of its own, with little left of one resource: the limits of the system, or small
disks in the places of the temporary folder and of shared memory.
"""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property, partial

from tests.torture.hostile import Attack

#: Mounts a disk of $2 at $1 for this process alone, and runs the rest.
SMALL = 'mount -t tmpfs -o size="$2" none "$1" && shift 2 && exec "$@"'
COMMANDS = (
    "import ROOM/flat ROOM/answer.zip",
    "fit ROOM/flat --set train.workers=2",
    "status ROOM/flat",
    "score ROOM/flat",
)
DESCRIPTORS = (8, 12, 16, 24, 40, 64)
DISKS = ("64k", "512k")
#: The seconds after which a command hangs, on an idle machine.
MINUTE = 60


@cache
def can_mount() -> bool:
    words = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /mnt"]
    return bool(
        os.geteuid() == 0
        and shutil.which("unshare")
        and subprocess.run(words, capture_output=True, check=False).returncode == 0
    )


@dataclass
class Resources(Attack):
    """One command with little of one resource."""

    name = "resources that run out"

    @cached_property
    def trials(self) -> list[tuple[str, str, str]]:
        few = [(command, "descriptors", str(left)) for command in COMMANDS for left in DESCRIPTORS]
        places = ("/dev/shm", "ROOM/temporary") if can_mount() else ()
        return few + [
            (command, place, size) for command in COMMANDS for place in places for size in DISKS
        ]

    def __call__(self, number: int) -> str:
        command, what, left = self.trials[number]
        self.note = f"{what} {left}: {command}"
        room = self.stages.room("fitted", self.room)
        (room / "temporary").mkdir()
        if "answer" in command:
            made = self.stages.data / "labels"
            shutil.make_archive(str(room / "answer"), "zip", made)
        words = [sys.executable, "-m", "labelgrid", *command.replace("ROOM", str(room)).split()]
        limit: Callable[[], None] | None = None
        if what == "descriptors":
            limit = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (int(left), int(left)))
        else:
            place = what.replace("ROOM", str(room))
            words = ["unshare", "--mount", "sh", "-c", SMALL, "sh", place, left, *words]
        environment = {**os.environ, "TMPDIR": str(room / "temporary")}
        try:
            done = subprocess.run(
                words,
                capture_output=True,
                check=False,
                env=environment,
                preexec_fn=limit,
                text=True,
                timeout=MINUTE * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)),
            )
        except subprocess.TimeoutExpired:
            return "hang"
        self.note += f" {done.returncode} {done.stderr[-400:]}"
        if done.returncode == 0:
            return "right"
        if done.returncode not in (1, 2) or "Traceback" in done.stderr:
            return "traceback"
        return "refused"
