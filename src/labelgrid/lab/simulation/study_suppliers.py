"""Gives the runs of a study the labels in suppliers' folders, which the recipe names.

A run's project then has them as after an import: of images of the pool alone.
"""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from labelgrid.annotate.answer_folder import DECLARATION
from labelgrid.annotate.answers import Answer
from labelgrid.annotate.class_names import ClassNames
from labelgrid.annotate.import_options import ImportOptions
from labelgrid.basics import files
from labelgrid.basics.config import check_tasks
from labelgrid.basics.errors import EmptyLabelError, RecipeError
from labelgrid.basics.files import digest
from labelgrid.basics.progress import Progress
from labelgrid.basics.type_names import Size
from labelgrid.data.dataset import Dataset, size_of
from labelgrid.data.layouts.folder import label_file
from labelgrid.formats.codec import size_error
from labelgrid.formats.confidence import confidence_of
from labelgrid.formats.naming import label_name, whole_names
from labelgrid.imports.validate_labels import as_file
from labelgrid.ledger.grid import Cell
from labelgrid.project.folder import SUPPLIED, ProjectFolder
from labelgrid.project.sources import dataset_of
from labelgrid.project.supplier_classes import (
    DeclaredFiles,
    ReadConfidence,
    keep_confidence,
)
from labelgrid.project.suppliers import (
    IndexedLabel,
    Supplier,
    SupplierIndex,
    read_declaration,
    supplier_folder,
    supplier_names,
    write_index,
)
from labelgrid.recipes.recipe import Recipe
from labelgrid.rounds.context import recipe_of
from labelgrid.tasks.task import TaskDef, TaskDefs

UNCHANGED = "Nothing was run."


@dataclass(frozen=True)
class StudySupplier:
    """A supplier of a study, with the folder of labels."""

    name: str
    folder: Path

    def declared(self) -> Supplier:
        """What the folder declares of the labels.

        Raises:
            RecipeError: the declaration is wrong.
        """
        path = self.folder / DECLARATION
        if path.is_file():
            return read_declaration(path)
        return Supplier()


def suppliers_of(recipe: Recipe, root: Path, tasks: Collection[str]) -> list[StudySupplier]:
    """The suppliers that the recipe of a study trusts.

    Raises:
        RecipeError: one has no folder, or a task of its trust is unknown.
    """
    suppliers = []
    for name, choice in recipe.suppliers.items():
        where = f"suppliers.{name}"
        check_tasks(f"{where}.tasks", choice.tasks, tasks)
        if not choice.is_on:
            continue
        folder = root / choice.folder
        if not choice.folder or not folder.is_dir():
            fault = f"There is no folder '{folder}'."
            if not choice.folder:
                fault = "A study needs the folder of a supplier's labels."
            raise RecipeError(
                fault,
                where=f"{where}.folder",
                next_step="Name a folder with a folder of labels for each task: an absolute path, "
                "or one below the data set's root.",
                unchanged=UNCHANGED,
            )
        suppliers.append(StudySupplier(name, folder))
    return suppliers


@dataclass(frozen=True, kw_only=True)
class SuppliedCell:
    """A supplier's label of a cell as a file of the task.

    The file may be temporary, unless `is_own`: then it is the supplier's.
    """

    cell: Cell
    path: Path
    is_own: bool
    size: Size
    confidence: ReadConfidence | None


@dataclass(frozen=True, kw_only=True)
class SupplierReader:
    """Reads the labels in a supplier's folder.

    Args:
        supplier: the supplier.
        dataset: the data set with the images.
        tasks: the tasks of which labels are read.
        declared: how files are read.
        whole: the images whose labels keep the image's extension.
    """

    supplier: StudySupplier
    dataset: Dataset
    tasks: TaskDefs
    declared: DeclaredFiles
    whole: frozenset[str]

    @classmethod
    def of(cls, supplier: StudySupplier, dataset: Dataset, tasks: TaskDefs) -> "SupplierReader":
        """Prepare to read.

        Raises:
            LabelError: a class that the supplier declares is of no task.
        """
        declared = supplier.declared()
        classes = {name: names for name, names in declared.classes.items() if name in tasks}
        class_names = partial(ClassNames, tasks, ImportOptions(names=declared.map))
        image_ids = dataset.images()
        return cls(
            supplier=supplier,
            dataset=dataset,
            tasks=tasks,
            declared=DeclaredFiles.of(replace(declared, classes=classes), tasks, class_names),
            whole=whole_names(image_ids, image_ids),
        )

    def path(self, cell: Cell) -> Path | None:
        """The file of a cell's label; None if there is none.

        Raises:
            LabelError: two files match the image, or one file matches several images.
        """
        task = self.tasks[cell.task]
        return label_file(self.supplier.folder / task.name, cell.image_id, task, self.whole)

    def files(self, image_ids: Iterable[str]) -> list[Path]:
        """The files of the labels of some images, and the declaration, if there is one.

        Raises:
            LabelError: as by `path`.
        """
        cells = [Cell(image_id, task) for image_id in image_ids for task in self.tasks]
        paths = []
        for cell in cells:
            path = self.path(cell)
            if path:
                paths += [path, *filter(None, [confidence_of(path, cell.task)])]
        declaration = self.supplier.folder / DECLARATION
        if declaration.is_file():
            paths.append(declaration)
        return paths

    @contextmanager
    def label(self, cell: Cell) -> Iterator[SuppliedCell | None]:
        """The label of a cell; None if there is none, or one without a valid pixel.

        Raises:
            LabelError: the file is no label of the task, or has another size than its image.
        """
        task = self.tasks[cell.task]
        path = self.path(cell)
        if path is None:
            yield None
            return
        size = size_of(self.dataset, cell.image_id)
        confidence = self.declared.confidence(cell.task, path)
        answer = self.declared.answer(Answer(cell=cell, where=str(path), label=path), path)
        with as_file(answer, task, size) as file:
            if file is None or not _is_label(file, task, size, path):
                yield None
            else:
                if confidence:
                    confidence(size)  # a wrong one is refused
                yield SuppliedCell(
                    cell=cell, path=file, is_own=file == path, size=size, confidence=confidence
                )


def _is_label(file: Path, task: TaskDef, size: Size, shown: Path) -> bool:
    """Whether a file has a label with a valid pixel."""
    try:
        label = task.read(file)
    except EmptyLabelError:
        return False
    if label.size != size:
        error = size_error(label.size, size, "Make it at the image's size, upright.")
        error.where = str(shown)
        raise error
    return bool(label.valid.any())


def take_labels(project: ProjectFolder, progress: Progress) -> None:
    """Give a run's project the labels of the trusted suppliers, once.

    Files are linked to, where the disk can do that. A call after a kill completes it.
    """
    assert project.settings.oracle is not None
    recipe = recipe_of(project)
    if not recipe.suppliers:
        return
    root = Path(project.settings.oracle.root)
    tasks = project.tasks()
    taken_names = supplier_names(project)
    for supplier in suppliers_of(recipe, root, tasks):
        if supplier.name not in taken_names:
            _take(project, supplier, tasks, progress)


def _take(
    project: ProjectFolder, supplier: StudySupplier, tasks: TaskDefs, progress: Progress
) -> None:
    assert project.settings.oracle is not None
    reader = SupplierReader.of(supplier, dataset_of(project.settings.oracle), tasks)
    image_ids = [row.image_id for row in project.store.images(("train",))]
    labels: dict[str, dict[str, IndexedLabel]] = {}
    total = len(image_ids) * len(tasks)
    progress.start(f"Reading labels of '{supplier.name}'", total, "cells")
    for name in tasks:
        for image_id in image_ids:
            with reader.label(Cell(image_id, name)) as label:
                if label:
                    labels.setdefault(name, {})[image_id] = _keep(project, supplier, label)
            progress.advance()
    declared = supplier.declared()
    folder = supplier_folder(project, supplier.name)
    files.write_text(folder / DECLARATION, declared.text())
    write_index(project, supplier.name, SupplierIndex((declared.delivery(tasks),), labels))


def _keep(project: ProjectFolder, supplier: StudySupplier, label: SuppliedCell) -> IndexedLabel:
    cell = label.cell
    name = label_name(cell.image_id, label.path.suffix.lower(), whole=True)
    path = f"{SUPPLIED}/{supplier.name}/{cell.task}/{name}"
    target = project.folder / path
    put = files.link_or_copy if label.is_own else files.copy_file
    with files.disk_errors(target):
        put(label.path, target)
    confidence = keep_confidence(project, path, label.confidence, label.size)
    return IndexedLabel(path, digest(target), 0, *(confidence or ()))
