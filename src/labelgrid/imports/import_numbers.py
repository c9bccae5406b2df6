"""Gathers numbers of an import's labels while they are validated, and names new in the project."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import replace

from labelgrid.basics import files
from labelgrid.basics.errors import LabelError, ProjectError
from labelgrid.basics.progress import Progress
from labelgrid.basics.streams import drawn_places, seed_of
from labelgrid.basics.type_names import Json
from labelgrid.basics.words import join_names
from labelgrid.evidence.doubts import Doubt
from labelgrid.evidence.label_comparison import class_bits, classes_in
from labelgrid.formats.codec import JUDGED, LabelArray
from labelgrid.imports.imported import Numbers
from labelgrid.imports.validate_labels import AcceptedLabel
from labelgrid.ledger.grid import Cell, State
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.label_classes import note_label_classes
from labelgrid.project.stored_labels import read_stored_label
from labelgrid.tasks.overview import Overview

#: The file of the project with the names, such as classes, that occur in its labels, by task. It
#: holds while there are as many labels as it says.
OCCURRED = "names-in-labels.json"
#: The number of names that a remark lists.
SHOWN = 10
#: The most photographs of a picture.
DRAWN = 6


def drawn_images(image_ids: Iterable[str]) -> list[str]:
    """The images whose labels are drawn, among all images with new labels."""
    names = list(dict.fromkeys(image_ids))
    order = drawn_places(names, seed_of(0, "import picture"))[:DRAWN]
    return [names[place] for place in order]


class ImportNumbers:
    """The overviews of the new and replaced labels of an import, by task.

    Args:
        project: the project that gets the labels.
        progress: reports earlier labels, if they must be read once to know the names in them.

    Attributes:
        unlike: how a supplier's numbers differ from the task's, and whether they are inverted, by
            task.
        drawn: the images whose labels are kept for a picture.
        kept: the labels for the picture, without labels of too many pixels.
    """

    def __init__(self, project: ProjectFolder, progress: Progress) -> None:
        self.project = project
        self.drawn: AbstractSet[str] = frozenset()
        self.kept: dict[Cell, LabelArray] = {}
        self.progress = progress
        self.unlike: Mapping[str, tuple[str, bool]] = {}
        self.tasks = project.tasks()
        self.overviews: dict[str, Overview] = {}
        self._before: dict[str, set[str]] = {}
        self._counted: dict[str, int] = {}
        self._classes: dict[Cell, bytes] = {}

    def add(self, cell: Cell, label: LabelArray) -> None:
        """Count a label, and note its classes."""
        task = self.tasks[cell.task]
        if cell.task not in self.overviews:
            self.overviews[cell.task] = self.overview(cell.task)
        overview = self.overviews[cell.task]
        overview.add(cell.image_id, label)
        latest = overview.latest
        self._classes[cell] = classes_in(task, label) if latest is None else class_bits(latest)
        if cell.image_id in self.drawn:
            small = task.judged(label)
            if small.valid.size <= JUDGED:  # a copy: a view would hold the whole label
                self.kept[cell] = replace(small, value=small.value.copy(), valid=small.valid.copy())

    def overview(self, task: str) -> Overview:
        """An overview of labels of a task in the import's numbers."""
        overview = self.tasks[task].overview()
        overview.unlike, overview.inverted = self.unlike.get(task, ("", False))
        return overview

    def look_back(self) -> None:
        """Look up which class names occur in earlier labels, before the import is recorded."""
        kept_names = _read_names(self.project)
        for task, overview in self.overviews.items():
            names = overview.names()
            if not names:
                continue
            self._counted[task] = self._count_labels(task)
            before = _occurred(kept_names.get(task), names, self._counted[task])
            if before is None:
                before = self._read_earlier(task, names)
            self._before[task] = before

    def _read_earlier(self, task: str, names: Iterable[str]) -> set[str]:
        earlier = list(self.project.store.cells(state=State.LABELLED, task=task))
        overview = self.tasks[task].overview()
        occurred: set[str] = set()
        if earlier:
            self.progress.start("Reading earlier labels", len(earlier), "files")
        for row in earlier:
            if occurred.issuperset(names):
                break
            with suppress(LabelError, ProjectError, OSError):  # other commands report damage
                label = read_stored_label(self.project, row, self.tasks[task])
                overview.add(row.cell.image_id, label)
                occurred = _occurring(overview)
            self.progress.advance()
        return occurred

    def _count_labels(self, task: str) -> int:
        return self.project.store.counts()[task].labelled

    def remember(self, labels: Iterable[AcceptedLabel]) -> None:
        """Keep the names that will occur in the project's labels after the import.

        Call it in the transaction that records them. Labels of other imports, which came after
        `look_back`, are taken into account; if these labels are never recorded, the number of
        labels differs, and nobody believes the file. The classes of each label are kept, too, by
        its content.
        """
        labels = list(labels)
        self._note_classes(labels)
        if not self._before:
            return
        new = Counter(label.row.cell.task for label in labels if label.status == "new")
        kept_names = _read_names(self.project)
        for task in self._before:
            names = self.overviews[task].names()
            labels_now = self._count_labels(task)
            before = self._known_before(task, kept_names.pop(task, None), labels_now)
            if before is not None:
                kept_names[task] = {
                    "names": list(names),
                    "labels": labels_now + new[task],
                    "occurred": sorted(before | _occurring(self.overviews[task])),
                }
        with suppress(ProjectError):
            text = json.dumps(kept_names, ensure_ascii=False, indent=1)
            files.write_text(self.project.folder / OCCURRED, f"{text}\n")

    def _known_before(self, task: str, noted: object, labels: int) -> set[str] | None:
        """The names in the `labels` labels of a task; None if they are not known."""
        occurred = _occurred(noted, self.overviews[task].names(), labels)
        if occurred is None and labels == self._counted[task]:
            return self._before[task]
        return occurred

    def _note_classes(self, labels: Iterable[AcceptedLabel]) -> None:
        classes_by_task = defaultdict[str, dict[str, bytes]](dict)
        for label in labels:
            cell = label.row.cell
            if cell in self._classes:
                classes_by_task[cell.task][label.digest] = self._classes[cell]
        for task, classes in classes_by_task.items():
            note_label_classes(self.project, self.tasks[task], classes)

    def numbers(self) -> dict[str, Numbers]:
        """The content of the labels of each task."""
        numbers = {}
        for task in self.tasks:
            if task not in self.overviews:
                continue
            overview = self.overviews[task]
            text = overview.text()
            values = {"labels": overview.labels, **overview.values()}
            if overview.names():
                new = self._new_names(task)
                values["new_here"] = new
                if new:
                    text = f"{text}; new here: {join_names(new)}"
            numbers[task] = Numbers(text, values)
        return numbers

    def doubts(self) -> list[Doubt]:
        """The impossible values in the labels."""
        doubts = []
        for task, overview in self.overviews.items():
            doubts += [Doubt(task, text) for text in overview.doubts()]
        return doubts

    def remarks(self) -> list[str]:
        """The possible but unusual values in the labels."""
        lines = []
        for task, overview in self.overviews.items():
            lines += [f"{task}: {remark}" for remark in overview.remarks()]
            occurs = overview.names()
            before = self._before.get(task, set())
            never = [name for name in occurs if not occurs[name] and name not in before]
            if never:
                lines.append(f"{task}: no label so far holds {join_names(never, SHOWN)}.")
        return lines

    def _new_names(self, task: str) -> list[str]:
        """The names in no earlier label; none if there are no earlier labels."""
        before = self._before.get(task)
        if not before:
            return []
        names = self.overviews[task].names()
        return [name for name in names if names[name] and name not in before]


def _occurring(overview: Overview) -> set[str]:
    occurring = set()
    for name, occurs in overview.names().items():
        if occurs:
            occurring.add(name)
    return occurring


def _occurred(noted: object, names: Iterable[str], labels: int) -> set[str] | None:
    """The names that occur in `labels` labels by a note; None if it is about other labels."""
    match noted:
        case {"names": all_names, "labels": count, "occurred": list(occurred)} if (
            all_names == list(names) and count == labels
        ):
            return {str(name) for name in occurred}
    return None


def _read_names(project: ProjectFolder) -> Json:
    """The names in the project's file; none without a file, or from a damaged one."""
    with suppress(OSError, ValueError):
        kept_names = json.loads(files.read_text(project.folder / OCCURRED))
        if isinstance(kept_names, dict):
            return kept_names
    return {}
