"""Counts the labels that relations derive in a project, and the saved cost."""

from collections.abc import Collection
from dataclasses import dataclass

from labelgrid.ledger.grid import Cell, Grid, State
from labelgrid.project.folder import ProjectFolder


@dataclass(frozen=True)
class DerivedCount:
    """The labels of a task that relations derive for training images.

    Args:
        derived: the number of missing cells whose label follows.
        saved: what these labels would have cost.
    """

    derived: int
    saved: float


def derived_counts(project: ProjectFolder) -> dict[str, DerivedCount]:
    """The derived labels of each task with a relation that gives labels."""
    relations = project.relations()
    if not relations:
        return {}
    from labelgrid.select.following import known_labels

    grid = project.store.grid()
    counts = known_labels(grid, relations).sum(0).tolist()
    costs = grid.cost.tolist()
    derived = {relation.gives for relation in relations}
    count_by_task = {}
    for task, count, cost in zip(grid.tasks, counts, costs, strict=True):
        if task in derived:
            count_by_task[task] = DerivedCount(count, count * cost)
    return count_by_task


def grid_to_buy(project: ProjectFolder) -> Grid:
    """The pool without labels that a relation derives, and so nobody needs to buy.

    `query` offers this grid to strategies that skip derived cells.
    """
    grid = project.store.grid()
    relations = project.relations()
    if not relations:
        return grid
    from labelgrid.select.following import leave_out_following

    return leave_out_following(grid, relations, project.settings.seed, mostly=True)


def brought_labels(project: ProjectFolder, cells: Collection[Cell]) -> dict[Cell, tuple[str, ...]]:
    """The tasks whose missing labels follow from the labels of some cells, by cell.

    A label follows if the other labels read by its relation exist or are requested. Cells that
    bring nothing are left out.
    """
    relations = project.relations()
    if not relations:
        return {}
    states = _states(project, {cell.image_id for cell in cells})
    brought = {}
    for cell in cells:
        of_image = states[cell.image_id]
        bought = set()
        for name, state in of_image.items():
            if state != State.SKIPPED:
                bought.add(name)
        given = [
            relation.gives
            for relation in relations
            if cell.task in relation.reads
            and relation.follows(bought)
            and relation.gives not in of_image
        ]
        if given:
            brought[cell] = tuple(sorted(given))
    return brought


def _states(project: ProjectFolder, image_ids: Collection[str]) -> dict[str, dict[str, State]]:
    """The states of the cells of some images that are not missing, by image and task."""
    states: dict[str, dict[str, State]] = {image_id: {} for image_id in image_ids}
    for row in project.store.cells():
        if row.cell.image_id in states:
            states[row.cell.image_id][row.cell.task] = row.state
    return states
