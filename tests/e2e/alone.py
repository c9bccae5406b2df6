"""Commands one after another in a process of its own: `python -m tests.e2e.alone FOLDER < steps.json`.

Each step is `{"words": [...]}`, or with `"left": N` too: while it runs, a file in the folder is so large that only N
kilobytes of its disk are left. Printed as JSON, a step each: exit status, output, and whether below the folder all
cells are as they were, whether the whole ledgers are, and whether all files are.
"""

import json
import os
import sys
from pathlib import Path

from tests.e2e.commands import state, typed

FILLER = "filler"


def fill(folder: Path, left: int) -> None:
    """Leave so many kilobytes of the folder's disk."""
    room = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    with (folder / FILLER).open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(room - left * 1024, 1))


def main(folder: Path) -> None:
    results = []
    for step in json.load(sys.stdin):
        before = state(folder)
        if "left" in step:
            fill(folder, step["left"])
        found = typed(*step["words"])
        (folder / FILLER).unlink(missing_ok=True)
        after = state(folder)
        moved = [{name: base["events"] for name, base in ledgers.items()} for ledgers in (before[1], after[1])]
        same = {"cells": moved[0] == moved[1], "ledger": before[1] == after[1], "files": before[0] == after[0]}
        results.append({"code": found.code, "out": found.out, "err": found.err, **same})
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
