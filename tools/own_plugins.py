"""Makes a package with a plug-in of each sort, and holds the plug-ins to their laws where they are installed.

A package names its plug-in as an entry point, so that the short name alone is used.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tools.source import ROOT


@dataclass(frozen=True)
class OwnPlugin:
    """A plug-in that is published as a package.

    Args:
        path: its file.
        built: the object in the file.
        told: the file of what the laws are told, if they must be; "" if not.
    """

    path: str
    built: str = "build"
    told: str = ""

    @property
    def name(self) -> str:
        """The name of its module and its entry point."""
        return Path(self.path).stem

    @property
    def teller(self) -> str:
        """The name of the module that the laws are told by."""
        return f"{self.name}_told"

    def write(self, folder: str, root: Path) -> Path:
        """Write the package below a folder, and return its own folder."""
        package = root / folder
        package.mkdir(parents=True)
        (package / f"{self.name}.py").write_text((ROOT / self.path).read_text())
        modules = [self.name]
        if self.told:
            (package / f"{self.teller}.py").write_text((ROOT / self.told).read_text())
            modules.append(self.teller)
        (package / "pyproject.toml").write_text(
            '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
            f'[project]\nname = "own-{folder}"\nversion = "1.0"\ndependencies = ["labelgrid"]\n'
            f'[project.entry-points."labelgrid.{folder}"]\n'
            f'{self.name} = "{self.name}:{self.built}"\n'
            f"[tool.setuptools]\npy-modules = {json.dumps(modules)}\n"
        )
        return package

    def words(self, folder: str) -> list[str]:
        """The command that holds it to its laws."""
        trusted = ["--trust", self.name]
        if self.told:
            trusted += ["--with", self.teller, "--trust", self.teller]
        return ["check-plugin", folder, self.name, *trusted]


#: A plug-in of each sort.
OWN = {
    "kinds": OwnPlugin("examples/inverse_depth_task.py"),
    "formats": OwnPlugin("tests/plugins/optical_flow.py", "Format"),
    "relations": OwnPlugin("tests/plugins/double_depth.py"),
    "partitions": OwnPlugin("tests/plugins/colour_halves.py"),
    "layouts": OwnPlugin("examples/table_dataset.py", told="tests/layouts/table.py"),
    "networks": OwnPlugin("examples/deep_heads_network.py"),
    "balance": OwnPlugin("tests/plugins/frank_wolfe.py"),
    "terms": OwnPlugin("tests/plugins/small_features.py"),
    "statistics": OwnPlugin("tests/plugins/deepest_mean.py"),
    "strategies": OwnPlugin("examples/cheapest_strategy.py"),
    "tools": OwnPlugin("tests/plugins/json_lines.py", told="tests/annotators/json_lines.py"),
    "executors": OwnPlugin("tests/plugins/few_processes.py"),
    "makers": OwnPlugin("tests/plugins/bright_depth.py", told="tests/makers/bright_depth.py"),
    "analyses": OwnPlugin("tests/plugins/run_counts.py"),
}


def install(pip: list[str], root: Path) -> None:
    """Install the packages, which are written below a folder.

    Args:
        pip: the words that start the environment's pip.
        root: the folder.
    """
    packages = [str(plugin.write(folder, root)) for folder, plugin in OWN.items()]
    words = ["install", "-q", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, *words, *packages], check=True)


def broken(programs: Path, root: Path) -> list[str]:
    """What is wrong with the installed plug-ins: how they are listed, trusted, and keep their laws.

    Args:
        programs: the `bin` of the environment.
        root: the folder in which the commands run.
    """
    run = partial(_run, programs, root)
    faults = []
    listed = json.loads(run(["list", "--json"]).stdout)
    for folder, plugin in OWN.items():
        if plugin.name not in listed[folder]:
            faults.append(f"`labelgrid list` does not show '{plugin.name}' of {folder}")
        refused = run(["check-plugin", folder, plugin.name])
        if refused.returncode != 1 or f"--trust {plugin.name}" not in refused.stderr:
            faults.append(
                f"'{plugin.name}' of {folder} runs without trust: {refused.stderr.strip()}"
            )
    with ThreadPoolExecutor(2) as workers:
        commands = [plugin.words(folder) for folder, plugin in OWN.items()]
        for words, done in zip(commands, workers.map(run, commands), strict=True):
            faults += _broken(words, done)
    return faults


def _broken(words: list[str], done: "subprocess.CompletedProcess[str]") -> Iterator[str]:
    if done.returncode:
        said = (done.stdout + done.stderr).strip()
        yield f"`labelgrid {' '.join(words)}` exits with {done.returncode}: {said}"


def _run(programs: Path, root: Path, words: list[str]) -> "subprocess.CompletedProcess[str]":
    environment = {name: text for name, text in os.environ.items() if name != "LABELGRID_TRUST"}
    command = [str(programs / "labelgrid"), *words]
    return subprocess.run(
        command, cwd=root, env=environment, capture_output=True, check=False, text=True
    )
