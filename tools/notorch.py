"""Checks that light modules and commands run without torch and pyarrow, which the base install lacks.

They are run in separate processes.
"""

import os
import re
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
MAIN = "import sys; from labelgrid.cli import main; sys.exit(main())"
WATCHED_MAIN = f"""
import atexit
atexit.register(lambda: Watch.asked and print("asked for", Watch.asked, file=sys.stderr))
{MAIN}
"""


def faults(root: Path) -> list[str]:
    """The light modules and commands that import what the base install lacks."""
    light = [
        module.name
        for module in modules(root, PACKAGE)
        if module.path.relative_to(PACKAGE).parts[0] in LIGHT
        and "migrations" not in module.path.parts  # run by Alembic, not imported
    ]
    return _python(root, WATCH_ALL + IMPORTS, light, root).stdout.splitlines() + command_faults(
        root
    )


def command_faults(root: Path) -> list[str]:
    """The light commands that import it, run one after another on a project with three images."""
    if not any((root / "src/labelgrid" / name).exists() for name in ("cli.py", "cli/__init__.py")):
        return []
    found = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        make_images(place)
        for line in COMMANDS:
            run = _python(root, WATCH_ALL + WATCHED_MAIN, line.split(), place)
            asked = re.search(r"^asked for (\w+)$", run.stderr, re.MULTILINE)
            if asked:
                found.append(f"`labelgrid {line}` loads {asked[1]}")
            elif run.returncode:
                found.append(
                    f"`labelgrid {line}` exits with {run.returncode}: {_last_line(run.stderr)}"
                )
    return found


def make_images(place: Path) -> None:
    """Write three images below images/, and a depth map of one of them below labels/depth/."""
    from PIL import Image

    for folder in ("images", "labels/depth"):
        (place / folder).mkdir(parents=True)
    for name in "abc":
        Image.new("RGB", (32, 24), (ord(name), 90, 30)).save(place / f"images/{name}.png")
    Image.new("I;16", (32, 24), 1500).save(place / "labels/depth/a.png")


def _python(
    root: Path, code: str, words: Sequence[str], cwd: Path
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, check=False, text=True
    )


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]


if __name__ == "__main__":
    raise SystemExit(report(faults(ROOT)))
