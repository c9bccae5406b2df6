"""Finds cells whose labels measure something, which annotators draw without a prediction.

An annotator who sees a prediction or a cheap label is biased toward it, and values measured on such
a label look too good. Loads no torch.
"""

from collections.abc import Iterable
from functools import cached_property

from labelgrid.ledger.grid import Cell, State
from labelgrid.project.cells.audited_cells import noted_audits
from labelgrid.project.cells.drawn_pairs import noted_pairs
from labelgrid.project.folder import ProjectFolder
from labelgrid.select.draws import AUDIT, CONTROL, PAIR

HELD_OUT = "its image is held out"
#: What a label measures, by the reason of its request.
DRAWN = {
    PAIR: "it is one of a pair, which measures relations",
    AUDIT: "it audits a supplier",
    CONTROL: "it was drawn as a control, which measures whether picks pay",
}


class MeasuringCells:
    """The cells of a project whose labels measure something.

    Args:
        project: the project.
    """

    def __init__(self, project: ProjectFolder) -> None:
        self._project = project

    def purpose(self, cell: Cell) -> str:
        """What the label of a cell measures, as half a sentence; empty: nothing."""
        store = self._project.store
        history = store.history(cell, in_effect=True)
        requests = [event.move.why for event in history if event.move.to == State.REQUESTED]
        return self.purpose_of(cell, store.image(cell.image_id).split, requests)

    def purpose_of(self, cell: Cell, split: str, requests: Iterable[str]) -> str:
        """As `purpose`, of a cell whose split and reasons of requests are known."""
        if split != "train":
            return HELD_OUT
        drawn = [DRAWN[why] for why in requests if why in DRAWN]
        if cell.task in self._pairs.get(cell.image_id, ()):
            drawn.append(DRAWN[PAIR])
        if cell in self._audits:
            drawn.append(DRAWN[AUDIT])
        return next(iter(drawn), "")

    @cached_property
    def _pairs(self) -> dict[str, list[str]]:
        return noted_pairs(self._project)

    @cached_property
    def _audits(self) -> set[Cell]:
        cells = set()
        for tables in noted_audits(self._project).values():
            for task, image_ids in tables.items():
                cells |= {Cell(image_id, task) for image_id in image_ids}
        return cells
