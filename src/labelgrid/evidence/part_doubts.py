"""Doubts an import in which parts of several labels contradict other labels of their images.

Loads no torch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from labelgrid.basics.words import count_text, join_names
from labelgrid.evidence.doubts import Doubt
from labelgrid.evidence.part_excess import (
    PIXELS,
    Excesses,
    apart_cells,
    excesses_of,
    line_excesses,
)
from labelgrid.evidence.part_grid import CLEAN, PartBox, rectangles
from labelgrid.evidence.part_maps import PartMaps
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
#: So many images are named.
NAMED = 3
NEXT_STEP = (
    "Look at the parts in the picture, correct the labels that are wrong there, and import again; "
    "if all are right, repeat with --accept."
)


@dataclass(frozen=True)
class PartDoubt:
    """A doubt about parts of labels.

    Args:
        tasks: those whose labels contradict each other there.
        doubt: the doubt.
        parts: image -> the part.
    """

    tasks: frozenset[str]
    doubt: Doubt
    parts: Mapping[str, PartBox]


@dataclass(frozen=True)
class _Found:
    """What contradicts what, in words, and the images with the part of each."""

    tasks: Sequence[str]
    text: str
    parts: Mapping[str, PartBox]


def part_doubts(
    images: Mapping[str, PartMaps], relations: Sequence[BoundRelation], task: str
) -> list[PartDoubt]:
    """Doubt the labels of a task in parts, if several contradict other labels of their images.

    Args:
        images: the maps of images, by name.
        relations: those by which the maps were made.
        task: the task.

    Returns:
        A doubt for each relation, and each other task with lines, that several contradict.
    """
    doubts = []
    for found in (*_by_relations(images, relations, task), *_by_lines(images, task)):
        if not SEVERAL <= len(found.parts) <= FEW * len(images):
            continue
        first = dict(list(found.parts.items())[:NAMED])
        such = join_names([f"{name} ({box})" for name, box in first.items()])
        labels = count_text(len(found.parts), "image")
        what = (
            f"{found.text} in a part of {labels} of {len(images)}: {such}. Likely cause: there, "
            "one of the labels is mirrored, negated, or of another image."
        )
        notes = {name: f"{found.text} here: {box}" for name, box in found.parts.items()}
        doubt = Doubt(task, what, notes, NEXT_STEP)
        doubts.append(PartDoubt(frozenset(found.tasks), doubt, found.parts))
    return doubts


def _by_relations(
    images: Mapping[str, PartMaps], relations: Sequence[BoundRelation], task: str
) -> Iterator[_Found]:
    """The parts that contradict what follows by a relation."""
    for relation in relations:
        names = [name for name, maps in images.items() if relation.name in maps.distances]
        if task not in connected_tasks(relation) or len(names) < SEVERAL:
            continue
        known, apart = apart_cells([images[name].distances[relation.name] for name in names])
        excesses = excesses_of(known * PIXELS, apart * PIXELS)
        if excesses is not None:
            tasks = [*relation.reads, relation.gives]
            text = f"{join_names(tasks)} contradict each other ('{relation.name}')"
            yield _Found(tasks, text, _past(excesses, names, RELATION))


def _by_lines(images: Mapping[str, PartMaps], task: str) -> Iterator[_Found]:
    """The parts in which the lines of labels do not follow each other."""
    others = dict.fromkeys(other for maps in images.values() for other in maps.alone.get(task, {}))
    for other in others:
        names = [name for name, maps in images.items() if other in maps.alone.get(task, {})]
        if len(names) < SEVERAL:
            continue
        excesses = line_excesses([images[name] for name in names], task, other)
        if excesses is not None:
            text = f"the lines of {task} and {other} do not follow each other"
            yield _Found([task, other], text, _past(excesses, names, LINES))


def _past(excesses: Excesses, names: Sequence[str], limit: float) -> dict[str, PartBox]:
    """The odd part of each image in which it is past a limit, the worst first."""
    grid = rectangles()
    best = excesses(slice(None), 0.0).max(1)
    tight = excesses(slice(None), CLEAN).argmax(1)
    found = {}
    for place in np.argsort(-best, kind="stable").tolist():
        if best[place] > limit:
            found[names[place]] = grid.box(int(tight[place]))
    return found
