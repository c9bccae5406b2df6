"""Validates a study before anything is run."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import chain, combinations
from pathlib import Path

from labelgrid.basics import plugins
from labelgrid.basics.config import check_pattern
from labelgrid.basics.errors import ModelError, ProjectError, RecipeError, note_unchanged
from labelgrid.basics.progress import Progress
from labelgrid.basics.results import LOSS
from labelgrid.basics.type_names import Values
from labelgrid.basics.words import count_text, join_names
from labelgrid.data.dataset import CameraSource, Dataset, nonempty_label, size_of
from labelgrid.lab.simulation.cell_lists import listed_cells
from labelgrid.lab.simulation.runs import Run, runs_of
from labelgrid.lab.simulation.study_recipe import Study
from labelgrid.lab.simulation.study_request import StudyRequest
from labelgrid.operations.early_warnings import missing_weights_warning
from labelgrid.project.images.known_cameras import dataset_camera_step
from labelgrid.project.settings import Oracle
from labelgrid.project.sources import dataset_of
from labelgrid.recipes.recipe import PluginChoice, Recipe
from labelgrid.recipes.resolve import (
    build_plugin,
    check_recipe,
    has_own_encoder,
    hash_of,
    load_recipe,
)
from labelgrid.relations.bound import related_tasks, relations_with_camera
from labelgrid.rounds.round_scores import (
    check_expected_options,
    lacking_term,
    needed_options,
    no_supplier_error,
    reads_suppliers,
    score_tables,
)
from labelgrid.select.budget import payable_amount
from labelgrid.select.strategy import Strategy, check_task_names
from labelgrid.tasks.task import definitions

#: How many images are read at most to find a label of a task.
LOOKED_AT = 20


@note_unchanged("Nothing was run.")
def validate_study(request: StudyRequest) -> list[Run]:
    """Check everything that needs no folder of the study; returns the runs.

    Raises:
        LabelgridError: a name is unknown, or a value is wrong. Nothing was run.
    """
    study = request.study
    runs = check_arms(request.recipe, study)
    splits = study.splits(request.root)
    _check_splits(study, splits, request.root)
    _check_cells(study, splits, request.root)
    _check_labels(study, request.root)
    _check_cameras(request, runs, splits[study.pool])
    return runs


def check_arms(recipe: str, study: Study) -> list[Run]:
    """Check all of a recipe's study that needs neither data set nor folder.

    Returns the runs.

    Raises:
        RecipeError: a name is unknown, a value is wrong, or an arm lacks what its strategy reads.
    """
    runs = runs_of(study)
    for run, loaded in _recipes(recipe, study, runs):
        check_recipe(loaded)
        _check_terms(study, run, loaded)
    definitions(study.rows())
    if study.pairs:
        _check_pairs(recipe, study, runs)
    for strategy in study.strategies:
        _check_strategy(study, strategy)
    for name in chain(*study.best_of.values()):
        # Only built: it may pick by a task that this study leaves out.
        build_plugin("strategies", study.chosen(name))
    for run in runs:
        if run.kind == "strategy" and run.rounds(study) and not run.seed:
            _check_scoring(recipe, study, run)
    check_pattern(study.group)
    _check_until(study)
    return runs


def _check_pairs(recipe: str, study: Study, runs: Iterable[Run]) -> None:
    """Refuse pairs that no arm can draw, and a budget below the price of the pairs."""
    drawing = 0
    for run in runs:
        if run.kind != "strategy" or not run.rounds(study) or run.seed:
            continue
        rows = run.rows(study)
        relations = load_recipe(recipe, run.overrides(study)).relations
        tasks = related_tasks(relations, definitions(rows))
        drawing += bool(tasks)
        prices = {
            "labels": len(tasks),
            "images": len(tasks) / len(rows),
            "cost": sum(row.cost for row in rows if row.name in tasks),
        }
        needed = study.pairs * prices[study.unit]
        if needed > payable_amount(study.budget):
            raise RecipeError(
                f"The budget of {study.budget:g} {study.unit} may not pay for "
                f"{count_text(study.pairs, 'image')} with all labels of {join_names(tasks)}, which "
                f"'{run.shown}' draws as pairs: they take up to {needed:g}.",
                next_step="Raise `budget`, or lower `pairs`.",
            )
    if not drawing:
        raise RecipeError(
            f"pairs = {study.pairs}, and no arm that buys labels declares a relation between its "
            "tasks, so no labels make a pair.",
            next_step="Add a table such as [relations.depth_normals], or leave out `pairs`.",
        )


def _check_until(study: Study) -> None:
    tasks = study.used_tasks
    for name in study.until:
        if name != LOSS and name.partition("/")[0] not in tasks:
            raise RecipeError(
                f"until names '{name}', which is not a metric of a task.",
                next_step=f'A metric is "TASK/METRIC", such as "semseg/mIoU", or "{LOSS}".',
            )


def _recipes(recipe: str, study: Study, runs: Iterable[Run]) -> list[tuple[Run, Recipe]]:
    """Load the different recipes of runs, each with a run."""
    loaded = {}
    for run in runs:
        overrides = run.overrides(study)
        key = json.dumps([run.arm, overrides])
        if key not in loaded:
            loaded[key] = (run, load_recipe(recipe, overrides))
    return list(loaded.values())


def missing_weights(recipe: str, study: Study, runs: Iterable[Run]) -> ModelError | None:
    """The error of a study whose networks start from weights that cannot be fetched; or None."""
    backbones = []
    for _, loaded in _recipes(recipe, study, runs):
        if not has_own_encoder(loaded.network.name) and loaded.backbone not in backbones:
            backbones.append(loaded.backbone)
    for backbone in backbones:
        advice = missing_weights_warning(backbone, None)
        if advice:
            return ModelError(
                advice,
                next_step="Give a file with `--weights FILE`. Or go on without them, from random "
                "weights, which need many more labels: name a recipe of the lines "
                f"`extends = {json.dumps(recipe)}`, `[backbone]` and `pretrained = false`.",
                unchanged="Nothing was run.",
            )
    return None


def _check_terms(study: Study, run: Run, recipe: Recipe) -> None:
    """Refuse an arm that would lose a term of the arm's `changes`.

    A term is lost if a list in its options names none of the arm's tasks.
    """
    if run.kind == "single":
        return
    terms = study.arm(run.arm).changes.get("terms", {})
    lost = {name for name, options in terms.items() if options is not False} - recipe.terms.keys()
    if lost:
        raise RecipeError(
            f"A list in the options of the term '{min(lost)}' names none of the tasks "
            f"of '{run.shown}', which would train without this term.",
            next_step="Change the list, or leave the term out of the arm's `changes`.",
        )


def _check_strategy(study: Study, name: str) -> None:
    """Refuse an unknown strategy or task, wrong options, and a budget that is too small.

    It must pay for one image or one label.
    """
    strategy: Strategy = build_plugin("strategies", study.chosen(name))
    rows = study.rows(name)
    row_names = [row.name for row in rows]
    tasks = getattr(strategy, "tasks", ()) or row_names
    check_task_names(name, tasks, row_names)
    if not study.rounds_of(name):
        return  # it buys nothing
    image_costs = {"labels": len(rows), "cost": sum(row.cost for row in rows), "images": 1}
    image_cost = image_costs[study.unit]
    if strategy.unit == "images" and study.budget < image_cost:
        raise RecipeError(
            f"The budget of {study.budget:g} {study.unit} does not pay for one image, "
            f"and '{name}' buys whole images.",
            next_step=f"An image with all its labels takes {image_cost:g} {study.unit}.",
        )
    least = min(row.cost for row in rows if row.name in tasks)
    if study.unit == "cost" and study.budget < least:
        raise RecipeError(
            f"The budget of {study.budget:g} does not pay for one label that '{name}' buys.",
            next_step=f"The cheapest costs {least:g}.",
        )


def check_networks(recipe: str, study: Study, runs: Iterable[Run]) -> None:
    """Refuse arms from whose networks the statistics of their strategies cannot be computed.

    Each different network is built once, with random weights.

    Raises:
        ModelError: an arm's network and strategy do not fit together.
    """
    from labelgrid.rounds.context import ModelContext, tasks_of
    from labelgrid.rounds.models import network_of
    from labelgrid.rounds.shard_scorer import check_network

    checked = set()
    for run in runs:
        if run.kind != "strategy" or run.seed or not run.rounds(study):
            continue
        strategy: Strategy = build_plugin("strategies", study.chosen(run.name))
        own_recipe = load_recipe(recipe, run.overrides(study))
        start_recipe = load_recipe(recipe, run.start(study).overrides(study))
        options = needed_options(strategy, own_recipe.score)
        rows = definitions(study.rows(run.name))
        for loaded in (own_recipe, start_recipe):
            key = hash_of(options, list(rows), asdict(loaded.network), asdict(loaded.backbone))
            if not options or key in checked:
                continue
            tasks = tasks_of(loaded, rows)
            context = ModelContext(recipe=loaded, definitions=rows, tasks=tasks, seed=0)
            try:
                check_network(options, network_of(context, None, pretrained=False), tasks)
            except ModelError as error:
                error.where = error.where or f"the arm '{run.shown}'"
                raise
            checked.add(key)


def _check_scoring(recipe: str, study: Study, run: Run) -> None:
    """Refuse options of statistics that an arm's strategy cannot use.

    Also refuse trainings without a term that a statistic reads. The start's network scores, too.
    Own statistics are built, which may load torch.
    """
    strategy: Strategy = build_plugin("strategies", study.chosen(run.name))
    own_recipe = load_recipe(recipe, run.overrides(study))
    start_recipe = load_recipe(recipe, run.start(study).overrides(study))
    for loaded in (own_recipe, start_recipe):
        tables = {"statistics": own_recipe.score, "terms": loaded.terms}
        check_expected_options(f"The strategy of '{run.name}'", strategy, tables)
        lacking = lacking_term(strategy, loaded.terms)
        if lacking:
            statistic, term = lacking
            raise RecipeError(
                f"'{run.name}' trains without the term '{term}', "
                f"which the statistic '{statistic}' of its strategy reads.",
                next_step="Add it to an arm's `changes`, "
                f"such as {{ terms = {{ {term} = {{}} }} }}.",
            )
    score = score_tables(strategy, own_recipe.score)
    trusts = any(choice.is_on for choice in own_recipe.suppliers.values())
    for name in sorted(strategy.needs):
        if reads_suppliers(name) and not trusts:
            raise no_supplier_error(name)
        if plugins.is_own("statistics", name):
            build_plugin("statistics", PluginChoice(name, score.get(name, {})), 0)


def digest_images(study: Study, root: Path, earlier: Values, progress: Progress) -> str:
    """Digest the ids, splits and pixels of all images.

    Labels are not included, because they are hidden.

    Raises:
        ProjectError: the earlier runs have other images.
        LabelgridError: an image cannot be read.
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
    if earlier.get("pictures", "") not in ("", hasher.hexdigest()):
        raise ProjectError(
            "The data set's images or splits have changed since the study's runs were started.",
            where=root,
            next_step="Restore them, or run another study with `labelgrid simulate`.",
        )
    return hasher.hexdigest()


def _check_splits(study: Study, splits: Mapping[str, Sequence[str]], root: Path) -> None:
    """Refuse absent splits, and an image or split that trains and tests."""
    needed = study.parts
    absent = [name for name in needed if name not in splits]
    fault = ""
    if absent:
        fault = f"The data set has no split '{absent[0]}'."
    elif len(set(needed)) < len(needed):
        fault = f"Two of pool, test and val are the same split: {', '.join(needed)}."
    if fault:
        raise RecipeError(
            fault,
            where=root,
            next_step=f"It has: {', '.join(splits) or 'none'}. "
            "Name its splits in [simulate]: pool, test, val.",
        )
    for first, second in combinations(needed, 2):
        shared = sorted(set(splits[first]) & set(splits[second]))
        if shared:
            raise RecipeError(
                f"The splits {first} and {second} share {count_text(len(shared), 'image')}, "
                f"such as '{shared[0]}'.",
                where=root,
                next_step="Remove them from one of the two.",
            )


def _check_labels(study: Study, root: Path) -> None:
    """Refuse tasks that contradict the first labels of the test images.

    An example is another number of classes. A task of which these images have no label is not
    judged.
    """
    dataset = dataset_of(Oracle(study.data, str(root)))
    first = dataset.splits()[study.test][:LOOKED_AT]
    for task in definitions(study.rows()).values():
        for image_id in first:
            if nonempty_label(dataset, image_id, task) is not None:
                break


def _check_cameras(request: StudyRequest, runs: Iterable[Run], image_ids: Sequence[str]) -> None:
    """Refuse a relation that needs cameras if all cameras of the pool are unknown."""
    oracle = Oracle(request.study.data, str(request.root))
    for run, loaded in _recipes(request.recipe, request.study, runs):
        names = relations_with_camera(loaded.relations)
        if names and not _has_any_camera(dataset_of(oracle), image_ids):
            raise RecipeError(
                f"The relation '{names[0]}' of '{run.shown}' needs the cameras of the images, and "
                "those of the whole pool are unknown.",
                where=oracle.root,
                next_step=dataset_camera_step(oracle),
            )


def _has_any_camera(dataset: Dataset, image_ids: Iterable[str]) -> bool:
    if not isinstance(dataset, CameraSource):
        return False
    cameras = (dataset.camera(image_id, size_of(dataset, image_id)) for image_id in image_ids)
    return any(camera is not None for camera in cameras)


def _check_cells(study: Study, splits: Mapping[str, Sequence[str]], root: Path) -> None:
    """Refuse files of initial cells that cannot be read or list a cell outside an arm's pool."""
    pool = set(splits[study.pool])
    for name in study.strategies:
        plan = study.initial_of(name)
        if not plan.file:
            continue
        tasks = [row.name for row in study.rows(name)]
        for cell in listed_cells(plan, root, pool):
            if cell.image_id in pool and cell.task in tasks:
                continue
            raise RecipeError(
                f"The pool of '{name}' has no cell ({cell.image_id}, {cell.task}).",
                where=root / plan.file,
                next_step=f"List images of the split {study.pool} and tasks of the arm: "
                f"{', '.join(sorted(tasks))}.",
            )
