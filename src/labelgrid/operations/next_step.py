"""Says what the next step of a campaign is: in words, and as a command. Loads no torch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labelgrid.basics.errors import command
from labelgrid.basics.files import install_first
from labelgrid.basics.words import count_text
from labelgrid.ledger.grid import Unit
from labelgrid.ledger.views import TaskCount
from labelgrid.project.changed_labels import changed_text
from labelgrid.project.declaration_changes import redeclared_tasks
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import read_fit
from labelgrid.project.requests import ALONE, ASKED

#: The labels of the first query that is proposed, at most.
MOST_LABELS = 60


@dataclass(frozen=True, kw_only=True)
class NextStep:
    """The next step of a campaign.

    Args:
        command: the name of the command that takes it.
        typed: the commands to type, one after the other.
        why: the step in a sentence.
        after: words that follow the last command.
        budget: the budget of a query: as in the last query or, for the first, in labels; at most
            what is left; 0 for other commands.
        unit: the unit of the budget.
    """

    command: str
    typed: Sequence[str]
    why: str
    after: str = ""
    budget: float = 0
    unit: Unit = "labels"

    @property
    def line(self) -> str:
        """The commands to type, in a line."""
        return ", then ".join(self.typed) + self.after


def next_step(project: ProjectFolder, counts: Mapping[str, TaskCount] | None = None) -> NextStep:
    """The next step.

    `counts` are of the cells of all images.
    """
    folder = project.folder
    everything = project.store.counts() if counts is None else counts
    requested = sum(count.requested for count in everything.values())
    if requested:
        both = (command("export", folder), command("import", folder))
        labels = count_text(requested, "label is", "labels are")
        why = f"{labels} requested: send the requests out, and import the answers."
        return NextStep(command="export", typed=both, why=why, after=" with the labels")
    pool = project.store.counts(("train",))
    labelled = sum(count.labelled for count in pool.values())
    if labelled:
        why = _why_train(project, labelled)
        if why:
            typed = [*install_first(), command("fit", folder)]
            return NextStep(command="fit", typed=typed, why=why)
    missing = _to_buy(project, pool)
    if not sum(missing.values()):
        follow = any(count.missing for count in pool.values())
        all_there = f"every cell has an answer{', or follows from others' if follow else ''}"
        return NextStep(
            command="report",
            typed=[command("report", folder)],
            why=f"{all_there.capitalize()}: see the report.",
            after=f" ({all_there})",
        )
    why = f"Choose which of the {count_text(sum(missing.values()), 'missing label')} to buy next."
    budget, unit = _usual_budget(project, missing)
    typed = [command("query", folder, *budget_options(budget, unit))]
    return NextStep(command="query", typed=typed, why=why, budget=budget, unit=unit)


def first_query(project: ProjectFolder) -> str:
    """The command for requesting and exporting a new project's first labels, or "".

    It also exports the open requests: the labels of the held-out images.
    """
    missing = {task: count.missing for task, count in project.store.counts(("train",)).items()}
    if not sum(missing.values()):
        return ""
    options = budget_options(*_usual_budget(project, missing))
    return command("query", project.folder, *options, "--export", "FOLDER")


def _to_buy(project: ProjectFolder, pool: Mapping[str, TaskCount]) -> Mapping[str, int]:
    """The missing labels of each task that the project's strategy may pick."""
    missing = {task: count.missing for task, count in pool.items()}
    if not sum(missing.values()) or not project.relations():
        return missing
    from labelgrid.project.derived_labels import grid_to_buy  # slow to load
    from labelgrid.recipes.resolve import build_plugin
    from labelgrid.select.strategy import skips_following

    if not skips_following(build_plugin("strategies", project.settings.strategy)):
        return missing
    grid = grid_to_buy(project)
    return dict(zip(grid.tasks, grid.eligible.sum(0).tolist(), strict=True))


def _usual_budget(project: ProjectFolder, missing: Mapping[str, int]) -> tuple[float, Unit]:
    """The budget and unit of the last query with a budget, at most the rest."""
    store = project.store
    amount: float = MOST_LABELS
    unit: Unit = "labels"
    for row in reversed(store.rounds()):
        if row.budget and not str(store.get(ASKED.format(row.number), "")).endswith(ALONE):
            amount = row.budget
            unit = row.unit
            break
    learned = project.settings.costs == "times"  # the query itself says what is left then
    costs = {row.name: math.inf if learned else row.cost for row in store.tasks()}
    labels = sum(missing.values())
    left = {
        "labels": labels,
        "images": min(labels, store.count_images(("train",))),
        "cost": sum(count * costs[task] for task, count in missing.items() if count),
    }[unit]
    return (min(amount, left) or amount), unit


def budget_options(budget: float, unit: Unit) -> Sequence[str]:
    """The options of a query with a budget.

    Example:
        >>> budget_options(200.0, "cost")
        ['--budget', '200', '--unit', 'cost']
    """
    options = ["--budget", f"{budget:.12g}"]
    if unit == "labels":
        return options
    return [*options, "--unit", unit]


def _why_train(project: ProjectFolder, labelled: int) -> str:
    """The reason to train in the open round; "" if its training knows the tasks and labels."""
    current = project.store.current_round()
    fit = current and read_fit(project.round_folder(current.number))
    if not fit or redeclared_tasks(fit, project.tasks()):
        return f"Train on the {count_text(labelled, 'label')}, and measure."
    changed = changed_text(project, fit)
    if not changed:
        return ""
    return f"{changed} Train again, and measure."
