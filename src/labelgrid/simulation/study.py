"""What a recipe's [simulate] says: a grid of runs over a data set. Loads no torch."""

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from labelgrid import plugins
from labelgrid.config import merge, parse
from labelgrid.errors import ProjectError, RecipeError
from labelgrid.labels.grid import TaskRow, Unit
from labelgrid.project.task_spec import task_rows_of
from labelgrid.recipes.files import chain, find, hash_of, lay
from labelgrid.recipes.schema import PluginChoice

#: What a run is of: the labels all runs of a seed begin with, a strategy's campaign, or every label there is.
Kind = Literal["start", "strategy", "full"]
#: Files of a study's folder: what is run, and how its runs ended.
KEPT, ENDINGS = "study.json", "runs.json"
#: There while a process is at work on the study.
LOCK = ".lock"
#: What a folder's name may say of a point; of others it says a hash.
PLAIN = re.compile(r"[\w.=+-]{1,60}", re.ASCII)
#: In a run's folder: it is done, and what its end depended on.
DONE = "done.json"


@dataclass(frozen=True)
class Study:
    """A grid of simulated campaigns: strategies × seeds × values of recipe keys.

    Args:
        data: the data set's layout, a plug-in of `labelgrid.data`; where it lies is said when it is run.
        tasks: by name, as in a file of tasks; only: these of them, all if empty.
        pool: the split whose labels are hidden until they are bought; test: the split that measures.
        val: the split for model choice and for `until`; "" uses none.
        initial: images that have all labels from the start, the same ones for all runs of a seed.
        budget: of a round, in `unit`; rounds: how many.
        strategies: to compare, by name; seeds: how many.
        full: train once a seed on every label of the pool, too.
        group: a regular expression on image ids; images of one group are held together.
        spend: end a run once its labels, those of val among them, have cost so much; 0: not for that.
        until: end a run once these val metrics are reached, such as { "semseg/mIoU" = 40.0 }.
        variants: strategies with options, by names of their own that `strategies` may name.
        grid: values of recipe keys, such as { "train.steps" = [500, 1000] }; every combination is run.
        changes: laid over the recipe, and over the grid, in runs of a kind: changes.full.train.steps is a length of its
            own for `full`.
    """

    data: str
    tasks: Mapping[str, Mapping[str, Any]]
    only: tuple[str, ...] = ()
    pool: str = "train"
    test: str = "test"
    val: str = ""
    initial: int = 100
    budget: float = 240
    unit: Unit = "labels"
    rounds: int = 5
    strategies: tuple[str, ...] = ("partal", "random_cells", "random_images")
    seeds: int = 3
    full: bool = True
    group: str = ""
    spend: float = 0.0
    until: Mapping[str, float] = field(default_factory=dict)
    variants: Mapping[str, PluginChoice] = field(default_factory=dict)
    grid: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    changes: Mapping[Kind, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        least = {"initial": 1, "seeds": 1, "rounds": 0, "spend": 0, "budget": 0 if self.unit == "cost" else 1}
        for name, value in least.items():
            if not value <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be a number of at least {value}; it is {getattr(self, name)}")
        if not self.budget:
            raise ValueError("budget must be above 0")
        empty = [name for name, values in self.grid.items() if not values]
        if empty:
            raise ValueError(f"grid.{empty[0]} has no value")
        twice = [name for name, values in self.grid.items() if len({*map(repr, values)}) < len(values)]
        if twice:
            raise ValueError(f"grid.{twice[0]} has a value twice")
        if self.until and not self.val:
            raise ValueError("until needs a val split to measure on")

    @property
    def parts(self) -> list[str]:
        """The splits it reads: pool, test and, where one is named, val."""
        return [name for name in (self.pool, self.test, self.val) if name]

    def chosen(self, strategy: str) -> PluginChoice:
        """A strategy as a project has it: one of `variants`, or the plug-in of that name without options."""
        return self.variants.get(strategy, PluginChoice(strategy))

    def splits(self, root: Path) -> Mapping[str, Sequence[str]]:
        """The splits of its data set, which lies there."""
        found: Mapping[str, Sequence[str]] = plugins.resolve("data", self.data)(root).splits()
        return found

    def points(self) -> list[dict[str, Any]]:
        """Every combination of the grid's values; one without any where there is no grid."""
        names = sorted(self.grid)
        return [dict(zip(names, values, strict=True)) for values in itertools.product(*(self.grid[n] for n in names))]

    def laid(self, kind: Kind, point: Mapping[str, Any]) -> dict[str, Any]:
        """What runs of a kind lay over the recipe at a point: its values, then what `changes` says of the kind.

        Example:
            >>> study = Study("folder", {}, changes={"full": {"train": {"steps": 900, "workers": 0}}})
            >>> study.laid("full", {"train.steps": 500, "train.batch": 4})
            {'train': {'steps': 900, 'workers': 0, 'batch': 4}}
        """
        own = self.changes.get(kind, {})
        values = dict(own)
        for key in sorted(point, key=_names_first):
            values = merge(values, _nested(key, point[key]))
        values = lay(values, own)
        if kind != "strategy":
            values.pop("score", None)  # they score nothing
        return values

    def matters(self, kind: Kind, point: Mapping[str, Any]) -> dict[str, Any]:
        """What of a point makes a difference to a run of a kind; runs that none of it sets apart are one run.

        A strategy begins with the network of `start`, so what makes a difference there does so to both.

        Example:
            >>> study = Study("folder", {}, changes={"full": {"train": {"steps": 900}}})
            >>> study.matters("full", {"score.dropout.passes": 5, "train.batch": 4, "train.steps": 500})
            {'train.batch': 4}
        """
        kinds: set[Kind] = {kind, "start"} if kind == "strategy" else {kind}
        kept = dict(point)
        for key in point:
            less = {name: value for name, value in kept.items() if name != key}
            if all(self.laid(one, less) == self.laid(one, kept) for one in kinds):
                kept = less
        return kept

    def rows(self) -> list[TaskRow]:
        """The tasks as the ledger keeps them."""
        return task_rows_of(self.tasks, Path())


@dataclass(frozen=True)
class Run:
    """One campaign of a study.

    Args:
        kind: what it is of.
        strategy: its strategy, or its kind where it has none.
        seed: of all its draws.
        point: its values of recipe keys, as the grid says them: `{"train.steps": 500}`.
    """

    kind: Kind
    strategy: str
    seed: int
    point: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Its name: a folder's, the same for the same run.

        Example:
            >>> Run("strategy", "partal", 2, {"train.steps": 500}).key
            'partal-seed2-train.steps=500'
        """
        named = self.strategy.replace(":", ".").replace("/", ".")
        said = "-".join(f"{key}={value}" for key, value in self.point.items())
        ending = said if PLAIN.fullmatch(said) else hash_of(dict(self.point))
        return f"{named}-seed{self.seed}" + (f"-{ending}" if self.point else "")

    def start(self, study: Study) -> "Run":
        """The run it goes on from."""
        return Run("start", "start", self.seed, study.matters("start", self.point))

    def changes(self, study: Study) -> dict[str, Any]:
        """What is laid over the recipe."""
        return study.laid(self.kind, self.point)

    def ends(self, study: Study) -> dict[str, Any]:
        """What it depends on when the run is done."""
        if self.kind != "strategy":
            return {}
        return {"rounds": study.rounds, "spend": study.spend, "until": dict(study.until)}

    def ended(self, study: Study) -> str:
        """What is kept in its folder once it is done: all that its end depended on."""
        return json.dumps(self.ends(study)) + "\n"

    def is_done(self, study: Study, folder: Path) -> bool:
        """Whether it was carried out there to an end that is this study's, too."""
        path = folder / DONE
        return path.is_file() and path.read_text(encoding="utf-8") == self.ended(study)

    def rounds(self, study: Study) -> int:
        """How many networks it trains, itself."""
        return study.rounds if self.kind == "strategy" else 1


def describe_point(point: Mapping[str, Any]) -> str:
    """Values of recipe keys as text.

    Example:
        >>> describe_point({"train.steps": 500, "train.batch": 4})
        'train.steps=500, train.batch=4'
    """
    return ", ".join(f"{key}={value}" for key, value in point.items())


def read_json(path: Path) -> dict[str, Any]:
    """The table that a file of a study holds.

    Raises:
        ProjectError: it is damaged.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it holds no table")
        return found
    except ValueError as error:
        raise ProjectError(
            f"A file of the study is damaged: {error}.",
            where=str(path),
            next_step="Put it back from a copy, or begin anew in another folder.",
        ) from error


def kept_study(kept: Mapping[str, Any], folder: Path) -> Study:
    """The study whose `study.json`, which lies there, says this.

    Raises:
        RecipeError: it is damaged, or of another program.
    """
    found = kept.get("study")
    return parse(Study, found if isinstance(found, Mapping) else {}, str(folder / KEPT))


def study_of(recipe: str, changes: Mapping[str, Any] | None = None) -> Study:
    """The [simulate] of a recipe, laid over that of the recipe it extends, `changes` over both.

    Raises:
        RecipeError: there is none, a key is unknown or a value wrong.
    """
    values: dict[str, Any] = {}
    for tables in chain(find(recipe)):
        values = merge(values, tables.get("simulate", {}))
    if not values:
        raise RecipeError(
            "The recipe has no [simulate], so there is nothing to run.",
            where=recipe,
            next_step="`labelgrid list recipes` shows recipes; docs/simulate.md says what [simulate] holds.",
        )
    study = parse(Study, merge(values, changes or {}), f"[simulate] of {recipe}")
    return _narrowed(study, recipe) if study.only else study


def _narrowed(study: Study, recipe: str) -> Study:
    unknown = [name for name in study.only if name not in study.tasks]
    if unknown:
        raise RecipeError(
            f"[simulate] has no task '{unknown[0]}'.",
            where=recipe,
            next_step=f"Its tasks are: {', '.join(study.tasks)}.",
        )
    return replace(study, tasks={name: options for name, options in study.tasks.items() if name in study.only})


def runs_of(study: Study) -> list[Run]:
    """All runs, each after the one it goes on from."""
    seeds, points = range(study.seeds), study.points()
    found = (run for seed, point in itertools.product(seeds, points) for run in runs_at(study, seed, point))
    return list({run.key: run for run in found}.values())


def runs_at(study: Study, seed: int, point: Mapping[str, Any]) -> Iterator[Run]:
    """The runs of a seed at a point of the grid; several points may share those that all begin with, and `full`."""
    yield Run("start", "start", seed, study.matters("start", point))
    for strategy in study.strategies if study.rounds else ():
        yield Run("strategy", strategy, seed, study.matters("strategy", point))
    if study.full:
        yield Run("full", "full", seed, study.matters("full", point))


def _nested(key: str, value: Any) -> dict[str, Any]:
    """A dotted key's value as tables in tables."""
    first, _, rest = key.partition(".")
    return {first: _nested(rest, value) if rest else value}


def _names_first(key: str) -> tuple[int, bool, str]:
    """Tables before what is in them, and names first: another name ends the options of the one before."""
    return key.count("."), not key.endswith(".name"), key
