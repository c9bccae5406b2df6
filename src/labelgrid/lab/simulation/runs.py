"""Lists the runs of a study: starts, and a run for each arm, seed and grid point.

Loads no torch.
"""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from labelgrid.basics.errors import RecipeError
from labelgrid.basics.type_names import Json, Values
from labelgrid.lab.simulation.arms import FULL, NAME, InitialLabels
from labelgrid.lab.simulation.study_recipe import Kind, Study
from labelgrid.ledger.grid import TaskRow
from labelgrid.recipes.resolve import hash_of
from labelgrid.recipes.task_subset import WITHOUT

#: Marks a run's folder as done; holds the end conditions.
DONE = "done.json"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One campaign of a study.

    Args:
        kind: an arm's campaign, a start, `full`, or a network of one task.
        name: the arm's name, or "start", "start.ARM", "full", "single.TASK", "single.ARM.TASK" or
            "single.full.TASK".
        seed: the seed of all its draws.
        point: its values of recipe keys, as in the grid: `{"train.steps": 500}`.
        start_arm: for a start, the arm with its tasks, initial labels and overrides; "" is the
            study itself. For a network of one task, the arm (or `FULL`) with its initial labels,
            and the study's overrides.
        task: the task of a network of one task.
    """

    kind: Kind
    name: str
    seed: int
    point: Values = field(default_factory=dict)
    start_arm: str = ""
    task: str = ""

    @property
    def arm(self) -> str:
        """The arm whose tasks, initial labels and overrides it has; "" is the study itself.

        A network of one task has the study's overrides.
        """
        if self.kind == "strategy":
            return self.name
        return self.start_arm

    @property
    def shown(self) -> str:
        """The name under which messages are shown.

        The name of the arm, or the name shared by single-task networks of several arms.
        """
        if self.task:
            return single_name(self.start_arm)
        return self.arm or self.name

    @property
    def key(self) -> str:
        """The name of its folder, the same for the same run.

        Example:
            >>> point = {"train.steps": 500}
            >>> Run(kind="strategy", name="partal", seed=2, point=point).key
            'partal-seed2-train.steps=500'
        """
        name = self.name.replace(":", ".").replace("/", ".")
        key = f"{name}-seed{self.seed}"
        if not self.point:
            return key
        ending = "-".join(f"{option}={value}" for option, value in self.point.items())
        if not NAME.fullmatch(ending):
            ending = hash_of(dict(self.point))
        return f"{key}-{ending}"

    def start(self, study: Study) -> "Run":
        """The run that trained the initial network of the run."""
        arm = study.start_of(self.arm)
        return Run(
            kind="start",
            name=f"start.{arm}" if arm else "start",
            seed=self.seed,
            point=study.effective("start", self.point, arm),
            start_arm=arm,
        )

    def overrides(self, study: Study) -> Json:
        """The overrides of the recipe, with the tasks of the study that the run leaves out."""
        overrides = study.overrides(self.kind, self.point, "" if self.task else self.arm)
        left_out = sorted(study.tasks.keys() - {row.name for row in self.rows(study)})
        if left_out:
            overrides |= {WITHOUT: left_out}
        return overrides

    def rows(self, study: Study) -> list[TaskRow]:
        """The tasks of its network, as ledger rows."""
        return [row for row in study.rows(self.arm) if self.task in ("", row.name)]

    def initial(self, study: Study) -> InitialLabels:
        """The labels of the start; a network of one task has the labels of the task."""
        return study.initial_of(FULL if self.kind == "full" else self.arm)

    def done_text(self, study: Study) -> str:
        """The content of `DONE`: the conditions that end the run."""
        conditions: Json = {}
        if self.kind == "strategy":
            conditions = {
                "rounds": study.rounds_of(self.arm),
                "spend": study.spend,
                "until": dict(study.until),
            }
        return json.dumps(conditions) + "\n"

    def is_done(self, study: Study, folder: Path) -> bool:
        """Whether the run in the folder is done, under this study's end conditions."""
        path = folder / DONE
        return path.is_file() and path.read_text(encoding="utf-8") == self.done_text(study)

    def rounds(self, study: Study) -> int:
        """The number of networks that the run trains."""
        return study.rounds_of(self.arm) if self.kind == "strategy" else 1

    def networks(self, study: Study) -> int:
        """The number of networks that the run is measured with, at most.

        The result holds the run's own networks and the networks of the run that it continues.
        """
        return self.rounds(study) + (self.kind == "strategy")


def has_work(folder: Path) -> bool:
    """Whether a run's folder holds a part of a training, or all that the run does.

    If not, the run may start anew, with other settings: all else is made again in no time.
    """
    if (folder / DONE).is_file():
        return True
    return any(path.is_file() for path in folder.glob("rounds/*/fit/**/*"))


def describe_point(point: Values) -> str:
    """Write values of recipe keys as text.

    Example:
        >>> describe_point({"train.steps": 500, "train.batch": 4})
        'train.steps=500, train.batch=4'
    """
    return ", ".join(f"{key}={value}" for key, value in point.items())


def runs_of(study: Study) -> list[Run]:
    """List all runs, each after the run it continues.

    Raises:
        RecipeError: two runs have the same folder.
    """
    runs: dict[str, Run] = {}
    for seed, point in itertools.product(range(study.seeds), study.points()):
        for run in runs_at_point(study, seed, point):
            if runs.setdefault(run.key, run) != run:
                raise RecipeError(
                    f"Two runs of the study have the same folder, '{run.key}'.",
                    next_step="Change the name of an arm or a strategy, or a value of the grid.",
                    unchanged="Nothing was run.",
                )
    return list(runs.values())


def runs_at_point(study: Study, seed: int, point: Values) -> Iterator[Run]:
    """List the runs of a seed at a grid point, starts first.

    Several points may share starts and `full`.
    """
    names = [name for name in study.strategies if study.rounds or name in study.arms]
    starts = {}
    for name in names or [""]:
        campaign = Run(kind="strategy", name=name, seed=seed, point=point)
        start = campaign.start(study)
        starts[start.key] = start
    yield from starts.values()
    for name in names:
        effective = study.effective("strategy", point, name)
        yield Run(kind="strategy", name=name, seed=seed, point=effective)
    if study.full:
        yield Run(kind="full", name="full", seed=seed, point=study.effective("full", point))
    if study.single:
        compared = list(names or [""])
        if study.full:
            compared.append(FULL)
        effective = study.effective("single", point)
        for arm in dict.fromkeys(study.single_of(name) for name in compared):
            yield from _single_runs(study, arm, seed, effective)


def _single_runs(study: Study, arm: str, seed: int, point: Values) -> Iterator[Run]:
    """The networks of one task each for an arm's initial labels, if the task may have any."""
    for row in study.rows(arm):
        if study.initial_of(arm).may_have(row.name):
            yield Run(
                kind="single",
                name=f"{single_name(arm)}.{row.name}",
                seed=seed,
                point=point,
                start_arm=arm,
                task=row.name,
            )


def single_name(arm: str) -> str:
    """Return the name that the single-task networks of an arm share.

    Example:
        >>> single_name(""), single_name("one-label"), single_name(FULL)
        ('single', 'single.one-label', 'single.full')
    """
    return f"single.{arm}" if arm else "single"
