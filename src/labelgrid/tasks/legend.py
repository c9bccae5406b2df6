"""Shows the classes of label files: by a palette in the file, and by a legend beside it."""

from labelgrid.formats.codec import codec
from labelgrid.formats.colours import LegendRow, colour_codes, colour_text
from labelgrid.images.png import add_palette
from labelgrid.spreadsheets import csv_text
from labelgrid.tasks.pictures import palette
from labelgrid.tasks.task import TaskDef

_COLUMNS = ("number", "name", "colour")


def legend_of(task: TaskDef) -> list[LegendRow]:
    """The numbers in a task's label files, with the project's colours; none without classes."""
    legend = getattr(codec(task.spec.codec), "legend", None)
    if legend is None:
        return []
    colours = colour_codes(palette(len(task.region_names))).tolist()
    rows: list[LegendRow] = legend(task.options, colours)
    return rows


def legend_text(task: TaskDef) -> str:
    """A task's legend as a table in CSV; empty if it has no classes."""
    lines = []
    for row in legend_of(task):
        number = "" if row.number is None else row.number
        colour = colour_text(row.colour)
        lines.append({"number": number, "name": row.name, "colour": colour})
    return csv_text(_COLUMNS, lines) if lines else ""


def coloured(task: TaskDef, content: bytes) -> bytes:
    """The content of a label file with a palette that shows its classes, and the same numbers.

    Files of 16 bits, of colours and of tasks without classes are returned as they are.
    """
    colours = bytearray(3 * 256)
    rows = [row for row in legend_of(task) if row.number is not None and row.number < 256]
    for row in rows:
        start = 3 * (row.number or 0)
        colours[start : start + 3] = row.colour.to_bytes(3)
    return add_palette(content, bytes(colours)) if rows else content
