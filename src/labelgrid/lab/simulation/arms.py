"""Defines an arm of a study: a strategy with its own tasks, initial labels, overrides and rounds.

Loads no torch.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from labelgrid.basics.type_names import Values
from labelgrid.recipes.recipe import PluginChoice

#: How initial labels are distributed; see `labelgrid.lab.simulation.initial_cells` and, for plans
#: with a file, `labelgrid.lab.simulation.cell_lists`.
InitialPlan = Literal[
    "images", "one", "random", "shares", "regions", "cells", "ledger", "published"
]
#: How a data set answers for a region: with its label there, or with its commonest class.
Answers = Literal["labels", "keys"]
#: The plans whose cells a file lists.
LISTED = frozenset({"cells", "ledger", "published"})
#: Text that can be part of a folder's name.
NAME = re.compile(r"[\w.=+-]{1,60}", re.ASCII)
#: Names that other runs use.
RESERVED = re.compile(r"start(\..*)?|full|single\..*")
#: In place of an arm's name: every label of the study's tasks.
FULL = "full"


@dataclass(frozen=True, kw_only=True)
class InitialLabels:
    """The labels a run starts with.

    Arms of a seed with equally many initial images get the same images.

    Args:
        plan: "images": all tasks' labels of each image; "one": one label per image, equally many of
            each task; "random": a random number of labels per image, from 1 to one less than the
            tasks, each equally likely; "shares": one label per image, tasks in the ratio of
            `shares`; "regions": random regions, the first of each image before a second; "cells":
            the cells listed in `file`; "ledger": the labelled cells of an existing project;
            "published": the cells of a split file of MTPSL.
        images: how many images; 0: the whole pool; None: the study's `initial`. Not used by plans
            with a file.
        tasks: for the plans "images" and "regions", the tasks that have labels; all if empty.
        regions: how many regions each task has.
        maker: what divides images into regions, a plug-in of `partitions`.
        answers: what a region gets: its `"labels"`, or one of the `"keys"`, the commonest class.
        shares: task -> its share, such as { semseg = 1, depth = 9 }.
        file: its path, absolute or below the data set's root: of "cells" a CSV file with the
            columns image and task, of "ledger" the folder of a project or of a study's run, of
            "published" the split file.
        rows: the image of each row of a split file that is a tensor: "sorted" (the pool's image ids
            as sorted text), "numbers" (by the number that is the file's name) or the path of a list
            with one image id a line.
        columns: task -> its column of a tensor, from 0, or its name in a split file of image ids.
    """

    plan: InitialPlan = "images"
    images: int | None = None
    tasks: tuple[str, ...] = ()
    regions: int = 0
    maker: PluginChoice = field(default_factory=lambda: PluginChoice("superpixels", {}))
    answers: Answers = "labels"
    shares: Mapping[str, float] = field(default_factory=dict)
    file: str = ""
    rows: str = ""
    columns: Mapping[str, int | str] = field(default_factory=dict)

    def count(self, pool: int) -> int:
        """The number of images, of a pool of this many."""
        return min(self.images or pool, pool)

    def may_have(self, task: str) -> bool:
        """Whether it may have a label of a task; `tasks`, `shares` and `columns` can tell."""
        shared = {name for name, share in self.shares.items() if share}
        tasks = self.tasks or shared or self.columns
        return not tasks or task in tasks

    def __post_init__(self) -> None:
        if self.images is not None and self.images < 0:
            raise ValueError(f"initial.images must be a number of at least 0; it is {self.images}")
        if self.tasks and self.plan not in ("images", "regions"):
            raise ValueError("only the plans 'images' and 'regions' use initial.tasks")
        if (self.regions > 0) != (self.plan == "regions"):
            raise ValueError("the plan 'regions' needs initial.regions, and no other plan uses it")
        if bool(self.shares) != (self.plan == "shares"):
            raise ValueError("the plan 'shares' needs initial.shares, and no other plan uses it")
        if bool(self.file) != (self.plan in LISTED):
            raise ValueError(
                "the plans 'cells', 'ledger' and 'published' need initial.file, "
                "and no other plan uses it"
            )
        if (self.rows or self.columns) and self.plan != "published":
            raise ValueError("only the plan 'published' uses initial.rows and initial.columns")
        if self.shares and not (min(self.shares.values()) >= 0 < sum(self.shares.values())):
            raise ValueError(
                "initial.shares must be numbers of at least 0, at least one of them above 0"
            )


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A way to spend labels, which a study compares under a name.

    Args:
        strategy: a strategy, one of the study's variants, or a table with name and options.
        tasks: the tasks of the arm; empty: all of the study.
        initial: the labels it starts with; None: the study's `initial` images with all labels.
        rounds: how many budgets it spends; None: the study's.
        changes: overrides of the recipe; they take precedence over the study's `grid` and
            `changes`.
    """

    strategy: str | PluginChoice = "random_images"
    tasks: tuple[str, ...] = ()
    initial: InitialLabels | None = None
    rounds: int | None = None
    changes: Values = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rounds is not None and self.rounds < 0:
            raise ValueError(f"rounds must be a number of at least 0; it is {self.rounds}")


def check_names(table: str, names: Iterable[str]) -> None:
    """Refuse names of arms or variants that cannot be folders or belong to runs.

    Raises:
        ValueError: names the table and the error.
    """
    for name in names:
        if not NAME.fullmatch(name) or RESERVED.fullmatch(name):
            raise ValueError(
                f"{table}.{name}: choose another name of letters, digits and _.=+-, "
                "other than start, full or single."
            )


def check_only(only: Iterable[str], tasks: Values) -> None:
    """Refuse a choice of tasks that the study does not have.

    Raises:
        ValueError: names the task.
    """
    unknown = [name for name in only if name not in tasks]
    if unknown:
        raise ValueError(f"only names the task '{unknown[0]}'; tasks has {', '.join(tasks)}")


def check_tasks(arms: Mapping[str, Arm], tasks: Values) -> None:
    """Refuse arms with tasks that the study does not have.

    Raises:
        ValueError: names the arm and the error.
    """
    for name, arm in arms.items():
        choices = arm.tasks or tasks
        unknown = [task for task in arm.tasks if task not in tasks]
        if arm.initial:
            plan = arm.initial
            initial_tasks = [*plan.tasks, *plan.shares, *plan.columns]
            unknown += [task for task in initial_tasks if task not in choices]
        if unknown:
            raise ValueError(
                f"arms.{name} names the task '{unknown[0]}'; its tasks are {', '.join(choices)}"
            )


def check_best_of(best_of: Mapping[str, tuple[str, ...]], taken: Collection[str]) -> None:
    """Refuse a best in hindsight that lists no arms or whose name is taken.

    Raises:
        ValueError: names it and the error.
    """
    for name, arms in best_of.items():
        if not arms or name in taken:
            raise ValueError(f"best_of.{name} must list arms, and have another name than they")
