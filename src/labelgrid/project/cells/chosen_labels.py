"""Tells a strategy's picks among the training labels from the labels of its control.

Loads no torch.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from labelgrid.basics.streams import image_keys, keyed_uniform, seed_of
from labelgrid.ledger.grid import Cell, State
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import read_fit
from labelgrid.select.draws import CONTROL, is_pick


@dataclass(frozen=True, kw_only=True)
class ChosenLabels:
    """The training labels chosen by a strategy or by its control.

    Args:
        picks: the labels that a strategy picked, and the strategy's name.
        control: the labels drawn at random as a control.
    """

    picks: Mapping[Cell, str]
    control: Collection[Cell]

    def within(self, image_ids: Collection[str]) -> "ChosenLabels":
        """The chosen labels of some images."""
        allowed = set(image_ids)
        return ChosenLabels(
            picks={cell: name for cell, name in self.picks.items() if cell.image_id in allowed},
            control=[cell for cell in self.control if cell.image_id in allowed],
        )


def chosen_labels(project: ProjectFolder) -> ChosenLabels:
    """The training labels by their choosers, as the ledger's requests tell.

    First labels are no picks: those of rounds that were queried before there was a model. Neither
    are labels that were drawn for another reason, such as pairs, and labels without a request.
    """
    moves = (event.move for event in project.store.events())
    requests = {}
    for move in moves:
        if move.to == State.REQUESTED:
            requests[move.request_id] = move
    folders = sorted(path.parent for path in project.folder.glob("rounds/*/fit.json"))
    # Before the first model nothing is picked.
    first = next((fit.round for fit in map(read_fit, folders) if fit), math.inf)
    strategies = {row.number: row.strategy for row in project.store.rounds()}
    picks = {}
    control = []
    for row in project.store.cells(state=State.LABELLED, splits=("train",)):
        request = requests.get(row.request_id)
        if request is None or not row.request_id:
            continue
        if request.why == CONTROL:
            control.append(row.cell)
        elif is_pick(request) and request.round >= first:
            picks[row.cell] = strategies.get(request.round, "")
    return ChosenLabels(picks=picks, control=control)


def equal_counts(one: Collection[Cell], other: Collection[Cell]) -> dict[str, int]:
    """The number of labels of each task that two sets of labels both have.

    Example:
        >>> one = [Cell("a", "depth"), Cell("b", "depth"), Cell("a", "edges")]
        >>> equal_counts(one, [Cell("c", "depth")])
        {'depth': 1}
    """
    counts = Counter(cell.task for cell in one) & Counter(cell.task for cell in other)
    return dict(sorted(counts.items()))


def draw_equal(cells: Collection[Cell], counts: Mapping[str, int], seed: int) -> list[Cell]:
    """Draw `counts` labels of each task, whatever the order of the labels.

    Example:
        >>> cells = [Cell("a", "depth"), Cell("b", "depth"), Cell("a", "edges")]
        >>> len(draw_equal(cells, {"depth": 1}, seed=0))
        1
    """
    drawn = []
    for task, count in counts.items():
        candidates = [cell for cell in cells if cell.task == task]
        keys = image_keys(cell.image_id for cell in candidates)
        numbers = keyed_uniform(keys, seed_of(seed, task)).tolist()
        order = sorted(range(len(candidates)), key=numbers.__getitem__)
        drawn += [candidates[index] for index in order[:count]]
    return drawn
