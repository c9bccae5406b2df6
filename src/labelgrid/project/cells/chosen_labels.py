"""Knows which training labels a strategy picked, and which were drawn as its control.

Loads no torch.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from labelgrid.basics.streams import image_keys, keyed_uniform, seed_of
from labelgrid.ledger.grid import Cell, Move, State
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import read_fit
from labelgrid.select.draws import CONTROL, is_pick


@dataclass(frozen=True, kw_only=True)
class ChosenLabels:
    """The training labels that were chosen in one of two ways; all others were in neither.

    Args:
        picks: those that a strategy picked, and the strategy's name.
        control: those that were drawn at random as a control.
    """

    picks: Mapping[Cell, str]
    control: Collection[Cell]

    def within(self, image_ids: Collection[str]) -> "ChosenLabels":
        """Those of some images."""
        allowed = set(image_ids)
        return ChosenLabels(
            picks={cell: name for cell, name in self.picks.items() if cell.image_id in allowed},
            control=[cell for cell in self.control if cell.image_id in allowed],
        )


def chosen_labels(project: ProjectFolder) -> ChosenLabels:
    """The training labels by who chose them, as the ledger keeps it with their requests.

    First labels are no picks: those of rounds that were queried before there was a model. Neither
    are labels that were drawn for another reason, such as pairs, and labels without a request.
    """
    requests = _requests(project)
    first = _first_model(project)
    strategies = {row.number: row.strategy for row in project.store.rounds()}
    picks = {}
    control = []
    for row in project.store.cells(state=State.LABELLED, splits=("train",)):
        request = requests.get(row.request_id)
        if request is None:
            continue
        if request.why == CONTROL:
            control.append(row.cell)
        elif is_pick(request) and request.round >= first:
            picks[row.cell] = strategies.get(request.round, "")
    return ChosenLabels(picks=picks, control=control)


def _requests(project: ProjectFolder) -> dict[str, Move]:
    """All requests that were ever made, by their ids."""
    requests = {}
    for event in project.store.events():
        if event.move.to == State.REQUESTED and event.move.request_id:
            requests[event.move.request_id] = event.move
    return requests


def _first_model(project: ProjectFolder) -> float:
    """The first round that was queried with a model; infinity if none was."""
    for path in sorted(project.folder.glob("rounds/*/fit.json")):
        fit = read_fit(path.parent)
        if fit:
            return fit.round
    return math.inf


def equal_counts(one: Collection[Cell], other: Collection[Cell]) -> dict[str, int]:
    """The number of labels of each task that two sets of labels both have.

    Example:
        >>> one = [Cell("a", "depth"), Cell("b", "depth"), Cell("a", "edges")]
        >>> equal_counts(one, [Cell("c", "depth")])
        {'depth': 1}
    """
    counts = {}
    for task in sorted({cell.task for cell in one} & {cell.task for cell in other}):
        counts[task] = min(_count(one, task), _count(other, task))
    return counts


def _count(cells: Collection[Cell], task: str) -> int:
    return sum(cell.task == task for cell in cells)


def draw_equal(cells: Collection[Cell], counts: Mapping[str, int], seed: int) -> list[Cell]:
    """Draw so many labels of each task, whatever the order of the labels.

    Example:
        >>> cells = [Cell("a", "depth"), Cell("b", "depth"), Cell("a", "edges")]
        >>> len(draw_equal(cells, {"depth": 1}, seed=0))
        1
    """
    drawn = []
    for task, count in counts.items():
        candidates = [cell for cell in cells if cell.task == task]
        drawn += _draw(candidates, count, seed_of(seed, task))
    return drawn


def _draw(cells: Sequence[Cell], count: int, seed: int) -> list[Cell]:
    """Draw so many labels of one task."""
    numbers = keyed_uniform(image_keys(cell.image_id for cell in cells), seed).tolist()
    order = sorted(range(len(cells)), key=numbers.__getitem__)
    return [cells[index] for index in order[:count]]
