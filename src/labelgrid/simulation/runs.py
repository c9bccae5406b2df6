"""Lists the runs of a study: one per arm, seed and grid point, and the starts they share.

Loads no torch.
"""

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labelgrid.errors import RecipeError
from labelgrid.ledger.grid import TaskRow
from labelgrid.recipes.resolve import hash_of
from labelgrid.recipes.task_subset import WITHOUT
from labelgrid.simulation.arms import FULL, NAME, InitialLabels
from labelgrid.simulation.study import Kind, Study

#: Marks a run's folder as done; holds the end conditions.
DONE = "done.json"


@dataclass(frozen=True)
class Run:
    """One campaign of a study.

    Args:
        kind: an arm's campaign, a start, `full`, or a network of one task.
        name: the arm's name, or "start", "start.ARM", "full", "single.TASK", "single.ARM.TASK" or
            "single.full.TASK".
        seed: of all its draws.
        point: its values of recipe keys, as in the grid: `{"train.steps": 500}`.
        start_arm: of a start, the arm with its tasks, initial labels and overrides; "" is the study
            itself. Of a network of one task, the arm (or `FULL`) with its initial labels; it has
            the study's overrides.
        task: of a network of one task, this task.
    """

    kind: Kind
    name: str
    seed: int
    point: Mapping[str, Any] = field(default_factory=dict)
    start_arm: str = ""
    task: str = ""

    @property
    def arm(self) -> str:
        """The arm with its tasks and initial labels, and overrides if it has several tasks; "" is the study itself."""
        return self.name if self.kind == "strategy" else self.start_arm

    @property
    def shown(self) -> str:
        """The name under which its messages are shown: its arm's, or that of the single-task networks together."""
        return single_name(self.start_arm) if self.task else self.arm or self.name

    @property
    def key(self) -> str:
        """The name of its folder, the same for the same run.

        Example:
            >>> Run("strategy", "partal", 2, {"train.steps": 500}).key
            'partal-seed2-train.steps=500'
        """
        name = self.name.replace(":", ".").replace("/", ".")
        text = "-".join(f"{key}={value}" for key, value in self.point.items())
        ending = text if NAME.fullmatch(text) else hash_of(dict(self.point))
        return f"{name}-seed{self.seed}" + (f"-{ending}" if self.point else "")

    def start(self, study: Study) -> "Run":
        """The run it continues."""
        arm = study.start_of(self.arm)
        name = f"start.{arm}" if arm else "start"
        return Run(
            "start",
            name,
            seed=self.seed,
            point=study.effective("start", self.point, arm),
            start_arm=arm,
        )

    def overrides(self, study: Study) -> dict[str, Any]:
        """Its overrides of the recipe, with the study's tasks that it leaves out."""
        found = study.overrides(self.kind, self.point, "" if self.task else self.arm)
        own = self.rows(study)
        left_out = sorted(study.tasks.keys() - {row.name for row in own})
        return found | ({WITHOUT: left_out} if left_out else {})

    def rows(self, study: Study) -> list[TaskRow]:
        """The tasks of its network, as ledger rows."""
        return [row for row in study.rows(self.arm) if self.task in ("", row.name)]

    def initial(self, study: Study) -> InitialLabels:
        """The labels it starts with; a network of one task has those of its task."""
        return study.initial_of(FULL if self.kind == "full" else self.arm)

    def end_conditions(self, study: Study) -> dict[str, Any]:
        """The conditions that end the run."""
        if self.kind != "strategy":
            return {}
        return {
            "rounds": study.rounds_of(self.arm),
            "spend": study.spend,
            "until": dict(study.until),
        }

    def done_text(self, study: Study) -> str:
        """The content of `DONE`."""
        return json.dumps(self.end_conditions(study)) + "\n"

    def is_done(self, study: Study, folder: Path) -> bool:
        """Whether the run in the folder is done, under this study's end conditions."""
        path = folder / DONE
        return path.is_file() and path.read_text(encoding="utf-8") == self.done_text(study)

    def rounds(self, study: Study) -> int:
        """The number of networks that it trains itself."""
        return study.rounds_of(self.arm) if self.kind == "strategy" else 1

    def networks(self, study: Study) -> int:
        """The number of networks that it is measured with, at most: its own and the one it continues."""
        return self.rounds(study) + (self.kind == "strategy")


def has_work(folder: Path) -> bool:
    """Whether a run's folder holds a part of a training, or all that the run does.

    Without any, the run may start anew, with other settings: what else it holds is made again in no
    time.
    """
    return (folder / DONE).is_file() or any(
        path.is_file() for path in folder.glob("rounds/*/fit/**/*")
    )


def describe_point(point: Mapping[str, Any]) -> str:
    """Values of recipe keys as text.

    Example:
        >>> describe_point({"train.steps": 500, "train.batch": 4})
        'train.steps=500, train.batch=4'
    """
    return ", ".join(f"{key}={value}" for key, value in point.items())


def runs_of(study: Study) -> list[Run]:
    """All runs, each after the run it continues.

    Raises:
        RecipeError: two runs have the same folder.
    """
    found: dict[str, Run] = {}
    for seed, point in itertools.product(range(study.seeds), study.points()):
        for run in runs_at_point(study, seed, point):
            if found.setdefault(run.key, run) != run:
                raise RecipeError(
                    f"Two runs of the study have the same folder, '{run.key}'.",
                    next_step="Change the name of an arm or a strategy, or a value of the grid.",
                    unchanged="Nothing was run.",
                )
    return list(found.values())


def runs_at_point(study: Study, seed: int, point: Mapping[str, Any]) -> Iterator[Run]:
    """The runs of a seed at a grid point, starts first.

    Several points may share starts and `full`.
    """
    names = [name for name in study.strategies if study.rounds or name in study.arms]
    campaigns = [
        Run("strategy", name, seed, study.effective("strategy", point, name)) for name in names
    ]
    starts = [Run("strategy", name, seed, point).start(study) for name in names or [""]]
    yield from {start.key: start for start in starts}.values()
    yield from campaigns
    if study.full:
        yield Run("full", "full", seed, study.effective("full", point))
    if study.single:
        arms = dict.fromkeys(
            study.single_of(name) for name in [*(names or [""]), *([FULL] if study.full else [])]
        )
        yield from (
            run
            for arm in arms
            for run in _single_runs(study, arm, seed, study.effective("single", point))
        )


def _single_runs(study: Study, arm: str, seed: int, point: Mapping[str, Any]) -> Iterator[Run]:
    """The networks of one task each for an arm's initial labels, of tasks that have any."""
    for row in study.rows(arm):
        if study.initial_of(arm).may_have(row.name):
            yield Run(
                "single",
                f"{single_name(arm)}.{row.name}",
                seed=seed,
                point=point,
                start_arm=arm,
                task=row.name,
            )


def single_name(arm: str) -> str:
    """The name of an arm's single-task networks together.

    Example:
        >>> single_name(""), single_name("one-label"), single_name(FULL)
        ('single', 'single.one-label', 'single.full')
    """
    return f"single.{arm}" if arm else "single"
