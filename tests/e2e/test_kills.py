"""A command that is killed by `kill -9` and run again gives the same project as an undisturbed command."""

import json
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.databases import content
from tests.e2e.commands import answer, task_words
from tests.e2e.killing import command, in_job
from tests.support import Made

#: A campaign: commands by name; `DIR` stands for the project.
STEPS: dict[str, list[object]] = {
    "init": ["init", "DIR", "--holdout", 2, "--strategy", "partal"],
    "query without a model": ["query", "DIR", "--budget", 9],
    "export": ["export", "DIR"],
    "import of the held-out labels": ["import", "DIR", "DIR/rounds/0000/request"],
    "import": ["import", "DIR", "DIR/rounds/0001/request"],
    "fit": ["fit", "DIR"],
    "score": ["score", "DIR"],
    "query": ["query", "DIR", "--budget", 5],
}
#: When a command is killed, as a share between its first and last moment, or between its first and
#: last flush (an export has none).
SHARES = {"first": 0.0, "early": 0.35, "late": 0.7, "last": 1.0, "flush": 0.3}


@dataclass(frozen=True)
class Twin:
    """The undisturbed campaign: the project before and after each step, and each step's moments."""

    folder: Path
    moments: dict[str, list[str]]

    def before(self, step: str) -> Path:
        return self.folder / step / "before"

    def after(self, step: str) -> Path:
        return self.folder / step / "after"

    def moment(self, step: str, share: float, kind: str = "") -> int:
        """The number of the moment at a share between the first (0) and the last (1)."""
        numbers = [
            number for number, found in enumerate(self.moments[step], 1) if kind in ("", found)
        ]
        return numbers[round(share * (len(numbers) - 1))]

    def only_removes(self, step: str, moment: int) -> bool:
        """Whether from this moment on leftovers are removed, and nothing else is done."""
        return set(self.moments[step][moment - 1 :]) == {"remove"}


@pytest.fixture(scope="module")
def twin(data: Made, tmp_path_factory: pytest.TempPathFactory) -> Twin:
    found = Twin(tmp_path_factory.mktemp("twin"), {})
    project = found.folder / "flat"
    for step in STEPS:
        answer_all(project, data)
        keep(project, found.before(step))
        found.moments[step] = command(*words(step, project, data))
        keep(project, found.after(step))
    return found


def keep(project: Path, copy: Path) -> None:
    """A copy of the project, if there is one yet."""
    if project.exists():
        shutil.copytree(project, copy)


def words(step: str, project: Path, data: Made) -> list[object]:
    """The command of a step."""
    typed = [str(word).replace("DIR", str(project)) for word in STEPS[step]]
    if step == "init":
        typed += [
            "--images",
            str(data.images),
            "--recipe",
            str(data.root / "tiny.toml"),
            *task_words(data),
        ]
    return list(typed)


def answer_all(project: Path, data: Made) -> None:
    """Answer every request."""
    for request in sorted(project.glob("rounds/*/request")):
        answer(request, data)


def lasting(project: Path) -> dict[str, Any]:
    """Everything in a project but what jobs show: the ledger's rows and the files, without times."""
    found: dict[str, Any] = {"ledger": content(project / "labelgrid.db")}
    for path in sorted(project.rglob("*")):
        name = path.relative_to(project).as_posix()
        if path.name == "log.jsonl":
            found[name] = [
                json.loads(line) | {"seconds": 0, "waited": 0}
                for line in path.read_text().splitlines()
            ]
        elif path.suffix == ".ckpt":
            found[name] = "its weights are known by their stamp, in the ledger"
        elif path.is_file() and not in_job(path) and not path.name.startswith("labelgrid.db"):
            found[name] = path.read_bytes()
    return found


@pytest.mark.parametrize(
    ("step", "when"),
    [(step, when) for step in STEPS for when in SHARES if (step, when) != ("export", "flush")],
)
def test_a_killed_command_that_is_typed_again_leaves_the_same_project(
    twin: Twin, data: Made, tmp_path: Path, step: str, when: str
) -> None:
    project = tmp_path / "flat"
    keep(twin.before(step), project)
    moment = twin.moment(step, SHARES[when], "flush" if when == "flush" else "")
    assert not command(*words(step, project, data), die=moment)
    is_over = twin.only_removes(step, moment)
    assert is_over or not project.exists() or lasting(project) != lasting(twin.after(step))
    command(*words(step, project, data))
    assert lasting(project) == lasting(twin.after(step))


@pytest.mark.parametrize(
    ("step", "by"),
    [(step, signal.SIGINT) for step in ("import", "fit", "score", "query")]
    + [(step, signal.SIGTERM) for step in ("import", "fit")],
)
def test_a_command_that_is_stopped_and_typed_again_leaves_the_same_project(
    twin: Twin, data: Made, tmp_path: Path, step: str, by: signal.Signals
) -> None:
    project = tmp_path / "flat"
    keep(twin.before(step), project)
    assert not command(*words(step, project, data), die=twin.moment(step, 0.5), by=by)
    command(*words(step, project, data))
    assert lasting(project) == lasting(twin.after(step))


def test_a_campaign_whose_every_command_is_killed_twice_asks_for_the_same_cells(
    twin: Twin, data: Made, tmp_path: Path
) -> None:
    project, kills = tmp_path / "flat", 0
    for step in STEPS:
        answer_all(project, data)
        for when in (0.2, 0.8):
            kills += not command(*words(step, project, data), die=twin.moment(step, when))
        command(*words(step, project, data))
    assert kills >= len(STEPS)
    picks = "rounds/0002/picks.json"
    assert (project / picks).read_bytes() == (twin.after("query") / picks).read_bytes()
    assert lasting(project) == lasting(twin.after("query"))
