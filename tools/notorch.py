"""Checks that light modules and commands run without torch and pyarrow, which the base install lacks.

They are run in separate processes.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from labelgrid.testing.laws import WATCH
from tools.source import ROOT, modules, report

PACKAGE = "src/labelgrid"
#: The packages that the base install lacks, and without which a project without scores gets on.
BLOCKED = ("torch", "pyarrow")
#: The folders and modules of the package that must not import them.
LIGHT = (
    *(
        "ledger",
        "storage",
        "formats",
        "images",
        "relations",
        "select",
        "drawings",
        "annotate",
        "executors",
        "recipes",
        "evidence",
        "project",
        "operations",
        "imports",
        "report",
        "lab/reports",
    ),
    *("api", "web", "basics"),
)

#: The commands that must run without them, in the order in which they depend on each other.
COMMANDS = (
    "--help",
    "list",
    "init project --images images --task depth --holdout 1",
    "add project --task normals",
    "status project",
    "status project --json",
    "export project --out requests",
    "import project labels",
    "verify project --json",
    "audit project --json",
    "cancel project --round 0",
    "task project depth --set cost=2",
    "report project --out report.html",
)

WATCH_ALL = f"{WATCH}\nWatch.blocked = {BLOCKED}\n"
IMPORTS = """
for name in sys.argv[1:]:
    Watch.asked = ""
    try:
        importlib.import_module(name)
    except Exception as error:
        if not Watch.asked:
            print(f"{name} cannot be imported: {error!r}")
    if Watch.asked:
        print(f"{name} loads {Watch.asked}")
"""
#: Runs commands one after another, each in a fork of a process that has loaded the light modules.
RUNS = """
import json, os, tempfile
def run(line):
    sys.argv = ["labelgrid", *line.split()]
    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException as error:
        print(repr(error), file=sys.stderr)
        return 1
    return 0
from labelgrid.cli import main
os.chdir(os.environ["PLACE"])
for line in json.loads(os.environ["LINES"]):
    with tempfile.TemporaryFile("w+") as said:
        child = os.fork()
        if not child:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(said.fileno(), 2)
            code = run(line)
            if Watch.asked:
                print("asked for", Watch.asked, file=sys.stderr)
            sys.stderr.flush()
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        said.seek(0)
        last = (said.read().strip().splitlines() or ["no message"])[-1]
    if last.startswith("asked for "):
        print(f"`labelgrid {line}` loads {last.removeprefix('asked for ')}", flush=True)
    elif code:
        print(f"`labelgrid {line}` exits with {code}: {last}", flush=True)
"""


def faults(root: Path) -> list[str]:
    """The light modules and commands that import what the base install lacks."""
    light = [
        module.name
        for module in modules(root, PACKAGE)
        if module.path.relative_to(PACKAGE).parts[0] in LIGHT
        and "migrations" not in module.path.parts  # run by Alembic, not imported
    ]
    return _faults(root, light)


def command_faults(root: Path) -> list[str]:
    """The light commands that import it, run one after another on a project with three images."""
    return _faults(root, ())


def _faults(root: Path, light: Sequence[str]) -> list[str]:
    has_commands = any((root / "src/labelgrid" / name).exists() for name in ("cli.py", "cli"))
    code = WATCH_ALL + IMPORTS + (RUNS if has_commands else "")
    with tempfile.TemporaryDirectory() as folder:
        make_images(Path(folder))
        own = {"PYTHONPATH": str(root / "src"), "PLACE": folder, "LINES": json.dumps(COMMANDS)}
        command = [sys.executable, "-c", code, *light]
        run = subprocess.run(
            command, cwd=root, env=os.environ | own, capture_output=True, check=False, text=True
        )
    ended = [f"the checks ended: {run.stderr.strip()[-300:]}"] if run.returncode else []
    return run.stdout.splitlines() + ended


def make_images(place: Path) -> None:
    """Write three images below images/, and a depth map of one of them below labels/depth/."""
    from PIL import Image

    for folder in ("images", "labels/depth"):
        (place / folder).mkdir(parents=True)
    for name in "abc":
        Image.new("RGB", (32, 24), (ord(name), 90, 30)).save(place / f"images/{name}.png")
    Image.new("I;16", (32, 24), 1500).save(place / "labels/depth/a.png")


if __name__ == "__main__":
    raise SystemExit(report(faults(ROOT)))
