"""Runs commands one after another in its own process: `python -m tests.e2e.alone FOLDER < steps.json`.

Each step is `{"words": [...]}`, optionally with `"left": N`: while it runs, a large file leaves
only N kilobytes free on the folder's disk; and with `"fresh": PROJECT`: the folder is emptied
first, and gets a copy of that project. Prints for each step, as JSON: exit status, output, and
whether all cells below the folder are unchanged, whether the whole ledgers are, and whether all
files are.
"""

import json
import os
import shutil
import sys
from pathlib import Path

from tests.e2e.commands import state, typed
from tests.forked_servers import fork_servers

FILLER = "filler"


def fill(folder: Path, left: int) -> None:
    """Fill the folder's disk until this many kilobytes are free."""
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    with (folder / FILLER).open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(free - left * 1024, 1))


def main(folder: Path) -> None:
    fork_servers()
    results = []
    for step in json.load(sys.stdin):
        if "fresh" in step:
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            shutil.copytree(step["fresh"], folder / Path(step["fresh"]).name)
        before = state(folder)
        if "left" in step:
            fill(folder, step["left"])
        result = typed(*step["words"])
        if "left" in step:
            (folder / FILLER).unlink()
        after = state(folder)
        events = [
            {name: base["events"] for name, base in side[1].items() if name in before[1]}
            for side in (before, after)
        ]
        same = {
            "cells": events[0] == events[1],
            "ledger": before[1] == after[1],
            "files": before[0] == after[0],
        }
        results.append({"code": result.code, "out": result.out, "err": result.err, **same})
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
