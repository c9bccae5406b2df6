"""Collects what the first page shows: quality, costs, what is open, and the next step."""

from collections.abc import Sequence
from dataclasses import dataclass

from labelgrid.api.contents import status_and_step
from labelgrid.api.reader import ProjectReader
from labelgrid.basics.type_names import Json
from labelgrid.operations.next_step import NextStep
from labelgrid.operations.undo import NamedOperation, last_undoable
from labelgrid.web.exports import (
    ExportChoice,
    ExportedFolder,
    current_exports,
    export_choice,
    reported_at,
)
from labelgrid.web.proposed_budget import ProposedBudget, proposed_budget


@dataclass(frozen=True, kw_only=True)
class TaskLine:
    """A task on the first page.

    Args:
        name: of the task.
        quality: its headline metric on the held-out images as a sentence; empty if not measured.
        counts: the number of its cells by state.
        spent: what its labels cost.
    """

    name: str
    quality: str
    counts: dict[str, int]
    spent: float


@dataclass(frozen=True, kw_only=True)
class ProjectOverview:
    """The first page.

    Args:
        name: of the project's folder.
        images: the number of images.
        heldout: the number of those that are held out.
        tasks: a line each.
        spent: what all labels cost.
        rounds: the rounds, newest first.
        next_step: of the campaign.
        budget: that a query is proposed.
        exported: what was exported since the last request; only while requests are open.
        export_choice: what an export offers.
        relations: which labels may follow from others, as a sentence; empty without an offer.
        advice: the best purchase as a sentence; empty while it is too early to say.
        warnings: images that cannot be used, by id, with the reason.
        undoable: what can be undone; None: nothing.
        report: when the report was written that can be opened; empty: there is none.
    """

    name: str
    images: int
    heldout: int
    tasks: list[TaskLine]
    spent: float
    rounds: list[Json]
    next_step: NextStep
    budget: ProposedBudget
    exported: Sequence[ExportedFolder]
    export_choice: ExportChoice
    relations: str
    advice: str
    warnings: dict[str, str]
    undoable: NamedOperation | None
    report: str


def overview(project: ProjectReader) -> ProjectOverview:
    """What the first page shows."""
    status, step = status_and_step(project.disk)
    quality = {}
    for line in status["headlines"]:
        quality[line["task"]] = line["text"].removeprefix(f"{line['task']} ")
    tasks = []
    for name, values in status["tasks"].items():
        counts = {state: values[state] for state in ("labelled", "requested", "skipped", "missing")}
        line = TaskLine(
            name=name, quality=quality.get(name, ""), counts=counts, spent=values["spent"]
        )
        tasks.append(line)
    return ProjectOverview(
        name=project.folder.resolve().name,
        images=status["images"],
        heldout=status["heldout_images"],
        tasks=tasks,
        spent=status["spent"],
        rounds=list(reversed(status["rounds"])),
        next_step=step,
        budget=proposed_budget(status["rounds"], step),
        exported=current_exports(project) if step.command == "export" else [],
        export_choice=export_choice(project),
        relations=status["relations"],
        advice=status["advice"],
        warnings=dict(status["set_aside"]),
        undoable=last_undoable(project.disk),
        report=reported_at(project),
    )
