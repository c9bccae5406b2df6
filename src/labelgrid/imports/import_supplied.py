"""Imports labels of a supplier: all of them, or none and a list of faults."""

import dataclasses
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from labelgrid.annotate.answer_folder import DECLARATION
from labelgrid.annotate.answers import Answers
from labelgrid.annotate.connector import ProjectIndex
from labelgrid.annotate.import_options import ImportOptions
from labelgrid.basics import files
from labelgrid.basics.errors import LabelError, UsageError
from labelgrid.basics.progress import Progress, Silent
from labelgrid.basics.words import count_text
from labelgrid.imports.import_doubts import DoubtedImport
from labelgrid.imports.import_labels import LabelImport
from labelgrid.imports.import_place import import_place
from labelgrid.imports.import_sources import Source, open_sources
from labelgrid.imports.imported import Imported
from labelgrid.imports.validate_labels import UNCHANGED, ValidatedLabels, validate_labels
from labelgrid.project.folder import SUPPLIED, ProjectFolder
from labelgrid.project.supplier_classes import other_classes
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
        declared = _declared([*(answer for _, answer in sources), folder])
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


def _declared(places: Iterable[Source]) -> Supplier:
    for place in places:
        if isinstance(place, Path) and (place / DECLARATION).is_file():
            return read_declaration(place / DECLARATION)
    return Supplier()


@dataclass(kw_only=True)
class SuppliedImport(LabelImport):
    """An import of a supplier's labels.

    Args:
        name: the name of the supplier.
        declared: what the file with the labels declares of them.
        index_before: the labels that the supplier gave before.
    """

    name: str
    declared: Supplier
    index_before: SupplierIndex
    rescaled: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.folder = f"{SUPPLIED}/{self.name}"
        scaled = set()
        for name, task in self.project.tasks().items():
            if task.spec.scaled:
                scaled.add(name)
        is_other = self.declared.align != "none" or self.declared.larger_is_nearer is not None
        self.rescaled = frozenset(scaled if is_other else ())

    def _admit(self, answers: Answers) -> Answers:
        """Leave only labels of training images: others would reach a training, or a measurement."""
        named = {answer.cell.image_id for answer in answers.labels}
        images = self.project.store.images(("train",), named)
        train = {row.image_id for row in images}
        others = {}
        if self.declared.classes:
            class_names = self.index.class_names()
            others = other_classes(self.declared.classes, self.index.tasks, class_names)
        labels = []
        for answer in answers.labels:
            classes = others.get(answer.cell.task)
            if classes and isinstance(answer.label, Path):
                answer = dataclasses.replace(answer, label=partial(classes.read, answer.label))
            if answer.cell.image_id in train:
                labels.append(answer)
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

    def _validate(self, answers: Answers) -> ValidatedLabels:
        cells = [answer.cell for answer in answers.labels]
        if not self.accept:
            compared = [cell for cell in cells if cell.task not in self.rescaled]
            self.summaries = self._summaries(compared)
        return validate_labels(
            self.project,
            answers,
            split=None,
            replace=True,
            progress=self.progress,
            seen=self._see,
            rows={cell: self.index_before.row(cell) for cell in cells},
            leave_out=self.index.options.leave_out,
        )

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
        index = _with_delivery(self.index_before, delivery, validated=validated, paths=paths)
        if index != self.index_before:
            write_index(self.project, self.name, index)
            files.remove_files(self.project.folder, self.index_before.paths() - index.paths())
        return validated


def _with_delivery(
    index: SupplierIndex,
    delivery: Delivery,
    *,
    validated: ValidatedLabels,
    paths: Sequence[str],
) -> SupplierIndex:
    """The labels of a supplier after an import; an equal label stays with the earlier delivery."""
    if not any(label.is_fresh for label in validated.labels):
        return index
    labels = {task: dict(earlier) for task, earlier in index.labels.items()}
    number = len(index.deliveries)
    for label, path in zip(validated.labels, paths, strict=True):
        cell = label.row.cell
        if label.is_fresh:
            entry = IndexedLabel(path, label.digest, number)
            labels.setdefault(cell.task, {})[cell.image_id] = entry
    return SupplierIndex((*index.deliveries, delivery), labels)
