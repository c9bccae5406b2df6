"""Brings the labels of suppliers to a training, as far as the recipe trusts them."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from labelgrid.annotate.answer_folder import DECLARATION
from labelgrid.basics.config import check_tasks
from labelgrid.basics.errors import RecipeError
from labelgrid.basics.streams import image_keys, keyed_uniform, seed_of
from labelgrid.data.data_options import SupplierChoice
from labelgrid.data.dataset import Source, nonempty_label
from labelgrid.data.supplied_source import SuppliedFile, SuppliedLabels
from labelgrid.formats.codec import LabelArray, UpTo
from labelgrid.pixel.map_fit import spread
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.suppliers import (
    IndexedLabel,
    Supplier,
    SupplierIndex,
    measured_trust,
    read_declaration,
    read_index,
    refuse_unknown_suppliers,
    supplier_folder,
)
from labelgrid.tasks.task import TaskDef, TaskDefs

#: So many labels of a task, drawn from those of the training images, say what is usual.
SAMPLE = 32
#: The share of a label's pixels that are nearer than what is usually the nearest.
NEAREST = 0.01
#: Predictions below this are never inverted.
SMALLEST = 1e-6


class UsualValues(NamedTuple):
    """The usual spread of a task's true labels, and the least number to invert."""

    spread: float
    least: float


@dataclass(frozen=True, kw_only=True)
class BoundSupplier:
    """A supplier of a project.

    Args:
        name: its name.
        declared: what the supplier declares of its labels.
        index: its labels.
        trust: the trust in the supplier's labels, by trusted task.
    """

    name: str
    declared: Supplier
    index: SupplierIndex
    trust: Mapping[str, float]


def trust_by_supplier(
    project: ProjectFolder, choices: Mapping[str, SupplierChoice], tasks: TaskDefs
) -> dict[str, dict[str, float]]:
    """The trusted suppliers of a recipe, with the trust in each trusted task.

    A trust in a dropped task stays in the recipe, and counts for nothing.

    Raises:
        RecipeError: a task is unknown, or the project has no labels of a supplier, or the recipe
            names a folder of them, which is for studies.
    """
    trusted = {}
    task_names = [*tasks, *project.store.removed("tasks")]
    for name, choice in choices.items():
        check_tasks(f"suppliers.{name}.tasks", choice.tasks, task_names)
        trust = {}
        for task in tasks:
            if choice.trust_in(task):
                trust[task] = choice.trust_in(task)
        if trust:
            _refuse_folder(project, name, choice)
            trusted[name] = trust
    refuse_unknown_suppliers(project, trusted)
    return trusted


def _refuse_folder(project: ProjectFolder, name: str, choice: SupplierChoice) -> None:
    if choice.folder and project.settings.oracle is None:
        raise RecipeError(
            f"The recipe names the folder '{choice.folder}' of a supplier's labels, which only a "
            "study reads.",
            where=f"suppliers.{name}.folder",
            next_step=f"Import them with `labelgrid import {project.folder} {choice.folder} "
            f"--supplier {name}`, and leave `folder` out.",
        )


def bind_suppliers(
    project: ProjectFolder, choices: Mapping[str, SupplierChoice], tasks: TaskDefs
) -> list[BoundSupplier]:
    """The suppliers that a recipe trusts in some task.

    Raises:
        RecipeError: as by `trust_by_supplier`.
        ProjectError: the list of a supplier's labels is damaged.
    """
    trusted = trust_by_supplier(project, choices, tasks)
    return [bind_supplier(project, name, trust) for name, trust in trusted.items()]


def bind_supplier(project: ProjectFolder, name: str, trust: Mapping[str, float]) -> BoundSupplier:
    """A supplier of a project, with a trust in some tasks."""
    return BoundSupplier(
        name=name,
        declared=read_declaration(supplier_folder(project, name) / DECLARATION),
        index=read_index(project, name),
        trust=trust,
    )


def supplied_labels(
    project: ProjectFolder,
    supplier: BoundSupplier,
    task: TaskDef,
    usual: UsualValues | None,
    image_ids: Collection[str],
) -> SuppliedLabels:
    """The labels of a task that a supplier gave of some images.

    If they are true up to a scale and `usual` is None, there are none.
    """
    files = {}
    fitted = is_fitted(supplier, task)
    if not fitted or usual:
        labels = supplier.index.labels.get(task.name, {})
        for image_id in sorted(labels.keys() & set(image_ids)):
            files[image_id] = _file_of(project, supplier, task, labels[image_id])
    inverted = is_inverted(supplier, task)
    up_to = None
    if fitted and usual:
        shift = supplier.declared.up_to == "scale-shift"
        up_to = UpTo(shift, inverted, usual.spread, usual.least)
    return SuppliedLabels(
        supplier=supplier.name,
        trust=supplier.trust[task.name],
        files=files,
        inverted=inverted,
        up_to=up_to,
        coverage=measured_trust(project, supplier.name).coverage.get(task.name, 1.0),
    )


def _file_of(
    project: ProjectFolder, supplier: BoundSupplier, task: TaskDef, label: IndexedLabel
) -> SuppliedFile:
    confidence = None
    if label.confidence:
        confidence = (project.inside(label.confidence), label.confidence_digest)
    classes = supplier.index.classes(task.name, label)
    return SuppliedFile(project.inside(label.path), label.digest, classes, confidence)


def is_inverted(supplier: BoundSupplier, task: TaskDef) -> bool:
    """Whether a supplier's numbers are inverse to those of the task."""
    return bool(task.spec.up_to) and supplier.declared.inverts(task)


def is_fitted(supplier: BoundSupplier, task: TaskDef) -> bool:
    """Whether a supplier's labels of a task are true up to a scale at best."""
    return supplier.declared.is_relative(task)


def usual_values(source: Source, task: TaskDef, image_ids: Collection[str]) -> UsualValues | None:
    """The usual spread and the usual smallest number of a sample of a task's true labels.

    None if there is no label.
    """
    spreads = []
    smallest = []
    for image_id in _shuffled(image_ids, "supplied", task.name)[:SAMPLE]:
        label = nonempty_label(source, image_id, task)
        if label:
            values = label.value[..., 0][label.valid].astype(np.float64)
            spreads.append(spread(values))
            smallest.append(float(np.quantile(values, NEAREST)))
    if not spreads:
        return None
    return UsualValues(float(np.median(spreads)), max(float(np.median(smallest)), SMALLEST))


def _shuffled(image_ids: Collection[str], *names: str) -> list[str]:
    ordered = sorted(image_ids)
    draws = keyed_uniform(image_keys(ordered), seed_of(0, *names))
    return [ordered[int(number)] for number in np.argsort(draws, kind="stable")]


def supplied_by_task(
    project: ProjectFolder,
    suppliers: Collection[BoundSupplier],
    source: Source,
    tasks: TaskDefs,
    labelled: Mapping[str, Collection[str]],
) -> dict[str, list[SuppliedLabels]]:
    """Suppliers' labels of images, by task.

    Args:
        project: the project.
        suppliers: the trusted suppliers.
        source: the true labels.
        tasks: the project's tasks.
        labelled: the tasks of which each of the images has a label.
    """
    by_task: dict[str, list[SuppliedLabels]] = {}
    for supplier in suppliers:
        for name in supplier.trust:
            usual = None
            if is_fitted(supplier, tasks[name]):
                labelled_ids = []
                for image_id, of in labelled.items():
                    if name in of:
                        labelled_ids.append(image_id)
                usual = usual_values(source, tasks[name], labelled_ids)
            labels = supplied_labels(
                project, supplier, tasks[name], usual=usual, image_ids=labelled
            )
            by_task.setdefault(name, []).append(labels)
    return by_task


def pairs(
    project: ProjectFolder, name: str, task: TaskDef, source: Source, image_ids: Collection[str]
) -> Iterator[tuple[str, LabelArray, LabelArray]]:
    """Images with both a true label and one of a supplier, in random order, with the two labels.

    A map that is true up to a scale keeps the numbers of the file, and has an `up_to`.

    Args:
        project: the project.
        name: the name of the supplier.
        task: the task.
        source: the true labels, as of the ledger.
        image_ids: training images; of a random draw, if trust is to be measured.
    """
    supplier = bind_supplier(project, name, {task.name: 1.0})
    given = supplier.index.labels.get(task.name, {})
    usual = None
    if is_fitted(supplier, task):
        usual = usual_values(source, task, image_ids)
    labels = supplied_labels(project, supplier, task, usual=usual, image_ids=image_ids)
    for image_id in _shuffled(given.keys() & set(image_ids), "pairs", name, task.name):
        true = nonempty_label(source, image_id, task)
        supplied = labels.label(image_id, task)
        if true and supplied:
            yield image_id, true, supplied


def supplied_identity(
    suppliers: Collection[BoundSupplier], image_ids: Collection[str]
) -> list[tuple[object, ...]]:
    """The suppliers' labels that affect a training, for the training's identity."""
    parts: list[tuple[object, ...]] = []
    for supplier in suppliers:
        declared = supplier.declared
        # Exact labels are trained on as by versions with `align`; other maps are fitted now.
        up_to = "none" if declared.up_to == "nothing" else f"up to {declared.up_to}"
        parts.append((supplier.name, up_to, declared.larger_is_nearer))
        for task in supplier.trust:
            labels = supplier.index.labels.get(task, {})
            used = sorted(labels.keys() & set(image_ids))
            for image_id in used:
                label = labels[image_id]
                parts.append((task, image_id, label.digest))
                if label.confidence:
                    parts.append((task, image_id, label.confidence_digest))
    return parts
