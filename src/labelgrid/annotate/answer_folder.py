"""Reads an answered folder: matches each of its files with a cell.

The folder's lists name the cell of a file, or the file's own name does.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path, PurePosixPath

from labelgrid.annotate.answers import Answer, Answers, Fault, spelling_hint
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.lists import LABEL_LIST, SKIPS, ListedLabel, read_lists, skip_lines
from labelgrid.annotate.manifest import IMAGES, MANIFEST, MANIFEST_TABLE
from labelgrid.annotate.matching import (
    LINK,
    add_skips,
    is_inside,
    link_fault,
    links_outside,
    wrong_extension,
)
from labelgrid.annotate.other_names import (
    UNKNOWN,
    match_other_names,
    printable,
    task_and_image,
    unknown_faults,
)
from labelgrid.basics.errors import LabelError
from labelgrid.basics.files import walk
from labelgrid.formats.confidence import confidence_folder
from labelgrid.formats.naming import stem
from labelgrid.images.opening import FORMATS
from labelgrid.ledger.grid import Cell, State
from labelgrid.tasks.legend import LEGEND_PICTURE, LEGEND_TABLE, OVERLAY, OVERLAYS

README = "README.txt"
PRELABELS = "prelabels"
#: What is declared of the labels of a supplier.
DECLARATION = "supplier.toml"
#: Files of a request or a supplier, which are not labels.
_OTHER_FILES = frozenset({MANIFEST, MANIFEST_TABLE, README, SKIPS, LABEL_LIST, DECLARATION})
#: A hidden file that is named, unlike others: people wonder about it.
_SHOWN_HIDDEN = ".DS_Store"


def read_answers(folder: Path, index: ProjectIndex) -> Answers:
    """Match the files below a folder with cells.

    A file is a label if (a) `manifest.json` or `labels.csv` in the folder lists its path, (b) its
    name is a request id, or (c) it is `<task>/<image path>.<ext>`, also below `labels/`, with the
    image's extension replaced or kept. If no file is in a task's folder, all files are of the task
    of `index.options`, or else of the task with the folder's name. A file
    that fits none of these names, or several, is a fault; if no file with its extension can be a
    label, the file is only listed as stray. A file of a removed image or a dropped task is only
    listed, too.

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
    answers = _Matching(folder, index).match_all()
    if not answers.has_any and not answers.stray:
        raise LabelError(
            "There is no answer in the folder: no label, no line in skips.csv.",
            where=folder,
            next_step="Put labels where its manifest says, or at TASK/IMAGE.png.",
            unchanged="Nothing was imported.",
        )
    return answers


class _Matching:
    """Matches the files of a folder with cells; each table of the ledger is read once."""

    def __init__(self, folder: Path, index: ProjectIndex) -> None:
        self._folder = folder
        self._index = index
        self._tasks = index.tasks
        self._removed = index.removed()
        self._lists = read_lists(folder, index.decode)
        self._answers = Answers(faults=self._lists.faults)
        self._names = [
            name
            for name in _walk(folder, set(index.tasks))
            if name in self._lists.files or not _is_shown(name, index.tasks)
        ]
        self._skips = skip_lines(folder, self._answers.faults, index.decode)
        self._above = self._folder_above()
        self._images: set[str] = set()
        self._by_stem: dict[str, list[str]] = defaultdict(list)
        self._requests = self._look_up()

    def _folder_above(self) -> str:
        """`TASK/` if all labels of the folder are of one task, else empty.

        The task is what a person said, or the folder's own name.
        """
        task = self._index.options.task or self._folder.name
        if task not in self._tasks:
            return ""
        tasks = self._tasks.keys() | self._removed.tasks
        for name in self._names:
            named, image = task_and_image(PurePosixPath(name))
            if image and named in tasks:
                return ""
        return f"{task}/"

    def _path(self, name: str) -> PurePosixPath:
        """The path of a file below the folder of all tasks, without its extension."""
        return PurePosixPath(stem(self._above + name))

    def _look_up(self) -> dict[str, Cell]:
        """Keep the images that names may refer to, and return the requests by id."""
        request_ids = {request_id for _, request_id, _ in self._skips}
        image_names = set()
        for name in self._names:
            if name not in self._lists.files:
                path = self._path(name)
                request_ids.add(path.name)
                image_names.add("/".join(path.parts[1:]))
                image_names.add("/".join(path.parts[2:]))
        listed_images = set()
        for entry in self._lists.files.values():
            listed_images.add(entry.cell.image_id)
            if entry.request_id:
                request_ids.add(entry.request_id)
        for image_id in self._index.images():
            if image_id in image_names or image_id in listed_images:
                self._images.add(image_id)
            if stem(image_id) in image_names:
                self._by_stem[stem(image_id)].append(image_id)
        return self._index.requests(request_ids)

    def match_all(self) -> Answers:
        unknown = []
        named_tasks: set[str] = set()
        self._index.progress.start("Matching names with images", len(self._names), "files")
        for name in self._names:
            self._index.progress.advance()
            entry = self._lists.files.get(name)
            match = self._match_by_list(name, entry) if entry else self._match_by_name(name)
            is_unknown = isinstance(match, Fault) and match.what == UNKNOWN
            is_removed = is_unknown and self._is_removed(name, entry)
            if self._is_stray(name, match):
                self._answers.stray.append(printable(name))
            elif is_unknown and not entry and not is_removed:
                unknown.append(name)
            else:
                if not entry:
                    named_tasks.add(task_and_image(self._path(name))[0])
                self._add(name, match, is_removed)
        if unknown:
            self._match_other_names(unknown, named_tasks)
        skipped_ids = {request_id for _, request_id, _ in self._skips}
        closed = self._index.closed(skipped_ids - self._requests.keys())
        add_skips(self._answers, self._skips, self._requests, closed)
        return self._answers

    def _match_other_names(self, unknown: Sequence[str], named_tasks: set[str]) -> None:
        """Add the files that are named after no image; of `named_tasks`, all are faults."""
        removed = self._removed
        images = self._index.images()
        full_names = [self._above + name for name in unknown]
        others = match_other_names(
            full_names,
            tasks=(self._tasks.keys() | removed.tasks) - named_tasks,
            images=sorted({*images, *removed.images}),
        )
        for full_name, cell in others.cells.items():
            is_removed = cell.image_id in removed.images or cell.task in removed.tasks
            name = full_name.removeprefix(self._above)
            self._add(name, cell if is_removed else self._unless_wrong(name, cell), is_removed)
        rest = [name for name in full_names if name not in others.cells]
        answered = {answer.cell for answer in self._answers.labels}

        @cache  # the grid is read once for all names of a task
        def waiting(task: str) -> list[list[str]]:
            """Return the images without a label, also in this answer: first the requested."""
            groups = []
            images_by_state = self._index.images_by_state(task)
            for state in (State.REQUESTED, State.MISSING):
                cells = [Cell(image_id, task) for image_id in images_by_state.get(state, ())]
                groups.append([cell.image_id for cell in cells if cell not in answered])
            return groups

        faults = unknown_faults(
            rest,
            self._tasks,
            images,
            others.tried,
            waiting=waiting,
            progress=self._index.progress,
        )
        for fault in faults:
            where = fault.where.removeprefix(self._above)
            self._answers.faults.append(replace(fault, where=where))
        self._answers.notes += others.notes

    def _add(self, name: str, match: Cell | Fault, is_removed: bool) -> None:
        if is_removed:
            self._answers.removed.append(printable(name))
        elif isinstance(match, Fault):
            self._answers.faults.append(match)
        else:
            self._answers.labels.append(
                Answer(
                    cell=match,
                    where=name,
                    label=self._folder / name,
                    seconds=self._lists.seconds.get(match, (None, ""))[0],
                    annotator=self._lists.annotators.get(match, ("",))[0],
                )
            )

    def _unless_wrong(self, name: str, cell: Cell) -> Cell | Fault:
        path = self._folder / name
        return wrong_extension(name, name, cell, self._tasks[cell.task], path=path) or cell

    def _match_by_list(self, name: str, entry: ListedLabel) -> Cell | Fault:
        cell = entry.cell
        if not is_inside(self._folder, self._folder / name):
            return link_fault(name, "label", cell)
        if cell.task not in self._tasks:
            hint = spelling_hint(cell.task, sorted(self._tasks))
            return Fault(name, UNKNOWN, hint or f"The tasks are {', '.join(self._tasks)}.", cell)
        if cell.image_id not in self._images:
            advice = (
                "Add the image with `labelgrid add`, or import the folder into its own project."
            )
            return Fault(name, UNKNOWN, advice, cell)
        requested = self._requests.get(entry.request_id, cell)
        if requested != cell:
            message = (
                f"The list gives it request {entry.request_id}, which is for "
                f"[{requested.image_id}, {requested.task}]."
            )
            return Fault(name, message, "Restore the exported list.", cell)
        return self._unless_wrong(name, cell)

    def _match_by_name(self, name: str) -> Cell | Fault:
        if links_outside(self._folder, name):
            return link_fault(name, "label")
        path = self._path(name)
        matches = set()
        if path.name in self._requests:
            matches.add(self._requests[path.name])
        task, image = task_and_image(path)
        if task in self._tasks:
            matches |= {Cell(image_id, task) for image_id in self._images_named(image)}
        if not matches:
            return Fault(name, UNKNOWN)
        if len(matches) > 1:
            cells = " or ".join(f"[{cell.image_id}, {cell.task}]" for cell in sorted(matches))
            return Fault(
                name,
                f"It could be the label of {cells}.",
                "Keep the image's extension: TASK/IMAGE.jpg.png.",
            )
        return self._unless_wrong(name, matches.pop())

    def _images_named(self, name: str) -> set[str]:
        return {*self._by_stem.get(name, ()), *self._images.intersection([name])}

    def _is_stray(self, name: str, match: Cell | Fault) -> bool:
        """Whether a file of no cell is neither an image nor of a label format of the project."""
        if isinstance(match, Cell) or match.cell or match.what == LINK:
            return False
        extensions = set(FORMATS)
        for task in self._tasks.values():
            extensions.update(task.codec.EXTENSIONS)
        return PurePosixPath(name).suffix.lower() not in extensions

    def _is_removed(self, name: str, entry: ListedLabel | None) -> bool:
        removed = self._removed
        path = self._path(name)
        if path.name in removed.requests:
            return True
        if entry:
            task = entry.cell.task
            image = entry.cell.image_id
            removed_images = removed.images
        else:
            task, image = task_and_image(path)
            removed_images = removed.images | removed.stems
        if task not in self._tasks and task not in removed.tasks:
            return False
        return image in removed_images or bool(self._images_named(image))


def _refuse_unreadable(error: OSError) -> None:
    raise LabelError(
        f"The folder cannot be read: {error.strerror}.",
        where=str(error.filename),
        next_step="Fix its permissions.",
        unchanged="Nothing was imported.",
    ) from error


def _walk(folder: Path, tasks: set[str]) -> Iterator[str]:
    """The files below the folder that should be labels; each folder is visited once.

    Links to folders are followed if they stay inside; links out of the folder count as files.
    """
    for prefix, folders, names in walk(folder, links=True, on_error=_refuse_unreadable):
        is_top = not prefix
        excluded = {IMAGES, PRELABELS} if is_top else set()
        if MANIFEST not in names:  # else it is a request, whose photographs are there
            excluded -= tasks
        excluded |= {confidence_folder(task) for task in tasks}
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


def _is_shown(name: str, tasks: Collection[str]) -> bool:
    """Whether `predict` writes the file for people, beside its label files."""
    path = PurePosixPath(name)
    if len(path.parts) == 1:
        return name in (LEGEND_TABLE, LEGEND_PICTURE)
    return path.parts[0] == OVERLAYS and OVERLAYS not in tasks and path.suffix == OVERLAY
