"""Measures relations and suppliers of a project together. Loads no torch."""

from collections.abc import Sequence
from dataclasses import dataclass

from labelgrid.basics.progress import Progress
from labelgrid.project.folder import ProjectFolder
from labelgrid.recipes.recipe import Recipe
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


@dataclass(frozen=True, kw_only=True)
class UnmeasuredTrust:
    """Relations and suppliers that are to be measured."""

    relations: Sequence[UnmeasuredRelation] = ()
    suppliers: Sequence[UnmeasuredSupplier] = ()

    def parts(self) -> "dict[str, UnmeasuredTrust]":
        """Each relation, then each supplier and task, on its own, by its name in words."""
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
    """What can be measured of a project.

    Raises:
        RecipeError: a relation of the recipe is wrong.
        ProjectError: the list of a supplier's labels is damaged.
    """
    return UnmeasuredTrust(
        relations=unmeasured_relations(project, recipe.relations),
        suppliers=unmeasured_suppliers(project, recipe.suppliers),
    )


def measure_trust(
    project: ProjectFolder, progress: Progress, unmeasured: UnmeasuredTrust
) -> TrustRows:
    """Measure relations and suppliers, each on its own.

    Raises:
        ProjectError: the list of a supplier's labels is damaged.
        LabelError: a label's file is missing or has changed.
    """
    return TrustRows(
        relations=measure_relations(project, progress, unmeasured.relations),
        suppliers=measure_suppliers(project, progress, unmeasured.suppliers),
    )
