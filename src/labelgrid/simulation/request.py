"""Defines the request for a study: recipe, data set, folder and number of parallel runs.

Loads no torch.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labelgrid.errors import note_unchanged
from labelgrid.files import digest
from labelgrid.processes import cores
from labelgrid.project.settings import resolve_recipe
from labelgrid.recipes.resolve import build_plugin, load_recipe, resolved_options, training_options
from labelgrid.rounds.round_scores import score_tables
from labelgrid.select.strategy import Strategy
from labelgrid.simulation import plugin_code
from labelgrid.simulation.cell_lists import listed_digests
from labelgrid.simulation.dataset_classes import add_dataset_classes
from labelgrid.simulation.study import KEPT, Study, read_json, study_of


@dataclass(frozen=True, kw_only=True)
class StudyRequest:
    """A study, its data set, and the folder of its runs.

    Args:
        recipe: a shipped recipe's name, or the absolute path of one.
        study: the runs and their budgets.
        root: the data set's root.
        weights: the absolute path of a local file of backbone weights; "" downloads them if the
            recipe needs them.
        out: the folder of all runs; an existing one is resumed.
        jobs: the number of parallel runs; 0: one per processor core.
        force: resume runs although the code of an own plug-in has changed; the report notes it.
    """

    recipe: str
    study: Study
    root: Path
    weights: str
    out: Path
    jobs: int = 0
    force: bool = False

    @classmethod
    @note_unchanged("Nothing was run.")
    def of(
        cls,
        recipe: str,
        data: Path,
        out: Path,
        *,
        weights: Path | None = None,
        changes: Mapping[str, Any] | None = None,
        jobs: int = 0,
        force: bool = False,
    ) -> "StudyRequest":
        """Create the request for a recipe's study.

        Args:
            recipe: a shipped recipe's name, or a path.
            data: the data set's root.
            out: the folder of all runs.
            weights: a local file of backbone weights.
            changes: values of [simulate] that replace the recipe's.
            jobs: the number of parallel runs; 0: one per processor core.
            force: resume runs although the code of an own plug-in has changed.

        Raises:
            RecipeError: there is no such recipe, it has no [simulate], or a value is wrong.
            ImageError: the data set cannot be read.
            ProjectError: the class names in its `tasks.toml` are wrong.
        """
        name = resolve_recipe(recipe)
        study = add_dataset_classes(study_of(name, changes), data)
        return cls(
            recipe=name,
            study=study,
            root=data,
            weights=str(weights.absolute()) if weights else "",
            out=out,
            jobs=jobs,
            force=force,
        )

    @property
    def at_once(self) -> int:
        """The number of parallel runs."""
        return self.jobs or cores()

    def to_json(self) -> dict[str, Any]:
        """The content of `study.json`."""
        loaded = load_recipe(self.recipe)
        recipe = json.loads(loaded.json())
        plans = [
            plan for name in self.study.strategies if (plan := self.study.initial_of(name)).file
        ]
        cells = {
            file: known
            for plan in plans
            for file, known in sorted(listed_digests(plan, self.root).items())
        }
        study = json.loads(json.dumps(asdict(self.study)))
        code = plugin_code.digests([recipe, study])
        return {
            "recipe": recipe,
            "training": training_options(loaded),
            "scoring": self._scoring(recipe["score"]),
            "study": study,
            "root": str(self.root.absolute()),
            "weights": digest(Path(self.weights)) if self.weights else "",
        } | {key: values for key, values in (("cells", cells), ("code", code)) if values}

    def _scoring(self, tables: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """Resolve all options of the statistics.

        Where a strategy sets other options, they stand under "STATISTIC of STRATEGY".
        """
        found: dict[str, dict[str, Any]] = {}
        for name in self.study.strategies:
            choice = self.study.chosen(name)
            strategy: Strategy = build_plugin("strategies", choice)
            plain = resolved_options("statistics", strategy.needs, tables)
            own = resolved_options("statistics", strategy.needs, score_tables(strategy, tables))
            found |= plain
            found |= {
                f"{key} of {choice.name}": options
                for key, options in own.items()
                if options != plain[key]
            }
        return dict(sorted(found.items()))

    def previous(self) -> dict[str, Any] | None:
        """Read the `study.json` of the folder's earlier runs; None if there is none.

        Raises:
            ProjectError: the file is damaged.
        """
        if not (self.out / KEPT).is_file():
            return None
        return read_json(self.out / KEPT)

    def changed_code(self) -> list[str]:
        """Name the own plug-ins whose source has changed since the folder's runs were started."""
        before = (self.previous() or {}).get("code")
        return (
            plugin_code.changed_plugins(before, self.to_json().get("code", {}))
            if isinstance(before, Mapping)
            else []
        )
