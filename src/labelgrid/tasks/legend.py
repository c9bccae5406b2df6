"""Shows the classes of label files: by a palette in the file, and by a legend beside it."""

from collections.abc import Iterable
from pathlib import Path

from labelgrid.basics.files import read_bytes
from labelgrid.basics.spreadsheets import csv_text
from labelgrid.formats.arrays import file_errors, save_bytes
from labelgrid.formats.codec import LabelArray
from labelgrid.formats.colours import LegendRow, colour_codes, colour_text
from labelgrid.images.png import add_palette
from labelgrid.tasks.task import TaskDef

#: The files above the folders of predictions: the classes as a table and as a picture, and the
#: folder of photographs under predictions.
LEGEND_TABLE = "legend.csv"
LEGEND_PICTURE = "legend.png"
OVERLAYS = "overlays"
#: The extension of the pictures in `OVERLAYS`.
OVERLAY = ".jpg"
_COLUMNS = ("number", "name", "colour")


def legend_of(task: TaskDef) -> list[LegendRow]:
    """The numbers in a task's label files, with the project's colours; none without classes."""
    legend = getattr(task.codec, "legend", None)
    if legend is None:
        return []
    colours = colour_codes(task.region_colours).tolist()
    return legend(task.options, colours)


def legend_text(task: TaskDef) -> str:
    """A task's legend as a table in CSV; empty if it has no classes."""
    lines = _lines(task)
    return csv_text(_COLUMNS, lines) if lines else ""


def legends_text(tasks: Iterable[TaskDef]) -> str:
    """The legends of several tasks as one table in CSV; empty if none has classes."""
    lines = []
    for task in tasks:
        lines += [{"task": task.name, **line} for line in _lines(task)]
    return csv_text(("task", *_COLUMNS), lines) if lines else ""


def _lines(task: TaskDef) -> list[dict[str, str | int]]:
    lines = []
    for row in legend_of(task):
        number = "" if row.number is None else row.number
        lines.append({"number": number, "name": row.name, "colour": colour_text(row.colour)})
    return lines


def coloured(task: TaskDef, content: bytes) -> bytes:
    """Add a palette of the classes to the content of a label file; the numbers stay.

    Files of 16 bits, of colours and of tasks without classes are returned as they are.
    """
    colours = bytearray(3 * 256)
    has_classes = False
    for row in legend_of(task):
        if row.number is not None and row.number < 256:
            colours[3 * row.number : 3 * row.number + 3] = row.colour.to_bytes(3)
            has_classes = True
    if has_classes:
        return add_palette(content, bytes(colours))
    return content


def write_coloured(task: TaskDef, path: Path, label: LabelArray) -> None:
    """Write a prediction as a label file whose classes have colours; makes missing folders.

    Raises:
        LabelError: the format cannot hold it, or the disk reports an error.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    task.write(path, label)
    if legend_of(task):
        with file_errors(path):
            content = read_bytes(path)
        shown = coloured(task, content)
        if shown != content:
            save_bytes(path, shown)
