"""Tries the extras of a wheel: what is said without them, what each loads, and whether all fit.

An extra that fights with a pin makes pip look for an older release that does not: it takes one
silently, or searches for minutes.
"""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from tools.source import ROOT

CONSTRAINTS = ROOT / "constraints.txt"
#: A command that needs each extra, in a folder with images, a project, and one with scores.
USES = {
    "az": "init other --images az://container/images/ --task depth",
    "gs": "init other --images gs://bucket/images/ --task depth",
    "parquet": "query scored --budget 1 --dry-run",
    "onnx": "export-model project --to onnx --out model.onnx",
    "postgres": "init other --images images --task depth --ledger postgresql://localhost/labels",
    "ray": "audit project --on ray",
    "s3": "init other --images s3://bucket/images/ --task depth",
    "lab": "scenes rooms --count 1",
    "testing": "check-plugin strategies random_cells",
    "train": "fit project",
}
#: What each extra is for, as the code of labelgrid loads it, in the same folder.
LOADS = {
    "az": "import fsspec; fsspec.get_filesystem_class('az')",
    "balance": "from labelgrid.train.balance.torchjd import aggregator_of as of; of('UPGrad', {}, 2)",
    "exr": "import OpenEXR",
    "gs": "import fsspec; fsspec.get_filesystem_class('gs')",
    "lab": "import labelgrid.lab.scenes.write_scenes; from labelgrid.lab.scenes.render import mitsuba as m; m()",
    "onnx": "import labelgrid.exporting.onnx_file, labelgrid.nets.onnx_ops",
    "parquet": "import labelgrid.score.table_files",
    "postgres": "import labelgrid.ledger.postgresql, psycopg_binary",
    "ray": "import labelgrid.executors.ray_driver, ray; ray.remote",
    "regions": "import skimage.segmentation; from labelgrid.regions.maker import build_maker as b; b('superpixels', {})",
    "s3": "import fsspec; fsspec.get_filesystem_class('s3')",
    "tensorboard": "from torch.utils.tensorboard import SummaryWriter",
    "testing": "import labelgrid.testing.strategies, labelgrid.testing.pytest_plugin",
    "train": "import labelgrid.rounds.fit, labelgrid.lab.simulation.campaign; import timm, torchvision",
}
#: The extras of those who change labelgrid.
DEVELOPERS = ("dev", "docs", "mutation", "peers")
#: The seconds after which pip has met a conflict that it cannot solve.
LONGEST = 300


def extras_of(wheel: Path) -> list[str]:
    """The extras of a wheel."""
    (own,) = Distribution.discover(path=[str(wheel)])
    return list(own.metadata.get_all("Provides-Extra") or ())


def unsaid(programs: Path, place: Path) -> list[str]:
    """The extras that a command needs without saying so, in an environment without extras.

    Args:
        programs: the environment's `bin`.
        place: the folder in which the commands are run.
    """
    found = []
    for extra, line in USES.items():
        command = [str(programs / "labelgrid"), *line.split()]
        run = subprocess.run(command, cwd=place, capture_output=True, check=False, text=True)
        said = " ".join(run.stderr.split())  # messages are wrapped
        if not run.returncode or f"pip install 'labelgrid[{extra}]'" not in said:
            found.append(f"`labelgrid {line}` does not name the extra '{extra}': {said}")
    return found


def untried(wheel: Path) -> list[str]:
    """The extras of a wheel of which it is not known what they are for."""
    unknown = sorted(set(extras_of(wheel)) - set(LOADS) - set(DEVELOPERS))
    return [f"tools/extras.py does not say what the extra '{extra}' loads" for extra in unknown]


def unloaded(programs: Path, place: Path, extra: str, *, modules: Path) -> list[str]:
    """What an extra cannot load.

    Args:
        programs: the `bin` of an environment without extras.
        place: the folder in which it is tried.
        extra: its name.
        modules: a folder with what this extra asks for and the environment has not.
    """
    command = [str(programs / "python"), "-P", "-c", LOADS[extra]]
    env = {**os.environ, "PYTHONPATH": str(modules)}
    run = subprocess.run(command, cwd=place, capture_output=True, check=False, text=True, env=env)
    if not run.returncode:
        return []
    said = " ".join(run.stderr.split())[-300:]
    return [f"with the extra '{extra}' alone, `{LOADS[extra]}` fails: {said}"]


def conflicts(pip: Sequence[str], wheel: Path) -> list[str]:
    """What is wrong with the extras of a wheel, all together.

    Args:
        pip: the words that start pip, of an environment with what the wheel and its extras ask for
            as far as it is known here.
        wheel: the wheel.
    """
    wanted = f"{wheel}[{','.join(extras_of(wheel))}]"
    words = ["install", "--dry-run", "-q", "--report", "-", "--disable-pip-version-check"]
    command = [*pip, *words, "-c", str(CONSTRAINTS), wanted]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)
    except subprocess.TimeoutExpired:
        return [f"the extras and the pins do not go together: pip found no way in {LONGEST} s"]
    if run.returncode:
        return [f"the extras and the pins do not go together: {run.stderr.strip()}"]
    return unpinned(json.loads(run.stdout), pins(CONSTRAINTS.read_text()))


def unpinned(report: Mapping[str, Any], known: Mapping[str, str]) -> list[str]:
    """The packages of pip's report that it would install in a release that is not pinned.

    Args:
        report: what `pip install --report` prints.
        known: the pinned release of each package.
    """
    found = []
    for package in report["install"]:
        name = canonicalize_name(package["metadata"]["name"])
        release = package["metadata"]["version"]
        if name != "labelgrid" and known.get(name) != release:
            found.append(f"{name} {release} is asked for and not pinned in {CONSTRAINTS.name}")
    return found


def pins(text: str) -> dict[str, str]:
    """The release of each package that a file of constraints names."""
    lines = [line.split("==") for line in text.splitlines() if "==" in line and line[0] != "#"]
    return {canonicalize_name(name): release.strip() for name, release in lines}
