"""Turns the regions of a tool into answers: finds their images, tasks and classes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from labelgrid.annotate.answers import Answer, Answers, Fault, join_answers
from labelgrid.annotate.class_names import ClassNames, NameTarget
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.image_names import ImageNames
from labelgrid.basics.errors import EmptyLabelError, LabelError
from labelgrid.basics.type_names import Size
from labelgrid.basics.words import count_text, join_names
from labelgrid.formats.codec import LabelArray
from labelgrid.formats.regions import IGNORED, UNCOVERED, Canvas
from labelgrid.images.opening import WrongFileError, refuse_giant
from labelgrid.ledger.grid import Cell
from labelgrid.tasks.task import TaskDef


@dataclass(frozen=True)
class Shape:
    """A region of a tool: the name, and a function that paints the region with a number.

    It is not labelled where `optional` says that no task needs the name, and no task knows it.
    """

    name: str
    paint: Callable[[Canvas, int], None]
    optional: bool = False


@dataclass(frozen=True, kw_only=True)
class DrawnImage:
    """The regions of an image in a tool.

    Args:
        image: the tool's name of the image.
        where: the file or line, for messages.
        size: height and width, as the tool says.
        shapes: the shapes in the order of painting.
        cell: the cell that it answers, if the tool kept our request's id; None: found by its name.
        seconds: as in `Answer`.
        annotator: as in `Answer`.
        made: as in `Answer`.
        uploaded: whether the name is that of an upload, as `ImageNames.find_uploaded` reads it.
        incomplete: whether an entry for the image is wrong; the fault is reported for the file, and
            the image gets no label.
    """

    image: str
    where: str
    size: Size
    shapes: Sequence[Shape] = field(repr=False)
    cell: Cell | None = None
    seconds: float | None = None
    annotator: str = ""
    made: str = ""
    uploaded: bool = False
    incomplete: bool = False

    def find(self, names: ImageNames) -> list[str]:
        """The images that the name can mean."""
        if self.uploaded:
            return names.find_uploaded(self.image)
        return names.find(self.image)


@dataclass
class FoundRegions:
    """The regions that a connector finds in an answer.

    Args:
        images: what the tool has of each image.
        rest: everything else, such as faults of files.
    """

    images: list[DrawnImage] = field(default_factory=list)
    rest: Answers = field(default_factory=Answers)

    def answers(self, index: ProjectIndex, answer: Path, nothing: str, next_step: str) -> Answers:
        """The labels of the images, and everything else.

        Without any, `nothing` says so, and `next_step` what to do.

        Raises:
            LabelError: there is none; no task, or more than one, knows the names of the shapes.
        """
        answers = join_answers([region_answers(self.images, index), self.rest])
        if not (self.images or answers.has_any):
            raise LabelError(
                nothing, where=answer, next_step=next_step, unchanged="Nothing was imported."
            )
        return answers


def region_answers(images: Sequence[DrawnImage], index: ProjectIndex) -> Answers:
    """The labels of drawn images.

    An image that is not the project's is counted as foreign. An image without a shape is labelled
    only if it answers a request; other images count as empty. The shapes of a request are of its
    task. An incomplete image has no label: what is missing may cover any of its pixels.

    Raises:
        LabelError: no task, or more than one, knows the names of the shapes.
    """
    classes = index.class_names()
    finder = index.image_names()
    images = [image for image in images if not image.incomplete]
    image_ids = [[] if image.cell else image.find(finder) for image in images]
    ours = [image for image, ids in zip(images, image_ids, strict=True) if ids]
    common = _targets(ours, classes)
    answers = Answers()
    for image, ids in zip(images, image_ids, strict=True):
        targets = common
        try:
            if image.cell:
                targets = _targets([image], classes, image.cell.task)
        except LabelError as error:
            answers.faults.append(Fault.of_error(image.where, error, image.cell))
            continue
        cells = _cells(image, ids, targets)
        if isinstance(cells, Fault):
            answers.faults.append(cells)
            continue
        answers.foreign += cells is None
        answers.empty += cells == []
        for cell in cells or []:
            note = partial(
                index.uncovered.add,
                (cell.task, index.options.format),
                cell,
                rest=classes.rest_name(cell.task),
            )
            label = partial(
                _paint,
                image,
                index.tasks[cell.task],
                targets,
                rest=classes.rest(cell.task),
                note=note,
            )
            answers.labels.append(
                Answer(
                    cell=cell,
                    where=image.where,
                    label=label,
                    seconds=image.seconds,
                    annotator=image.annotator,
                    made=image.made,
                )
            )
    return answers


def _targets(
    images: Iterable[DrawnImage], classes: ClassNames, task: str = ""
) -> dict[str, NameTarget]:
    """The meaning of each name of a shape."""
    names = set[str]()
    optional = set[str]()
    for image in images:
        for shape in image.shapes:
            (optional if shape.optional else names).add(shape.name)
    return classes.targets(names, task, optional=optional)


def _cells(
    image: DrawnImage, ids: Sequence[str], targets: Mapping[str, NameTarget]
) -> list[Cell] | Fault | None:
    """The cells that an image's shapes label; None for an image of another project.

    `ids` are the images that its name can mean.
    """
    if image.cell:
        return [image.cell]
    if len(ids) > 1:
        message = f"The image '{image.image}' could be {join_names(ids, 3, ' or ')}."
        return Fault(image.where, message, "Name it with its folder.")
    if not ids:
        return None
    tasks = set[str]()
    for shape in image.shapes:
        target = targets[shape.name]
        if target.number != IGNORED or not shape.optional:
            tasks.add(target.task)
    return [Cell(ids[0], task) for task in sorted(tasks)]


def _paint(
    image: DrawnImage,
    task: TaskDef,
    targets: Mapping[str, NameTarget],
    *,
    rest: int | None,
    note: Callable[[float], None],
) -> LabelArray:
    """Paint the label of one task.

    `note` is told which share of its pixels no region covers, and nothing else labels.

    Raises:
        LabelError: a shape cannot be painted, or the image is too large.
        EmptyLabelError: no pixel is labelled, or classes were drawn, and all of them outside the
            image: what is there instead is not known.
    """
    try:
        refuse_giant(*image.size)
    except WrongFileError as error:
        raise LabelError(f"The image of the regions is too large: {error}.") from error
    canvas = Canvas(image.size)
    drawn = 0
    for shape in image.shapes:
        target = targets[shape.name]
        if target.task == task.name:
            shape.paint(canvas, target.number)
            drawn += target.number != IGNORED
    uncovered = canvas.regions == UNCOVERED
    if drawn and len(task.region_names) > 1 and uncovered.all():
        raise EmptyLabelError(
            f"{count_text(drawn, 'region covers', 'regions cover')} no pixel: such lie "
            "outside the image, or are empty.",
            next_step="Draw them again, or remove them; or leave the image out: --leave-out.",
        )
    if rest is not None:
        canvas.regions[uncovered] = rest
    label = task.from_regions(canvas.regions)
    note(float((uncovered & ~label.valid).mean()))
    if not label.valid.any():
        raise EmptyLabelError(
            "No region covers a pixel, and what none covers is not labelled.",
            next_step="Say what class it is, such as --rest background; or skip the request.",
        )
    return label
