"""Builds the wheel that users install; `--try` also installs it in a clean environment and uses it.

The environment has what the wheel asks for and none of the developers' tools. There a project of
three images is made, labelled and reported, as the README says. The releases that the wheel asks
for are linked from this environment, where pip has put them by the same constraints; what is not
here, pip fetches. Without the links it would fetch and unpack gigabytes a second time. Then what
each extra is for is loaded with nothing else beside the environment, and a project that was scored
elsewhere is queried and reported with [parquet]. Then pip is asked whether all
extras go together. At last a package with a plug-in of each sort is installed there, and the
plug-ins are held to their laws.
"""

import argparse
import math
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence, Set
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import cache_from_source
from pathlib import Path

import numpy as np
from packaging.requirements import Requirement

from tools import extras, own_plugins
from tools.notorch import make_images
from tools.source import ROOT

#: What is tried, in this order, in a folder with images, labels and a project with scores.
COMMANDS = (
    "--help",
    "init project --images images --task depth --holdout 1",
    "import project labels",
    "query project --budget 1 --export requests",
    "audit project",
    "advise project",
    "status project --json",
    "report project --out report.html",
    "report scored --out scored.html",
)
#: What is tried with the extra [parquet] alone, on a project with scores.
SCORED = (
    "query scored --budget 1 --dry-run",
    "report scored --out scored.html",
)
#: What makes the project with scores, where networks are installed.
PREPARING = (
    "init scored --images images --task depth --strategy partal --holdout 0 --no-time",
    "import scored labels",
    "score scored --predictions predictions",
)
#: A developers' tool, which the environment must not have.
TOOL = "pytest"
#: The most megabytes of the base install.
LARGEST = 650
#: The bytes of compiled modules for each byte of their sources, as pip compiled those of the base
#: in CPython 3.11: 122 MB of 94 MB. Here most are not compiled, which would take a minute.
COMPILED = 1.3


def build(out: Path) -> Path:
    """Build the wheel into a folder, and return its path."""
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(out)]
    subprocess.run(command, cwd=ROOT, check=True)
    return max(out.glob("*.whl"), key=lambda path: path.stat().st_mtime)


def install(wheel: Path, environment: Path) -> Path:
    """Install a wheel with what it asks for in a new environment, and return its `bin` folder."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    for package in required(wheel):
        link(package, environment)
    words = ["install", "-q", "--disable-pip-version-check", "-c", str(ROOT / "constraints.txt")]
    subprocess.run([*pip_of(environment), *words, str(wheel)], check=True)
    return environment / "bin"


def pip_of(environment: Path) -> list[str]:
    """The words that start this environment's pip for another one, which has none."""
    return [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python")]


def required(wheel: Path, wanted: Set[str] = frozenset()) -> list[Distribution]:
    """What a wheel with extras asks for, and what that asks for, as far as it is installed here."""
    (own,) = Distribution.discover(path=[str(wheel)])
    packages: dict[Requirement, Distribution] = {}
    waiting = list(asked(own, wanted))
    while waiting:
        requirement = waiting.pop()
        if requirement in packages:
            continue
        try:
            packages[requirement] = distribution(requirement.name)
        except PackageNotFoundError:
            continue
        waiting += asked(packages[requirement], requirement.extras)
    return list({package.name: package for package in packages.values()}.values())


def asked(package: Distribution, extras: Set[str]) -> Iterator[Requirement]:
    """What a package asks for on this machine, with some of its extras."""
    for line in package.requires or ():
        requirement = Requirement(line)
        marker = requirement.marker
        if not marker or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement


def modules_of(environment: Path) -> Path:
    """The folder of an environment's packages."""
    base = {"base": str(environment), "platbase": str(environment)}
    return Path(sysconfig.get_path("purelib", "venv", base))


def link(package: Distribution, environment: Path) -> None:
    """Give an environment hard links to a package's files, but for its programs."""
    modules = modules_of(environment)
    for file in package.files or ():
        if ".." in file.parts:
            continue
        source = Path(str(package.locate_file(file)))
        link_file(source, modules / file)
        if source.suffix == ".py":  # what it was compiled to belongs to the link as well
            compiled = Path(cache_from_source(str(source)))
            link_file(compiled, modules / file.parent / "__pycache__" / compiled.name)


def link_file(source: Path, target: Path) -> None:
    """Make a hard link to a file that exists, where there is none yet."""
    if source.is_file() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.hardlink_to(source)


def prepare(place: Path) -> None:
    """Write images and labels, and make a project with scores in this environment."""
    make_images(place)
    write_predictions(place / "predictions")
    for line in PREPARING:
        words = [sys.executable, "-m", "labelgrid", *line.split()]
        subprocess.run(words, cwd=place, capture_output=True, check=True)


def failures(
    programs: Path,
    place: Path,
    commands: Sequence[str] = COMMANDS,
    *,
    modules: Path | None = None,
) -> list[str]:
    """The commands that fail in an environment, run one after another in a prepared folder.

    Args:
        programs: the environment's `bin`.
        place: the folder.
        commands: the words of each.
        modules: a folder with what they need and the environment has not.
    """
    faults = []
    env = {**os.environ, "PYTHONPATH": str(modules)} if modules else None
    tool = subprocess.run([str(programs / "python"), "-c", f"import {TOOL}"], capture_output=True)
    if tool.returncode == 0:
        faults.append(f"the environment has {TOOL}, a developers' tool")
    for line in commands:
        command = [str(programs / "labelgrid"), *line.split()]
        run = subprocess.run(
            command, cwd=place, capture_output=True, check=False, text=True, env=env
        )
        if run.returncode:
            faults.append(f"`labelgrid {line}` exits with {run.returncode}: {run.stderr.strip()}")
    return faults


def write_predictions(folder: Path) -> None:
    """Write two predictions of depth for each image of `make_images`, as another program would."""
    folder.mkdir()
    for number, name in enumerate("abc", 1):
        depth = np.full((2, 1, 24, 32), number, np.float32)
        depth[1] += number / 10
        arrays = {"depth.values": depth, "features": depth[:, 0, 0, 0]}
        np.savez(folder / f"{name}.npz", allow_pickle=False, **arrays)


def unloaded(wheel: Path, programs: Path, place: Path, *, more: Path) -> list[str]:
    """What each extra of a wheel cannot load if it is the only one.

    Args:
        wheel: the wheel.
        programs: the `bin` of an environment that has it without extras.
        place: the folder in which they are tried.
        more: a folder for what each extra asks for beside that environment.
    """
    has = {package.name for package in required(wheel)}
    faults = extras.untried(wheel)
    for extra in extras.LOADS:
        for package in required(wheel, {extra}):
            if package.name not in has:
                link(package, more / extra)
        faults += extras.unloaded(programs, place, extra, modules=modules_of(more / extra))
    return faults


def megabytes(folder: Path) -> int:
    """The megabytes of a folder on the disk, as `du -sm` says once pip has compiled all modules."""
    total = 0.0
    for place, _, names in os.walk(folder):
        for name in names:
            size = float(Path(place, name).lstat().st_blocks * 512)
            if name.endswith(".py"):
                size *= 1 + COMPILED
            elif name.endswith(".pyc"):
                size = 0
            total += size
    return math.ceil(total / 2**20)


def too_large(base: int) -> list[str]:
    """What is wrong with the megabytes of the base install."""
    if base <= LARGEST:
        return []
    return [f"the base install has {base} MB, more than {LARGEST}: move a package to an extra"]


def sizes(base: int, alone: Path) -> str:
    """A line with the megabytes of the base and of what each extra adds to it."""
    added = [f"[{extra}] {megabytes(alone / extra)}" for extra in sorted(extras.LOADS)]
    return f"The base install has {base} MB, without pip; extras add, in MB: {', '.join(added)}."


def conflicts(wheel: Path, environment: Path) -> list[str]:
    """What is wrong with the extras of a wheel that an environment has without them."""
    for package in required(wheel, frozenset(extras.extras_of(wheel))):
        link(package, environment)
    return extras.conflicts(pip_of(environment), wheel)


def main(words: Sequence[str] | None = None) -> int:
    """Build the wheel, try it if asked to, and return the exit status."""
    parser = argparse.ArgumentParser(prog="./dev wheel", description=__doc__)
    parser.add_argument("--try", dest="tried", action="store_true", help="install it and use it")
    if not parser.parse_args(words).tried:
        print(build(ROOT / "dist"))
        return 0
    with tempfile.TemporaryDirectory(dir=sys.prefix) as folder:  # links need one file system
        place = Path(folder)
        wheel = build(place / "dist")
        environment = place / "environment"
        programs = install(wheel, environment)
        (place / "work").mkdir()
        prepare(place / "work")
        base = megabytes(environment)
        faults = failures(programs, place / "work") + too_large(base)
        faults += extras.unsaid(programs, place / "work")
        faults += unloaded(wheel, programs, place / "work", more=place / "alone")
        parquet = modules_of(place / "alone/parquet")
        faults += failures(programs, place / "work", SCORED, modules=parquet)
        print(sizes(base, place / "alone"))
        faults += conflicts(wheel, environment)
        own_plugins.install(pip_of(environment), place / "packages")
        faults += own_plugins.broken(programs, place / "work")
    for fault in faults:
        print(fault)
    if not faults:
        print(f"The wheel works in a clean environment: {len(COMMANDS + SCORED)} commands.")
        print(f"Each of {len(extras.LOADS)} extras loads what it is for, alone; all fit together.")
        print(
            f"A package with a plug-in of each of {len(own_plugins.OWN)} sorts keeps its laws there."
        )
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
