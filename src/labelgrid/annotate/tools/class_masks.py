"""Reads labels with a PNG for each class or instance of an image: numbers above 0 are inside."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath

from labelgrid.annotate import lists
from labelgrid.annotate.answers import Answers, Fault, join_answers
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.image_names import ImageNames
from labelgrid.annotate.lists import LABEL_LIST, ListedLabel
from labelgrid.annotate.mask_files import LOOKED_AT, Masks, head_of_first, png_names
from labelgrid.annotate.region_answers import DrawnImage, Shape, region_answers
from labelgrid.basics.errors import LabelError
from labelgrid.basics.recognition import Recognition
from labelgrid.basics.words import count_text, join_names
from labelgrid.ledger.grid import Cell

#: How Label Studio names a mask: task, annotation, who made it, tag and class, number.
_BRUSH = re.compile(r"task-\d+-annotation-(\d+)-by-(.+?)-(\d+)\.png")
#: The number of an instance at the end of a name.
_INSTANCE = re.compile(r"[_-]\d+$")
#: What such masks are, in words.
_WHAT = "masks, one a class"
#: The columns of a list that says what each mask shows.
_COLUMNS = {"image", "path", lists.CLASS}
#: Whether a task knows the name of a class.
Knows = Callable[[str], bool]


@dataclass(frozen=True)
class _Mask:
    """A mask file with the image and the region shown.

    Without a `task`, the mask is of the task that knows the class.
    """

    name: str
    image: str
    region: str
    task: str = ""


class ClassMasksConnector:
    """Reads folders of masks, each of one class or instance. It only receives.

    A mask is named `IMAGE_CLASS.png`, `IMAGE_CLASS_3.png`, `IMAGE/CLASS.png` or `CLASS/IMAGE.png`.
    Or a `labels.csv` with the columns `image`, `task` and `path` says what each mask shows, with
    `class` if the file's name does not end in it; Label Studio's brush files always need that list.

    See `labelgrid.annotate.connector.Connector`.
    """

    def receive(self, answer: Path, index: ProjectIndex) -> Answers:
        """Read the masks of a folder; the masks of an image and a task are one label.

        Where masks overlap, the one whose file comes later by its name counts.
        """
        names = list(png_names(answer))
        finder = index.image_names()
        listed = lists.read_lists(answer, index.decode)
        masks, faults = _listed_masks(names, listed.files, index)
        faults += listed.faults
        # Of an image of which a mask is missing or wrong, no mask is read.
        faulty = {fault.cell.image_id for fault in faults if fault.cell}
        wrong = {_images_of(name, finder) for name in faulty}
        masks = [mask for mask in masks if _images_of(mask.image, finder) not in wrong]
        masks += _named_masks([name for name in names if name not in listed.files], index, answer)
        if not (masks or faults):
            raise LabelError(
                "There are no masks in the folder.",
                where=answer,
                next_step="Name them IMAGE_CLASS.png, IMAGE/CLASS.png or CLASS/IMAGE.png.",
            )
        parts = [Answers(faults=faults)]
        of_task: dict[str, list[_Mask]] = defaultdict(list)
        for mask in masks:
            of_task[mask.task].append(mask)
        files = Masks(answer)
        for task, group in of_task.items():
            images, faults = _drawn(group, files, listed.seconds, finder)
            labels = region_answers(images, index.of_task(task) if task else index)
            parts += [Answers(faults=faults), labels]
        return join_answers(parts)

    def recognise(self, path: Path) -> Recognition | None:
        """Recognise masks by Label Studio's names, or by a list with a column for the class."""
        if lists.table_columns(path, LABEL_LIST) >= _COLUMNS or head_of_first(
            path, _BRUSH.fullmatch
        ):
            return Recognition(_WHAT, 0.9)
        return None

    def recognise_names(self, path: Path, index: ProjectIndex) -> Recognition | None:
        """Recognise masks if most names say an image and a class of the project."""
        try:
            names = list(islice(png_names(path), LOOKED_AT))
            finder = index.image_names()
            knows = index.of_task(index.options.task).class_names().knows  # nobody asked for them
        except (OSError, LabelError):
            return None
        fitting = 0
        for name in names:
            image, region = _by_name(name, finder, knows)
            fitting += bool(finder.find(image)) and knows(region)
        if 2 * fitting > len(names):
            return Recognition(_WHAT, 0.5)
        return None


build = ClassMasksConnector


def _listed_masks(
    names: list[str], listed: Mapping[str, ListedLabel], index: ProjectIndex
) -> tuple[list[_Mask], list[Fault]]:
    present = set(names)
    masks = []
    faults = []
    knows = {}
    for name, entry in sorted(listed.items()):
        task = entry.cell.task
        if task and task not in index.tasks:
            tasks = join_names(list(index.tasks))
            message = f"The project has no task '{task}'."
            faults.append(Fault(name, message, f"The tasks are {tasks}.", entry.cell))
        elif name not in present:
            message = f"There is no PNG file '{name}'."
            faults.append(Fault(name, message, "Put the mask there.", entry.cell))
        else:
            if task not in knows:
                narrowed = index.of_task(task) if task else index
                knows[task] = narrowed.class_names().knows
            region = entry.region or _region_of(PurePosixPath(name).stem, knows[task])
            masks.append(_Mask(name, entry.cell.image_id, region, task))
    return masks, faults


def _images_of(name: str, finder: ImageNames) -> tuple[str, ...]:
    """The images that a name can mean; of a foreign image the name itself."""
    return tuple(finder.find(name)) or (name,)


def _named_masks(names: list[str], index: ProjectIndex, folder: Path) -> list[_Mask]:
    """The masks whose names say their image and class; of foreign images, without the class."""
    brushed = [name for name in names if _BRUSH.fullmatch(PurePosixPath(name).name)]
    if brushed:
        count = count_text(len(brushed), "mask is", "masks are")
        raise LabelError(
            f"{count} named by the numbers of Label Studio, as {brushed[0]}, and nothing says of "
            "which images they are.",
            where=folder,
            next_step=f"Write {LABEL_LIST} beside them: the columns image,task,path and a line for "
            "each file. Or export JSON from Label Studio, which names the images.",
        )
    finder = index.image_names()
    knows = index.class_names().knows
    masks = []
    for name in names:
        image, region = _by_name(name, finder, knows)
        masks.append(_Mask(name, image, region))
    return masks


def _by_name(name: str, finder: ImageNames, knows: Knows) -> tuple[str, str]:
    """The image and class of a mask, by the first known way to read its name.

    Else by the first way with an image of the project; else the name itself, and no class.
    """
    with_image = []
    for image, region in _readings(PurePosixPath(name).with_suffix("")):
        if finder.find(image):
            if knows(region):
                return image, region
            with_image.append((image, region))
    return [*with_image, (name, "")][0]


def _readings(path: PurePosixPath) -> Iterator[tuple[str, str]]:
    """All ways to read a mask's path, without extension, as an image (with one) and a class."""
    stem = path.name
    for index in range(len(stem) - 1, 0, -1):
        if stem[index] == "_":
            image = f"{path.with_name(stem[:index])}.png"
            for region in _with_and_without_number(stem[index + 1 :]):
                yield image, region
    folders = path.parts[:-1]
    if not folders:
        return
    for region in _with_and_without_number(stem):
        yield f"{path.parent}.png", region
    for last in _with_and_without_number(stem):
        yield f"{'/'.join([*folders[:-1], last])}.png", folders[-1]
        yield f"{'/'.join([*folders[1:], last])}.png", folders[0]


def _with_and_without_number(name: str) -> list[str]:
    """A name, and the same without the number of an instance.

    Example:
        >>> _with_and_without_number("wall_3"), _with_and_without_number("wall")
        (['wall_3', 'wall'], ['wall'])
    """
    return list(dict.fromkeys((name, _INSTANCE.sub("", name))))


def _region_of(stem: str, knows: Knows) -> str:
    """The class in a mask's name, whatever stands before: the longest known end.

    If no end is known, the part behind Label Studio's tag, else the whole name.
    """
    for name in _with_and_without_number(stem):
        for index, character in enumerate(f"-{name}"):
            if character in "-_" and knows(name[index:]):
                return name[index:]
    return _INSTANCE.sub("", stem.rpartition("-tag-")[2])


def _drawn(
    masks: list[_Mask], files: Masks, seconds: Mapping[Cell, tuple[float, str]], finder: ImageNames
) -> tuple[list[DrawnImage], list[Fault]]:
    groups: dict[tuple[str, ...], list[_Mask]] = defaultdict(list)
    for mask in sorted(masks, key=lambda mask: mask.name):
        groups[_images_of(mask.image, finder)].append(mask)
    images = []
    faults = []
    for group in groups.values():
        first = group[0]
        brushed = [_BRUSH.fullmatch(PurePosixPath(mask.name).name) for mask in group]
        annotations = sorted({match[1] for match in brushed if match})
        if len(annotations) > 1:
            numbers = join_names(annotations, 5, " and ")
            message = f"Annotations {numbers} both draw '{first.image}'."
            faults.append(Fault(first.name, message, "Keep the files of one of them."))
            continue
        shown = group if finder.find(first.image) else ()
        shapes = [Shape(mask.region, partial(files.paint_positive, mask.name)) for mask in shown]
        try:
            size = files.size(first.name)
        except LabelError as error:
            faults.append(Fault.of_error(first.name, error))
            continue
        images.append(
            DrawnImage(
                image=first.image,
                where=first.name,
                size=size,
                shapes=shapes,
                seconds=seconds.get(Cell(first.image, first.task), (None, ""))[0],
            )
        )
    return images, faults
