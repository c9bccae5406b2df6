"""Lists the labels that the last audit doubts, until somebody deals with a label."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

from labelgrid.audit.audit import TABLE, AuditedLabel, SeenLabel
from labelgrid.audit.confirmed_labels import confirmed_paths
from labelgrid.basics.errors import ProjectError, command
from labelgrid.basics.files import open_regular
from labelgrid.basics.spreadsheets import unescape_formula
from labelgrid.evidence.part_grid import PartBox
from labelgrid.ledger.grid import Cell, State
from labelgrid.project.folder import ProjectFolder


def suspects(project: ProjectFolder) -> list[AuditedLabel] | None:
    """The doubted labels, the most doubtful first; None before the first audit.

    A label that was withdrawn, replaced or confirmed since is no suspect, and a reason that
    involves a second label counts only while the second label exists.

    Raises:
        ProjectError: the table of the audit is damaged.
    """
    doubted = _doubted(project)
    if doubted is None:
        return None
    rows = project.store.find(Cell(label.image, label.task) for label in doubted)
    current = {row.path for row in rows.values() if row.path}
    return [label for label in doubted if label.path in current]


def suspect_paths(project: ProjectFolder) -> dict[Cell, str]:
    """The paths of the doubted labels by cell; some may be withdrawn or replaced since.

    Raises:
        ProjectError: the table of the audit is damaged.
    """
    return {Cell(label.image, label.task): label.path for label in _doubted(project) or []}


def current_cells(project: ProjectFolder, paths: Mapping[Cell, str]) -> list[Cell]:
    """The cells whose labels still have these paths."""
    rows = project.store.find(paths)
    cells = []
    for cell, row in rows.items():
        if row.path == paths[cell]:
            cells.append(cell)
    return cells


def _doubted(project: ProjectFolder) -> list[AuditedLabel] | None:
    """The doubted labels with reasons that hold; None before the first audit."""
    path = project.folder / TABLE
    if not path.is_file():
        return None
    confirmed = confirmed_paths(project)
    labels = [label for label in _read(path, project) if label.path not in confirmed]
    # A reason holds no more when another label that it speaks of was replaced or taken back.
    spoken_of: set[SeenLabel] = set()
    for label in labels:
        spoken_of.update(*label.others.values())
    rows = project.store.find(Cell(seen.image, seen.task) for seen in spoken_of)
    paths = {cell: row.path for cell, row in rows.items() if row.state == State.LABELLED}
    gone = {seen for seen in spoken_of if paths.get(Cell(seen.image, seen.task)) != seen.path}
    current = []
    for label in labels:
        stale = {text for text, others in label.others.items() if not gone.isdisjoint(others)}
        reasons = [text for text in label.reasons if text not in stale]
        if reasons:
            current.append(replace(label, reasons=reasons) if stale else label)
    return current


def _read(path: Path, project: ProjectFolder) -> list[AuditedLabel]:
    """The doubted labels: the first lines of the table; the rest, which may be long, is not read.

    Raises:
        ProjectError: the table is damaged.
    """
    try:
        with io.TextIOWrapper(open_regular(path), "utf-8", newline="") as file:
            labels = map(_label, csv.DictReader(file))
            return list(takewhile(lambda label: label.doubt > 0, labels))
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise ProjectError(
            "The table of the audit is damaged.",
            where=str(path),
            next_step=f"`{command('audit', project.folder)}` writes it again.",
        ) from error


def _label(row: Mapping[str, str]) -> AuditedLabel:
    others = {}
    for reason, seen in dict(json.loads(row.get("others") or "{}")).items():
        others[str(reason)] = [SeenLabel(*map(str, values)) for values in seen]
    return AuditedLabel(
        task=unescape_formula(row["task"]),
        image=unescape_formula(row["image"]),
        place=int(row["place"]),
        doubt=float(row["doubt"]),
        reasons=unescape_formula(row["reasons"]).split("; "),
        path=unescape_formula(row["path"]),
        confirmed=row.get("confirmed") == "yes",
        others=others,
        part=PartBox(*map(int, json.loads(row["part"]))) if row.get("part") else None,
    )
