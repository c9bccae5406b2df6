"""Checks docs/papers.md: a row for every item of the papers and of the released code, and for every deviation.

The paths in finished rows must exist. A deviation is what a comment or docstring of the code marks
by that word.
"""

import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from tools.source import ROOT, Module, modules, report, sections

PAGE = "docs/papers.md"
STATES = ("done", "planned", "differs", "theory only")
COLUMNS = ["id", "what", "module", "test", "recipe", "state"]
#: The fields of a `Row` that the columns hold.
FIELDS = ("id", "what", "module", "test", "recipe", "state")
#: The heading of the table with a row for each deviation that the code marks, its module in the
#: first column.
DEVIATIONS = "Deviations in the code"
#: What marks a deviation, at the start of a sentence; a standard deviation has a small letter.
MARK = re.compile(r"\bDeviat(?:es|ions?)\b")
#: The folders whose marks count.
MARKED = ("src", "research")


def _ids(kind: str, names: str) -> tuple[str, ...]:
    return tuple(f"{kind} {name.strip()}" for name in names.split(","))


#: The items of each paper: numbered items by their numbers, unnumbered equations by name. The lines
#: of released code.
INVENTORY: dict[str, tuple[str, ...]] = {
    "PartAL": (
        *_ids("eq", "1, 2, 3, 4, 5, 6, 7, 8"),
        *_ids("eq", "shannon, differential, rank, learning rate, total loss"),
        *_ids("section", "3, 3.1, 3.1 pseudo-labels, 3.2, 3.3"),
        *_ids("section", "A.1.2, A.3, A.4 NYUv2, A.4 PASCAL, A.5"),
        *_ids(
            "fig", "1, 2, 3, 4, 5, 6, 7a, 7b, 7c, 7d, 8a, 8b, 8c, 8d, 8e, 8f, 9, 10, 11, 12, 13, 14"
        ),
        *_ids("table", "1, 2"),
        *_ids("metric", "mIoU, odsF, mErr, RMSE, multi-task error"),
        *_ids("baseline", "Random, RBAL, LLoss, CS, full supervision"),
        *_ids(
            "ablation",
            "hardest examples, improved inference, no normalisation, partial labels only",
        ),
    ),
    "TCD": (
        *_ids("eq", "1, 2, 3, encoder, decoder, loss weighting"),
        *_ids("section", "1, 2, 3, 4, 5, 6, 7, 8"),
        *_ids("fig", "4a, 4b, 4c, 4d, 4e, 4f, 5a, 5b, 5c, 5d, 8, 9, 10, 11"),
        *_ids("table", "2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12"),
        *_ids("baseline", "Random, Core-Set, RBAL, LL4AL, PartAL"),
        *_ids("baseline", "EquAL*, EquAL-SS, EquAL-ED, EquAL-SN, EquAL-HPS, EquAL-SE, EquAL-DE"),
        *_ids("ablation", "min, average, max, Euclidean, cosine, dimension"),
        *_ids(
            "ablation", "inconsistency alone, diversity alone, average of tasks, maximum of tasks"
        ),
    ),
    "MTPSL": (
        *_ids("eq", "1, 2, 3, 3 with L_u, 4, cosine distance, task-pair condition"),
        *_ids("eq", "Direct-Map, Perceptual-Map"),
        *_ids("section", "3.1, 3.2"),
        *_ids("fig", "1, 2, 3, 4"),
        *_ids("table", "1, 2, 3, 4, 5, 6"),
        *_ids("metric", "mIoU, aErr, mErr, odsF"),
        *_ids("setting", "full, random, one, 1:9, 9:1"),
        *_ids("network", "SegNet, ResNet-18 and ASPP"),
        *_ids("network", "mapping of SegNet, mapping of ResNet-18, cross-task mapping"),
        *_ids(
            "baseline", "Supervised Learning, Semi-supervised Learning, Direct-Map, Perceptual-Map"
        ),
        *_ids("baseline", "Contrastive-Loss, Discriminator-Loss, STL, MTL, MTAN, X-task"),
        *_ids("baseline", "Uncertainty, GradNorm, MGDA, DWA, Ours + Uncertainty"),
        *_ids("ablation", "w/o cond, w/o reg, w/o reg at a lower rate"),
    ),
    "Released code of MTPSL": (
        *_ids("data", "arrays, splits, crop, normals, depth, valid, flip, second view"),
        *_ids("data", "batches"),
        *_ids("training", "network, losses, sum, optimiser, schedule, condition rate, condition"),
        *_ids("training", "weights, pairs, classes, maps, passes, mapping, features, metrics"),
        *_ids("training", "epoch, ramp-up, type, idle options"),
    ),
    "Released code of MTAN": (
        *_ids("data", "augmentation"),
        *_ids("training", "network, logsigma, DWA, optimiser, losses, metrics, epoch"),
    ),
    "Released code of JTR": (
        *_ids("data", "crop, valid, splits, views, flip, colours, rounding, batches"),
        *_ids("training", "network, auto-encoder, passes, optimiser, weights, distances, stacks"),
        *_ids("training", "depth, errors, targets, epoch"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table of docs/papers.md."""

    paper: str
    id: str
    what: str
    module: str
    test: str
    recipe: str
    state: str

    @property
    def place(self) -> str:
        """The position of the row, for messages."""
        return f"{PAGE}, {self.paper}, {self.id}"


def faults(root: Path) -> list[str]:
    """All faults of the page: of its rows by paper, and of its rows of deviations."""
    page = root / PAGE
    if not page.exists():
        return [f"{PAGE} does not exist"]
    text = page.read_text(encoding="utf-8")
    items = rows(text)
    of_rows = [fault for row in items for fault in row_faults(row, root)]
    return inventory_faults(items) + of_rows + deviation_faults(text, modules(root, *MARKED))


def rows(page: str) -> list[Row]:
    """A row for each item of the tables below the headings of the papers."""
    text = sections(page)
    items = []
    for paper in INVENTORY:
        for line in text.get(paper, "").splitlines():
            cells = _cells(line)
            is_row = len(cells) == len(COLUMNS) and cells != COLUMNS
            if is_row and cells[0].strip("-"):
                row = Row(paper=paper, **dict(zip(FIELDS, cells, strict=True)))
                items += [replace(row, id=item) for item in _items(row.id)]
    return items


def _items(cell: str) -> list[str]:
    """The ids in a cell such as "fig 7a, 7b; ablation no normalisation"."""
    groups = [group.partition(" ") for group in cell.split("; ")]
    return [item for kind, _, names in groups for item in _ids(kind, names)]


def _cells(line: str) -> list[str]:
    return (
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|")
        else []
    )


def inventory_faults(items: Iterable[Row]) -> list[str]:
    """Rows that are missing, are not in the inventory, or are duplicates."""
    faults = []
    ids = [(row.paper, row.id) for row in items]
    wanted = [(paper, id) for paper, all_ids in INVENTORY.items() for id in all_ids]
    faults += [
        f"{PAGE}, {paper}: no row for '{id}'" for paper, id in wanted if (paper, id) not in ids
    ]
    for paper, id in dict.fromkeys(ids):
        if (paper, id) not in wanted:
            faults.append(f"{PAGE}, {paper}: '{id}' is not in the inventory of tools/papers.py")
        if ids.count((paper, id)) > 1:
            faults.append(f"{PAGE}, {paper}: '{id}' has {ids.count((paper, id))} rows")
    return faults


def row_faults(row: Row, root: Path) -> list[str]:
    """An unknown state, and what a row that is done, or knowingly otherwise, lacks."""
    if row.state not in STATES:
        return [f"{row.place}: state '{row.state}' is none of: {', '.join(STATES)}"]
    if row.state not in ("done", "differs"):
        return []
    cells = {"module": row.module, "test": row.test, "recipe": row.recipe}
    lacks = [f"names no {name}" for name in ("module", "test") if not _paths(cells[name])]
    lacks += [
        f"{path} does not exist"
        for cell in cells.values()
        for path in _paths(cell)
        if not (root / path).exists()
    ]
    return [f"{row.place}: {lack}" for lack in lacks]


def deviation_faults(page: str, code: Iterable[Module]) -> list[str]:
    """The modules with another number of marked deviations than of rows below `DEVIATIONS`."""
    table = sections(page).get(DEVIATIONS, "")
    first_cells = [_cells(line)[0] for line in table.splitlines() if line.startswith("|")]
    rows_of = Counter(path for cell in first_cells for path in _paths(cell))
    lines_of = {str(module.path): lines for module in code if (lines := marked_lines(module.text))}
    faults = []
    for path in sorted({*lines_of, *rows_of}):
        lines = lines_of.get(path, [])
        if len(lines) != rows_of[path]:
            where = f" in line {', '.join(map(str, lines))}" if lines else ""
            counts = f"{len(lines)} marked in the code{where}, {rows_of[path]} in the table"
            faults.append(f"{PAGE}, {DEVIATIONS}: {path}: {counts}")
    return faults


def marked_lines(text: str) -> list[int]:
    r"""The lines of a module whose comments or strings mark a deviation, one for each mark.

    Example:
        >>> marked_lines("x = 1  # Deviation: one\n\ndeviation = 2  # Deviates from the paper: two\n")
        [1, 3]
    """
    lines = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            marks = MARK.finditer(token.string)
            lines += [token.start[0] + token.string.count("\n", 0, mark.start()) for mark in marks]
    return lines


def _paths(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


if __name__ == "__main__":
    raise SystemExit(report(faults(ROOT)))
