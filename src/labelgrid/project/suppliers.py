"""Keeps labels of suppliers, which are cheap and untrue, beside the ledger's labels.

A supplier is a folder `supplied/NAME`. A supplier's `supplier.toml` describes its labels;
`index.json` lists them. Each label is a file whose name has a part of its content's hash; the index
is replaced in one step once these are on the disk. Loads no torch.
"""

import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import numpy as np

from labelgrid.annotate.answer_folder import DECLARATION
from labelgrid.basics import files
from labelgrid.basics.array_types import Floats
from labelgrid.basics.config import as_toml, parse, read_toml
from labelgrid.basics.errors import ProjectError, RecipeError, UsageError
from labelgrid.basics.type_names import Json, Values
from labelgrid.basics.words import join_names
from labelgrid.data.data_options import SupplierChoice
from labelgrid.ledger.grid import Cell, Grid, State
from labelgrid.ledger.store import CellRow
from labelgrid.project.folder import SUPPLIED, ProjectFolder

if TYPE_CHECKING:
    from labelgrid.relations.bound import BoundRelation
    from labelgrid.tasks.task import TaskDef, TaskDefs

INDEX = "index.json"
#: The values of `up_to`.
UpToChoice = Literal["nothing", "scale", "scale-shift"]
#: The measured trust in a supplier's labels.
MEASURED = "measured.json"
#: The rule by which trust is measured; by the first, depth up to a scale earned none.
RULE = 2
#: The columns of `supplier_rows`.
SUPPLIER_COLUMNS = ("supplier", "task", "labels", "cost", "trust", "measured")
T = TypeVar("T")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_WHAT_IS_DECLARED = {
    "cost": "of one label; suppliers' costs are shown beside what was spent, never in it",
    "origin": "who or what made the labels, such as a model and its address",
    "revision": "of the model",
    "licence": "of the labels",
    "date": "when they were made",
    "up_to": "what depth is true up to: nothing, scale, or scale-shift",
    "larger_is_nearer": "whether numbers grow toward the camera; leave out if as in the labels",
    "classes": "by task, the supplier's classes by their numbers from 0, if not the task's",
    "map": "what its names of classes mean, as --map has it",
    "grades": "the tasks of binary maps whose files hold grades from 0 to 1",
    "settings": "what the maker of the labels was told",
}


@dataclass(frozen=True, kw_only=True)
class Supplier:
    """The declaration of a supplier's labels: `supplier.toml`.

    Args:
        cost: the cost of one label.
        origin: who or what made them.
        revision: the revision of that model or program.
        licence: the licence of the labels.
        date: when they were made.
        up_to: what maps of a kind with a scale, such as depth, are true up to: "nothing", a "scale"
            or a scale and a shift ("scale-shift"), different in each image.
        larger_is_nearer: whether its numbers grow toward the camera; None: if the task's do.
        classes: by task, the names of the classes in its files by their numbers from 0; none if
            they are the task's.
        map: the name of a class there, or in a tool's file -> the task's class, or "ignore".
        grades: the tasks of binary maps whose files hold grades from 0 to 1.
        settings: what the maker of the labels was told.
    """

    cost: float = 0.0
    origin: str = ""
    revision: str = ""
    licence: str = ""
    date: str = ""
    up_to: UpToChoice = "nothing"
    larger_is_nearer: bool | None = None
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    map: Mapping[str, str] = field(default_factory=dict)
    grades: tuple[str, ...] = ()
    settings: Values = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.cost < math.inf:
            raise ValueError(f"cost must be a number from 0 up; it is {self.cost:g}")

    def inverts(self, task: "TaskDef") -> bool:
        """Whether the numbers are inverse to those of a task of distances."""
        return self.larger_is_nearer not in (None, task.grows_toward_camera)

    def is_relative(self, task: "TaskDef") -> bool:
        """Whether maps of a task are true up to a scale at best."""
        return self.up_to in task.spec.up_to

    def delivery(self, tasks: "TaskDefs") -> "Delivery":
        """The record of an import of today."""
        return Delivery(
            imported=datetime.now(UTC).date().isoformat(),
            origin=self.origin,
            revision=self.revision,
            licence=self.licence,
            date=self.date,
            settings=self.settings,
            classes={name: len(task.classes) for name, task in tasks.items() if task.classes},
        )

    def text(self) -> str:
        """The declaration as commented TOML."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        width = max(len(f"{name} = {as_toml(value)}") for name, value in values.items())
        lines = []
        for name, value in values.items():
            setting = f"{name} = {as_toml(value)}"
            lines.append(f"{setting:<{min(width, 40)}}  # {_WHAT_IS_DECLARED[name]}")
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """An import of a supplier's labels, with the declaration of the time.

    Args:
        imported: the day of the import.
        settings: what the maker of the labels was told; empty: of labels that nobody made with one.
        classes: the number of classes that each task had, of tasks with classes.
    """

    imported: str
    origin: str = ""
    revision: str = ""
    licence: str = ""
    date: str = ""
    settings: Values = field(default_factory=dict)
    classes: Mapping[str, int] = field(default_factory=dict)

    def is_remade(self, earlier: "Delivery") -> bool:
        """Whether a maker made the labels with another revision or settings than `earlier`."""
        same = (self.revision, self.settings) == (earlier.revision, earlier.settings)
        return bool(self.settings) and not same


class IndexedLabel(NamedTuple):
    """A supplied label: file in the project, content hash, and number of the delivery.

    The same of its confidence; "" if there is none.
    """

    path: str
    digest: str
    delivery: int
    confidence: str = ""
    confidence_digest: str = ""


@dataclass(frozen=True)
class SupplierIndex:
    """The labels that a supplier gave.

    Args:
        deliveries: its imports.
        labels: the labels by task, then by image.
    """

    deliveries: tuple[Delivery, ...] = ()
    labels: Mapping[str, Mapping[str, IndexedLabel]] = field(default_factory=dict)

    def row(self, cell: Cell) -> CellRow:
        """The label of a cell as a row of the ledger; a missing cell's row without a label."""
        label = self.labels.get(cell.task, {}).get(cell.image_id)
        if label is None:
            return CellRow(cell=cell)
        return CellRow(cell=cell, state=State.LABELLED, path=label.path, digest=label.digest)

    def paths(self) -> set[str]:
        """The label files of all tasks."""
        tables = self.labels.values()
        label_paths = set()
        for labels in tables:
            for label in labels.values():
                label_paths |= {label.path, label.confidence} - {""}
        return label_paths

    def classes(self, task: str, label: IndexedLabel) -> int | None:
        """The number of classes of a label's task at the label's delivery."""
        return self.deliveries[label.delivery].classes.get(task)


@dataclass(frozen=True)
class MeasuredTrust:
    """The trust in a supplier's labels that was measured last.

    Args:
        tasks: the trust by task.
        deliveries: the number of its imports until then.
        rule: by which it was measured, see `RULE`.
        coverage: the share of true labels' pixels that theirs reach, by task.
    """

    tasks: Mapping[str, float] = field(default_factory=dict)
    deliveries: int = 0
    rule: int = 1
    coverage: Mapping[str, float] = field(default_factory=dict)


def supplier_names(project: ProjectFolder) -> list[str]:
    """The names of the project's suppliers, sorted."""
    return sorted(path.parent.name for path in (project.folder / SUPPLIED).glob(f"*/{INDEX}"))


def supplier_folder(project: ProjectFolder, name: str) -> Path:
    """The folder of a supplier, which may not exist.

    Raises:
        UsageError: the name cannot be that of a folder.
        ProjectError: it leads out of the project.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"A supplier's name has letters, digits, '.', '_' and '-'. Found {name!r}.",
            next_step="Write, for example, --supplier moge-2.",
        )
    return project.inside(f"{SUPPLIED}/{name}")


def read_declaration(path: Path) -> Supplier:
    """The declaration of a supplier in a file; earlier files call `up_to` `align`.

    Raises:
        RecipeError: it cannot be read, or a key or value is wrong.
    """
    values = read_toml(path)
    if "align" in values and "up_to" not in values:
        align = values.pop("align")
        values["up_to"] = "nothing" if align == "none" else align
    return parse(Supplier, values, str(path))


def read_index(project: ProjectFolder, name: str) -> SupplierIndex:
    """The labels that a supplier gave; none if there is no index. It is parsed once for each file.

    An entry that is damaged is found out by its file, whose content has another hash.

    Raises:
        ProjectError: it is damaged.
    """
    path = supplier_folder(project, name) / INDEX
    try:
        status = path.stat()
    except OSError:  # it does not exist, or reading it says why
        return _parse_index(path)
    return _known_index(path, (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size))


@lru_cache(maxsize=16)
def _known_index(path: Path, _version: tuple[int, ...]) -> SupplierIndex:
    return _parse_index(path)


def _parse_index(path: Path) -> SupplierIndex:
    index = _read(SupplierIndex, path)
    for labels in index.labels.values():
        if any(not 0 <= label.delivery < len(index.deliveries) for label in labels.values()):
            raise _damaged(path)
    return index


def _read(kind: type[T], path: Path) -> T:
    try:
        with files.disk_errors(path):
            values = json.loads(files.read_text(path)) if path.exists() else {}
        return parse(kind, values, str(path), finite=False)
    except (ValueError, TypeError, RecipeError) as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> ProjectError:
    steps = {
        INDEX: "Remove this file and import the supplier's labels again; or remove the folder.",
        MEASURED: "Remove this file; `labelgrid relate DIR --write` measures again.",
    }
    contents = {INDEX: "list of a supplier's labels", MEASURED: "trust measured of a supplier"}
    return ProjectError(
        f"The {contents[path.name]} is damaged.", where=path, next_step=steps[path.name]
    )


def write_index(project: ProjectFolder, name: str, index: SupplierIndex) -> None:
    """Replace the list of a supplier's labels in one step.

    Raises:
        ProjectError: the disk reports an error.
    """
    text = json.dumps(asdict(index), ensure_ascii=False, separators=(",", ":"))
    files.write_text(supplier_folder(project, name) / INDEX, f"{text}\n")


def note_trust(
    project: ProjectFolder, name: str, tasks: Mapping[str, float], coverage: Mapping[str, float]
) -> None:
    """Keep the trust that was measured in a supplier's labels, and the coverage, by task.

    Raises:
        ProjectError: the disk reports an error.
    """
    measured = MeasuredTrust(tasks, len(read_index(project, name).deliveries), RULE, coverage)
    text = json.dumps(asdict(measured), ensure_ascii=False)
    files.write_text(supplier_folder(project, name) / MEASURED, f"{text}\n")


def noted_trust(project: ProjectFolder, name: str) -> Mapping[str, float]:
    """The measured trust in a supplier's labels, by task.

    It is empty if labels came since, or an earlier rule measured.

    Raises:
        ProjectError: the note or the list of labels is damaged.
    """
    measured = measured_trust(project, name)
    if measured.rule != RULE or measured.deliveries != len(read_index(project, name).deliveries):
        return {}
    return measured.tasks


def measured_trust(project: ProjectFolder, name: str) -> MeasuredTrust:
    """The last measurement of a supplier's labels.

    Raises:
        ProjectError: the note is damaged.
    """
    return _read(MeasuredTrust, supplier_folder(project, name) / MEASURED)


def measured_before(project: ProjectFolder, name: str) -> list[str]:
    """The tasks of a supplier whose trust was measured by an earlier rule.

    Raises:
        ProjectError: the note is damaged.
    """
    measured = measured_trust(project, name)
    return [] if measured.rule == RULE else sorted(measured.tasks)


def supplier_values(
    project: ProjectFolder, choices: Mapping[str, SupplierChoice]
) -> dict[str, Json]:
    """The status of each supplier, as JSON values; `choices` are the recipe's."""
    values = {}
    for name in supplier_names(project):
        supplier = read_declaration(supplier_folder(project, name) / DECLARATION)
        index = read_index(project, name)
        choice = choices.get(name, SupplierChoice())
        counts = {task: len(labels) for task, labels in index.labels.items()}
        values[name] = {
            "labels": counts,
            "cost": supplier.cost,
            "trust": {task: choice.trust_in(task) for task in counts},
            "measured": dict(noted_trust(project, name)),
            "earlier_rule": [task for task in measured_before(project, name) if task in counts],
            "derives": _derived_trust(project.relations(), supplier, choice, counts),
            "origin": supplier.origin,
            "licence": supplier.licence,
        }
    return values


def supplier_rows(suppliers: Values) -> list[list[Any]]:
    """The rows of a table of `supplier_values`: for a supplier and task, also a derived one."""
    rows = []
    for name, values in suppliers.items():
        for task, count in values["labels"].items():
            measured = values["measured"].get(task, "")
            if task in values["earlier_rule"]:
                measured = "by an earlier rule: `relate` measures again"
            rows.append(
                [name, task, count, values["cost"] * count, values["trust"][task], measured]
            )
        for task, trust in values["derives"].items():
            rows.append([name, f"{task}, derived", "", "", round(trust, 2), ""])
    return rows


def given_shares(project: ProjectFolder, grid: Grid) -> Floats | None:
    """The share of each cell's label [n, t] that the recipe's suppliers give; None without trust.

    A share is the trust in the most trusted supplier times the coverage, as measured last. Labels
    that relations derive from supplied labels count, too.

    Raises:
        RecipeError: the recipe is wrong.
        ProjectError: what was measured, or the list of a supplier's labels, is damaged.
    """
    choices = project.suppliers()
    if not any(choice.is_on for choice in choices.values()):
        return None
    columns = grid.columns
    shares = np.zeros(grid.state.shape)
    readable = np.zeros(grid.state.shape)
    for name, choice in choices.items():
        index = read_index(project, name)
        shifted = read_declaration(supplier_folder(project, name) / DECLARATION).up_to
        for task in columns.keys() & index.labels.keys():
            coverage = measured_trust(project, name).coverage.get(task, 1.0)
            given = index.labels[task]
            share = np.array([image_id in given for image_id in grid.images])
            column = columns[task]
            values = share * choice.trust_in(task) * coverage
            shares[:, column] = np.maximum(shares[:, column], values)
            if shifted != "scale-shift":
                readable[:, column] = np.maximum(readable[:, column], values)
    for relation in project.relations():
        reads = [columns[task] for task in relation.reads]
        sources = np.maximum(readable[:, reads], grid.bought[:, reads])
        follows = sources.prod(1) * relation.trust * relation.coverage
        follows[grid.bought[:, reads].all(1)] = 0  # that is no supplier's
        column = columns[relation.gives]
        shares[:, column] = np.maximum(shares[:, column], follows)
    return shares if shares.any() else None


def _derived_trust(
    relations: Collection["BoundRelation"],
    supplier: Supplier,
    choice: SupplierChoice,
    tasks: Collection[str],
) -> dict[str, float]:
    """The trust in labels that relations derive from a supplier's labels, by task."""
    trust: dict[str, float] = {}
    if supplier.up_to != "scale-shift":
        for relation in relations:
            if len(relation.reads) == 1 and relation.reads[0] in tasks:
                both = relation.trust * choice.trust_in(relation.reads[0])
                trust[relation.gives] = max(both, trust.get(relation.gives, 0.0))
    return {task: value for task, value in trust.items() if value}


def supplied_rows(project: ProjectFolder) -> list[CellRow]:
    """All supplied labels of the project's images and tasks, as rows of the ledger."""
    tasks = {row.name for row in project.store.tasks()}
    images = {row.image_id for row in project.store.images()}
    rows = []
    for name in supplier_names(project):
        index = read_index(project, name)
        for task in sorted(index.labels.keys() & tasks):
            image_ids = sorted(index.labels[task].keys() & images)
            rows += [index.row(Cell(image_id, task)) for image_id in image_ids]
    return rows


def confidence_files(project: ProjectFolder) -> list[tuple[str, str]]:
    """The files of the suppliers' confidence in the project, with the hashes of their contents."""
    confidence = []
    for name in supplier_names(project):
        for labels in read_index(project, name).labels.values():
            given = [label for label in labels.values() if label.confidence]
            confidence += [(label.confidence, label.confidence_digest) for label in given]
    return confidence


def refuse_unknown_suppliers(project: ProjectFolder, names: Collection[str]) -> None:
    """Refuse suppliers of a recipe that the project does not have.

    Raises:
        RecipeError: names the first of them.
    """
    suppliers = supplier_names(project) if names else []
    for name in names:
        if name not in suppliers:
            raise RecipeError(
                f"The recipe trusts the supplier '{name}', of whom the project has no labels.",
                where=f"suppliers.{name}",
                next_step=f"Suppliers: {join_names(suppliers) or 'none'}. Import its labels with "
                f"`labelgrid import {project.folder} FOLDER --supplier {name}`, or set its trust "
                "to 0.",
            )
