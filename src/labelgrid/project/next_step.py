"""Says what the next step of a campaign is: in words, and as a command. Loads no torch."""

from collections.abc import Mapping, Sequence
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
        typed: what to type, one command after the other.
        why: the step in a sentence.
        after: words that follow the last command.
        budget: of a query: labels that it can buy; 0 of other commands.
    """

    command: str
    typed: Sequence[str]
    why: str
    after: str = ""
    budget: int = 0

    @property
    def line(self) -> str:
        """What to type, in one line."""
        return ", then ".join(self.typed) + self.after


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
        both = (command("export", folder), command("import", folder))
        labels = count_text(requested, "label is", "labels are")
        why = f"{labels} requested: send the requests out, and import the answers."
        return NextStep(command="export", typed=both, why=why, after=" with the labels")
    pool = project.store.counts(("train",))
    labelled = sum(count.labelled for count in pool.values())
    if labelled:
        why = _why_train(project, labelled)
        if why:
            return NextStep(command="fit", typed=[command("fit", folder)], why=why)
    missing = sum(count.missing for count in pool.values())
    if not missing:
        return NextStep(
            command="report",
            typed=[command("report", folder)],
            why="Every cell has an answer: see the report.",
            after=", every cell has an answer",
        )
    why = f"Choose which of the {count_text(missing, 'missing label')} to buy next."
    budget = min(MOST_LABELS, missing)
    typed = [command("query", folder, "--budget", budget)]
    return NextStep(command="query", typed=typed, why=why, budget=budget)


def first_query(project: ProjectFolder) -> str:
    """The command that requests a new project's first labels, and exports them; "" if none is left.

    With them it exports what is requested already: the labels of the held-out images.
    """
    missing = sum(count.missing for count in project.store.counts(("train",)).values())
    budget = min(MOST_LABELS, missing)
    if not missing:
        return ""
    options = ("--budget", budget, "--export", "FOLDER")
    return command("query", project.folder, *options)


def _why_train(project: ProjectFolder, labelled: int) -> str:
    """Why the open round is to be trained; "" if it has a training of these tasks and labels."""
    current = project.store.current_round()
    fit = current and read_fit(project.round_folder(current.number))
    if not fit or redeclared_tasks(fit, project.tasks()):
        return f"Train on the {count_text(labelled, 'label')}, and measure."
    changed = changed_text(project, fit)
    return f"{changed} Train again, and measure." if changed else ""
