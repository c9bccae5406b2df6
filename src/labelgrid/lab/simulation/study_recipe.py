"""Defines a study, which is a recipe's [simulate] table: arms × seeds × a grid of recipe keys.

Loads no torch.
"""

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from labelgrid.basics import plugins
from labelgrid.basics.config import check_ranges, merge, parse, tables_of
from labelgrid.basics.errors import ProjectError, RecipeError
from labelgrid.basics.type_names import Json, Tables, Values
from labelgrid.lab.simulation.arms import (
    FULL,
    Arm,
    InitialLabels,
    check_best_of,
    check_names,
    check_only,
    check_tasks,
)
from labelgrid.ledger.grid import TaskRow, Unit
from labelgrid.project.task_spec import task_rows_of
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.recipes.resolve import chain, find_recipe, override

#: The kinds of runs: the start that runs of a seed share, an arm's campaign, training on every
#: label, or a network of one task.
Kind = Literal["start", "strategy", "full", "single"]
#: Files of a study's folder: the study, and how its runs ended.
KEPT = "study.json"
ENDINGS = "runs.json"
#: Of a study of a project's own labels: its file, and the copy of the labelled part of the project.
OWN_FILE = "study.toml"
OWN_LABELS = "labelled"
#: Exists while a process works on the study.
LOCK = ".lock"
#: The file by which the shares of an array job wait for each other, in its folder.
SHARES_LOCK = ".shares-lock"


@dataclass(frozen=True, kw_only=True)
class Study:
    """A grid of simulated campaigns: arms × seeds × values of recipe keys.

    Args:
        data: the data set's layout, a plug-in of `labelgrid.data`; its root is given when the study
            is run.
        tasks: the tasks by name, as in a file of tasks.
        only: the tasks that are used; all if empty.
        pool: the split whose labels are hidden until they are bought.
        test: the split to measure on.
        val: the split for model choice and for `until`; "" uses none.
        initial: the number of images that have all labels from the start, the same images for all
            runs of a seed.
        budget: the budget of a round, in `unit`.
        unit: what the budget counts: labels, images or cost.
        rounds: the number of budgets.
        pairs: the number of images of which the first budget buys all labels that relations
            connect, drawn at random; an arm without relations buys none.
        control: the share of each budget that is spent on random cells.
        strategies: what is compared: names of `arms`, of `variants`, or of strategies.
        seeds: the number of seeds.
        full: also train once per seed on every label of the pool.
        single: also train networks of one task each on the arms' initial labels, and with `full` on
            every label.
        threads: the threads of each run. Sums depend on it in their last digits, so it belongs to
            the study, not to a machine.
        group: a regular expression on image ids; images of one group stay together.
        spend: end a run once its labels, including those of val, cost this much; 0: no limit.
        until: end a run once these val metrics are reached, such as { "semseg/mIoU" = 40.0 }.
        explain: compute the features by which picks are explained by the nearest labelled image;
            they change no pick.
        variants: strategies with options, by name.
        arms: strategies with their own tasks, initial labels, recipe overrides or rounds, by name.
        grid: values of recipe keys, such as { "train.steps" = [500, 1000] }; every combination is
            run.
        changes: overrides of the recipe and of the grid, by kind of run: changes.full.train.steps
            is the length of `full`.
        best_of: groups of arms by name; the report shows the best arm of a group after each round,
            chosen in hindsight.
    """

    data: str
    tasks: Tables
    only: tuple[str, ...] = ()
    pool: str = "train"
    test: str = "test"
    val: str = ""
    initial: int = 100
    budget: float = 240
    unit: Unit = "labels"
    rounds: int = 5
    pairs: int = 0
    control: float = 0.0
    strategies: tuple[str, ...] = ("partal", "random_cells", "random_images")
    seeds: int = 3
    full: bool = True
    single: bool = False
    threads: int = 1
    group: str = ""
    spend: float = 0.0
    until: Mapping[str, float] = field(default_factory=dict)
    explain: bool = False
    variants: Mapping[str, PluginChoice] = field(default_factory=dict)
    arms: Mapping[str, Arm] = field(default_factory=dict)
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    changes: Mapping[Kind, Values] = field(default_factory=dict)
    best_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        minimum = {"initial": 1, "seeds": 1, "rounds": 0, "spend": 0, "threads": 1}
        minimum["budget"] = 0 if self.unit == "cost" else 1
        for name, value in minimum.items():
            if not value <= getattr(self, name) < math.inf:
                raise ValueError(
                    f"{name} must be a number of at least {value}; it is {getattr(self, name)}"
                )
        check_ranges(self, initial=(1, 10**9), seeds=(1, 10_000), rounds=(0, 10_000))
        check_ranges(self, pairs=(0, 10**9), control=(0, 1))
        if math.prod(map(len, self.grid.values())) > 10_000:
            raise ValueError("grid has more than 10000 combinations")
        if not self.budget:
            raise ValueError("budget must be above 0")
        _check_grid(self.grid)
        if self.until and not self.val:
            raise ValueError("until needs a val split to measure on")
        check_names("arms", self.arms)
        check_names("variants", self.variants)
        check_only(self.only, self.tasks)
        check_tasks(self.arms, self.used_tasks)
        check_best_of(self.best_of, {*self.arms, *self.variants, *self.strategies})

    @property
    def used_tasks(self) -> dict[str, Values]:
        """The used tasks in the study's order."""
        names = self.only or self.tasks
        return {name: values for name, values in self.tasks.items() if name in names}

    @property
    def parts(self) -> list[str]:
        """The names of the splits that are read: pool, test and val, if val is set."""
        return [name for name in (self.pool, self.test, self.val) if name]

    def arm(self, name: str) -> Arm:
        """Return the arm of a name; for a strategy or variant, an arm with the study's values."""
        return self.arms.get(name, Arm(strategy=name))

    def chosen(self, name: str) -> PluginChoice:
        """An arm's strategy, as in a project's settings."""
        strategy = self.arm(name).strategy
        if isinstance(strategy, PluginChoice):
            return strategy
        return self.variants.get(strategy, PluginChoice(strategy))

    def rounds_of(self, name: str) -> int:
        """Return the number of budgets that an arm spends."""
        rounds = self.arm(name).rounds
        return self.rounds if rounds is None else rounds

    def draws(self) -> dict[str, float]:
        """What queries draw at random beside the strategies' picks, without values of 0.

        Example:
            >>> Study(data="folder", tasks={}, control=0.2).draws()
            {'control': 0.2}
        """
        values = {"pairs": self.pairs, "control": self.control}
        return {name: value for name, value in values.items() if value}

    def initial_of(self, name: str) -> InitialLabels:
        """Return the labels an arm starts with, with the number of images filled in.

        `FULL` starts with all labels.
        """
        if name == FULL:
            return InitialLabels(images=0)
        plan = self.arm(name).initial or InitialLabels()
        if plan.images is None:
            return replace(plan, images=self.initial)
        return plan

    def splits(self, root: Path) -> Mapping[str, Sequence[str]]:
        """Read the splits of the data set at a root."""
        return plugins.create("layouts", self.data, root).splits()

    def points(self) -> list[Json]:
        """List every combination of the grid's values; one empty point if there is no grid."""
        names = sorted(self.grid)
        combinations = itertools.product(*(self.grid[name] for name in names))
        return [dict(zip(names, values, strict=True)) for values in combinations]

    def overrides(self, kind: Kind, point: Values, arm: str = "") -> Json:
        """Merge the recipe overrides of runs of a kind.

        They are the point's values, then `changes` of the kind, then those of the arm.

        Example:
            >>> changes = {"full": {"train": {"steps": 900, "workers": 0}}}
            >>> study = Study(data="folder", tasks={}, changes=changes)
            >>> study.overrides("full", {"train.steps": 500, "train.batch": 4})
            {'train': {'steps': 900, 'workers': 0, 'batch': 4}}
        """
        changes = override(self.changes.get(kind, {}), self.arm(arm).changes)
        values = override(merge(changes, tables_of(point)), changes)
        if kind != "strategy":
            values.pop("score", None)  # these runs score nothing
        return values

    def effective(self, kind: Kind, point: Values, arm: str = "") -> Json:
        """Find the values of a point that change a run of a kind.

        Runs that differ in none of them are one run. A campaign starts with the network of its
        `start`, so a value that changes the start changes the campaign.

        Example:
            >>> study = Study(data="folder", tasks={}, changes={"full": {"train": {"steps": 900}}})
            >>> point = {"score.dropout.passes": 5, "train.batch": 4, "train.steps": 500}
            >>> study.effective("full", point)
            {'train.batch': 4}
        """
        kinds: tuple[Kind, ...] = ("strategy", "start") if kind == "strategy" else (kind,)
        effective = dict(point)
        for key in point:
            without = {name: value for name, value in effective.items() if name != key}
            if all(
                self.overrides(of, without, arm) == self.overrides(of, effective, arm)
                for of in kinds
            ):
                effective = without
        return effective

    def start_of(self, name: str) -> str:
        """Find the arm whose start an arm shares; "" is the study itself.

        It is the first with the same start settings.
        """
        settings = self._start_settings(name)
        for other in ("", *self.strategies):
            if self._start_settings(other) == settings:
                return other
        return name

    def single_of(self, name: str) -> str:
        """Find the arm whose single-task networks an arm is compared with.

        It is the first with the same tasks and initial labels; "" is the study itself, `FULL` every
        label.
        """
        labels = (self.rows(name), self.initial_of(name))
        for other in ("", FULL, *self.strategies):
            if (self.rows(other), self.initial_of(other)) == labels:
                return other
        return name

    def _start_settings(self, name: str) -> tuple[list[str], InitialLabels, list[Json]]:
        """List what determines an arm's start: tasks, initial labels and recipe overrides."""
        tasks = [row.name for row in self.rows(name)]
        overrides = [self.overrides("start", point, name) for point in self.points()]
        return tasks, self.initial_of(name), overrides

    def rows(self, arm: str = "") -> list[TaskRow]:
        """The tasks of an arm, or of the study, as ledger rows."""
        names = self.arm(arm).tasks or self.used_tasks
        return [row for row in self._rows if row.name in names]

    @cached_property
    def _rows(self) -> list[TaskRow]:
        return task_rows_of(self.used_tasks, Path())


def read_json(path: Path) -> Json:
    """Read a JSON file of a study.

    Raises:
        ProjectError: the file is damaged.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("it does not hold a JSON object")
        return values
    except (ValueError, RecursionError) as error:
        raise ProjectError(
            f"A file of the study is damaged: {error}.",
            where=path,
            next_step="Restore it from a copy, or name another folder.",
        ) from error


def earlier_values(folder: Path) -> Json | None:
    """Read the `study.json` of a folder's earlier runs; None if there is none.

    Raises:
        ProjectError: the file is damaged.
    """
    path = folder / KEPT
    return read_json(path) if path.is_file() else None


def kept_study(values: Values, folder: Path) -> Study:
    """Read the study that a folder's `study.json` describes.

    Raises:
        RecipeError: the file is damaged, or of another program version.
    """
    study = values.get("study")
    return parse(Study, study if isinstance(study, Mapping) else {}, str(folder / KEPT))


def notes_of(values: Values) -> list[str]:
    """Read the notes for the report from the values of `study.json`."""
    notes = values.get("notes")
    return list(map(str, notes)) if isinstance(notes, list) else []


def texts_of(values: Values, key: str) -> dict[str, str]:
    """Read a table of texts from the values of `study.json`; empty without a table.

    Such are the "versions" of packages that made the runs, the digests of own plug-ins' "code" by
    name, and the digests of "supplied" labels by stamp.
    """
    table = values.get(key)
    if not isinstance(table, Mapping):
        return {}
    return {str(name): str(text) for name, text in table.items()}


def study_of(recipe: str, changes: Values | None = None) -> Study:
    """Read the [simulate] table of a recipe.

    The table overrides the table of the extended recipe; `changes` override both. If it has arms
    and names no strategies, its arms are compared.

    Raises:
        RecipeError: the recipe has none, a key is unknown, or a value is wrong.
    """
    values: Json = {}
    for tables in chain(find_recipe(recipe)):
        values = merge(values, tables.get("simulate", {}))
    if not values:
        raise RecipeError(
            "The recipe has no [simulate], so there is nothing to run.",
            where=recipe,
            next_step="`labelgrid list recipes` shows recipes; "
            "docs/simulate.md describes [simulate].",
        )
    values = merge(values, changes or {})
    if values.get("arms"):
        values.setdefault("strategies", list(values["arms"]))
    return parse(Study, values, f"[simulate] of {recipe}")


def _check_grid(grid: Mapping[str, Sequence[Any]]) -> None:
    for name, values in grid.items():
        if not values:
            raise ValueError(f"grid.{name} has no value")
        if len({*map(repr, values)}) < len(values):
            raise ValueError(f"grid.{name} has a value twice")
