"""Measures relations and suppliers of a project, here or as jobs in any place. Loads no torch.

A job measures one relation, or the labels of one supplier and task. The findings are one file,
which depends only on the ledger, the settings, and the files of labels and cameras.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from labelgrid.annotate.answer_folder import DECLARATION
from labelgrid.basics.files import read_text, remove_folder
from labelgrid.basics.progress import Progress
from labelgrid.executors.passes import RecordPass, Shard, Stamped
from labelgrid.executors.workplace import Workplace
from labelgrid.ledger.roster import Roster
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.label_stamp import stamp_of_labels
from labelgrid.project.suppliers import INDEX, supplier_folder, supplier_names
from labelgrid.recipes.recipe import Recipe
from labelgrid.recipes.resolve import hash_of
from labelgrid.suppliers.relation_trust import (
    RelationRow,
    UnmeasuredRelation,
    measure_relations,
    unmeasured_relations,
)
from labelgrid.suppliers.supplier_trust import (
    SupplierRow,
    UnmeasuredSupplier,
    measure_suppliers,
    unmeasured_suppliers,
)

#: The module that processes load before they measure.
PRELOADED = __name__
#: The folder of the project with the records, until all are there.
FOLDER = ".relate"


@dataclass(frozen=True, kw_only=True)
class UnmeasuredTrust:
    """Relations and suppliers to measure."""

    relations: Sequence[UnmeasuredRelation] = ()
    suppliers: Sequence[UnmeasuredSupplier] = ()

    def parts(self) -> "dict[str, UnmeasuredTrust]":
        """Split into parts of a single relation, or of a supplier and task, by a name in words."""
        parts = {}
        for relation in self.relations:
            parts[f"Relation {relation.name}"] = UnmeasuredTrust(relations=[relation])
        for supplier in self.suppliers:
            name = f"Supplier {supplier.name}, {supplier.task}"
            parts[name] = UnmeasuredTrust(suppliers=[supplier])
        return parts


@dataclass(frozen=True, kw_only=True)
class TrustRows:
    """Relations and suppliers, measured: a row for each."""

    relations: Sequence[RelationRow]
    suppliers: Sequence[SupplierRow]


def unmeasured_trust(project: ProjectFolder, recipe: Recipe) -> UnmeasuredTrust:
    """The relations and suppliers of a project that can be measured.

    Raises:
        RecipeError: a relation of the recipe is wrong.
        ProjectError: the list of a supplier's labels is damaged.
    """
    return UnmeasuredTrust(
        relations=unmeasured_relations(project, recipe.relations),
        suppliers=unmeasured_suppliers(project, recipe.suppliers),
    )


def measure_trust(
    project: ProjectFolder, progress: Progress, unmeasured: UnmeasuredTrust, workplace: Workplace
) -> TrustRows | None:
    """Measure relations and suppliers, each on its own, in the place of `workplace`.

    Returns:
        The measured rows; None if only a share was measured.

    Raises:
        ProjectError: the list of a supplier's labels is damaged, or something could not be measured
            elsewhere.
        LabelError: a label's file is missing or has changed.
    """
    if workplace.executor is None:
        return _measured_here(project, progress, unmeasured)
    measuring = trust_pass(project, unmeasured)
    shards = measuring.shards(workplace)
    if not measuring.run(shards, workplace, progress):
        return None
    parts = [record.rows for record in measuring.records(shards)]
    remove_folder(measuring.folder)
    return TrustRows(
        relations=[row for part in parts for row in part.relations],
        suppliers=[row for part in parts for row in part.suppliers],
    )


def _measured_here(
    project: ProjectFolder, progress: Progress, unmeasured: UnmeasuredTrust
) -> TrustRows:
    return TrustRows(
        relations=measure_relations(project, progress, unmeasured.relations),
        suppliers=measure_suppliers(project, progress, unmeasured.suppliers),
    )


@dataclass(frozen=True, kw_only=True)
class TrustRecord(Stamped):
    """The measurements of a job."""

    rows: TrustRows


def measure_part(
    shard: Shard[TrustRecord],
    folder: Path,
    roster: Roster,
    part: UnmeasuredTrust,
    progress: Progress,
) -> TrustRecord:
    """Measure a relation, or the labels of a supplier and task.

    Remarks name the project's `folder` as the user wrote it. The `roster` has the project's tasks
    and images.
    """
    with ProjectFolder.open(folder) as project, project.store.steady(roster):
        rows = _measured_here(project, progress, part)
    return TrustRecord(stamp=shard.stamp, rows=rows)


def trust_pass(project: ProjectFolder, unmeasured: UnmeasuredTrust) -> RecordPass[TrustRecord]:
    """The pass that measures relations, suppliers and tasks, each as a job."""
    folder = project.folder
    parts = unmeasured.parts()
    roster = project.store.known_roster()
    files = [(row.image_id, row.root, row.digest) for row in project.store.images()]
    common = hash_of(str(folder), stamp_of_labels(project), files, _supplied(project))
    return RecordPass(
        activity="Measuring trust",
        folder=folder / FOLDER,
        kind=TrustRecord,
        items=list(parts),
        stamp=lambda names: hash_of(common, asdict(parts[names[0]])),
        function=measure_part,
        arguments=lambda shard: (folder, roster, parts[shard.items[0]]),
        unit="measurements",
        title="{item}",
        singly=True,
    )


def _supplied(project: ProjectFolder) -> list[str]:
    """The texts of the declarations and indices of all suppliers."""
    texts = []
    for name in supplier_names(project):
        folder = supplier_folder(project, name)
        texts.append(name)
        paths = (folder / DECLARATION, folder / INDEX)
        texts += [read_text(path) for path in paths if path.is_file()]  # others say what is missing
    return texts
