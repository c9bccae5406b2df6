"""Reads an answered folder: matches each of its files with a cell.

The folder's lists name the cell of a file, or the file's own name does.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path, PurePosixPath

from labelgrid.annotate.answers import Answer, Answers, Fault, spelling_hint
from labelgrid.annotate.connector import ProjectIndex, RemovedNames
from labelgrid.annotate.lists import (
    LABEL_LIST,
    MANIFEST,
    MANIFEST_TABLE,
    SKIPS,
    FolderLists,
    ListedLabel,
    read_lists,
    skip_lines,
)
from labelgrid.annotate.matching import LINK, add_skips, is_inside, links_outside, wrong_extension
from labelgrid.annotate.other_names import (
    UNKNOWN,
    match_other_names,
    printable,
    task_and_image,
    unknown_faults,
)
from labelgrid.basics.errors import LabelError
from labelgrid.basics.files import walk
from labelgrid.formats.naming import stem
from labelgrid.images.opening import FORMATS
from labelgrid.ledger.grid import Cell, State
from labelgrid.tasks.legend import LEGEND_PICTURE, LEGEND_TABLE, OVERLAY, OVERLAYS
from labelgrid.tasks.task import TaskDefs

README = "README.txt"
IMAGES = "images"
PRELABELS = "prelabels"
#: What is declared of the labels of a supplier.
DECLARATION = "supplier.toml"
#: Files of a request or a supplier, which are not labels.
_OTHER_FILES = frozenset({MANIFEST, MANIFEST_TABLE, README, SKIPS, LABEL_LIST, DECLARATION})
#: A hidden file that is named, unlike others: people wonder about it.
_SHOWN_HIDDEN = ".DS_Store"


@dataclass(kw_only=True)
class _Tables:
    """The tasks, requests and images of the project that file names in the folder may refer to.

    `above` is `TASK/` if all labels of the folder are of one task, and else empty.
    """

    tasks: TaskDefs
    requests: dict[str, Cell]
    images: frozenset[str]
    by_stem: Mapping[str, list[str]] = field(default_factory=dict)
    above: str = ""

    def path(self, name: str) -> PurePosixPath:
        """The path of a file below the folder of all tasks, without its extension."""
        return PurePosixPath(stem(self.above + name))


def read_answers(folder: Path, index: ProjectIndex) -> Answers:
    """Match the files below a folder with cells.

    A file is a label if (a) `manifest.json` or `labels.csv` in the folder lists its path, (b) its
    name is a request id, or (c) it is `<task>/<image path>.<ext>`, also below `labels/`, with the
    image's extension replaced or kept. If no file is in a task's folder, all files are of the task
    of `index.options`, or of the task that the folder is named after, where there is one.
    A file that is none of these, or is ambiguous, is a fault;
    if nothing with its extension can be a label, it is only listed as stray. A file of a removed
    image or a dropped task is only listed, too.

    Raises:
        LabelError: there is no such folder, it is a file, or nothing is in it.
    """
    if not folder.exists():
        raise LabelError("There is no such folder.", where=folder, next_step="Check the path.")
    if not folder.is_dir():
        raise LabelError(
            "It is a file, not a folder of labels.",
            where=folder,
            next_step="Unpack an archive and name the folder, or name another tool's --format.",
        )
    lists = read_lists(folder, index.decode)
    answers = Answers(faults=lists.faults)
    found = _walk(folder, set(index.tasks))
    names = [name for name in found if name in lists.files or not _is_shown(name, index.tasks)]
    skips = skip_lines(folder, answers.faults, index.decode)
    skipped_ids = {request_id for _, request_id, _ in skips}
    above = _above(folder, names, index)
    tables = _look_up(index, names, lists.files, skipped_ids, above=above)
    _add_files(answers, folder, names=names, lists=lists, index=index, tables=tables)
    closed = index.closed(skipped_ids - tables.requests.keys())
    add_skips(answers, skips, tables.requests, closed)
    if not answers.has_any and not answers.stray:
        raise LabelError(
            "There is no answer in the folder: no label, no line in skips.csv.",
            where=folder,
            next_step="Put labels where its manifest says, or at TASK/IMAGE.png.",
            unchanged="Nothing was imported.",
        )
    return answers


def _walk(folder: Path, tasks: set[str]) -> Iterator[str]:
    """The files below the folder that should be labels; each folder is visited once.

    Links to folders are followed if they stay inside; those that lead out count as files.
    """
    for prefix, folders, names in walk(folder, links=True, on_error=_refuse_unreadable):
        is_top = not prefix
        excluded = {IMAGES, PRELABELS} if is_top else set()
        if MANIFEST not in names:  # else it is a request, whose photographs are there
            excluded -= tasks
        inside = []
        files = list(names)
        for name in folders:
            if name.startswith(".") or name in excluded:
                continue
            if links_outside(folder, prefix + name):
                files.append(name)
            else:
                inside.append(name)
        folders[:] = sorted(inside)
        for name in sorted(files):
            hidden = name.startswith(".") and name != _SHOWN_HIDDEN
            if not hidden and not (is_top and name in _OTHER_FILES):
                yield prefix + name


def _above(folder: Path, names: Iterable[str], index: ProjectIndex) -> str:
    """What is missing before the names in a folder that holds the labels of one task alone.

    `TASK/`, by what a person said or by the folder's own name; empty if files are in folders of
    tasks, or if it is no task's.
    """
    task = index.options.task or folder.name
    if task not in index.tasks:
        return ""
    tasks = index.tasks.keys() | index.removed().tasks
    for name in names:
        named, image = task_and_image(PurePosixPath(name))
        if image and named in tasks:
            return ""
    return f"{task}/"


def _is_shown(name: str, tasks: Collection[str]) -> bool:
    """Whether a file is one of those that `predict` writes for people beside its label files."""
    path = PurePosixPath(name)
    if len(path.parts) == 1:
        return name in (LEGEND_TABLE, LEGEND_PICTURE)
    return path.parts[0] == OVERLAYS and OVERLAYS not in tasks and path.suffix == OVERLAY


def _refuse_unreadable(error: OSError) -> None:
    where = str(error.filename)
    what = f"The folder cannot be read: {error.strerror}."
    raise LabelError(
        what, where=where, next_step="Fix its permissions.", unchanged="Nothing was imported."
    ) from error


def _look_up(
    index: ProjectIndex,
    names: Iterable[str],
    listed: Mapping[str, ListedLabel],
    request_ids: set[str],
    *,
    above: str,
) -> _Tables:
    """Look up the tasks, requests and images that the names may refer to.

    Each table of the ledger is read once.

    Args:
        index: the project.
        names: of the files.
        listed: the entries of the folder's lists, by the name of their file.
        request_ids: further ids of requests.
        above: as of `_Tables`.
    """
    request_ids = set(request_ids)
    image_names = set()
    for name in names:
        if name not in listed:
            path = PurePosixPath(stem(above + name))
            request_ids.add(path.name)
            image_names.add("/".join(path.parts[1:]))
            image_names.add("/".join(path.parts[2:]))
    listed_images = set()
    for entry in listed.values():
        listed_images.add(entry.cell.image_id)
        if entry.request_id:
            request_ids.add(entry.request_id)
    images: set[str] = set()
    by_stem: dict[str, list[str]] = defaultdict(list)
    for image_id in index.images():
        if image_id in image_names or image_id in listed_images:
            images.add(image_id)
        image_stem = stem(image_id)
        if image_stem in image_names:
            by_stem[image_stem].append(image_id)
    return _Tables(
        tasks=index.tasks,
        requests=index.requests(request_ids),
        images=frozenset(images),
        by_stem=by_stem,
        above=above,
    )


def _add_files(
    answers: Answers,
    folder: Path,
    *,
    names: Sequence[str],
    lists: FolderLists,
    index: ProjectIndex,
    tables: _Tables,
) -> None:
    """Add each file to the answers: as a label, as a stray or removed file, or as a fault."""
    removed = index.removed()
    unknown = []
    named_tasks: set[str] = set()
    for name in names:
        entry = lists.files.get(name)
        if entry:
            match = _match_by_list(name, entry, folder, tables)
        else:
            match = _match_by_name(name, folder, tables)
        is_unknown = isinstance(match, Fault) and match.what == UNKNOWN
        if _is_stray(name, match, index):
            answers.stray.append(printable(name))
        elif is_unknown and not entry and not _is_removed(name, entry, tables, removed):
            unknown.append(name)
        else:
            if not entry:
                named_tasks.add(task_and_image(tables.path(name))[0])
            if is_unknown and _is_removed(name, entry, tables, removed):
                answers.removed.append(printable(name))
            else:
                _add(answers, name, match, folder=folder, lists=lists)
    if unknown:
        _add_other_names(
            answers,
            folder,
            unknown=unknown,
            named_tasks=named_tasks,
            removed=removed,
            lists=lists,
            index=index,
            tables=tables,
        )


def _add_other_names(
    answers: Answers,
    folder: Path,
    *,
    unknown: Sequence[str],
    named_tasks: set[str],
    removed: RemovedNames,
    lists: FolderLists,
    index: ProjectIndex,
    tables: _Tables,
) -> None:
    """Add the files that are named after no image; of tasks with others, all are faults."""
    images = index.images()
    full_names = [tables.above + name for name in unknown]
    others = match_other_names(
        full_names,
        tasks=(index.tasks.keys() | removed.tasks) - named_tasks,
        images=sorted({*images, *removed.images}),
    )
    for full_name, cell in others.cells.items():
        name = full_name.removeprefix(tables.above)
        if cell.image_id in removed.images or cell.task in removed.tasks:
            answers.removed.append(printable(name))
        else:
            match = _unless_wrong(name, cell, folder, tables)
            _add(answers, name, match, folder=folder, lists=lists)
    rest = [name for name in full_names if name not in others.cells]
    answered = {answer.cell for answer in answers.labels}
    # Of all names of a task, the grid is read once.
    waiting = cache(partial(_waiting_images, index, answered))
    faults = unknown_faults(rest, index.tasks, images, others.tried, waiting=waiting)
    answers.faults += [
        replace(fault, where=fault.where.removeprefix(tables.above)) for fault in faults
    ]
    answers.notes += others.notes


def _waiting_images(index: ProjectIndex, answered: Collection[Cell], task: str) -> list[list[str]]:
    """The images without a label of a task, also in this answer: first those with a request."""
    groups = []
    images = index.images_by_state(task)
    for state in (State.REQUESTED, State.MISSING):
        cells = [Cell(image_id, task) for image_id in images.get(state, ())]
        groups.append([cell.image_id for cell in cells if cell not in answered])
    return groups


def _add(
    answers: Answers, name: str, match: Cell | Fault, *, folder: Path, lists: FolderLists
) -> None:
    """Add a file to the answers: as the label of a cell, or as a fault."""
    if isinstance(match, Fault):
        answers.faults.append(match)
        return
    seconds, _ = lists.seconds.get(match, (None, ""))
    annotator = lists.annotators.get(match, ("",))[0]
    answers.labels.append(
        Answer(cell=match, where=name, label=folder / name, seconds=seconds, annotator=annotator)
    )


def _unless_wrong(name: str, cell: Cell, folder: Path, tables: _Tables) -> Cell | Fault:
    """The cell of a file, or the fault of its extension."""
    return wrong_extension(name, name, cell, tables.tasks[cell.task], path=folder / name) or cell


def _match_by_list(name: str, entry: ListedLabel, folder: Path, tables: _Tables) -> Cell | Fault:
    cell = entry.cell
    if not is_inside(folder, name):
        return Fault(name, LINK, "Copy the label itself into the folder.", cell)
    if cell.task not in tables.tasks or cell.image_id not in tables.images:
        return Fault(name, UNKNOWN, _advice_on_unknown(cell, tables), cell)
    requested = tables.requests.get(entry.request_id, cell)
    if requested != cell:
        what = (
            f"The list gives it request {entry.request_id}, which is for "
            f"[{requested.image_id}, {requested.task}]."
        )
        return Fault(name, what, "Restore the exported list.", cell)
    return _unless_wrong(name, cell, folder, tables)


def _advice_on_unknown(cell: Cell, tables: _Tables) -> str:
    if cell.task in tables.tasks:
        return "Add the image with `labelgrid add`, or import the folder into its own project."
    hint = spelling_hint(cell.task, sorted(tables.tasks))
    return hint or f"The tasks are {', '.join(tables.tasks)}."


def _match_by_name(name: str, folder: Path, tables: _Tables) -> Cell | Fault:
    if links_outside(folder, name):
        return Fault(name, LINK, "Copy the label itself into the folder.")
    path = tables.path(name)
    matches = set()
    if path.name in tables.requests:
        matches.add(tables.requests[path.name])
    task, image = task_and_image(path)
    if task in tables.tasks:
        matches |= {Cell(image_id, task) for image_id in _images_named(image, tables)}
    if not matches:
        return Fault(name, UNKNOWN)
    if len(matches) > 1:
        cells = " or ".join(f"[{cell.image_id}, {cell.task}]" for cell in sorted(matches))
        return Fault(
            name,
            f"It could be the label of {cells}.",
            "Keep the image's extension: TASK/IMAGE.jpg.png.",
        )
    return _unless_wrong(name, matches.pop(), folder, tables)


def _images_named(name: str, tables: _Tables) -> set[str]:
    """The images with this id, or with this id but for its extension."""
    images = set(tables.by_stem.get(name, ()))
    if name in tables.images:
        images.add(name)
    return images


def _is_stray(name: str, match: Cell | Fault, index: ProjectIndex) -> bool:
    """Whether a file of no cell is neither an image nor of a label format of the project."""
    if isinstance(match, Cell) or match.cell or match.what == LINK:
        return False
    extensions = set(FORMATS)
    for task in index.tasks.values():
        extensions.update(task.codec.EXTENSIONS)
    return PurePosixPath(name).suffix.lower() not in extensions


def _is_removed(
    name: str, entry: ListedLabel | None, tables: _Tables, removed: RemovedNames
) -> bool:
    """Whether a file that matches no cell is of a removed image or a dropped task."""
    path = tables.path(name)
    if path.name in removed.requests:
        return True
    if entry:
        task = entry.cell.task
        image = entry.cell.image_id
        removed_images = removed.images
    else:
        task, image = task_and_image(path)
        removed_images = removed.images | removed.stems
    if task not in tables.tasks and task not in removed.tasks:
        return False
    return image in removed_images or bool(_images_named(image, tables))
