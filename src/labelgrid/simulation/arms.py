"""What an arm of a study is: a strategy with tasks, initial labels, overrides and rounds of its own. No torch."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from labelgrid.recipes.schema import PluginChoice

#: How initial labels are distributed; `labelgrid.simulation.initial` says what each draws.
InitialPlan = Literal["images", "one", "random", "shares", "cells"]
#: What an arm may be called: it names folders of runs.
NAME = re.compile(r"[\w.=+-]{1,60}", re.ASCII)
#: Names of other runs.
RESERVED = re.compile(r"start(\..*)?|full")


@dataclass(frozen=True)
class InitialLabels:
    """The labels a run begins with. The same images are drawn for all arms of a seed that begin with equally many.

    Args:
        plan: "images": all tasks' labels of each image; "one": one label per image, of a random task; "random": a
            random number of labels per image, at least one; "shares": one label per image, tasks in the ratio of
            `shares`; "cells": the cells listed in `file`.
        images: how many images; 0: the whole pool; None: the study's `initial`. Not used by "cells".
        shares: task -> its part, as { semseg = 1, depth = 9 }.
        file: below the data set's root: a CSV file with the columns image and task.
    """

    plan: InitialPlan = "images"
    images: int | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    file: str = ""

    def __post_init__(self) -> None:
        if self.images is not None and self.images < 0:
            raise ValueError(f"initial.images must be a number of at least 0; it is {self.images}")
        if bool(self.shares) != (self.plan == "shares"):
            raise ValueError("initial.shares and the plan 'shares' need each other")
        if bool(self.file) != (self.plan == "cells"):
            raise ValueError("initial.file and the plan 'cells' need each other")
        if self.shares and not (min(self.shares.values()) >= 0 < sum(self.shares.values())):
            raise ValueError("initial.shares are numbers from 0 up, one of them above 0")


@dataclass(frozen=True)
class Arm:
    """One way to spend the labels, compared with others under a name of its own.

    Args:
        strategy: what chooses cells: a strategy, one of the study's variants, or a table with name and options.
        tasks: of the study's; all if empty.
        initial: the labels it begins with; None: the study's `initial` images with all labels.
        rounds: how many budgets it spends; None: as many as the study.
        changes: overrides of the recipe, which win over the study's `grid` and `changes`.
    """

    strategy: str | PluginChoice = "random_images"
    tasks: tuple[str, ...] = ()
    initial: InitialLabels | None = None
    rounds: int | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.rounds is not None and self.rounds < 0:
            raise ValueError(f"rounds must be a number of at least 0; it is {self.rounds}")


def check_names(arms: Mapping[str, Arm], tasks: Mapping[str, Any]) -> None:
    """Refuse names that cannot be folders or mean other runs, and tasks that the study has not.

    Raises:
        ValueError: names the arm and what is wrong.
    """
    for name, arm in arms.items():
        if not NAME.fullmatch(name) or RESERVED.fullmatch(name):
            raise ValueError(f"arms.{name}: choose another name, of letters, digits and _.=+-, and not start or full")
        shares = arm.initial.shares if arm.initial else {}
        unknown = [task for task in arm.tasks if task not in tasks]
        unknown += [task for task in shares if task not in (arm.tasks or tasks)]
        if unknown:
            raise ValueError(
                f"arms.{name} names the task '{unknown[0]}'; its tasks are {', '.join(arm.tasks or tasks)}"
            )
