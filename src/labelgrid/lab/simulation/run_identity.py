"""Says what the results of a run depend on, as JSON values with a hash. Loads no torch.

Runs of an arm that differ in their seed alone have one identity: the seed is in a run's key.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from labelgrid.basics.files import digest
from labelgrid.basics.type_names import Json, Tables, Values
from labelgrid.lab.simulation.cell_lists import listed_cells
from labelgrid.lab.simulation.runs import Run
from labelgrid.lab.simulation.study_recipe import Study
from labelgrid.lab.simulation.study_request import StudyRequest
from labelgrid.lab.simulation.study_suppliers import StudySupplier, suppliers_of
from labelgrid.lab.simulation.supplied_digests import SuppliedDigests
from labelgrid.recipes.resolve import (
    build_plugin,
    hash_of,
    load_recipe,
    resolved_options,
    training_options,
)
from labelgrid.rounds.round_scores import score_tables
from labelgrid.select.strategy import Strategy
from labelgrid.train.train_options import WITHOUT_EFFECT

#: The settings of a study that count for each of its runs.
SETTINGS = ("data", "pool", "test", "val", "group", "threads")
#: In place of a value that is not there.
ABSENT: Any = object()
#: Beginnings of keys that count only where they had a value: an option of a plug-in that is new in
#: a version of this program changes nothing at its default, and other values stand in the recipe.
OPTIONS = ("options.", "start.options.")
#: The beginning of the keys of the run that a run continues.
START = "start."


@dataclass(frozen=True)
class Difference:
    """A dotted key whose value has changed; `ABSENT` is no value."""

    key: str
    before: Any
    now: Any

    def __str__(self) -> str:
        if self.before is ABSENT:
            return f"{self.key} is new"
        if self.now is ABSENT:
            return f"{self.key} is gone"
        return f"{self.key} changed from {json.dumps(self.before)} to {json.dumps(self.now)}"


def differences(before: Any, now: Any, key: str = "") -> Iterator[Difference]:
    """Find the values that differ between nested tables, by dotted keys.

    Example:
        >>> before = {"train": {"steps": 3, "batch": 4}, "tasks": {"depth": {}}}
        >>> now = {"train": {"steps": 4, "batch": 4}, "tasks": {"depth": {"cost": 2}}}
        >>> [str(difference) for difference in differences(before, now)]
        ['tasks.depth.cost is new', 'train.steps changed from 3 to 4']
    """
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for name in sorted(before.keys() | now.keys()):
            inner = f"{key}.{name}" if key else name
            yield from differences(before.get(name, ABSENT), now.get(name, ABSENT), inner)
    elif before != now:
        yield Difference(key, before, now)


@dataclass(frozen=True)
class Identities:
    """The identities of a study's runs.

    Args:
        runs: run key -> the hash of its identity.
        values: hash -> identity.
    """

    runs: Mapping[str, str]
    values: Tables

    @classmethod
    def read(cls, kept: Values) -> "Identities":
        """Read the identities in the values of a `study.json`.

        A file of an earlier version has none; damaged ones are left out.
        """
        runs = kept.get("runs")
        values = kept.get("identities")
        if not (isinstance(runs, Mapping) and isinstance(values, Mapping)):
            return cls({}, {})
        values = {name: value for name, value in values.items() if isinstance(value, Mapping)}
        hashes = {}
        for key, name in runs.items():
            if str(name) in values:
                hashes[key] = str(name)
        return cls(hashes, values)

    def as_json(self) -> Json:
        """The identities as values of `study.json`."""
        return {"runs": self.runs, "identities": self.values}

    def with_images(self, images: str) -> "Identities":
        """The same identities with the digest of the data set's images."""
        hashes: dict[str, str] = {}
        values: dict[str, Values] = {}
        for name, identity in self.values.items():  # a start comes before what continues it
            changed = {**identity, "images": images}
            if "start" in identity:
                changed["start"] = hashes[identity["start"]]
            hashes[name] = hash_of(changed)
            values[hashes[name]] = changed
        return Identities({key: hashes[name] for key, name in self.runs.items()}, values)

    def of_run(self, key: str) -> Json:
        """The identity of a run, with the whole identity of the start."""
        identity = dict(self.values[self.runs[key]])
        if "start" in identity:
            identity["start"] = self.values.get(str(identity["start"]), identity["start"])
        return identity

    def changes(self, key: str, now: "Identities") -> list[Difference]:
        """Find what has changed in the identity of a run.

        A change that the run shares with the run it continues is named once.
        """
        changed = []
        for difference in differences(self.of_run(key), now.of_run(key)):
            is_new_option = difference.before is ABSENT and difference.key.startswith(OPTIONS)
            if not is_new_option:
                changed.append(difference)
        in_start = [replace(one, key=f"{START}{one.key}") for one in changed]
        return [one for one in changed if one not in in_start]


def identities_of(
    request: StudyRequest, runs: Sequence[Run], supplied: SuppliedDigests | None = None
) -> Identities:
    """Resolve the identities of a study's runs, without the digest of its images.

    Starts come before the runs that continue them.

    Args:
        request: the request of the study.
        runs: its runs.
        supplied: digests of the suppliers' labels; None: all are read.

    Raises:
        RecipeError: a supplier has no folder.
        LabelError: a label of a supplier is wrong.
    """
    supplied = supplied or SuppliedDigests(request)
    weights = digest(Path(request.weights)) if request.weights else ""
    hashes: dict[str, str] = {}
    values: dict[str, Values] = {}
    digest_labels = cache(supplied.of)  # of a folder, once for all runs
    for run in runs:
        first = replace(run, seed=0)
        if first.key not in hashes:
            identity = _run_identity(first, request, digest_labels)
            identity |= {"images": "", "weights": weights}
            if run.kind == "strategy":
                identity["start"] = hashes[first.start(request.study).key]
            hashes[first.key] = hash_of(identity)
            values[hashes[first.key]] = identity
    return Identities({run.key: hashes[replace(run, seed=0).key] for run in runs}, values)


def _run_identity(
    run: Run, request: StudyRequest, digest_labels: Callable[[StudySupplier], str]
) -> Json:
    """The causes of a run's results, without seed, images, weights and start."""
    study = request.study
    recipe = load_recipe(request.recipe, run.overrides(study))
    rows = run.rows(study)
    identity = recipe.effective()
    del identity["score"]  # only the statistics that the strategy reads count
    for name in WITHOUT_EFFECT:
        identity["train"].pop(name, None)
    identity["options"] = training_options(recipe)
    identity["tasks"] = {row.name: asdict(row) for row in rows}
    identity["initial"] = _initial_cells(run, study, request.root)
    identity["simulate"] = {name: getattr(study, name) for name in SETTINGS}
    for supplier in suppliers_of(recipe, request.root, [row.name for row in rows]):
        identity["suppliers"][supplier.name]["labels"] = digest_labels(supplier)
    if run.kind == "strategy":  # what decides which labels the arm buys
        choice = study.chosen(run.name)
        strategy: Strategy = build_plugin("strategies", choice)
        given = {choice.name: choice.options}
        identity["simulate"] |= {"budget": study.budget, "unit": study.unit, **study.draws()}
        identity["strategy"] = asdict(choice)
        identity["options"]["strategies"] = resolved_options("strategies", given, given)
        identity["score"] = resolved_options(
            "statistics", strategy.needs, score_tables(strategy, recipe.score)
        )
    return json.loads(json.dumps(identity))


def _initial_cells(run: Run, study: Study, root: Path) -> Json:
    """The plan of the initial labels, or the listed cells of a plan with a file."""
    plan = run.initial(study)
    if not plan.file:
        # Networks of one task have the labels that are drawn for all tasks of the arm.
        tasks = sorted(row.name for row in study.rows(run.arm))
        values: Json = {
            "plan": plan.plan,
            "images": plan.images,
            "shares": plan.shares,
            "tasks": tasks,
        }
        if plan.plan == "regions":
            of_regions = (plan.regions, asdict(plan.maker), plan.answers, plan.tasks)
            values["regions"] = hash_of(of_regions)
        return values
    cells = listed_cells(plan, root, study.splits(root)[study.pool])
    listed = [(cell.image_id, cell.task) for cell in cells]
    return {"plan": plan.plan, "cells": hash_of(listed)}
