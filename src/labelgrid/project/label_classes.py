"""Keeps which classes each label of a project shows, by the content of the label's file.

Whoever reads all labels anyway notes the classes, so that a search for a class need not read a
hundred thousand files. Loads no torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from labelgrid.basics.array_types import Bools
from labelgrid.basics.files import digest_of
from labelgrid.project.content_rows import WIDTH, ContentRows, read_rows, write_rows
from labelgrid.project.folder import ProjectFolder
from labelgrid.tasks.task import TaskDef

#: The project's folder with a file for each task.
FOLDER = "label-classes"


@dataclass(frozen=True)
class LabelClasses:
    """Which classes labels show.

    Args:
        names: the names of the classes, by their bits.
        rows: a row a label, with a bit for each class.
    """

    names: tuple[str, ...]
    rows: ContentRows

    def known(self, contents: Sequence[str]) -> Bools:
        """Which labels [n] are noted, by the content hashes of the files."""
        return self.rows.places(contents) >= 0

    def showing(self, name: str, contents: Sequence[str]) -> tuple[Bools, int]:
        """Which labels show a class [n], and how many are not known.

        `contents` are the content hashes of the labels' files.
        """
        places = self.rows.places(contents)
        is_known = places >= 0
        place, bit = divmod(self.names.index(name), 8)
        shown = np.zeros(len(contents), np.bool_)
        shown[is_known] = self.rows.rows[places[is_known], WIDTH + place] >> (7 - bit) & 1
        return shown, len(contents) - int(is_known.sum())


def label_classes(project: ProjectFolder, task: TaskDef) -> LabelClasses:
    """The classes in a task's labels, as far as somebody noted them."""
    names = task.class_names
    width = WIDTH + -(-len(names) // 8)
    head, rows = read_rows(_file(project, task))
    old_names = head.get("names", [])
    is_extended = old_names == list(names[: len(old_names)])
    is_same = head.get("meaning") == _meaning(task) and is_extended
    if not is_same or rows.shape[1] > width:
        rows = np.zeros((0, width), np.uint8)
    padded = np.pad(rows, ((0, 0), (0, width - rows.shape[1])))
    return LabelClasses(names, ContentRows(padded))


def note_label_classes(project: ProjectFolder, task: TaskDef, bits: Mapping[str, bytes]) -> None:
    """Note the classes found in labels of a task; a full disk stops nothing.

    `bits` has the bits of `evidence.label_comparison.classes_in` by the content hashes of the
    files.
    """
    if not task.class_names:
        return
    before = label_classes(project, task)
    noted = before.known(list(bits)).tolist()
    labels = zip(bits.items(), noted, strict=True)
    added = dict(label for label, is_known in labels if not is_known)
    if added:
        head = {"meaning": _meaning(task), "names": task.class_names}
        write_rows(_file(project, task), head, before.rows.rows, added)


def _file(project: ProjectFolder, task: TaskDef) -> Path:
    return project.inside(f"{FOLDER}/{task.name}.bin")


def _meaning(task: TaskDef) -> str:
    # Without the classes, whose list may grow.
    options = task.options
    values = {option.name: getattr(options, option.name) for option in fields(options)}
    return digest_of(repr({**values, "classes": ()}).encode())
