"""A study from its recipe to its records: checked first, carried out, gone on with where it was stopped."""

import fcntl
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from labelgrid import files, plugins
from labelgrid.campaign import outcomes
from labelgrid.campaign.project import write_text
from labelgrid.campaign.recipe import Named, check_options, load
from labelgrid.campaign.runner import Report, Runner, jobs_of
from labelgrid.campaign.study import ENDINGS, KEPT, Run, Study, runs_of
from labelgrid.config import as_toml
from labelgrid.errors import ProjectError
from labelgrid.tasks.task import definitions

#: The recipe that the runs read, two folders above each.
FROZEN = "recipe.toml"
#: What of a study may change between two calls: it says which runs there are and how long they go on, not what they do.
OPEN = frozenset({"rounds", "strategies", "seeds", "full", "spend", "until", "grid"})


@dataclass(frozen=True)
class Asked:
    """What is to be run.

    Args:
        recipe: a shipped recipe's name, or the absolute path of one.
        root: of the data set.
        weights: a local file of backbone weights, absolute; "" fetches them where the recipe asks for it.
    """

    recipe: str
    study: Study
    root: Path
    weights: str
    out: Path

    def kept(self) -> dict[str, Any]:
        """As `study.json` keeps it."""
        recipe = json.loads(load(self.recipe).json())
        return {
            "recipe": recipe,
            "study": json.loads(json.dumps(asdict(self.study))),
            "root": str(self.root.absolute()),
            "weights": _digest(Path(self.weights)) if self.weights else "",
        }

    def freeze(self) -> None:
        """Keep the whole recipe in `recipe.toml`, which the runs read: an edit of its file cannot come between them."""
        tables = json.loads(load(self.recipe).json())
        said = "# What all runs here are made by; written by `labelgrid simulate`.\n"
        write_text(self.out / FROZEN, said + "".join(f"{key} = {as_toml(table)}\n" for key, table in tables.items()))


def _digest(path: Path) -> str:
    with files.disk(path), path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:32]


def check(asked: Asked) -> list[Run]:
    """The runs, after all that can be checked was checked.

    Raises:
        LabelgridError: a name is unknown, a value wrong, or the folder holds another study. Nothing was run.
    """
    runs = runs_of(asked.study)
    for changes in {json.dumps(c): c for c in (run.changes(asked.study) for run in runs)}.values():
        recipe = load(asked.recipe, changes)
        check_options("nets", recipe.network)
        for name, options in recipe.score.items():
            check_options("score", Named(name, options))
    for strategy in asked.study.strategies:
        plugins.resolve("select", strategy)
    plugins.resolve("data", asked.study.data)
    definitions(asked.study.rows())
    _check_same(asked)
    return runs


def _check_same(asked: Asked) -> None:
    """Refuse to go on with runs that were begun otherwise."""
    path = asked.out / KEPT
    if not path.is_file():
        return
    before, now = json.loads(path.read_text(encoding="utf-8")), asked.kept()
    changed = [key for key in ("recipe", "root", "weights") if before.get(key) != now[key]]
    changed += [
        f"simulate.{key}"
        for key in sorted(now["study"])
        if key not in OPEN and before["study"].get(key) != now["study"][key]
    ]
    if changed:
        raise ProjectError(
            f"The folder holds runs that were begun otherwise: {', '.join(changed)} changed.",
            where=str(asked.out),
            next_step="Name another folder with --out, or put it back as it was.",
            unchanged="Nothing was run.",
        )


def simulate(
    asked: Asked, at_once: int, threads: int, show: Callable[[Mapping[str, Report]], None]
) -> Mapping[str, Report]:
    """Carry out all runs that are not done, then write the records of all; returns how each ended.

    Raises:
        LabelgridError: as `check`; another process is at work on the same folder.
    """
    runs = check(asked)
    with _alone(asked.out):
        write_text(asked.out / KEPT, json.dumps(asked.kept(), indent=1) + "\n")
        asked.freeze()
        jobs = jobs_of(runs, asked.study, asked.recipe, asked.weights, asked.root, asked.out, threads)
        jobs = {
            key: replace(job, settings=replace(job.settings, recipe=f"../../{FROZEN}")) for key, job in jobs.items()
        }
        with files.disk(asked.out):
            (asked.out / ENDINGS).unlink(missing_ok=True)
        reports = Runner(jobs, at_once, show).run()
        ends = {key: asdict(report) for key, report in reports.items()}
        write_text(asked.out / ENDINGS, json.dumps(ends, indent=1) + "\n")
        outcomes.write((o for run in runs for o in outcomes.outcomes_of(run, asked.out / "runs" / run.key)), asked.out)
    return reports


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    with files.disk(out):
        out.mkdir(parents=True, exist_ok=True)
        file = (out / ".lock").open("w")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ProjectError(
                "Another process is at work on these runs.",
                where=str(out),
                next_step="Wait for it, or stop it.",
                unchanged="Nothing was run.",
            ) from error
        yield
