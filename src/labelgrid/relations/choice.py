"""Defines what a recipe says of a relation. Loads no NumPy."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from labelgrid.basics.type_names import Values


@dataclass(frozen=True, kw_only=True)
class RelationChoice:
    """A relation of a recipe: a table [relations.NAME].

    Args:
        plugin: the plug-in in `labelgrid.relations.derivations`; "": the table's name.
        reads: the tasks whose labels the relation reads, in its order; empty: for each kind the
            only task of the kind.
        gives: the task of the derived label; "": the only task of its kind that is not read.
        trust: how far derived labels are believed, from 0 to 1: their weight in training. 0: the
            relation is off.
        exact: derived labels are as good as bought ones: queries leave out the cells that follow.
        coverage: the share of a label's pixels that the derived label reaches, from 0 to 1; a query
            values a cell by the rest.
        if_possible: leave the relation out, without an error, where a task of its kinds lacks. Set
            in the recipes of runs with some of a study's tasks.
        options: the options of the plug-in.
    """

    plugin: str = ""
    reads: tuple[str, ...] = ()
    gives: str = ""
    trust: float = 0.0
    exact: bool = False
    coverage: float = 1.0
    if_possible: bool = False
    options: Values = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in ("trust", "coverage"):
            if not 0 <= getattr(self, key) <= 1:
                raise ValueError(f"{key} lies between 0 and 1; it is {getattr(self, key)}")
        if self.exact and not self.trust:
            raise ValueError("an exact relation needs a trust above 0")


#: The relations of a recipe, by the names of their tables.
RelationChoices = Mapping[str, RelationChoice]
