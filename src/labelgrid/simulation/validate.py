"""Validates a study before anything is run."""

import hashlib
import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, replace
from itertools import chain, combinations
from pathlib import Path
from typing import Any

from labelgrid.errors import ProjectError, RecipeError
from labelgrid.progress import Progress
from labelgrid.project.settings import Oracle, check_pattern
from labelgrid.project.sources import dataset_of
from labelgrid.recipes.resolve import build_plugin, check_options, load_recipe
from labelgrid.recipes.schema import PluginChoice
from labelgrid.results import LOSS
from labelgrid.rounds.round_scores import check_expected, lacking_term
from labelgrid.select.strategy import Strategy, check_named
from labelgrid.simulation.listed import listed_cells
from labelgrid.simulation.recorded import recorded_runs
from labelgrid.simulation.request import StudyRequest
from labelgrid.simulation.runs import Run, runs_of
from labelgrid.simulation.study import LOCK, Study, kept_study
from labelgrid.tasks.task import definitions
from labelgrid.words import counted

#: The fields of a study that may change between two calls: they select, end, show or explain runs, and change none.
OPEN = frozenset({"rounds", "strategies", "seeds", "full", "single", "spend", "until", "best_of", "explain"})


def validate_study(request: StudyRequest) -> list[Run]:
    """Check everything that can be checked before a run; returns the runs.

    Raises:
        LabelgridError: a name is unknown, a value is wrong, or the folder holds another study. Nothing was run.
    """
    study, runs = request.study, runs_of(request.study)
    for overrides in {json.dumps(o): o for o in (run.overrides(study) for run in runs)}.values():
        recipe = load_recipe(request.recipe, overrides)
        check_options("nets", recipe.network)
        for name, options in recipe.score.items():
            check_options("score", PluginChoice(name, options))
    definitions(study.rows())
    for strategy in study.strategies:
        _check_strategy(study, strategy)
    for name in chain(*study.best_of.values()):
        build_plugin("select", study.chosen(name))  # it may pick by a task that this study leaves out
    for run in runs:
        if run.kind == "strategy" and run.rounds(study) and not run.seed:
            _check_scoring(request, run)
    check_pattern(study.group)
    unknown = [name for name in study.until if name != LOSS and name.partition("/")[0] not in study.used_tasks]
    if unknown:
        raise RecipeError(
            f"until names '{unknown[0]}', which is not a metric of a task.",
            next_step=f'A metric is "TASK/METRIC", such as "semseg/mIoU", or "{LOSS}".',
        )
    _check_splits(request)
    _check_cells(request)
    _check_same(request, runs)
    return runs


def _check_strategy(study: Study, name: str) -> None:
    """Refuse an unknown strategy or task, wrong options, and a budget that does not pay for one image, or one label."""
    strategy: Strategy = build_plugin("select", study.chosen(name))
    rows = study.rows(name)
    named = getattr(strategy, "tasks", ()) or [row.name for row in rows]
    check_named(name, named, [row.name for row in rows])
    image_cost = {"labels": len(rows), "cost": sum(row.cost for row in rows), "images": 1}
    if strategy.unit == "images" and study.budget < image_cost[study.unit]:
        raise RecipeError(
            f"The budget of {study.budget:g} {study.unit} does not pay for one image, and '{name}' buys whole images.",
            next_step=f"An image with all its labels takes {image_cost[study.unit]:g} {study.unit}.",
            unchanged="Nothing was run.",
        )
    least = min(row.cost for row in rows if row.name in named)
    if study.unit == "cost" and study.budget < least:
        raise RecipeError(
            f"The budget of {study.budget:g} does not pay for one label that '{name}' buys.",
            next_step=f"The cheapest costs {least:g}.",
            unchanged="Nothing was run.",
        )


def _check_scoring(request: StudyRequest, run: Run) -> None:
    """Refuse options of statistics that an arm's strategy cannot use, and trainings without a term that one reads.

    The start's network scores, too.
    """
    study, chosen = request.study, request.study.chosen(run.name)
    strategy: Strategy = build_plugin("select", chosen)
    recipes = [load_recipe(request.recipe, one.overrides(study)) for one in (run, run.start(study))]
    for recipe in recipes:
        tables = {"score": recipes[0].score, "train.terms": recipe.terms}
        check_expected(f"The strategy of '{run.name}'", strategy, tables)
        if lacking := lacking_term(strategy, recipes[0].score, recipe.terms):
            raise RecipeError(
                f"'{run.name}' trains without the term '{lacking[1]}', which the statistic '{lacking[0]}' of its "
                "strategy reads.",
                next_step=f"Add it to an arm's `changes`, such as {{ terms = {{ {lacking[1]} = {{}} }} }}.",
                unchanged="Nothing was run.",
            )


def digest_images(study: Study, root: Path, kept: Mapping[str, Any], progress: Progress) -> str:
    """Digest the ids, splits and pixels of all images; labels are not included, because they are hidden.

    Args:
        study: the study.
        root: the data set's root.
        kept: the values of the `study.json` of earlier runs; empty if there are none.
        progress: receives the progress.

    Raises:
        ProjectError: the earlier runs have other images. LabelgridError: an image cannot be read.
    """
    dataset, hasher = dataset_of(Oracle(study.data, str(root))), hashlib.blake2b(digest_size=16)
    splits = [(split, sorted(dataset.splits()[split])) for split in study.parts]
    progress.start("Reading the images", sum(len(image_ids) for _, image_ids in splits), "images")
    for split, image_ids in splits:
        for image_id in image_ids:
            pixels = dataset.image(image_id)
            hasher.update(f"{split}\0{image_id}\0{pixels.shape}\0".encode())
            hasher.update(pixels.tobytes())
            progress.advance()
    if kept.get("pictures", "") not in ("", hasher.hexdigest()):
        raise ProjectError(
            "The data set's images or splits have changed since the study's runs were started.",
            where=str(root),
            next_step="Restore them, or run another study with `labelgrid simulate`.",
        )
    return hasher.hexdigest()


def _check_splits(request: StudyRequest) -> None:
    """Refuse a data set without these splits, and an image or split with two roles, such as training and testing."""
    needed = request.study.parts
    known = request.study.splits(request.root)
    absent = [name for name in needed if name not in known]
    if absent:
        fault = f"The data set has no split '{absent[0]}'."
    elif len(set(needed)) < len(needed):
        fault = f"Two of pool, test and val are the same split: {', '.join(needed)}."
    else:
        _check_disjoint({name: known[name] for name in needed}, request.root)
        return
    raise RecipeError(
        fault,
        where=str(request.root),
        next_step=f"It has: {', '.join(known) or 'none'}. Name its splits in [simulate]: pool, test, val.",
        unchanged="Nothing was run.",
    )


def _check_disjoint(splits: Mapping[str, Sequence[str]], root: Path) -> None:
    """Refuse an image in two splits: its label would not be hidden."""
    for first, second in combinations(splits, 2):
        shared = sorted(set(splits[first]) & set(splits[second]))
        if shared:
            raise RecipeError(
                f"The splits {first} and {second} share {counted(len(shared), 'image')}, such as '{shared[0]}'.",
                where=str(root),
                next_step="Remove them from one of the two.",
                unchanged="Nothing was run.",
            )


def _check_cells(request: StudyRequest) -> None:
    """Refuse files of initial cells that cannot be read, or that list a cell outside an arm's pool."""
    study = request.study
    for name in study.strategies:
        plan = study.initial_of(name)
        if not plan.file:
            continue
        path, tasks = request.root / plan.file, {row.name for row in study.rows(name)}
        pool = set(study.splits(request.root)[study.pool])
        cells = listed_cells(plan, request.root, pool)
        unknown = [cell for cell in cells if cell.image_id not in pool or cell.task not in tasks]
        if unknown:
            raise RecipeError(
                f"The pool of '{name}' has no cell ({unknown[0].image_id}, {unknown[0].task}).",
                where=str(path),
                next_step=f"List images of the split {study.pool} and tasks of the arm: {', '.join(sorted(tasks))}.",
                unchanged="Nothing was run.",
            )


def widened(request: StudyRequest) -> StudyRequest:
    """The request plus the strategies, seeds, rounds, `full` and `single` of its folder: all its runs are resumed."""
    previous = request.previous()
    if previous is None:
        return request
    study, old = request.study, kept_study(previous, request.out)
    strategies = tuple(dict.fromkeys([*old.strategies, *study.strategies]))
    wider = {name: max(getattr(old, name), getattr(study, name)) for name in ("seeds", "rounds", "full", "single")}
    return replace(request, study=replace(study, strategies=strategies, **wider))


def _is_foreign(name: str) -> bool:
    """Whether a file in an empty study's folder is neither the lock nor what a killed call left of a file."""
    return name != LOCK and not (name.startswith(".") and name.endswith(".part"))


def _check_same(request: StudyRequest, runs: Sequence[Run]) -> None:
    """Refuse to resume runs with other settings or code, and a folder that holds other files."""
    previous = request.previous()
    if previous is None:
        if request.out.is_dir() and any(_is_foreign(path.name) for path in request.out.iterdir()):
            raise ProjectError(
                "The folder holds other files than runs of a study.",
                where=str(request.out),
                next_step="Name a new folder with --out.",
                unchanged="Nothing was run.",
            )
        return
    now, old, study = request.to_json(), kept_study(previous, request.out), request.study
    _check_version(previous, now, request.out)
    old = replace(old, tasks=old.used_tasks)  # earlier versions kept only these
    study = replace(
        study,
        tasks=study.used_tasks,
        variants={name: variant for name, variant in study.variants.items() if name in old.variants},
    )
    fixed = sorted({field.name for field in fields(Study)} - OPEN - {"arms"})
    keys = ["recipe", "weights"]
    if any(request.out.glob("runs/*/")) or not previous.get("pictures"):  # runs refer to their data
        keys.append("root")
    changed = [key for key in keys if previous.get(key) != now[key]]
    scoring, training, cells = now["scoring"], now["training"], now.get("cells", {})
    changed += [f"score.{n}" for n, known in previous.get("scoring", {}).items() if scoring.get(n, known) != known]
    changed += [name for name, known in previous.get("training", {}).items() if training.get(name) != known]
    changed += [path for path, known in previous.get("cells", {}).items() if cells.get(path, known) != known]
    changed += [f"simulate.{name}" for name in fixed if getattr(old, name) != getattr(study, name)]
    changed += [f"simulate.arms.{name}" for name in _changed_arms(old, study, request.out, {run.key for run in runs})]
    if changed:
        raise ProjectError(
            f"The folder holds runs with other settings: {', '.join(changed)} changed.",
            where=str(request.out),
            next_step="Name another folder with --out, or restore the settings.",
            unchanged="Nothing was run.",
        )
    _check_code(request, runs)


def _changed_arms(old: Study, new: Study, out: Path, keys: Set[str]) -> list[str]:
    """The changed arms that have a run in the folder, or its records; all changed arms if `keys` lacks such a run."""
    runs = runs_of(old)
    recorded = recorded_runs(out, runs, old)
    there = {run.key: run.arm for run in runs if run.key in recorded or (out / "runs" / run.key).exists()}
    changed = sorted(name for name in {*old.arms, *new.arms} if old.arm(name) != new.arm(name))
    return changed if there.keys() - keys else [name for name in changed if name in there.values()]


def _check_code(request: StudyRequest, runs: Sequence[Run]) -> None:
    """Refuse to resume runs with changed code of own plug-ins, unless none is left."""
    other = [] if request.force else request.changed_code()
    recorded = recorded_runs(request.out, runs, request.study) if other else {}
    left = [run for run in runs if run.key not in recorded]
    if other and not all(run.is_done(request.study, request.out / "runs" / run.key) for run in left):
        raise ProjectError(
            f"The code of {', '.join(other)} has changed since the folder's runs were started.",
            where=str(request.out),
            next_step="Restore it, name another folder with --out, or resume with --force; the report will note it.",
            unchanged="Nothing was run.",
        )


def _check_version(previous: Mapping[str, Any], now: Mapping[str, Any], out: Path) -> None:
    """Refuse to add runs to those of an earlier version, whose settings lack keys: its networks or scores may differ.

    Earlier versions kept only the given options of statistics, and computed with their own defaults of the others.
    """
    recorded = previous.get("recipe", {})
    given = {name: recorded.get("score", {}).get(name, {}) for name in now["scoring"]}
    before = {name: recorded[name] for name in ("data", "backbone", "train", "objective") if name in recorded}
    before |= {f"score.{name}": options for name, options in previous.get("scoring", given).items()}
    current = now["recipe"] | {f"score.{name}": options for name, options in now["scoring"].items()}
    missing = [f"{n}.{key}" for n, known in before.items() for key in current.get(n, {}) if key not in known]
    if missing:
        raise ProjectError(
            f"The folder holds runs of an earlier version, without {', '.join(missing)}; newer ones do not compare.",
            where=str(out),
            next_step="Name another folder with --out. `labelgrid report` still reads this one.",
            unchanged="Nothing was run.",
        )
