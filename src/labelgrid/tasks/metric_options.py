"""Checks which metrics a task names, their options, and by which figure it is compared. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from labelgrid.config import parse
from labelgrid.errors import RecipeError

if TYPE_CHECKING:
    from labelgrid.tasks.task import Spec


def metric_options(spec: Spec, headline: object, tables: object, where: str) -> dict[str, Any]:
    """The checked options of the metrics that a task names; of that of its headline, if it names none.

    Raises:
        RecipeError: the kind has no such headline or metric, it has no such option, or the headline's is not among
            them.
    """
    figures = {**{name: name for name in spec.metrics}, **spec.other_figures}
    if not isinstance(headline, str) or headline not in figures:
        raise RecipeError(
            f"headline is {headline!r}, which is no figure of this kind.",
            where=where,
            next_step=f"The kind has: {', '.join(figures)}.",
        )
    needed = figures[headline]
    tables = {needed: {}} if tables is None else tables
    if not isinstance(tables, Mapping) or needed not in tables or tables.keys() - spec.metrics.keys():
        raise RecipeError(
            f"metrics is {tables!r}; it is a table of metrics and their options, '{needed}' among them.",
            where=where,
            next_step=f"The kind has: {', '.join(spec.metrics)}.",
        )
    return {
        name: parse(spec.metrics[name], tables[name], f"{where}, metric '{name}'")
        for name in spec.metrics
        if name in tables
    }
