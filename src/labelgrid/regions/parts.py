"""Composes the label of an image from its answered regions, and finds the commonest class of each.

Answers are disjoint, so that their order does not matter.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from labelgrid.basics.array_types import Bools, Floats, Ints
from labelgrid.basics.errors import LabelError
from labelgrid.basics.type_names import Names
from labelgrid.formats.codec import LabelArray
from labelgrid.regions.partition import Partition
from labelgrid.tasks.task import TaskDef

#: The number of a class that the task does not have any more.
GONE = -1
#: The classes that a part was labelled with; None: all of the task.
Annotated = tuple[bool, ...] | None


@dataclass(frozen=True, kw_only=True)
class AnsweredPart:
    """The answer for some regions of an image: a label that is right inside, or a key.

    Args:
        regions: the regions that were answered.
        label: a label of the whole image's size; what lies outside the regions says nothing.
            None: the key says all.
        key: the word for each of the regions, see `TaskDef.keys`; "": the label says all.
        classes: the class list of the answer, whose positions are the numbers of the label; empty:
            the numbers are those of the task, and `label.annotated` says what was annotated.
    """

    regions: tuple[int, ...]
    label: LabelArray | None = None
    key: str = ""
    classes: Names = ()


class RegionClasses(NamedTuple):
    """What a label says of each region of a partition.

    Args:
        commonest: int64 [count], the commonest number; of equals the smallest; `GONE` if no pixel
            is valid.
        agreeing: [count], its share of the region's valid pixels; 0 without any.
        covered: [count], the share of the region's pixels that are valid.
    """

    commonest: Ints
    agreeing: Floats
    covered: Floats


def compose(
    task: TaskDef, partition: Partition, parts: Iterable[AnsweredPart]
) -> tuple[LabelArray, ...]:
    """Compose labels of answered parts, a label for each set of annotated classes.

    There is one label in most cases, none without a part, and several if the class list has grown
    between answers: a label knows one set of annotated classes for all pixels. No pixel is valid in
    two. The order of parts changes nothing. Parts are taken one at a time.

    Args:
        task: the task, as it is now: classes of parts are found by name.
        partition: the regions of the image.
        parts: the answers.

    Raises:
        LabelError: an answer is for no region of the partition or for one with an answer, has
            another size, or is a key that is not in the class list.
    """
    layers: dict[Annotated, _Layer] = {}
    answered = np.zeros(partition.count + 1, np.bool_)
    for part in parts:
        regions = _unanswered(partition, part, answered)
        answered[regions] = True
        annotated = _annotated(task, part)
        if annotated not in layers:
            layers[annotated] = _Layer(task, partition)
        layer = layers[annotated]
        if part.label is None:
            layer.press(regions, _number_of_key(task, part))
        else:
            inside = np.zeros_like(answered)
            inside[regions] = True
            layer.paint(part.label, inside, _renumbering(task, part))
    ordered = sorted(layers.items(), key=lambda item: (item[0] is not None, item[0] or ()))
    return tuple(layer.label(annotated) for annotated, layer in ordered)


class _Layer:
    """The label of the parts with one set of annotated classes."""

    def __init__(self, task: TaskDef, partition: Partition) -> None:
        self.partition = partition
        self.value = np.zeros((*partition.size, task.codec.CHANNELS), task.codec.DTYPE)
        self.valid = np.zeros(partition.size, np.bool_)
        self.keys = np.full(partition.count + 1, GONE, np.int64)

    def press(self, regions: Ints, number: int) -> None:
        """Give regions the number of a key."""
        self.keys[regions] = number

    def paint(self, label: LabelArray, inside: Bools, renumbering: Ints | None) -> None:
        """Take the valid pixels of a label inside regions, where `inside` [count + 1] is true."""
        for rows in self.partition.rows():
            part = label.part(rows, slice(None))  # a large label may be decoded by parts
            pixels = inside[self.partition.ids[rows]] & part.valid
            values = part.value[pixels]
            if renumbering is not None:
                values = renumbering[values]
                present = values[:, 0] != GONE
                pixels[pixels] = present
                values = values[present]
            self.value[rows][pixels] = values
            self.valid[rows] |= pixels

    def label(self, annotated: Annotated) -> LabelArray:
        """The label, with the regions of keys filled."""
        is_pressed = self.keys != GONE
        for rows in self.partition.rows() if is_pressed.any() else ():
            ids = self.partition.ids[rows]
            pressed = is_pressed[ids]
            self.value[rows][pressed] = self.keys[ids[pressed]][:, None]
            self.valid[rows] |= pressed
        known_classes = None if annotated is None else np.array(annotated, np.bool_)
        return LabelArray(self.value, self.valid, known_classes)


def _unanswered(partition: Partition, part: AnsweredPart, answered: Bools) -> Ints:
    """The regions of a part, checked."""
    partition.check(part.regions)
    if part.label is not None:
        partition.check_size(part.label.size)
    regions, counts = np.unique(np.array(part.regions, np.int64), return_counts=True)
    repeated = regions[answered[regions] | (counts > 1)]
    if repeated.size:
        raise LabelError(
            f"Region {repeated[0]} has two answers, and regions are answered once.",
            next_step="Take one of them back: `labelgrid unlabel`.",
        )
    return regions


def _annotated(task: TaskDef, part: AnsweredPart) -> Annotated:
    """The classes of the task that a part was labelled with; None: all.

    A class with other classes merged into it counts if the part had all of them.
    """
    if not task.class_names:
        return None
    annotated = np.ones(len(task.class_names), np.bool_)
    if part.classes:
        for name, number in task.keys.items():
            annotated[number] &= name in part.classes
    if part.label is not None and part.label.annotated is not None and not part.classes:
        annotated &= part.label.annotated
    return None if annotated.all() else tuple(annotated.tolist())


def _number_of_key(task: TaskDef, part: AnsweredPart) -> int:
    """The number of a key; `GONE` for a former class of the task."""
    words = part.classes or tuple(task.keys)
    if part.key not in words:
        raise LabelError(
            f"The key '{part.key}' is none of '{task.name}': it has {', '.join(words) or 'none'}.",
            next_step="Answer with one of these, or with a label.",
        )
    return task.keys.get(part.key, GONE)


def _renumbering(task: TaskDef, part: AnsweredPart) -> Ints | None:
    """Int64 [classes of the part]: the number of each now; None: numbers stay."""
    if not (part.classes and task.class_names):
        return None
    keys: Mapping[str, int] = task.keys
    return np.array([keys.get(name, GONE) for name in part.classes], np.int64)


def region_classes(partition: Partition, label: LabelArray) -> RegionClasses:
    """The commonest number of a label of classes in each region, and how far it covers the region.

    Raises:
        LabelError: the label has another size.

    Example:
        >>> numbers = np.array([[[4], [4], [2]]])
        >>> label = LabelArray(numbers, np.ones((1, 3), bool))
        >>> region_classes(Partition.of(np.array([[1, 1, 2]])), label).commonest.tolist()
        [4, 2]
    """
    partition.check_size(label.size)
    regions, numbers, counts = _counted(partition, label)
    valid = np.bincount(regions, counts, minlength=partition.count + 1)[1:]
    commonest = np.full(partition.count, GONE, np.int64)
    most = np.zeros(partition.count)
    order = np.lexsort((numbers, -counts, regions))
    first = order[np.unique(regions[order], return_index=True)[1]]
    commonest[regions[first] - 1] = numbers[first]
    most[regions[first] - 1] = counts[first]
    return RegionClasses(commonest, most / np.maximum(valid, 1), valid / partition.areas)


def _counted(partition: Partition, label: LabelArray) -> tuple[Ints, Ints, Ints]:
    """The valid pixels of each region by the number of the label: regions, numbers, counts."""
    from scipy.sparse import coo_array

    plane = label.value[..., 0]
    largest = int(plane.max(initial=0, where=label.valid))
    shape = (partition.count + 1, largest + 1)
    total = coo_array(shape, dtype=np.int64).tocsr()
    for rows in partition.rows():
        ids = partition.ids[rows]
        valid = label.valid[rows] & (ids > 0)
        places = (ids[valid].astype(np.int64), plane[rows][valid].astype(np.int64))
        ones = np.ones(len(places[0]), np.int64)
        total = total + coo_array((ones, places), shape).tocsr()
    entries = total.tocoo()
    return entries.row.astype(np.int64), entries.col.astype(np.int64), entries.data
