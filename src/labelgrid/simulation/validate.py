"""Validates a study before anything is run."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, combinations
from pathlib import Path
from typing import Any

from labelgrid.data.dataset import nonempty_label
from labelgrid.errors import ModelError, ProjectError, RecipeError, note_unchanged
from labelgrid.progress import Progress
from labelgrid.project.advice import missing_weights_advice
from labelgrid.project.settings import Oracle, check_pattern
from labelgrid.project.sources import dataset_of
from labelgrid.recipes.resolve import build_plugin, check_recipe, has_own_encoder, load_recipe
from labelgrid.recipes.schema import Recipe
from labelgrid.results import LOSS
from labelgrid.rounds.round_scores import check_expected_options, lacking_term
from labelgrid.select.strategy import Strategy, check_task_names
from labelgrid.simulation.cell_lists import listed_cells
from labelgrid.simulation.request import StudyRequest
from labelgrid.simulation.resume_check import check_same
from labelgrid.simulation.runs import Run, runs_of
from labelgrid.simulation.study import Study
from labelgrid.tasks.task import definitions
from labelgrid.words import count_text

#: How many images are read at most to find a label of a task.
LOOKED_AT = 20


@note_unchanged("Nothing was run.")
def validate_study(request: StudyRequest) -> list[Run]:
    """Check everything that can be checked before a run; returns the runs.

    Raises:
        LabelgridError: a name is unknown, a value is wrong, or the folder holds another study.
            Nothing was run.
    """
    runs = check_arms(request.recipe, request.study)
    _check_splits(request)
    _check_cells(request)
    _check_labels(request)
    check_same(request, runs)
    return runs


def check_arms(recipe: str, study: Study) -> list[Run]:
    """Check everything about a recipe's study that needs neither its data set nor its folder.

    Returns the runs.

    Raises:
        RecipeError: a name is unknown, a value is wrong, or an arm lacks what its strategy reads.
    """
    runs = runs_of(study)
    for run, loaded in _recipes(recipe, study, runs):
        check_recipe(loaded)
        _check_terms(study, run, loaded)
    definitions(study.rows())
    for strategy in study.strategies:
        _check_strategy(study, strategy)
    for name in chain(*study.best_of.values()):
        build_plugin(
            "strategies", study.chosen(name)
        )  # it may pick by a task that this study leaves out
    for run in runs:
        if run.kind == "strategy" and run.rounds(study) and not run.seed:
            _check_scoring(recipe, study, run)
    check_pattern(study.group)
    unknown = [
        name
        for name in study.until
        if name != LOSS and name.partition("/")[0] not in study.used_tasks
    ]
    if unknown:
        raise RecipeError(
            f"until names '{unknown[0]}', which is not a metric of a task.",
            next_step=f'A metric is "TASK/METRIC", such as "semseg/mIoU", or "{LOSS}".',
        )
    return runs


def _recipes(recipe: str, study: Study, runs: Iterable[Run]) -> Iterator[tuple[Run, Recipe]]:
    """The recipes of runs, each once, with the first run that has it."""
    different = {json.dumps([run.arm, run.overrides(study)]): run for run in runs}.values()
    yield from [(run, load_recipe(recipe, run.overrides(study))) for run in different]


@note_unchanged("Nothing was run.")
def check_weights(request: StudyRequest, runs: Iterable[Run]) -> None:
    """Refuse weights that cannot be had before each run fails for lack of them.

    Raises:
        ModelError: a network of these runs starts from them.
    """
    recipes = (
        []
        if request.weights
        else [loaded for _, loaded in _recipes(request.recipe, request.study, runs)]
    )
    for backbone in {
        one.backbone: None for one in recipes if not has_own_encoder(one.network.name)
    }:
        if missing := missing_weights_advice(backbone, None):
            raise ModelError(
                missing,
                next_step="Give a file with `--weights FILE`, or set `pretrained = false` in [backbone] to start from "
                "random weights (which need many more labels).",
            )


def _check_terms(study: Study, run: Run, recipe: Recipe) -> None:
    """Refuse an arm whose own `changes` have a term that it would lose: its options list none of the arm's tasks."""
    own = {} if run.kind == "single" else study.arm(run.arm).changes.get("terms", {})
    lost = {name for name, options in own.items() if options is not False} - recipe.terms.keys()
    if lost:
        raise RecipeError(
            f"A list in the options of the term '{min(lost)}' names none of the tasks of '{run.shown}', which would "
            "train without this term.",
            next_step="Change the list, or leave the term out of the arm's `changes`.",
            unchanged="Nothing was run.",
        )


def _check_strategy(study: Study, name: str) -> None:
    """Refuse an unknown strategy or task, wrong options, and a budget that does not pay for one image, or one label."""
    strategy: Strategy = build_plugin("strategies", study.chosen(name))
    rows = study.rows(name)
    named = getattr(strategy, "tasks", ()) or [row.name for row in rows]
    check_task_names(name, named, [row.name for row in rows])
    if not study.rounds_of(name):
        return  # it buys nothing
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


def _check_scoring(recipe: str, study: Study, run: Run) -> None:
    """Refuse options of statistics that an arm's strategy cannot use, and trainings without a term that one reads.

    The start's network scores, too.
    """
    strategy: Strategy = build_plugin("strategies", study.chosen(run.name))
    recipes = [load_recipe(recipe, one.overrides(study)) for one in (run, run.start(study))]
    for loaded in recipes:
        tables = {"statistics": recipes[0].score, "terms": loaded.terms}
        check_expected_options(f"The strategy of '{run.name}'", strategy, tables)
        if lacking := lacking_term(strategy, recipes[0].score, loaded.terms):
            raise RecipeError(
                f"'{run.name}' trains without the term '{lacking[1]}', which the statistic '{lacking[0]}' of its "
                "strategy reads.",
                next_step=f"Add it to an arm's `changes`, such as {{ terms = {{ {lacking[1]} = {{}} }} }}.",
                unchanged="Nothing was run.",
            )


def digest_images(study: Study, root: Path, kept: Mapping[str, Any], progress: Progress) -> str:
    """Digest the ids, splits and pixels of all images.

    Labels are not included, because they are hidden.

    Args:
        study: the study.
        root: the data set's root.
        kept: the values of the `study.json` of earlier runs; empty if there are none.
        progress: receives the progress.

    Raises:
        ProjectError: the earlier runs have other images. LabelgridError: an image cannot be read.
    """
    dataset = dataset_of(Oracle(study.data, str(root)))
    hasher = hashlib.blake2b(digest_size=16)
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
                f"The splits {first} and {second} share {count_text(len(shared), 'image')}, such as '{shared[0]}'.",
                where=str(root),
                next_step="Remove them from one of the two.",
                unchanged="Nothing was run.",
            )


def _check_labels(request: StudyRequest) -> None:
    """Refuse tasks that contradict the first labels of the images tested on, such as another number of classes.

    A task of which these images have no label is not judged.
    """
    dataset = dataset_of(Oracle(request.study.data, str(request.root)))
    study = request.study
    first = dataset.splits()[study.test][:LOOKED_AT]
    for task in definitions(study.rows()).values():
        for image_id in first:
            if nonempty_label(dataset, image_id, task) is not None:
                break


def _check_cells(request: StudyRequest) -> None:
    """Refuse files of initial cells that cannot be read, or that list a cell outside an arm's pool."""
    study = request.study
    for name in study.strategies:
        plan = study.initial_of(name)
        if not plan.file:
            continue
        path = request.root / plan.file
        tasks = {row.name for row in study.rows(name)}
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
