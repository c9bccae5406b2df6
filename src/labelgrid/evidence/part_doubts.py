"""Doubts an import in which parts of several labels are in contradiction.

Loads no torch.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from labelgrid.basics.array_types import Floats32
from labelgrid.basics.words import count_text, join_names
from labelgrid.evidence.doubts import Doubt
from labelgrid.evidence.part_grid import CLEAN, PartBox, excess, rectangles, unpack_bytes
from labelgrid.evidence.part_maps import PartMaps, apart_cells
from labelgrid.relations.bound import BoundRelation, connected_tasks

#: A part contradicts a relation past so many standard deviations of a count, and another label's
#: lines past so many. Of NYUv2's training frames, right labels have at most 1 and 24.
RELATION = 20.0
LINES = 32.0
#: Fewer labels with such a part are not doubted: two of 200 right rooms have one.
SEVERAL = 3
#: If more than this share has one, no part of a few labels is wrong: what is assumed, such as the
#: camera, does not hold there.
FEW = 1 / 3
#: If a quarter as many of the earlier labels have a part past three quarters of a limit, such parts
#: are usual: one class may hide borders that drawn edges show, for example.
ALSO = 1 / 4
NEARLY = 3 / 4
#: The images that a text names.
NAMED = 3
#: The pixels that a cell of a relation counts as.
PIXELS = 40
#: A relation, or one label's lines beside another's, say something if usually less is off.
USUAL = 0.4
NEXT_STEP = (
    "Look at the parts in the picture, correct the labels that are wrong there, and import again; "
    "if all are right, repeat with --accept."
)

#: The excess of maps [n, rectangles], given the least share that is expected to be bad.
Excesses = Callable[[float], Floats32]
#: Tasks that contradict each other, in words, and the part of each image.
Contradiction = tuple[Sequence[str], str, Mapping[str, PartBox]]


@dataclass(frozen=True)
class PartDoubt:
    """A doubt about parts of labels.

    Args:
        tasks: the tasks whose labels contradict each other there.
        doubt: the doubt.
        parts: image -> the part.
    """

    tasks: frozenset[str]
    doubt: Doubt
    parts: Mapping[str, PartBox]


def part_doubts(
    images: Mapping[str, PartMaps],
    relations: Sequence[BoundRelation],
    task: str,
    earlier: Callable[[], Mapping[str, PartMaps]] = dict,
) -> list[PartDoubt]:
    """Doubt the labels of a task in parts, if several contradict the rest of their images.

    `earlier` gives the maps of images with earlier labels: what also holds for them is usual.

    Returns:
        A doubt for each relation, and each other task with lines, that several contradict.
    """
    doubts = []
    for tasks, text, parts in _contradictions(images, relations, task):
        if not SEVERAL <= len(parts) <= FEW * len(images):
            continue
        if _share_of(text, earlier(), relations, task) > ALSO * len(parts) / len(images):
            continue
        named = join_names([f"{name} ({box})" for name, box in islice(parts.items(), NAMED)])
        labels = count_text(len(parts), "image")
        statement = (
            f"{text} in a part of {labels} of {len(images)}: {named}. Likely cause: there, "
            "one of the labels is mirrored, negated, or of another image."
        )
        notes = {name: f"{text} here: {box}" for name, box in parts.items()}
        doubt = Doubt(task, statement, notes, NEXT_STEP)
        doubts.append(PartDoubt(frozenset(tasks), doubt, parts))
    return doubts


def _contradictions(
    images: Mapping[str, PartMaps],
    relations: Sequence[BoundRelation],
    task: str,
    fraction: float = 1.0,
) -> Iterator[Contradiction]:
    """The contradictions past a fraction of their limits."""
    yield from _by_relations(images, relations, task, RELATION * fraction)
    yield from _by_lines(images, task, LINES * fraction)


def _share_of(
    text: str, images: Mapping[str, PartMaps], relations: Sequence[BoundRelation], task: str
) -> float:
    """The share of images with a part that is nearly in the contradiction with a text."""
    for _, its, parts in _contradictions(images, relations, task, NEARLY):
        if its == text:
            return len(parts) / len(images)
    return 0.0


def _by_relations(
    images: Mapping[str, PartMaps], relations: Sequence[BoundRelation], task: str, limit: float
) -> Iterator[Contradiction]:
    for relation in relations:
        names = []
        for name, maps in images.items():
            if relation.name in maps.distances:
                names.append(name)
        if task not in connected_tasks(relation) or len(names) < SEVERAL:
            continue
        known_cells, apart = apart_cells([images[name].distances[relation.name] for name in names])
        excesses = _excesses_of(known_cells * PIXELS, apart * PIXELS)
        if excesses is not None:
            tasks = [*relation.reads, relation.gives]
            text = f"{join_names(tasks)} contradict each other ('{relation.name}')"
            yield tasks, text, _past(excesses, names, limit)


def _by_lines(images: Mapping[str, PartMaps], task: str, limit: float) -> Iterator[Contradiction]:
    others = dict.fromkeys(other for maps in images.values() for other in maps.alone.get(task, {}))
    for other in others:
        names = []
        for name, maps in images.items():
            if other in maps.alone.get(task, {}):
                names.append(name)
        if len(names) < SEVERAL:
            continue
        excesses = _line_excesses([images[name] for name in names], task, other)
        if excesses is not None:
            text = f"the lines of {task} and {other} do not follow each other"
            yield [task, other], text, _past(excesses, names, limit)


def _line_excesses(images: Sequence[PartMaps], one: str, other: str) -> Excesses | None:
    """The excess of lines that are alone in the parts of images, the sum of both ways.

    None if most labels' lines do not follow each other either way.
    """
    ways = []
    for task, its in ((one, other), (other, one)):
        amounts = unpack_bytes([image.lines[task] for image in images])
        alone = unpack_bytes([image.alone[task][its] for image in images])
        way = _excesses_of(amounts.astype(np.float32), alone.astype(np.float32))
        if way is not None:
            ways.append(way)
    if len(ways) < 2:
        return ways[0] if ways else None
    return lambda clean: ways[0](clean) + ways[1](clean)


def _excesses_of(amounts: Floats32, bad: Floats32) -> Excesses | None:
    totals = amounts.sum((1, 2))
    some = totals > 0
    usual = float(np.median(bad.sum((1, 2))[some] / totals[some])) if some.any() else 1.0
    if usual > USUAL:
        return None
    return lambda clean: excess(amounts, bad, usual, clean)


def _past(excesses: Excesses, names: Sequence[str], limit: float) -> dict[str, PartBox]:
    best = excesses(0.0).max(1)
    tight = excesses(CLEAN).argmax(1)
    parts = {}
    for place in np.argsort(-best, kind="stable").tolist():
        if best[place] > limit:
            parts[names[place]] = rectangles().box(int(tight[place]))
    return parts
