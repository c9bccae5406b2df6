"""Collects the quality, costs, requests and next step for the first page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from labelgrid.api.contents import status_and_step
from labelgrid.api.reader import ProjectReader
from labelgrid.basics.type_names import Values
from labelgrid.operations.next_step import NextStep
from labelgrid.operations.undo import NamedOperation, last_undoable
from labelgrid.web.exports import ExportedFolder, current_exports, export_choice, reported_at
from labelgrid.web.proposed_budget import ProposedBudget, proposed_budget


@dataclass(frozen=True, kw_only=True)
class ProjectOverview:
    """The first page.

    Args:
        status: as `Project.status` tells it.
        quality: the headline metric of each task on the held-out images as a sentence, if measured.
        next_step: the next step of the campaign.
        budget: the proposed budget of a query.
        exported: what was exported since the last request; only while requests are open.
        export_choice: what an export offers.
        undoable: what can be undone; None: nothing.
        report: when the report was written that can be opened; empty: there is none.
    """

    status: Values
    quality: Mapping[str, str]
    next_step: NextStep
    budget: ProposedBudget
    exported: Sequence[ExportedFolder]
    export_choice: Values
    undoable: NamedOperation | None
    report: str


def overview(project: ProjectReader) -> ProjectOverview:
    """The first page of a project."""
    status, step = status_and_step(project.disk)
    quality = {}
    for line in status["headlines"]:
        quality[line["task"]] = line["text"].removeprefix(f"{line['task']} ")
    return ProjectOverview(
        status=status,
        quality=quality,
        next_step=step,
        budget=proposed_budget(status["rounds"], step),
        exported=current_exports(project) if step.command == "export" else [],
        export_choice=export_choice(project),
        undoable=last_undoable(project.disk),
        report=reported_at(project),
    )
