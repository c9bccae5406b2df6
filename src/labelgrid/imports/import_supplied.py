"""Imports labels of a supplier: all of them, or none and a list of faults."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from labelgrid.annotate.answer_folder import DECLARATION
from labelgrid.annotate.answers import Answer, Answers, Fault
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.import_options import ImportOptions
from labelgrid.basics import files
from labelgrid.basics.config import as_toml
from labelgrid.basics.errors import LabelError, UsageError
from labelgrid.basics.progress import Progress, Silent
from labelgrid.basics.words import count_text
from labelgrid.imports.import_doubts import DoubtedImport
from labelgrid.imports.import_labels import LabelImport
from labelgrid.imports.import_place import import_place
from labelgrid.imports.import_sources import Source, open_sources
from labelgrid.imports.imported import Imported
from labelgrid.imports.validate_labels import (
    UNCHANGED,
    AcceptedLabel,
    ValidatedLabels,
    validate_labels,
)
from labelgrid.ledger.grid import Cell
from labelgrid.project.folder import SUPPLIED, ProjectFolder
from labelgrid.project.supplier_classes import (
    Confidence,
    DeclaredFiles,
    ReadConfidence,
    keep_confidence,
)
from labelgrid.project.suppliers import (
    Delivery,
    IndexedLabel,
    Supplier,
    SupplierIndex,
    read_declaration,
    read_index,
    supplier_folder,
    write_index,
)
from labelgrid.tasks.task import TaskDef


def import_supplied(
    project: ProjectFolder,
    source: Source | Sequence[Source],
    *,
    supplier: str,
    cost: float | None = None,
    format: str | None = None,
    accept: bool = False,
    limit: int = 0,
    seed: int = 0,
    options: ImportOptions | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Imported:
    """Import labels of a supplier beside those of the ledger, where no cell becomes labelled.

    A cell has at most one label of each supplier; a new one replaces it. Labels of images that are
    not for training are left out and counted. Labels that look wrong are said, and imported.

    What is declared of the supplier is read from `supplier.toml` in the folder of labels, or stays
    as it is in the project. `cost` is that of one label; None: as declared, otherwise 0. With
    `accept`, nobody looks for labels that look wrong. Further arguments are as of `import_labels`.

    Raises:
        ImportRefused: lists every fault.
        LabelError: there is no label for a training image.
        UsageError: the name or the cost is wrong.
        RecipeError: the declaration is wrong.
        ProjectError: the disk reports an error, or a fit, score or query is running.
    """
    folder = supplier_folder(project, supplier)
    options = options or ImportOptions()
    locked = nullcontext() if dry_run else project.lock()
    placed = import_place(project.folder)
    with (
        locked,
        placed as place,
        project.store.steady(),
        open_sources(source, progress) as sources,
    ):
        declared = _declared([answer for _, answer in sources], folder)
        if cost is not None:
            try:
                declared = dataclasses.replace(declared, cost=cost)
            except ValueError as error:
                raise UsageError(f"--cost: {error}.", unchanged=UNCHANGED) from error
        if options.names:
            declared = dataclasses.replace(declared, map=options.names)
        options = dataclasses.replace(options, names=declared.map)
        run = SuppliedImport(
            project=project,
            place=place,
            sources=sources,
            format=format,
            replace=True,
            accept=accept,
            limit=limit,
            seed=seed,
            index=ProjectIndex(project.store, project.tasks(), options),
            progress=progress or Silent(),
            name=supplier,
            declared=declared,
            index_before=read_index(project, supplier),
        )
        if dry_run:
            return run.try_out()
        return run.carry_out()


def _declared(places: Iterable[Source], folder: Path) -> Supplier:
    """The declaration of the sources; else the earlier one, without how the labels were made."""
    for place in places:
        if isinstance(place, Path) and (place / DECLARATION).is_file():
            return read_declaration(place / DECLARATION)
    if not (folder / DECLARATION).is_file():
        return Supplier()
    earlier = read_declaration(folder / DECLARATION)
    if not earlier.settings:  # no maker's
        return earlier
    return dataclasses.replace(earlier, revision="", settings={}, date="")


def _numbers(declared: Supplier) -> str:
    """What the numbers of a supplier's maps are."""
    text = f"up_to = {as_toml(declared.up_to)}"
    if declared.larger_is_nearer is None:
        return text
    return f"{text}, larger_is_nearer = {as_toml(declared.larger_is_nearer)}"


@dataclass(kw_only=True)
class SuppliedImport(LabelImport):
    """An import of a supplier's labels.

    Args:
        name: the name of the supplier.
        declared: what the file with the labels declares of them.
        index_before: the labels that the supplier gave before.
        confidence: reads the confidence of a label at a size, by cell.
    """

    name: str
    declared: Supplier
    index_before: SupplierIndex
    rescaled: frozenset[str] = field(init=False)
    confidence: dict[Cell, ReadConfidence] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.folder = f"{SUPPLIED}/{self.name}"
        scaled = set()
        for name, task in self.project.tasks().items():
            if task.spec.up_to:
                scaled.add(name)
        is_other = self.declared.up_to != "nothing" or self.declared.larger_is_nearer is not None
        self.rescaled = frozenset(scaled if is_other else ())
        unlike = {name: self._unlike(task) for name, task in self.project.tasks().items()}
        self.numbers.unlike = {name: how for name, how in unlike.items() if how[0]}

    def _unlike(self, task: TaskDef) -> tuple[str, bool]:
        """How the supplier's numbers differ from a task's, and whether they are inverted."""
        declared = self.declared
        if not task.spec.up_to:
            return "", False
        inverted = declared.inverts(task)
        if declared.up_to == "nothing":
            return "inverse" if inverted else "", inverted
        parts = {"scale": "a scale", "scale-shift": "a scale and a shift"}
        return f"true up to {parts[declared.up_to]}", inverted

    def _admit(self, answers: Answers) -> Answers:
        """Leave only labels of training images: others would reach a training, or a measurement."""
        named = {answer.cell.image_id for answer in answers.labels}
        images = self.project.store.images(("train",), named)
        train = {row.image_id for row in images}
        of_train = [answer for answer in answers.labels if answer.cell.image_id in train]
        declared = DeclaredFiles.of(self.declared, self.index.tasks, self.index.class_names)
        labels = [self._as_declared(answer, declared) for answer in of_train]
        left_out = len(answers.labels) - len(labels)
        notes = list(answers.notes)
        if left_out:
            text = count_text(left_out, "label is", "labels are")
            note = (
                f"Left out: {text} of held-out, val or test images; a supplier's are for training."
            )
            if not labels:
                raise LabelError(note, where=self.where, unchanged=UNCHANGED)
            notes.append(note)
        return dataclasses.replace(answers, labels=labels, skips=[], notes=notes)

    def _as_declared(self, answer: Answer, declared: DeclaredFiles) -> Answer:
        """The answer with how its file is read."""
        file = answer.label
        if not isinstance(file, Path):
            return answer
        task = answer.cell.task
        confidence = declared.confidence(task, file)
        if confidence:
            self.confidence[answer.cell] = confidence
        return declared.answer(answer, file)

    def _validate(self, answers: Answers) -> ValidatedLabels:
        cells = [answer.cell for answer in answers.labels]
        if not self.accept:
            compared = [cell for cell in cells if cell.task not in self.rescaled]
            self.summaries = self._summaries(compared)
        validated = validate_labels(
            self.project,
            answers,
            split=None,
            replace=True,
            progress=self.progress,
            seen=self._see,
            rows={cell: self.index_before.row(cell) for cell in cells},
            leave_out=self.index.options.leave_out,
        )
        self._refuse_other_numbers(cells)
        faults = [*validated.faults, *self._confidence_faults(validated.labels)]
        return dataclasses.replace(validated, faults=faults)

    def _refuse_other_numbers(self, cells: Sequence[Cell]) -> None:
        """Refuse maps declared otherwise than the earlier maps that stay."""
        path = supplier_folder(self.project, self.name) / DECLARATION
        earlier = read_declaration(path) if path.is_file() else self.declared
        if _numbers(earlier) == _numbers(self.declared):
            return
        new = {(cell.task, cell.image_id) for cell in cells}
        for task in self.index.tasks.values():
            images = self.index_before.labels.get(task.name, {}) if task.spec.up_to else {}
            count = sum((task.name, image_id) not in new for image_id in images)
            if count:
                raise LabelError(
                    f"{count_text(count, 'earlier label')} of '{task.name}' by '{self.name}' would "
                    f"be read as {_numbers(self.declared)}, but came as {_numbers(earlier)}.",
                    where=self.where,
                    next_step="Import these labels as those of another supplier.",
                    unchanged=UNCHANGED,
                )

    def _confidence_faults(self, labels: Iterable[AcceptedLabel]) -> Iterator[Fault]:
        for label in labels:
            cell = label.row.cell
            read = self.confidence.get(cell)
            if read is None:
                continue
            try:
                read(label.size)
            except LabelError as error:
                yield Fault.of_error(str(error.where or label.answer.where), error, cell)

    def _refuse_doubted(self, validated: ValidatedLabels, draw: bool = True) -> None:
        """Say which labels look wrong, and import all: suppliers' labels are not taken for true."""
        labels = validated.labels
        compared = [label for label in labels if label.row.cell.task not in self.rescaled]
        try:
            super()._refuse_doubted(dataclasses.replace(validated, labels=compared), draw)
        except DoubtedImport as doubted:
            for row in doubted.rows:
                if row.where not in self.rescaled:
                    self.progress.say(f"{row.where}: these labels may be wrong. {row.what}")

    def _still_requested(self, validated: ValidatedLabels) -> dict[str, tuple[str, ...]]:
        del validated
        return {}

    def _keep(self, validated: ValidatedLabels, paths: Sequence[str]) -> ValidatedLabels:
        folder = supplier_folder(self.project, self.name)
        declaration = folder / DECLARATION
        if not declaration.is_file() or read_declaration(declaration) != self.declared:
            files.write_text(declaration, self.declared.text(), UNCHANGED)
        delivery = self.declared.delivery(self.project.tasks())
        pairs = zip(validated.labels, paths, strict=True)
        confidence = []
        for label, path in pairs:
            read = self.confidence.get(label.row.cell)
            confidence.append(keep_confidence(self.project, path, read, label.size))
        index = _with_delivery(
            self.index_before, delivery, validated.labels, paths=paths, confidence=confidence
        )
        if index != self.index_before:
            write_index(self.project, self.name, index)
            files.remove_files(self.project.folder, self.index_before.paths() - index.paths())
        return validated


def _with_delivery(
    index: SupplierIndex,
    delivery: Delivery,
    labels: Sequence[AcceptedLabel],
    *,
    paths: Sequence[str],
    confidence: Sequence[Confidence | None],
) -> SupplierIndex:
    """The labels of a supplier after an import.

    An equal label stays with the earlier delivery, unless the maker's revision or settings have
    changed: `supply` makes labels of other revisions and settings again.
    """
    kept = {task: dict(earlier) for task, earlier in index.labels.items()}
    number = len(index.deliveries)
    changed = False
    for label, path, of_label in zip(labels, paths, confidence, strict=True):
        cell = label.row.cell
        entry = IndexedLabel(path, label.digest, number, *(of_label or ()))
        earlier = kept.setdefault(cell.task, {}).get(cell.image_id)
        if earlier is None or (
            earlier._replace(delivery=number) != entry
            or delivery.is_remade(index.deliveries[earlier.delivery])
        ):
            kept[cell.task][cell.image_id] = entry
            changed = True
    if not changed:
        return index
    return SupplierIndex((*index.deliveries, delivery), kept)
