"""Makes the small maps by which parts of labels are judged. Loads no torch."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from labelgrid.basics.array_types import Array, Bools, Bytes, Floats32
from labelgrid.basics.errors import LabelgridError
from labelgrid.data.dataset import ImageSource
from labelgrid.evidence.edge_agreement import Edges
from labelgrid.evidence.label_grids import FINE, FineLabel, area_means, camera_at, grid_means
from labelgrid.evidence.label_summary import Summary
from labelgrid.evidence.part_grid import CELLS, GRID, pack, unpack_bytes
from labelgrid.evidence.part_marks import (
    IMAGE,
    bent_marks,
    border_marks,
    drawn_marks,
    edge_marks,
)
from labelgrid.formats.codec import LabelArray
from labelgrid.relations.bound import BoundRelation, bind, connected_tasks, undeclared_relations
from labelgrid.relations.choice import RelationChoice
from labelgrid.tasks.task import TaskDef, TaskDefs

#: The best quarter of a cell's pixels counts: no relation holds at the borders of things.
QUARTER = 0.25
#: A derived label with a smaller share of sure pixels takes the less sure ones, too.
ENOUGH = 0.5
#: The least share of known pixels of a known cell.
KNOWN = 0.12
#: Distances are kept in steps of this, up to 254 steps; 255 is unknown.
STEP = 0.01
UNKNOWN = 255
#: Distances up to the first are agreement, from the second on contradiction: 8 and 28 degrees
#: between normals, a factor of 1.15 and 1.6 between depths.
NEAR = 0.14
FAR = 0.48
#: The pixels within which lines are near each other.
REACH = 2

#: Small maps as texts of `part_grid.pack`, by what they are of.
Packed = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class PartMaps:
    """Small maps of an image's labels, as plain values; each is text by `part_grid.pack`.

    Args:
        values: by task: int16, the commonest class of each cell, or float32, the means of the
            channels, of what is known but for its scale those of the logarithm, less the image's
            median; NaN and -1: unknown.
        distances: the distance between the label and the derived label, by relation, uint8.
        derived: the means of the derived label, by relation, float32.
        lines: by task, uint8: the pixels with a line in each cell, of labels that are lines or
            borders.
        alone: the pixels of lines far from every line of another task, by task and other task,
            uint8.
        marks: where lines are, by `part_marks`, for each task and for `part_marks.IMAGE`.
    """

    values: Packed = field(default_factory=dict)
    distances: Packed = field(default_factory=dict)
    derived: Packed = field(default_factory=dict)
    lines: Packed = field(default_factory=dict)
    alone: Mapping[str, Packed] = field(default_factory=dict)
    marks: Packed = field(default_factory=dict)


def part_relations(tasks: TaskDefs) -> list[BoundRelation]:
    """The shipped relations that fit tasks without options, and compare labels pixel by pixel.

    Options that a recipe declares are for whole labels, not for small maps of them.
    """
    bound = [bind(name, choice, tasks) for name, choice in undeclared_relations({}, tasks).items()]
    return [relation for relation in bound if relation.margin is not None]


class PartMapping:
    """Makes the small maps of images.

    Args:
        tasks: the tasks.
        relations: the relations by which labels are compared.
        source: knows the cameras of the images.
    """

    def __init__(
        self,
        tasks: TaskDefs,
        relations: Sequence[BoundRelation],
        source: ImageSource,
    ) -> None:
        self._tasks = tasks
        self.relations = relations
        self._source = source
        self._unsure: dict[str, BoundRelation] = {}
        for relation in relations:
            if relation.unsure:
                choice = RelationChoice(options=relation.unsure)
                self._unsure[relation.name] = bind(relation.name, choice, tasks)

    def of_image(
        self, image_id: str, labels: Mapping[str, Summary], edges: Edges | None = None
    ) -> PartMaps:
        """The maps of an image's labels."""
        fine, lines = _fine_and_lines(labels)
        return replace(
            self.contradictions(image_id, labels),
            values={
                task: pack(self._values(task, fine_label.label))
                for task, fine_label in fine.items()
            },
            marks=self._marks(fine, lines, edges),
        )

    def contradictions(self, image_id: str, labels: Mapping[str, Summary]) -> PartMaps:
        """The maps of `of_image` by which `part_doubts` compares labels."""
        fine, lines = _fine_and_lines(labels)
        distances = {}
        derived = {}
        for relation in self.relations:
            if fine.keys() >= connected_tasks(relation):
                label = self._derive(relation, image_id, fine)
                if label is not None:
                    given = fine[relation.gives].label
                    apart = _distances(self._tasks[relation.gives], given, label)
                    distances[relation.name] = pack(apart)
                    derived[relation.name] = pack(self._values(relation.gives, label))
        amounts, alone = _line_maps(lines)
        return PartMaps(distances=distances, derived=derived, lines=amounts, alone=alone)

    def _marks(
        self, fine: Mapping[str, FineLabel], lines: Mapping[str, Bools], edges: Edges | None
    ) -> dict[str, str]:
        marks = {IMAGE: edge_marks(edges)} if edges is not None else {}
        for task, fine_label in fine.items():
            label = fine_label.label
            if label.value.dtype.kind in "iu":
                marks[task] = border_marks(label.value[..., 0], label.valid)
            elif task in lines:
                marks[task] = drawn_marks(lines[task], label.valid)
            elif label.value.dtype.kind == "f":
                values = _comparable(self._tasks[task], label).astype(np.float32)
                marks[task] = bent_marks(values, label.valid)
        return marks

    def _derive(
        self, relation: BoundRelation, image_id: str, fine: Mapping[str, FineLabel]
    ) -> LabelArray | None:
        """The label that follows from fine labels, unsure if little is sure; None without one."""
        camera = None
        if relation.needs_camera:
            size = fine[relation.reads[0]].size
            camera = camera_at(self._source, image_id, size, FINE)
        read = {task: fine[task].label for task in relation.reads}
        with suppress(LabelgridError):
            label = relation.label(read, camera)
            if label.valid.mean() < ENOUGH and relation.name in self._unsure:
                return self._unsure[relation.name].label(read, camera)
            return label
        return None

    def _values(self, task: str, label: LabelArray) -> Array:
        if label.value.dtype.kind in "iu":
            return _commonest(label)
        means, is_known = grid_means(_comparable(self._tasks[task], label), label.valid, GRID)
        if self._tasks[task].spec.up_to and is_known.any():
            means -= np.median(means[is_known], axis=0).astype(np.float32)
        return np.where(is_known[..., None], means, np.nan).astype(np.float32)


def _fine_and_lines(
    labels: Mapping[str, Summary],
) -> tuple[dict[str, FineLabel], dict[str, Bools]]:
    fine = {}
    for task, summary in labels.items():
        if summary.fine is not None:
            fine[task] = summary.fine
    lines = {}
    for task, summary in labels.items():
        if summary.lines is not None:
            lines[task] = summary.lines
    return fine, lines


def _comparable(task: TaskDef, label: LabelArray) -> Array:
    """Values with comparable differences: logarithms, if known but for a scale."""
    if task.spec.up_to:
        return np.log(np.maximum(label.value, 1e-6))
    return label.value


def _distances(task: TaskDef, given: LabelArray, derived: LabelArray) -> Bytes:
    """The distance of a label from the derived one, of the best quarter of each cell's pixels."""
    if given.value.dtype.kind in "iu":
        difference = (given.value != derived.value).astype(np.float32)
    else:
        difference = _comparable(task, given) - _comparable(task, derived)
    both = given.valid & derived.valid
    apart = np.where(both, np.linalg.norm(difference, axis=2), np.inf).astype(np.float32)
    rows, columns = (fine // coarse for fine, coarse in zip(FINE, GRID, strict=True))
    blocks = apart.reshape(GRID[0], rows, GRID[1], columns).transpose(0, 2, 1, 3)
    ordered = np.sort(blocks.reshape(*GRID, -1), axis=2)
    pixels = np.isfinite(ordered).sum(2)
    place = (pixels * QUARTER).astype(int)
    best = np.take_along_axis(ordered, place[..., None], 2)[..., 0]
    steps = np.minimum(np.nan_to_num(best, posinf=0.0) / STEP, UNKNOWN - 1)
    enough = pixels >= KNOWN * rows * columns
    return np.where(enough, np.rint(steps), UNKNOWN).astype(np.uint8)


def _commonest(label: LabelArray) -> NDArray[np.int16]:
    """The class of the most pixels of each cell; -1 if few are labelled."""
    plain = np.where(label.valid, label.value[..., 0], -1)
    best = np.full(GRID, 0.3, np.float32)
    classes = np.full(GRID, -1, np.int16)
    for number in np.unique(plain[plain >= 0]).tolist():
        share = area_means(plain == number, GRID)
        classes[share > best] = number
        best = np.maximum(best, share)
    return classes


def _line_maps(
    lines: Mapping[str, Bools],
) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """The pixels with lines in each cell, and the pixels without another label's lines nearby."""
    import cv2

    amounts = {}
    alone: dict[str, dict[str, str]] = {}
    square = np.ones((2 * REACH + 1, 2 * REACH + 1), np.uint8)
    size = min((line.shape for line in lines.values()), default=(0, 0))
    same = {}
    for task, line in lines.items():
        small = line.astype(np.uint8)
        if line.shape != size:
            small = cv2.resize(small, size[::-1], interpolation=cv2.INTER_NEAREST)
        same[task] = small > 0
    near = {task: cv2.dilate(line.astype(np.uint8), square) > 0 for task, line in same.items()}
    for task, line in same.items():
        amounts[task] = pack(_counts(line))
        for other in same:
            if other != task:
                alone.setdefault(task, {})[other] = pack(_counts(line & ~near[other]))
    return amounts, alone


def _counts(line: Bools) -> Bytes:
    pixels = line.size / CELLS
    return np.minimum(np.rint(area_means(line, GRID) * pixels), 255).astype(np.uint8)


def apart_cells(texts: Sequence[str]) -> tuple[Floats32, Floats32]:
    """The known cells of `PartMaps.distances`, as 1, and their contradiction, from 0 to 1."""
    steps = unpack_bytes(texts)
    known_cells = (steps != UNKNOWN).astype(np.float32)
    apart = np.clip((steps * STEP - NEAR) / (FAR - NEAR), 0, 1) * known_cells
    return known_cells, apart.astype(np.float32)
