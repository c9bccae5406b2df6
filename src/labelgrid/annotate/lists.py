"""Reads the lists of an answered folder: its manifest, its labels with their times, its skips."""

import csv
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from labelgrid.annotate.answers import Fault, wrong_time
from labelgrid.annotate.matching import leads_outside
from labelgrid.ledger.grid import Cell, is_time
from labelgrid.spreadsheets import unescape_formula

MANIFEST = "manifest.json"
MANIFEST_TABLE = "manifest.csv"
SKIPS = "skips.csv"
LABEL_LIST = "labels.csv"
#: The key of how long a label took.
SECONDS = "seconds"


@dataclass(frozen=True)
class ListedLabel:
    """The cell of a label file, according to a list in the folder."""

    cell: Cell
    request_id: str = ""


def manifest_rows(path: Path) -> list[dict[str, Any]] | None:
    """The rows of a manifest, or None if the file is not a manifest."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return None
    keys = ("request_id", "image", "task", "path")
    is_manifest = isinstance(rows, list) and all(
        isinstance(row, dict) and all(isinstance(row.get(key), str) for key in keys) for row in rows
    )
    return rows if is_manifest else None


@dataclass(frozen=True)
class FolderLists:
    """What the manifest and the list of labels of a folder say.

    Args:
        files: path below the folder -> its cell.
        seconds: cell -> how long its label took, and the file and line that say so.
        faults: what is wrong in the lists.
    """

    files: Mapping[str, ListedLabel]
    seconds: Mapping[Cell, tuple[float, str]]
    faults: list[Fault]


def read_lists(folder: Path) -> FolderLists:
    """Read the manifest and the list of labels, where there are any.

    `manifest.csv` is only read for its times.
    """
    faults: list[Fault] = []
    rows: list[tuple[str, dict[str, Any]]] = []
    if (folder / MANIFEST).is_file():
        manifest = manifest_rows(folder / MANIFEST)
        if manifest is None:
            faults.append(
                Fault(
                    MANIFEST, "The file is not a request's manifest.", "Restore the exported one."
                )
            )
        rows += [(MANIFEST, row) for row in manifest or []]
    if (folder / LABEL_LIST).is_file():
        table = _table(folder / LABEL_LIST, ("image", "task", "path"), faults)
        rows += [(f"{LABEL_LIST} line {number}", row) for number, row in table]
    files = _files(rows, faults)
    if _has_times(folder / MANIFEST_TABLE):
        table = _table(folder / MANIFEST_TABLE, ("image", "task", SECONDS), faults)
        rows += [(f"{MANIFEST_TABLE} line {number}", row) for number, row in table]
    return FolderLists(files, _seconds(rows, faults), faults)


def skip_lines(folder: Path, faults: list[Fault]) -> list[tuple[str, str, str]]:
    """The line, request id and reason of each skip."""
    if not (folder / SKIPS).is_file():
        return []
    table = _table(folder / SKIPS, ("request_id", "reason"), faults)
    return [
        (f"{SKIPS} line {number}", row["request_id"].strip(), row["reason"].strip())
        for number, row in table
    ]


def _files(rows: list[tuple[str, dict[str, Any]]], faults: list[Fault]) -> dict[str, ListedLabel]:
    listed: dict[str, ListedLabel] = {}
    for where, row in rows:
        path = PurePosixPath(row["path"])
        entry = ListedLabel(Cell(row["image"], row["task"]), row.get("request_id", ""))
        if leads_outside(path):
            faults.append(
                Fault(
                    where,
                    f"The path '{path}' leads out of the folder.",
                    "Restore the exported list.",
                    entry.cell,
                )
            )
        elif listed.setdefault(path.as_posix(), entry).cell != entry.cell:
            faults.append(
                Fault(
                    where,
                    f"Two cells have the path '{path}'.",
                    "Restore the exported list.",
                    entry.cell,
                )
            )
    return listed


def _has_times(path: Path) -> bool:
    """Whether a line of column names says that a table holds times.

    Also in UTF-16, which is refused then.
    """
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return SECONDS.encode() in file.readline(10_000).replace(b"\0", b"")


def _seconds(
    rows: list[tuple[str, dict[str, Any]]], faults: list[Fault]
) -> dict[Cell, tuple[float, str]]:
    """The times of the rows that have one.

    A time that is none, and another one of the same cell, is a fault.
    """
    found: dict[Cell, tuple[float, str]] = {}
    for where, row in rows:
        cell = Cell(row["image"], row["task"])
        given = row.get(SECONDS)
        if given is None or str(given).strip() == "":
            continue
        value = _number(given)
        if value is None:
            faults.append(wrong_time(where, given, cell))
        elif found.setdefault(cell, (value, where))[0] != value:
            first, other = found[cell]
            what = f"The label took {value:g} seconds here and {first:g} in {other}."
            faults.append(Fault(where, what, "Keep one of the two.", cell))
    return found


def _number(given: Any) -> float | None:
    """A time in seconds; None if it is none."""
    try:
        value = math.nan if isinstance(given, bool) else float(given)
    except (TypeError, ValueError, OverflowError):
        return None
    return value if is_time(value) else None


def _table(
    path: Path, columns: tuple[str, ...], faults: list[Fault]
) -> list[tuple[int, dict[str, Any]]]:
    """The rows of a CSV file with their line numbers; a file that lacks a column is a fault.

    The columns are separated by commas or, as spreadsheets of some countries write them, by
    semicolons.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            separator = "," if "," in header else ";"
            reader = csv.DictReader(file, restval="", delimiter=separator)
            if reader.fieldnames is None:
                return []
            missing = [column for column in columns if column not in reader.fieldnames]
            if not missing:
                return [(reader.line_num, _plain(row)) for row in reader if any(row.values())]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        faults.append(
            Fault(path.name, f"The file cannot be read: {error}.", "Write it as CSV in UTF-8.")
        )
        return []
    faults.append(
        Fault(
            path.name,
            f"The first line has no column '{missing[0]}'.",
            f"Make it {','.join(columns)}.",
        )
    )
    return []


def _plain(row: Mapping[str | None, Any]) -> dict[str, Any]:
    """A line's values as they were before the export; those beyond the columns are dropped."""
    return {name: unescape_formula(value) for name, value in row.items() if name is not None}
