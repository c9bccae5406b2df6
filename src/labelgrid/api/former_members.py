"""Says where the former members of `Project` are."""

#: Former members that are methods of a cell, which `Project.cell` finds.
OF_A_CELL = frozenset(
    ["history", "import_label", "note", "notes", "other_labels", "statistics", "uncertainty_map"]
)
#: Other former members -> what takes their place.
IN_PLACE = {
    "annotators": "labelgrid.ledger.store.Store.annotators",
    "answers": "Project.cells(round=...)",
    "classes": "labelgrid.operations.class_rows.class_rows",
    "counts": "Project.status, whose numbers print(project) shows",
    "each_cell": "Project.cells, or labelgrid.api.reader.ProjectReader.each_cell",
    "first_command": "labelgrid.operations.next_step.first_query",
    "foresee_undo": "labelgrid.operations.undo.foresee_undo",
    "held_image_file": "labelgrid.images.places.held_image_file",
    "hold_out": "labelgrid.operations.by_hand.hold_out",
    "image_file": "labelgrid.images.places.image_file",
    "image_orders": "labelgrid.project.image_order.image_orders",
    "image_page": "labelgrid.project.image_order.image_page",
    "image_size": "labelgrid.api.reader.ProjectReader.image_size",
    "inside": "labelgrid.project.folder.ProjectFolder.inside",
    "is_current": "labelgrid.rounds.query.is_current",
    "job": "labelgrid.project.folder.ProjectFolder.job",
    "kept_picks": "labelgrid.rounds.proposal.read_proposal",
    "last_event": "labelgrid.ledger.store.Store.last_event",
    "last_undoable": "labelgrid.operations.undo.last_undoable",
    "listed_image": "labelgrid.ledger.store.Store.listed_image",
    "measures": "labelgrid.project.cells.measuring_cells.MeasuringCells",
    "neighbours": "labelgrid.project.image_order.neighbours",
    "next_command": "Project.status()['next']",
    "next_request": "labelgrid.api.reader.ProjectReader.next_request",
    "next_step": "labelgrid.operations.next_step.next_step",
    "offered_relations": "labelgrid.api.reader.ProjectReader.offered_relations",
    "predicted_requests": "labelgrid.project.requests.predicted_requests",
    "requested_at": "labelgrid.ledger.store.Store.last_time",
    "round_rows": "labelgrid.operations.status.round_rows",
    "rounds": "Project.status()['rounds']",
    "status_and_step": "labelgrid.api.contents.status_and_step",
    "suspect_cells": "labelgrid.audit.suspects.current_cells",
    "suspect_paths": "labelgrid.audit.suspects.suspect_paths",
    "suspects": "labelgrid.audit.suspects.suspects",
    "task": "Project.change_task, drop_task or restore_task",
    "transaction": "labelgrid.ledger.store.Store.transaction",
    "warnings": "labelgrid.operations.early_warnings.early_warnings",
}


def where_now(name: str) -> str:
    """A sentence that says where a former member of `Project` is.

    Example:
        >>> print(where_now("notes"))
        Project.notes is a method of a cell now: project.cell("IMAGE:TASK").notes().
        >>> print(where_now("nots"))
        A project has no 'nots'.
    """
    if name in OF_A_CELL:
        return f'Project.{name} is a method of a cell now: project.cell("IMAGE:TASK").{name}().'
    if name in IN_PLACE:
        return f"There is no Project.{name} any more; in its place is {IN_PLACE[name]}."
    return f"A project has no {name!r}."
