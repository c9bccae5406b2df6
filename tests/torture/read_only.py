"""Commands on a project that lies on a read-only disk: those that look do, the others are refused."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.torture.counting import Row
from tests.torture.projects import Stages

ROOT = Path(__file__).resolve().parents[2]
ARCHIVE = ROOT / "tests/compat/0.1.0.zip"
#: Mounts $1 at its own place, read-only and visible to this process alone, and runs the rest.
READ_ONLY_DISK = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'
#: What only looks at the project FLAT, and may write into OUT.
LOOKING = [
    *("status FLAT", "status FLAT --json", "log FLAT", "log FLAT --json", "advise FLAT"),
    *("cells FLAT", "cells FLAT --csv OUT/cells.csv", "verify FLAT"),
    *("report FLAT --out OUT/report.html", "sheet FLAT --out OUT/sheet.png"),
]
#: What is refused.
WRITING = [
    *("query FLAT --budget 3", "add FLAT --task normals", "import FLAT FLAT/rounds/0000/request"),
    *("export FLAT", "cancel FLAT", "report FLAT", "undo FLAT", "fit FLAT"),
]


def mounts() -> list[str]:
    """The words that give a process mounts of its own."""
    return ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]


def works(*words: str) -> bool:
    """Whether a program is there and ends well."""
    return (
        bool(shutil.which(words[0]))
        and subprocess.run(words, capture_output=True, check=False).returncode == 0
    )


def older_project(folder: Path) -> Path:
    """A project that labelgrid 0.1.0 made, with its images, whose ledger nobody has opened since."""
    with zipfile.ZipFile(ARCHIVE) as file:
        file.extractall(folder)
        made_in = json.loads(file.read("expected.json"))["folder"]
    settings = folder / "project/labelgrid.toml"
    settings.write_text(settings.read_text().replace(f'"{made_in}/', f'"{folder}/'))
    with closing(sqlite3.connect(folder / "project/labelgrid.db")) as ledger, ledger:
        ledger.execute("UPDATE images SET root = ?", (str(folder / "data/images"),))
    return folder / "project"


def looks(flat: Path, out: Path, commands: Sequence[str]) -> list[dict[str, Any]]:
    """The results of commands on a project whose disk is read-only meanwhile, as of `alone`."""
    out.mkdir(parents=True, exist_ok=True)
    steps = []
    for command in commands:
        words = [
            word.replace("FLAT", str(flat)).replace("OUT", str(out)) for word in command.split()
        ]
        steps.append({"words": words})
    shell = [*mounts(), "sh", "-c", READ_ONLY_DISK, "sh", str(flat)]
    done = subprocess.run(
        [*shell, sys.executable, "-m", "tests.e2e.alone", str(flat)],
        input=json.dumps(steps),
        stdout=subprocess.PIPE,
        cwd=ROOT,
        check=True,
        text=True,
    )
    results: list[dict[str, Any]] = json.loads(done.stdout)
    return results


def outcome(command: str, result: dict[str, Any]) -> str:
    """How a command ended on a read-only disk."""
    if "Traceback" in result["err"] or result["code"] not in (0, 1, 2):
        return "traceback"
    if not (result["ledger"] and result["files"]):
        return "lost"
    if command in WRITING:
        return "refused" if result["code"] else "wrong"
    is_said = "its ledger is read in an up-to-date copy" in result["err"]
    return "right" if is_said and not result["code"] else "wrong"


def read_only_disks(stages: Stages, folder: Path) -> Row:
    """Look at a project of this and of an older release, and try to change it."""
    row = Row("projects on a read-only disk")
    folder.mkdir(parents=True)
    if not works(*mounts(), "sh", "-c", READ_ONLY_DISK, "sh", str(folder), "true"):
        row.not_run = "this system does not allow a test to mount a disk"
        return row
    flats = [stages.room("scored", folder / "new") / "flat", older_project(folder / "older")]
    commands = [*LOOKING, *WRITING]
    for flat in flats:
        for command, result in zip(commands, looks(flat, folder / "out", commands), strict=True):
            row.count(outcome(command, result), f"{flat} {command} {result['err'][-300:]}")
    return row
