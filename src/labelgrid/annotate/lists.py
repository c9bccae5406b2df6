"""Reads the lists of an answered folder: the manifest, the labels with their times, the skips."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any, TextIO, TypeVar

from labelgrid.annotate.answers import Fault, wrong_annotator, wrong_time
from labelgrid.annotate.json_files import Decoder, plain_text
from labelgrid.annotate.manifest import (
    ANNOTATOR,
    MANIFEST,
    MANIFEST_TABLE,
    SECONDS,
    names_label,
    read_manifest,
)
from labelgrid.annotate.matching import is_inside, leads_outside
from labelgrid.basics import files
from labelgrid.basics.encodings import begin, wide_encoding
from labelgrid.basics.spreadsheets import unescape_formula
from labelgrid.basics.type_names import Json
from labelgrid.ledger.grid import Cell, is_annotator, is_time

T = TypeVar("T")
#: The rows of a list, each with its place.
Rows = list[tuple[str, Json]]
SKIPS = "skips.csv"
LABEL_LIST = "labels.csv"
#: The columns that a table has at least; `manifest.csv` is read for its times and annotators alone.
_COLUMNS = {
    LABEL_LIST: ("image", "task", "path"),
    SKIPS: ("request_id", "reason"),
    MANIFEST_TABLE: ("image", "task"),
}
#: How many bytes of a list are read to recognise it.
_START = 2**16
#: Characters of a line of a table, at most, with its end.
_LONGEST_LINE = 2**20
#: Bytes of a table, at most.
_LARGEST = 2**30
#: The key of the class that a mask shows.
CLASS = "class"


@dataclass(frozen=True)
class ListedLabel:
    """The cell of a label file according to a list, and the class if the file shows only one."""

    cell: Cell
    request_id: str = ""
    region: str = ""


def first_row(folder: Path) -> Json | None:
    """The first row of a folder's manifest, of which only the beginning is read; None without."""
    text = _beginning(folder, MANIFEST).lstrip()
    if not text.startswith("["):
        return None
    try:
        row, _ = json.JSONDecoder().raw_decode(text[1:].lstrip())
    except (ValueError, RecursionError):
        return None
    return row if names_label(row) else None


def has_table(folder: Path) -> bool:
    """Whether a folder has a list of labels or of skips, by the first lines of these files."""
    return any({*_COLUMNS[name]} <= table_columns(folder, name) for name in (LABEL_LIST, SKIPS))


def table_columns(folder: Path, name: str) -> set[str]:
    """The columns of a table in a folder, by its first line; empty without a table."""
    header = _beginning(folder, name).partition("\n")[0].strip()
    return {*re.split("[,;\t]", header)}


def _beginning(folder: Path, name: str) -> str:
    """The first characters of a file; empty for no file, or for a link out of the folder."""
    try:
        if not is_inside(folder, folder / name):
            return ""
        with files.open_regular(folder / name) as file:
            return begin(file.read(_START)).decode("utf-8", errors="replace")
    except (OSError, ValueError):
        return ""


@dataclass(frozen=True)
class FolderLists:
    """The values of a folder's manifest and list of labels.

    Args:
        files: path below the folder -> its cell.
        seconds: cell -> how long its label took, and the file and line that say so.
        annotators: cell -> who or what made its label, and the file and line that say so.
        faults: what is wrong in the lists.
    """

    files: Mapping[str, ListedLabel]
    seconds: Mapping[Cell, tuple[float, str]]
    annotators: Mapping[Cell, tuple[str, str]]
    faults: list[Fault]


def read_lists(folder: Path, decoder: Decoder = plain_text) -> FolderLists:
    """Read the manifest and the list of labels, where there are any.

    `manifest.csv` is only read for its times and annotators. `decoder` makes texts of bytes.
    """
    faults = []
    rows = []
    if (folder / MANIFEST).is_file():
        manifest = read_manifest(folder / MANIFEST, decoder)
        if manifest is None:
            message = "The file is not a request's manifest."
            faults.append(Fault(MANIFEST, message, "Restore the exported one."))
        rows += [(MANIFEST, row) for row in manifest or []]
    rows += _table(folder / LABEL_LIST, faults, decoder)
    files = _files(rows, faults)
    if _is_filled_in(folder / MANIFEST_TABLE):
        rows += _table(folder / MANIFEST_TABLE, faults, decoder)
    seconds = _column(
        rows,
        faults,
        SECONDS,
        read=_time,
        wrong=wrong_time,
        differs="The label took {:g} seconds here and {:g} in {}.",
    )
    for _, row in rows:
        if isinstance(row.get(ANNOTATOR), str):
            row[ANNOTATOR] = row[ANNOTATOR].strip()
    annotators = _column(
        rows,
        faults,
        ANNOTATOR,
        read=_annotator,
        wrong=wrong_annotator,
        differs="The label is by '{}' here and by '{}' in {}.",
    )
    return FolderLists(files, seconds, annotators, faults)


def skip_lines(
    folder: Path, faults: list[Fault], decoder: Decoder = plain_text
) -> list[tuple[str, str, str]]:
    """The line, request id and reason of each skip; `decoder` makes a text of the file's bytes."""
    skips = []
    for where, row in _table(folder / SKIPS, faults, decoder):
        skips.append((where, row["request_id"].strip(), row["reason"].strip()))
    return skips


def _files(rows: Rows, faults: list[Fault]) -> dict[str, ListedLabel]:
    next_step = "Restore the exported list."
    listed: dict[str, ListedLabel] = {}
    for where, row in rows:
        path = PurePosixPath(row["path"])
        cell = Cell(row["image"], row["task"])
        entry = ListedLabel(cell, row.get("request_id", ""), str(row.get(CLASS) or ""))
        if leads_outside(path):
            message = f"The path '{path}' leads out of the folder."
            faults.append(Fault(where, message, next_step, entry.cell))
        elif listed.setdefault(path.as_posix(), entry).cell != entry.cell:
            message = f"Two cells have the path '{path}'."
            cells = (listed[path.as_posix()].cell, entry.cell)
            faults += [Fault(where, message, next_step, cell) for cell in cells]
    return listed


def _is_filled_in(path: Path) -> bool:
    """Whether a table, also in UTF-16, has a column of times or annotators."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        header = file.readline(10_000).replace(b"\0", b"")
    return SECONDS.encode() in header or ANNOTATOR.encode() in header


def _column(
    rows: Rows,
    faults: list[Fault],
    key: str,
    *,
    read: Callable[[Any], T | None],
    wrong: Callable[[str, object, Cell], Fault],
    differs: str,
) -> dict[Cell, tuple[T, str]]:
    """Cell -> the value under a key, and the file and line of the value.

    A value that cannot be read is a fault, and so is a second one of the same cell.
    """
    values: dict[Cell, tuple[T, str]] = {}
    for where, row in rows:
        cell = Cell(row["image"], row["task"])
        entry = row.get(key)
        if entry is None or str(entry).strip() == "":
            continue
        value = read(entry)
        if value is None:
            faults.append(wrong(where, entry, cell))
            continue
        first, first_where = values.setdefault(cell, (value, where))
        if first != value:
            message = differs.format(value, first, first_where)
            faults.append(Fault(where, message, "Keep one of the two.", cell))
    return values


def _annotator(name: Any) -> str | None:
    return name if is_annotator(name) else None


def _time(entry: Any) -> float | None:
    if isinstance(entry, bool):
        return None
    try:
        seconds = float(entry)
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if is_time(seconds) else None


def _table(path: Path, faults: list[Fault], decoder: Decoder) -> Rows:
    """The rows of a CSV file with their places; a missing column is a fault.

    Commas separate the columns, or, as spreadsheets of some countries write them,
    semicolons, or tabs in UTF-16.
    """
    if not path.is_file():
        return []
    try:
        with files.open_regular(path) as opened:
            is_wide = wide_encoding(opened.read(_START)).startswith("utf-16")
        if not is_wide:
            with suppress(UnicodeDecodeError), path.open(encoding="utf-8-sig", newline="") as file:
                return _rows(path.name, file, faults)
        text = decoder(files.read_bytes(path, _LARGEST))
        return _rows(path.name, io.StringIO(text, newline=""), faults, separators=",;\t")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        message = f"The file cannot be read: {error}."
        advice = getattr(error, "advice", "Write it as CSV in UTF-8.")
        faults.append(Fault(path.name, message, advice))
        return []


def _rows(name: str, file: TextIO, faults: list[Fault], *, separators: str = ",;") -> Rows:
    """The rows of a table with their places; none, and a fault, if a column is missing.

    The first of the separators that is in the first line, else the last, separates the columns.
    Values are as they were before the export; values beyond the columns are dropped.
    """
    first = file.readline(_LONGEST_LINE)
    file.seek(0)
    separator = next((mark for mark in separators if mark in first), separators[-1])
    reader = csv.DictReader(_lines(file), restval="", delimiter=separator)
    if reader.fieldnames is None:
        return []
    for column in _COLUMNS[name]:
        if column not in reader.fieldnames:
            message = f"The first line has no column '{column}'."
            faults.append(Fault(name, message, f"Make it {','.join(_COLUMNS[name])}."))
            return []
    rows = []
    for row in reader:
        if any(row.values()):
            row.pop(None, None)
            plain = {column: unescape_formula(value) for column, value in row.items()}
            rows.append((f"{name} line {reader.line_num}", plain))
    return rows


def _lines(file: TextIO) -> Iterator[str]:
    """The lines of a table; a line beyond the longest is refused before all of it is read."""
    for number in count(1):
        line = file.readline(_LONGEST_LINE + 1)
        if not line:
            return
        if len(line) > _LONGEST_LINE:
            raise csv.Error(
                f"its line {number} has more than {_LONGEST_LINE:,} characters; shorten it"
            )
        yield line
