"""Finds the images of labels with other names, and words the next step for the rest."""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from labelgrid.annotate.answers import Fault, plain_spelling, spelling_hint
from labelgrid.annotate.common_affixes import TRIED, match_names
from labelgrid.annotate.image_names import ImageNames
from labelgrid.annotate.lists import LABEL_LIST
from labelgrid.annotate.manifest import LABELS
from labelgrid.basics.progress import Progress, Silent
from labelgrid.basics.words import by_value, count_text
from labelgrid.formats.naming import stem
from labelgrid.ledger.grid import Cell

UNKNOWN = "The label is of an unknown image or task."
_NUMBER = re.compile(r"\d+", re.ASCII)
#: Of more files, none is compared with the images that wait for a label.
MISSPELT = 20
#: A shorter name is another one with a single other letter.
SHORTEST = 3
#: The images that wait for a label of a task, in groups: the likeliest first.
Waiting = Callable[[str], Sequence[Sequence[str]] | None]
#: What cures every label of an unknown image.
_ADVICE = (
    f"Say whose it is in {LABEL_LIST}, a table of image,task,path; or add the image with "
    "`labelgrid add`, or remove the file."
)


def task_and_image(path: PurePosixPath) -> tuple[str, str]:
    """The task and the image of `<task>/<image>`, also below `labels/`."""
    parts = path.parts
    if parts[0] == LABELS and len(parts) > 2:
        parts = parts[1:]
    return parts[0], "/".join(parts[1:])


def printable(name: str) -> str:
    """A file's name as text; it may not be valid Unicode."""
    return name.encode(errors="replace").decode()


@dataclass(frozen=True)
class OtherNames:
    """The cells of files whose names all differ from the images' names in the same way.

    Args:
        cells: file -> its cell.
        notes: how the names of each task were matched, a sentence each.
        tried: task -> a sentence on what was tried for the task's other files.
    """

    cells: dict[str, Cell] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    tried: dict[str, str] = field(default_factory=dict)


def match_other_names(
    names: Iterable[str], tasks: Collection[str], images: Sequence[str]
) -> OtherNames:
    """Match files that are not named after an image, for each task by itself.

    Args:
        names: the names of files, as paths below the answer.
        tasks: the tasks without a file named after its image: two ways of naming are never mixed.
        images: all image ids.
    """
    by_task: dict[str, dict[str, str]] = defaultdict(dict)
    for name in names:
        task, image = task_and_image(PurePosixPath(stem(name)))
        if task in tasks and image:
            by_task[task][name] = image
    others = OtherNames()
    for task, labels in by_task.items():
        match = match_names(list(labels.values()), images)
        if match is None:
            others.tried[task] = f"Tried: its name {TRIED}."
            continue
        cells = {
            name: Cell(match.images[image], task)
            for name, image in labels.items()
            if image in match.images
        }
        others.cells.update(cells)
        if len(cells) == len(labels):
            others.notes.append(f"{task}: {match.how}.")
        others.tried[task] = match.how
        if match.images:
            count = count_text(len(match.images), "other file")
            others.tried[task] = f"Of {count} of {task}, {match.how}; not this one."
    return others


def unknown_faults(
    names: Sequence[str],
    tasks: Collection[str],
    images: Sequence[str],
    tried: Mapping[str, str],
    *,
    waiting: Waiting | None = None,
    progress: Progress | None = None,
) -> list[Fault]:
    """The faults of files of unknown images or tasks, each with a next step.

    No hint names another photograph: a name counts as misspelt only if it differs from the name of
    an image that waits for such a label by folders, capitals, codes of accents, blanks, "_" or "-",
    or by one mistake.
    """
    if not names:
        return []
    finder = ImageNames(images)
    by_spelling = defaultdict(list)
    for image_id in images:
        by_spelling[plain_spelling(stem(image_id))].append(image_id)
    faults = []
    progress = progress or Silent()
    progress.start("Looking for images of other names", len(names), "files")
    for name in names:
        progress.advance()
        task, image = task_and_image(PurePosixPath(stem(name)))
        near = by_spelling.get(plain_spelling(image), [])
        if not near and "/" not in image:
            near = finder.find(image)
        if task not in tasks:
            step = spelling_hint(task, sorted(tasks)) or (
                f"Name it REQUEST_ID.png or TASK/IMAGE.png ({', '.join(tasks)}). If all files of "
                "the folder are of one task, `--task TASK` says it; if a tool wrote them, "
                "`--format NAME` does (`labelgrid list tools`)."
            )
        elif near:
            step = _renaming(name, task, near)
        else:
            groups = waiting(task) if waiting and len(names) <= MISSPELT else None
            step = _advice(name, tried.get(task, ""), groups or ())
        faults.append(Fault(printable(name), UNKNOWN, step))
    return faults


def _advice(name: str, tried: str, waiting: Iterable[Sequence[str]]) -> str:
    """The next step for a file that is named after no image: a name with a mistake comes first."""
    task, image = task_and_image(PurePosixPath(stem(name)))
    for group in waiting:
        near = images_misspelt(image, group)
        if near:
            return f"{_renaming(name, task, near)} If not: {_ADVICE[:1].lower()}{_ADVICE[1:]}"
    return f"{tried} {_ADVICE}".lstrip()


def images_misspelt(name: str, images: Iterable[str]) -> list[str]:
    """The images whose name, without extension, differs by one mistake.

    A character is missing, too much or another one, or two neighbours are exchanged. A name without
    folders is compared with names without theirs. Names that only differ by a number are those of
    different photographs.

    Example:
        >>> images_misspelt("04O1", ["0401.jpg", "0402.jpg", "0481.jpg"])
        ['0401.jpg', '0481.jpg']
    """
    if len(name) < SHORTEST:
        return []
    shortened = _shortened(name)
    misspelt = []
    for image_id in images:
        other = stem(image_id)
        if "/" not in name:
            other = other.rpartition("/")[2]
        near = abs(len(other) - len(name)) <= 1 and not shortened.isdisjoint(_shortened(other))
        if near and not _is_another_number(name, other):
            misspelt.append(image_id)
    return sorted(misspelt)


def _shortened(name: str) -> set[str]:
    return {name} | {name[:index] + name[index + 1 :] for index in range(len(name))}


def _is_another_number(name: str, other: str) -> bool:
    values = [list(map(by_value, _NUMBER.findall(text))) for text in (name, other)]
    return _NUMBER.sub("0", name) == _NUMBER.sub("0", other) and values[0] != values[1]


def _renaming(name: str, task: str, near: Sequence[str]) -> str:
    new_name = f"{task}/{near[0]}{PurePosixPath(name).suffix}"
    if len(near) == 1:
        return f"Did you mean '{near[0]}'? Then name the file '{new_name}'."
    could = " or ".join(f"'{image_id}'" for image_id in near[:3])
    return f"It could be of {could}: name it after its image, such as '{new_name}'."
