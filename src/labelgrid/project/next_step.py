"""Says what the next step of a campaign is: in words, and as a command. Loads no torch."""

from collections.abc import Mapping
from dataclasses import dataclass

from labelgrid.errors import command
from labelgrid.ledger.views import TaskCount
from labelgrid.project.changed_labels import changed_text
from labelgrid.project.declaration_changes import redeclared_tasks
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import read_fit
from labelgrid.words import count_text

#: The labels of a proposed query, at most.
MOST_LABELS = 60


@dataclass(frozen=True, kw_only=True)
class NextStep:
    """The next step of a campaign.

    Args:
        command: the name of the command that takes it.
        line: what to type.
        why: the step in a sentence.
        budget: of a query: labels that it can buy; 0 of other commands.
    """

    command: str
    line: str
    why: str
    budget: int = 0


def next_step(project: ProjectFolder, counts: Mapping[str, TaskCount] | None = None) -> NextStep:
    """The next step.

    Args:
        project: the project.
        counts: of the cells of all images; None: counts them.
    """
    folder = project.folder
    everything = project.store.counts() if counts is None else counts
    requested = sum(count.requested for count in everything.values())
    if requested:
        line = f"{command('export', folder)}, then {command('import', folder)} with the labels"
        labels = count_text(requested, "label is", "labels are")
        why = f"{labels} requested: send the requests out, and import the answers."
        return NextStep(command="export", line=line, why=why)
    pool = project.store.counts(("train",))
    labelled = sum(count.labelled for count in pool.values())
    if labelled:
        why = _why_train(project, labelled)
        if why:
            return NextStep(command="fit", line=command("fit", folder), why=why)
    missing = sum(count.missing for count in pool.values())
    if not missing:
        line = f"{command('report', folder)}, every cell has an answer"
        return NextStep(
            command="report", line=line, why="Every cell has an answer: see the report."
        )
    why = f"Choose which of the {count_text(missing, 'missing label')} to buy next."
    budget = min(MOST_LABELS, missing)
    line = command("query", folder, "--budget", budget)
    return NextStep(command="query", line=line, why=why, budget=budget)


def _why_train(project: ProjectFolder, labelled: int) -> str:
    """Why the open round is to be trained; "" if it has a training of these tasks and labels."""
    current = project.store.current_round()
    fit = current and read_fit(project.round_folder(current.number))
    if not fit or redeclared_tasks(fit, project.tasks()):
        return f"Train on the {count_text(labelled, 'label')}, and measure."
    changed = changed_text(project, fit)
    return f"{changed} Train again, and measure." if changed else ""
