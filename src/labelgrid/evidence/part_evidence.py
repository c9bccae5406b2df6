"""Judges the parts of labels by the small maps of all labels of a project.

Four sorts of evidence make a part of a label odd: the part differs from what other labels of the
image imply; lines do not follow the lines of other labels; lines lie where neither the image nor
another label has any; or values do not occur beside such other labels. If two labels contradict
each other, the label that fits the image and its other labels less is blamed, or both are. Loads no
torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from labelgrid.basics.array_types import Bools, Floats, Floats32, Places
from labelgrid.basics.words import join_names
from labelgrid.evidence.doubts import Evidence, OfLabels
from labelgrid.evidence.figure_doubts import middle_and_spread
from labelgrid.evidence.part_blame import cure_blame, jump_blame
from labelgrid.evidence.part_context import CellMap, Context
from labelgrid.evidence.part_grid import (
    CELLS,
    CLEAN,
    MAPS,
    odd_parts,
    rectangles,
    strongest,
    unpack,
)
from labelgrid.evidence.part_maps import PartMaps, apart_cells
from labelgrid.evidence.part_marks import IMAGE
from labelgrid.evidence.part_outlines import Outlines
from labelgrid.ledger.grid import Cell
from labelgrid.relations.bound import BoundRelation, connected_tasks
from labelgrid.tasks.task import TaskDefs

#: Fewer images say nothing.
LEAST = 16
#: Of two labels that contradict each other, the less usual one has e times the odds to be wrong for
#: each of: a usual squared distance from the expected values, times `VALUES`; a standard deviation
#: of how odd its lines are; a logarithm of the odds of its lines that do not follow the other's,
#: times `ALONE`; the share of the contradiction that goes when a part is turned, times `CURED`; a
#: jump at the part's border, times `JUMP`.
VALUES = 1.5
ALONE = 3.0
CURED = 12.0
JUMP = 4.0
#: Parts that are less odd are not tried.
SEEN = 1.0
#: A label with a smaller share of the odds is not doubted. Past `APART`, a contradiction explains
#: odd lines of both labels.
BLAMED = 0.3
APART = 3.0
#: No spread of the strongest parts of labels is taken for smaller.
SPREAD = 0.5
SHARES = 0.02
#: Labels of which more is usually far from what follows for them contradict nothing.
ODD = 0.4
#: The sorts of evidence, as in an audit's table of limits.
SORTS = ("parts by relation", "parts by lines", "parts by outlines", "parts by context")


class _Odd(NamedTuple):
    """The odd parts of some labels: the places of their images, the oddness, and the rectangles."""

    images: Places
    value: Floats
    rectangle: Places


class PartEvidence:
    """Judges the parts of the labels of a project.

    Args:
        tasks: the tasks.
        relations: the relations by which the maps were made.
        images: the maps, by image.

    After `evidence`, `cleared` holds the labels that contradict only a faulty label.
    """

    def __init__(
        self,
        tasks: TaskDefs,
        relations: Sequence[BoundRelation],
        images: Mapping[str, PartMaps],
    ) -> None:
        self._tasks = tasks
        self._relations = relations
        self._names = sorted(images)
        self._images = [images[name] for name in self._names]
        self._shares: dict[Cell, float] = {}
        self.cleared: set[Cell] = set()

    def evidence(self) -> dict[str, OfLabels]:
        """The evidence against labels by sort; none of few labels."""
        if len(self._names) < LEAST:
            return {sort: {} for sort in SORTS}
        by_sort = (self._by_relation(), self._by_lines(), self._by_outlines(), self._by_context())
        return dict(zip(SORTS, by_sort, strict=True))

    @cached_property
    def _values(self) -> dict[str, CellMap]:
        values = {}
        for task, row in self._tasks.items():
            count = len(row.class_names)
            texts = [image.values.get(task) for image in self._images]
            labelled = [text for text in texts if text]
            if len(labelled) < LEAST:
                continue
            kind = "int16" if count else "float32"
            empty = np.full_like(unpack(labelled[0], kind), -1 if count else np.nan)
            arrays = [unpack(text, kind) if text else empty for text in texts]
            maps = CellMap(np.stack(arrays), count)
            if maps.known.any((1, 2)).sum() >= LEAST:
                values[task] = maps
        return values

    @cached_property
    def _outlines(self) -> Outlines:
        marks = {}
        for source in (*self._values, IMAGE):
            texts = [image.marks.get(source) for image in self._images]
            if sum(text is not None for text in texts) >= LEAST:
                marks[source] = texts
        drawn: set[str] = set()
        for image in self._images:
            drawn.update(image.lines)
        return Outlines(self._names, marks, [task for task in self._values if task in drawn])

    @cached_property
    def _context(self) -> Context:
        return Context(self._names, self._values)

    def _beside(self, *tasks: str) -> list[str]:
        return [task for task in self._values if task not in tasks]

    def _by_relation(self) -> OfLabels:
        """Labels that differ in a part from the derived label.

        If neither of two contradicting labels is likelier to be wrong, both count.
        """
        collected: OfLabels = {}
        for relation in self._relations:
            texts = [image.distances.get(relation.name, "") for image in self._images]
            images = np.flatnonzero([text != "" for text in texts])
            if len(images) < LEAST:
                continue
            known_cells, apart = apart_cells([text for text in texts if text])
            some = known_cells.any((1, 2))
            images = images[some]
            known_cells = known_cells[some]
            apart = apart[some]
            if len(images) < LEAST or np.median(apart.sum((1, 2)) / known_cells.sum((1, 2))) > ODD:
                continue
            odd = _Odd(images, *_odd_cells(known_cells, apart))
            blame = VALUES * self._blame_of_relation(relation, odd, apart > 0)
            blame += self._line_blame(relation, odd)
            blame += self._turned_blame(relation, odd, apart)
            connected = join_names([*relation.reads, relation.gives])
            text = f"{connected} contradict each other in a part: {{box}} ('{relation.name}')"
            gives = (relation.gives,)
            for task_blame, tasks, others in (
                (blame, gives, relation.reads),
                (-blame, relation.reads, gives),
            ):
                share = np.minimum(1, 2 * _odds_of(task_blame))
                self._add(collected, odd, share, tasks=tasks, others=others, text=text)
                for place in np.flatnonzero((odd.value > APART) & (share < BLAMED)).tolist():
                    name = self._names[images[place]]
                    self.cleared.update(Cell(name, task) for task in tasks)
        return collected

    def _blame_of_relation(self, relation: BoundRelation, odd: _Odd, apart: Bools) -> Floats:
        """The excess of oddness of the given over the derived label, in each image's part."""
        others = self._beside(*connected_tasks(relation))
        given = self._values.get(relation.gives)
        if given is None or given.classes or not others:
            return np.zeros(len(odd.images))
        derived = np.full_like(given.value, np.nan)
        for image in odd.images:
            derived[image] = self._derived(relation, image)
        given_distance = np.full(given.value.shape[:3], np.nan)
        its = given_distance.copy()
        for some, expected in self._context.expected(given, others):
            given_distance[some] = ((given.value[some] - expected) ** 2).sum(3)
            its[some] = ((derived[some] - expected) ** 2).sum(3)
        scale = float(np.nanmean(given_distance)) + 1e-6
        difference = (given_distance - its)[odd.images] / scale
        blames = []
        for place, index in enumerate(odd.rectangle):
            values = difference[place][rectangles().mask(int(index)) & apart[place]]
            values = values[np.isfinite(values)]
            blames.append(float(values.mean()) if len(values) else 0.0)
        return np.array(blames)

    def _derived(self, relation: BoundRelation, image: int) -> Floats32:
        return np.asarray(unpack(self._images[image].derived[relation.name], "float32"))

    def _turned_blame(self, relation: BoundRelation, odd: _Odd, apart: Floats32) -> Floats:
        """The blame of given labels by `part_blame`, where a part is odd at all."""
        blames = np.zeros(len(odd.images))
        given = self._values.get(relation.gives)
        if given is None or not relation.turns:
            return blames
        for place in np.flatnonzero(odd.value > SEEN).tolist():
            image = int(odd.images[place])
            derived = self._derived(relation, image)
            values = given.value[image]
            inside = rectangles().mask(int(odd.rectangle[place]))
            blames[place] = CURED * cure_blame(values, derived, apart[place], relation.turns)
            blames[place] += JUMP * jump_blame(values, derived, inside)
        return blames

    def _line_blame(self, relation: BoundRelation, odd: _Odd) -> Floats:
        """The oddness of the given label's lines, less that of the lines of the read labels.

        Neither is seen beside the other.
        """
        outlines = self._outlines
        connected = [task for task in outlines.tasks if task in connected_tasks(relation)]
        total = np.zeros(len(odd.images))
        if relation.gives not in connected or not outlines.beside(*connected):
            return total
        for task in connected:
            cells = outlines.cells(task, [other for other in connected if other != task])
            sign = 1 if task == relation.gives else -1 / max(len(connected) - 1, 1)
            for place, image in enumerate(odd.images):
                inside = rectangles().mask(int(odd.rectangle[place]), grown=True)
                total[place] += sign * cells.within(int(image), inside)
        middle, spread = middle_and_spread(total)
        return (total - middle) / max(spread, 1.0)

    def _by_lines(self) -> OfLabels:
        collected: OfLabels = {}
        for one, other in self._outlines.pairs:
            apart = self._outlines.apart(one, other)
            if apart is not None:
                has_both = [{one, other} <= image.marks.keys() for image in self._images]
                images = np.flatnonzero(has_both)
                odd = _Odd(images, apart.value[images], apart.rectangle[images])
                text = f"the lines of {one} and {other} do not follow each other in a part: {{box}}"
                share = _odds_of(ALONE * apart.blame[images])
                self._add(collected, odd, share, tasks=(one,), others=(other,), text=text)
                self._add(collected, odd, 1 - share, tasks=(other,), others=(one,), text=text)
        return collected

    def _by_outlines(self) -> OfLabels:
        collected: OfLabels = {}
        for task, (value, index) in self._outlines.odd().items():
            images = np.flatnonzero([task in image.marks for image in self._images])
            odd = _Odd(images, value[images], index[images])
            text = "its lines are not where its image and its other labels have some: {box}"
            self._add(collected, odd, np.ones(len(images)), tasks=(task,), others=(), text=text)
        for cell, evidence in collected.items():
            collected[cell] = replace(evidence, value=evidence.value * self._shares.get(cell, 1.0))
        return collected

    def _by_context(self) -> OfLabels:
        collected: OfLabels = {}
        for task, maps in self._values.items():
            others = self._beside(task)
            if not others:
                continue
            images = np.flatnonzero(maps.known.any((1, 2)))
            odd = _Odd(images, *_odd(self._context.surprise(task, others)[images]))
            text = f"a part of it is unlike others beside {join_names(others)}: {{box}}"
            self._add(collected, odd, np.ones(len(images)), tasks=(task,), others=(), text=text)
        return collected

    def _add(
        self,
        collected: OfLabels,
        odd: _Odd,
        share: Floats,
        *,
        tasks: Sequence[str],
        others: Sequence[str],
        text: str,
    ) -> None:
        """Add evidence against the labels of tasks, where they are likely enough to be wrong.

        Args:
            collected: where the evidence is added.
            odd: the parts.
            share: how likely, for each part, these labels are the wrong ones.
            tasks: the tasks.
            others: the tasks whose labels they contradict.
            text: the evidence in words.
        """
        for place, image in enumerate(odd.images):
            box = rectangles().box(int(odd.rectangle[place]))
            name = self._names[image]
            strength = float(odd.value[place])
            for task in tasks:
                cell = Cell(name, task)
                evidence = Evidence(0.0, "")
                if strength > APART:
                    self._shares[cell] = min(self._shares.get(cell, 1.0), float(share[place]))
                if share[place] >= BLAMED:
                    beside = [Cell(name, other) for other in (*tasks, *others) if other != task]
                    value = strength * float(share[place]) ** 2
                    evidence = Evidence(value, text.format(box=box), beside, box)
                if cell not in collected or collected[cell].value < evidence.value:
                    collected[cell] = evidence


def _odds_of(blame: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(blame, -30, 30)))


def _strengths(maps: Floats32) -> Floats32:
    """The mean of each rectangle of maps [n, rectangles]; means of larger ones count more."""
    grid = rectangles()
    weight = np.sqrt(grid.share) / (grid.share * CELLS)
    return np.asarray(grid.sums(maps) * weight, np.float32)


def _batches(maps: Floats32) -> list[Floats32]:
    return [maps[start : start + MAPS] for start in range(0, len(maps), MAPS)]


def _odd_cells(cells: Floats32, apart: Floats32) -> tuple[Floats, Places]:
    """The odd parts of maps: with more apart than in most of the map, and in most of the maps.

    Their boxes are tight: what is not apart counts against them.
    """
    usual = np.nanmedian(np.where(cells > 0, apart, np.nan).reshape(len(cells), -1), axis=1)
    mean = float(apart.sum() / max(cells.sum(), 1))
    more = np.where(cells > 0, apart - np.maximum(np.nan_to_num(usual), mean)[:, None, None], 0)
    value, _ = _odd(more.astype(np.float32), SHARES)
    tight = _batches(np.asarray(more - CLEAN * cells, np.float32))
    return value, np.concatenate([_strengths(batch).argmax(1) for batch in tight])


def _odd(maps: Floats32, spread: float = SPREAD) -> tuple[Floats, Places]:
    best, which = zip(*(strongest(_strengths(batch)) for batch in _batches(maps)), strict=True)
    return odd_parts(np.concatenate(best), np.concatenate(which), spread)
