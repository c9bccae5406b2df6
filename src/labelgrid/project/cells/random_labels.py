"""Finds labels of training images that are a random sample, for measuring. Loads no torch.

These are the labels that queries drew at random, or else the labels that no strategy picked.
Held-out images are never among them.
"""

import math
from collections.abc import Collection, Iterable
from functools import cached_property

from labelgrid.basics.streams import image_key
from labelgrid.ledger.grid import Cell, State
from labelgrid.project.cells.drawn_pairs import drawn_pairs
from labelgrid.project.folder import ProjectFolder
from labelgrid.relations.true_agreement import FEWEST
from labelgrid.select.draws import CONTROL, SuppliedCells, is_pick, is_random

#: Labels are measured on at most so many images, and so many pixels if these are many.
MOST = 50
MOST_PIXELS = 40_000_000
#: The number of images that a message asks for.
ENOUGH = 10
#: How a sample came about, in words.
DRAWN = "drawn at random"
NOT_PICKED = "imported, not picked"


class RandomLabels:
    """The labels of a project's training images, and random samples of the labels."""

    def __init__(self, project: ProjectFolder) -> None:
        self.project = project

    @cached_property
    def labelled(self) -> dict[str, set[str]]:
        """The tasks of which each training image has a label."""
        tasks: dict[str, set[str]] = {}
        for row in self.project.store.cells(state=State.LABELLED, splits=("train",)):
            tasks.setdefault(row.cell.image_id, set()).add(row.cell.task)
        return tasks

    @cached_property
    def picked(self) -> set[Cell]:
        """The cells that strategies picked, ever."""
        moves = (event.move for event in self.project.store.events())
        picked_cells = set()
        for move in moves:
            if move.to == State.REQUESTED and is_pick(move):
                picked_cells.add(move.cell)
        return picked_cells

    @cached_property
    def control(self) -> set[Cell]:
        """The cells that queries drew as a control."""
        drawn = self.project.store.events(why=CONTROL, in_effect=True)
        return {event.move.cell for event in drawn}

    @cached_property
    def random(self) -> set[Cell]:
        """The cells that queries drew at random before the first picks by scores.

        After the first round that picked by scores the pool is no sample of all images any more.
        Images that a user began, by importing or requesting a label, are left out:
        a strategy that completes begun images draws from these alone.
        """
        rounds: dict[Cell, int] = {}
        begun: dict[str, bool] = {}
        first = math.inf
        for event in self.project.store.events(in_effect=True):
            move = event.move
            requested = move.to == State.REQUESTED
            drawn = requested and is_random(move)
            begun.setdefault(move.cell.image_id, drawn)
            if drawn:
                rounds[move.cell] = move.round
            elif requested and is_pick(move):
                first = min(first, move.round)
        random_cells = set()
        for cell, round in rounds.items():
            if round < first and begun[cell.image_id]:
                random_cells.add(cell)
        return random_cells

    def images(self, names: Iterable[str]) -> tuple[list[str], str]:
        """A random sample of the images with labels of all named tasks, and how it was drawn.

        The order depends on the names alone.
        """
        needed = set(names)
        whole = set()
        for image_id, tasks in self.labelled.items():
            if needed <= tasks:
                whole.add(image_id)
        return self._sample(whole, self._drawn(whole, needed), needed, fewest=FEWEST)

    def audited(self, cells: SuppliedCells, fewest: int = FEWEST) -> tuple[list[str], str]:
        """The images of a supplier's cells with a true label that are a random sample; as `images`.

        A cell was drawn to audit the supplier, as one of a pair, or as a control. With fewer than
        `fewest` such images, those that were not picked are the sample.
        """
        task = cells.task
        whole = set()
        for image_id in cells.images:
            if task in self.labelled.get(image_id, ()):
                whole.add(image_id)
        drawn = {*cells.earlier, *(cell.image_id for cell in self.control if cell.task == task)}
        drawn |= self._drawn(whole, {task})
        return self._sample(whole, drawn, {task}, fewest=fewest)

    def _drawn(self, image_ids: Iterable[str], tasks: Collection[str]) -> set[str]:
        """The pairs of some tasks, and those of the images whose labels of all were drawn."""
        drawn = set(drawn_pairs(self.project, tasks))
        for image_id in image_ids:
            if all(Cell(image_id, task) in self.random for task in tasks):
                drawn.add(image_id)
        return drawn

    def _sample(
        self,
        whole: Collection[str],
        drawn: Collection[str],
        tasks: Collection[str],
        *,
        fewest: int,
    ) -> tuple[list[str], str]:
        """Images with labels of all the tasks: the drawn images; if too few, those not picked."""
        both = set(whole).intersection(drawn)
        if len(both) >= fewest:
            return sorted(both, key=image_key), DRAWN
        picked = set()
        for cell in self.picked:
            if cell.task in tasks:
                picked.add(cell.image_id)
        return sorted(set(whole) - picked, key=image_key), NOT_PICKED
