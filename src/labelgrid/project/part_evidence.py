"""Says in which part a label is odd, from the small maps of all labels of a project.

A label is odd in a part by three sorts of evidence: it is far from what follows for it from other
labels of its image; its lines are not near theirs; or it holds what labels beside such others do
not hold. Of two labels that contradict each other, the one that is less usual beside the image's
third labels is blamed, or both. Loads no torch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from labelgrid.ledger.grid import Cell
from labelgrid.project.label_comparison import Evidence
from labelgrid.project.part_context import CellMap, Context
from labelgrid.project.part_excess import (
    PIXELS,
    Excesses,
    apart_cells,
    excesses_of,
    line_excesses,
)
from labelgrid.project.part_grid import (
    CELLS,
    CLEAN,
    GRID,
    MAPS,
    Floats,
    OddParts,
    odd_parts,
    rectangles,
    strongest,
    unpack,
)
from labelgrid.project.part_maps import PartMaps
from labelgrid.project.part_surprise import far_values, unlikely_classes
from labelgrid.project.relation_evidence import tasks_of
from labelgrid.relations.bound import BoundRelation
from labelgrid.tasks.task import TaskDef
from labelgrid.words import join_names

#: Fewer images say nothing.
LEAST = 16
#: Of two labels that contradict each other, the one that is less usual by this has e times the odds
#: of being the wrong one. One whose share of the odds is below `BLAMED` is not doubted.
APART = 0.5
BLAMED = 0.3
#: No spread of the strongest parts of labels is taken for smaller.
SPREAD = 0.5
#: The sorts of evidence, as in an audit's table of limits.
SORTS = ("parts by relation", "parts by lines", "parts by context")


@dataclass(frozen=True)
class _Odd:
    """The strongest parts of some images: their places among all, and what `odd_parts` found."""

    images: NDArray[np.intp]
    parts: OddParts


class PartEvidence:
    """Judges the parts of the labels of a project.

    Args:
        tasks: the tasks.
        relations: those by which the maps were made.
        images: the maps, by image.
    """

    def __init__(
        self,
        tasks: Mapping[str, TaskDef],
        relations: Sequence[BoundRelation],
        images: Mapping[str, PartMaps],
    ) -> None:
        self._tasks = tasks
        self._relations = relations
        self._names = sorted(images)
        self._images = [images[name] for name in self._names]
        self._surprises: dict[tuple[str, str, tuple[str, ...]], Floats] = {}

    def evidence(self) -> dict[str, dict[Cell, Evidence]]:
        """By sort, what speaks against labels; nothing is known of few."""
        if len(self._names) < LEAST:
            return {sort: {} for sort in SORTS}
        found = (self._by_relation(), self._by_lines(), self._by_context())
        return dict(zip(SORTS, found, strict=True))

    @cached_property
    def _values(self) -> dict[str, CellMap]:
        """The maps of values, of tasks that have enough."""
        found = {}
        for task, row in self._tasks.items():
            count = len(row.class_names)
            texts = [image.values.get(task) for image in self._images]
            known = [text for text in texts if text]
            if len(known) >= LEAST:
                kind = "int16" if count else "float32"
                empty = np.full_like(unpack(known[0], kind), -1 if count else np.nan)
                maps = [unpack(text, kind) if text else empty for text in texts]
                found[task] = CellMap(np.stack(maps), count)
        return found

    @cached_property
    def _densities(self) -> dict[str, CellMap]:
        """How many pixels of each cell have lines, as roots, of tasks that have enough."""
        found = {}
        for task in self._tasks:
            texts = [image.lines.get(task) for image in self._images]
            if sum(text is not None for text in texts) >= LEAST:
                empty = np.full((*GRID, 1), np.nan, np.float32)
                maps = [np.sqrt(unpack(text, "uint8")) if text else empty for text in texts]
                found[task] = CellMap(np.stack(maps).astype(np.float32), 0)
        return found

    @cached_property
    def _context(self) -> Context:
        return Context(self._names, self._values)

    def _surprise(self, task: str, others: Sequence[str]) -> Floats:
        """How unusual each cell's values are beside those of other tasks."""
        return self._kept("values", task, others, self._values)

    def _line_surprise(self, task: str, others: Sequence[str]) -> Floats:
        """How unusual the number of lines of each cell is beside the values of other tasks."""
        return self._kept("lines", task, others, self._densities)

    def _kept(
        self, kind: str, task: str, others: Sequence[str], maps: Mapping[str, CellMap]
    ) -> Floats:
        key = (kind, task, tuple(others))
        if key not in self._surprises:
            target = maps[task]
            find = unlikely_classes if target.classes else far_values
            self._surprises[key] = find(target, self._context, others)
        return self._surprises[key]

    def _others(self, *tasks: str) -> list[str]:
        """The tasks beside these that have maps."""
        return [task for task in self._values if task not in tasks]

    def _by_relation(self) -> dict[Cell, Evidence]:
        """That a label is far from what follows in a part."""
        found: dict[Cell, Evidence] = {}
        for relation in self._relations:
            texts = [image.distances.get(relation.name) for image in self._images]
            images = np.flatnonzero([text is not None for text in texts])
            if len(images) < LEAST:
                continue
            known, apart = apart_cells([text for text in texts if text is not None])
            excesses = excesses_of(known * PIXELS, apart * PIXELS)
            if excesses is None:
                continue
            odd = _Odd(images, _odd_excesses(excesses, len(images)))
            blame = self._blame_of_relation(relation, odd, apart > 0)
            what = join_names([*relation.reads, relation.gives])
            text = f"{what} contradict each other in a part: {{box}} ('{relation.name}')"
            sides = ([relation.gives], list(relation.reads))
            self._add(found, odd, blame, sides=sides, text=text)
        return found

    def _blame_of_relation(
        self, relation: BoundRelation, odd: _Odd, apart: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """By how much the given label is less usual than what follows, in each image's part."""
        others = self._others(*tasks_of(relation))
        given = self._values.get(relation.gives)
        if given is None or given.classes or not others:
            return np.zeros(len(odd.images))
        derived = np.full_like(given.value, np.nan)
        for image in odd.images:
            derived[image] = unpack(self._images[image].derived[relation.name], "float32")
        own = np.full(given.value.shape[:3], np.nan)
        its = own.copy()
        for some, expected in self._context.expected(given, others):
            own[some] = ((given.value[some] - expected) ** 2).sum(3)
            its[some] = ((derived[some] - expected) ** 2).sum(3)
        scale = float(np.nanmean(own)) + 1e-6
        difference = (own - its)[odd.images] / scale
        grid = rectangles()
        blames = []
        for place, index in enumerate(odd.parts.index):
            values = difference[place][grid.mask(int(index)) & apart[place]]
            values = values[np.isfinite(values)]
            blames.append(float(values.mean()) if len(values) else 0.0)
        return np.array(blames)

    def _by_lines(self) -> dict[Cell, Evidence]:
        """That the lines of two labels of an image are not near each other in a part."""
        found: dict[Cell, Evidence] = {}
        for one, other in combinations(self._densities, 2):
            has_both = [other in image.alone.get(one, {}) for image in self._images]
            images = np.flatnonzero(has_both)
            if len(images) < LEAST:
                continue
            excesses = line_excesses([self._images[place] for place in images], one, other)
            if excesses is None:
                continue
            odd = _Odd(images, _odd_excesses(excesses, len(images)))
            blame = self._line_blame(one, other, odd)
            text = f"the lines of {one} and {other} do not follow each other in a part: {{box}}"
            self._add(found, odd, blame, sides=([one], [other]), text=text)
        return found

    def _line_blame(self, one: str, other: str, odd: _Odd) -> NDArray[np.float64]:
        """By how much the first label is less usual than the second, in each image's part."""
        others = self._others(one, other)
        if not others:
            return np.zeros(len(odd.images))
        scores = []
        for task in (one, other):
            lines = self._line_surprise(task, others)[odd.images]
            inside, outside = _means(lines, odd.parts.index)
            score = inside - outside
            if self._tasks[task].class_names and task in self._values:
                values = self._surprise(task, others)[odd.images]
                score += _means(values, odd.parts.index)[0]
            scores.append(score)
        return np.asarray(scores[0] - scores[1])

    def _by_context(self) -> dict[Cell, Evidence]:
        """That a label holds in a part what it usually does not beside the image's other labels."""
        found: dict[Cell, Evidence] = {}
        for task, maps in self._values.items():
            others = self._others(task)
            if not others:
                continue
            images = np.flatnonzero(maps.known.any((1, 2)))
            surprise = self._surprise(task, others)[images]
            odd = _Odd(images, _odd(_weighted(surprise), len(images)))
            text = f"a part of it is unlike others beside {join_names(others)}: {{box}}"
            self._add(found, odd, np.zeros(len(images)), sides=([task], []), text=text)
        return found

    def _add(
        self,
        found: dict[Cell, Evidence],
        odd: _Odd,
        blame: NDArray[np.float64],
        *,
        sides: tuple[Sequence[str], Sequence[str]],
        text: str,
    ) -> None:
        """Add what was found to the labels of images; to those of one side only, if it is clear."""
        grid = rectangles()
        for place, image in enumerate(odd.images):
            box = grid.box(int(odd.parts.index[place]))
            cells = [Cell(self._names[image], task) for side in sides for task in side]
            share = float(1 / (1 + np.exp(-blame[place] / APART))) if all(sides) else 1.0
            for side, odds in zip(sides, (share, 1 - share), strict=True):
                for task in side:
                    cell = Cell(self._names[image], task)
                    evidence = Evidence(0.0, "")
                    if odds >= BLAMED:
                        others = [other for other in cells if other != cell]
                        value = float(odd.parts.value[place]) * odds**2
                        evidence = Evidence(value, text.format(box=box), others, box)
                    if cell not in found or found[cell].value < evidence.value:
                        found[cell] = evidence


def _weighted(surprise: Floats) -> Callable[[slice], Floats]:
    """The mean surprise of the rectangles of some maps; of larger ones, it says more."""
    grid = rectangles()
    weight = np.sqrt(grid.share) / (grid.share * CELLS)
    return lambda some: np.asarray(grid.sums(surprise[some]) * weight, np.float32)


def _odd_excesses(excesses: Excesses, count: int) -> OddParts:
    """The odd parts of maps by their excesses, with the tight boxes around them."""
    found = _odd(lambda some: excesses(some, 0.0), count)
    starts = range(0, count, MAPS)
    tight = [excesses(slice(start, min(start + MAPS, count)), CLEAN) for start in starts]
    return OddParts(found.value, np.concatenate([values.argmax(1) for values in tight]))


def _odd(values: Callable[[slice], Floats], count: int) -> OddParts:
    """The odd parts of maps, from the values of their rectangles, some maps at a time."""
    starts = range(0, count, MAPS)
    found = [strongest(values(slice(start, min(start + MAPS, count)))) for start in starts]
    best = np.concatenate([each for each, _ in found])
    which = np.concatenate([each for _, each in found])
    return odd_parts(best, which, SPREAD)


def _means(maps: Floats, index: NDArray[np.intp]) -> tuple[NDArray[np.float64], ...]:
    """The means of maps inside and outside of one rectangle each."""
    grid = rectangles()
    inside = np.stack([grid.mask(int(one)) for one in index])
    total = (maps * inside).sum((1, 2)) / inside.sum((1, 2))
    rest = (maps * ~inside).sum((1, 2)) / (~inside).sum((1, 2))
    return total.astype(np.float64), rest.astype(np.float64)
