"""Keeps the losses of labels by networks without these labels, as measured in an audit.

Loads no torch.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from labelgrid.basics.array_types import Floats
from labelgrid.project.content_rows import WIDTH, ContentRows, read_rows, write_rows
from labelgrid.project.folder import ProjectFolder

#: The project's folder with a file for each task.
FOLDER = "audit/losses"
_TYPE = np.dtype("<f8")


def note_label_losses(project: ProjectFolder, task: str, losses: Mapping[str, float]) -> None:
    """Keep the losses of a task in place of earlier ones; a full disk stops nothing.

    A loss is the mean over a label's valid pixels, by the content hash of its file.
    """
    rows = np.zeros((0, WIDTH + _TYPE.itemsize), np.uint8)
    added = {content: _TYPE.type(loss).tobytes() for content, loss in losses.items()}
    write_rows(_file(project, task), {}, rows, added)


def label_losses(project: ProjectFolder, task: str, contents: Sequence[str]) -> Floats:
    """The losses [n] of labels of a task; NaN where none was measured.

    `contents` are the content hashes of the labels' files.
    """
    _, rows = read_rows(_file(project, task))
    losses = np.full(len(contents), np.nan)
    if rows.shape[1] == WIDTH + _TYPE.itemsize:
        places = ContentRows(rows).places(contents)
        measured = np.ascontiguousarray(rows[:, WIDTH:]).view(_TYPE)[:, 0]
        losses[places >= 0] = measured[places[places >= 0]]
    return losses


def has_losses(project: ProjectFolder, task: str) -> bool:
    """Whether an audit measured losses of a task."""
    return _file(project, task).is_file()


def _file(project: ProjectFolder, task: str) -> Path:
    return project.inside(f"{FOLDER}/{task}.bin")
