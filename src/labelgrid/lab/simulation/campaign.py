"""Runs a simulated campaign: rounds as of a live campaign, answered from a data set.

The test split becomes the project's held-out split, so that a simulated project is measured and
reported like a live one.
"""

import math
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

from labelgrid.basics.errors import NothingToBuyError, RecipeError
from labelgrid.basics.progress import Progress, Silent
from labelgrid.basics.results import LOSS
from labelgrid.basics.words import count_text
from labelgrid.data.dataset import ListedDataset, Source, nonempty_label
from labelgrid.images.places import group_of
from labelgrid.lab.simulation.arms import InitialLabels
from labelgrid.lab.simulation.cell_lists import listed_cells
from labelgrid.lab.simulation.forecast import TIMES, record_seconds
from labelgrid.lab.simulation.initial_cells import FIRST, initial_cells
from labelgrid.lab.simulation.region_labels import answer_regions, region_requests
from labelgrid.lab.simulation.runs import DONE, Run
from labelgrid.lab.simulation.study_recipe import Study
from labelgrid.ledger.grid import Cell, ImageRow, Move, Split, State, TaskRow, request_id
from labelgrid.ledger.store import Store
from labelgrid.nets.late_compiler import late_fabric
from labelgrid.operations.create import atomic_project, new_project
from labelgrid.project.cells.drawn_pairs import connected_tasks
from labelgrid.project.folder import SUPPLIED, ProjectFolder
from labelgrid.project.records import read_fit, read_log, read_measurement, val_metrics
from labelgrid.project.settings import Settings
from labelgrid.project.sources import dataset_of
from labelgrid.rounds import fit, query
from labelgrid.rounds.round_scores import strategy_of
from labelgrid.select.budget import pool_size
from labelgrid.select.strategy import Budget

with late_fabric():  # a study's processes are forks of one that has loaded this module
    import lightning_fabric  # noqa: F401

#: Why a requested cell is skipped.
NO_LABEL = "the data set has no label here, or one without a valid pixel"


def create_run(
    folder: Path, settings: Settings, study: Study, rows: Sequence[TaskRow] | None = None
) -> None:
    """Create a run's project: no labels in the pool, all labels in the test and val splits.

    The settings name the data set. `rows` are the run's tasks; None: the study's.

    Raises:
        RecipeError: the test split has no label.
    """
    assert settings.oracle is not None
    source = dataset_of(settings.oracle)
    splits: dict[str, Split] = {study.pool: "train", study.test: "heldout"}
    if study.val:
        splits[study.val] = "val"
    images = source.splits()
    declared = study.rows() if rows is None else rows
    with new_project(folder, settings, declared) as (_, store):
        for split, role in splits.items():
            store.add_images(
                ImageRow(
                    image_id=image_id,
                    root=settings.oracle.root,
                    split=role,
                    group=group_of(study.group, image_id),
                )
                for image_id in images[split]
            )
        tasks = [row.name for row in store.tasks()]
        measured: list[str] = []
        for split, role in splits.items():
            if role != "train":
                measured += images[split]
        grant(store, source, [Cell(image_id, task) for image_id in measured for task in tasks])
        skip_unlabelled(store, source)
        if not any(count.labelled for count in store.counts(("heldout",)).values()):
            raise RecipeError(
                f"The split '{study.test}' has no label of these tasks, "
                "so nothing can be measured.",
                where=settings.oracle.root,
                next_step="Name another split as `test` in [simulate], or other tasks.",
            )


def copy_run(start: Path, folder: Path, settings: Settings) -> None:
    """Create a run's project as a copy of the run it continues, atomically.

    Each takes the labels of its suppliers itself: see `study_suppliers`.
    """
    with atomic_project(folder, settings) as building:
        shutil.copytree(
            start, building, ignore=lambda source, _: [SUPPLIED] if Path(source) == start else []
        )
        for name in (DONE, TIMES):
            (building / name).unlink(missing_ok=True)


def step(project: ProjectFolder, run: Run, study: Study, progress: Progress) -> bool:
    """Do the next step of a campaign; returns False if none is left.

    Each step is atomic in the ledger or in the round's files, so that a killed run resumes after
    its last step. Its time is recorded for the forecast.
    """
    started = time.perf_counter()
    is_done = _next_step(project, run, study, progress)
    if is_done:
        record_seconds(project.folder, time.perf_counter() - started)
    return is_done


def _next_step(project: ProjectFolder, run: Run, study: Study, progress: Progress) -> bool:
    closed = [row for row in project.store.rounds() if row.state == "closed"]
    if not closed:
        _request_initial(project, run, study, progress)
        return True
    if answer(project) or answer_regions(project, run.initial(study).answers):
        return True
    if run.task and not project.store.counts(("train",))[run.task].labelled:
        return False  # there is nothing to train it on
    folder = project.round_folder(project.round_number)
    if read_fit(folder) is None or read_measurement(folder) is None:
        fit.fit(project, progress)
        return True
    # Computed in every run, so that an unknown metric fails in the first one.
    reached = _has_reached_goal(project, study, folder)
    if reached or run.kind != "strategy" or len(closed) > run.rounds(study):
        return False
    return _query(project, run, study, is_first=len(closed) == 1, progress=progress)


def _request_initial(project: ProjectFolder, run: Run, study: Study, progress: Progress) -> None:
    plan = run.initial(study)
    pool = project.store.count_images(("train",))
    if plan.images and plan.images > pool and not plan.file:
        progress.say(
            f"The pool has {count_text(pool, 'image')}, fewer than `initial` ({plan.images}): "
            "all are used."
        )
    if plan.plan == "images" and not plan.tasks:
        images = Budget(plan.count(pool), "images")
        query.query(project, images, progress, strategy=FIRST, prelabels=False)
        return
    if plan.plan == "regions":
        moves = region_requests(project, plan, _initial_images(project, plan), progress)
        _close_initial(project, plan, moves, budget=sum(move.cost for move in moves))
        return
    rows = project.store.find(_planned_cells(project, run, study))
    costs = {row.name: row.cost for row in project.store.tasks()}
    moves = []
    for cell, row in rows.items():
        if row.state == State.MISSING:
            move = Move(
                cell=cell,
                to=State.REQUESTED,
                round=1,
                request_id=request_id(1, cell),
                cost=costs[cell.task],
                why=f"initial: {plan.plan}",
            )
            moves.append(move)
    _close_initial(project, plan, moves, budget=len(moves))


def _close_initial(
    project: ProjectFolder, plan: InitialLabels, moves: Sequence[Move], *, budget: float
) -> None:
    with project.store.transaction("query"):
        closed = replace(
            project.open_round(),
            strategy=f"initial/{plan.plan}",
            seed=project.settings.seed,
            budget=budget,
        )
        project.store.close_round(closed, moves)


def _planned_cells(project: ProjectFolder, run: Run, study: Study) -> list[Cell]:
    """List or draw the cells of an initial plan, unless the plan buys all labels of images.

    The draw uses all tasks of the run's arm, so that a network of one task has the arm's labels of
    this task.
    """
    plan = run.initial(study)
    assert project.settings.oracle is not None
    if plan.file:
        image_ids = [row.image_id for row in project.store.images(("train",))]
        return listed_cells(plan, Path(project.settings.oracle.root), image_ids)
    tasks = [row.name for row in study.rows(run.arm)]
    return initial_cells(plan, _initial_images(project, plan), tasks, project.settings.seed)


def _initial_images(project: ProjectFolder, plan: InitialLabels) -> list[str]:
    """The images that a run's initial labels are drawn from, sorted."""
    pool = project.store.count_images(("train",))
    images = Budget(plan.count(pool), "images")
    result = query.query(project, images, Silent(), strategy=FIRST, dry_run=True, prelabels=False)
    return sorted({pick.cell.image_id for pick in result.picks})


def _query(
    project: ProjectFolder, run: Run, study: Study, *, is_first: bool, progress: Progress
) -> bool:
    """Request a round's labels, or the rest of the pool; returns False if nothing is left.

    The first query of an arm with relations also draws the study's pairs.

    For seed 0, pictures of scored picks are made for the report, while their labels are still
    hidden.
    """
    grid = project.store.grid()
    pool = pool_size(grid, study.unit)
    cheapest = 0.0
    if study.unit == "cost":
        cheapest = grid.cost[grid.eligible.any(0)].min(initial=np.inf)
    amount = study.budget + _returned_budget(project, study)
    if not pool or amount + query.unspent_budget(project, study.unit) < cheapest:
        return False
    scored = bool(strategy_of(project)[1].needs)
    budget = Budget(min(amount, pool), study.unit)
    try:
        query.query(
            project,
            budget,
            progress,
            pairs=study.pairs if is_first and connected_tasks(project) else 0,
            control=study.control,
            prelabels=False,
            pictures=scored and run.seed == 0,
        )
    except NothingToBuyError:
        return False
    return True


def _returned_budget(project: ProjectFolder, study: Study) -> float:
    """The budget, in the study's unit, that skipped cells took and no later round got back yet.

    Skipped initial labels took no budget. An image is worth one label of each task, and only whole
    images come back.
    """
    costs = {row.name: row.cost for row in project.store.tasks()}
    skipped = []
    for row in project.store.cells(state=State.SKIPPED):
        if row.round > 1:
            price = costs[row.cell.task]
            skipped.append(price)
    amounts = {"labels": len(skipped), "images": len(skipped) / len(costs), "cost": sum(skipped)}
    bought = [row for row in project.store.rounds() if row.state == "closed" and row.number > 1]
    returned = sum(row.budget - study.budget for row in bought)
    value = round(amounts[study.unit] - returned, 9)
    if study.unit == "images":
        return float(math.floor(value))
    return value


def _has_reached_goal(project: ProjectFolder, study: Study, folder: Path) -> bool:
    """Whether the labels cost at least `spend`, or the val metrics reached `until`.

    Only goals of the run's tasks count.
    """
    training = read_fit(folder)
    if study.spend and training and training.spent >= study.spend:
        return True
    tasks = project.tasks()
    goals = {
        name: goal
        for name, goal in study.until.items()
        if name == LOSS or name.partition("/")[0] in tasks
    }
    if not (goals and training):
        return False
    val = val_metrics(read_log(folder) or [], training.checkpoint)
    unknown = [name for name in goals if name not in val]
    if unknown:
        raise RecipeError(
            f"until names '{unknown[0]}', which is not measured.",
            next_step=f"Measured: {', '.join(val)}.",
        )
    measured = read_measurement(folder)
    for name, goal in goals.items():
        task, _, metric = name.partition("/")
        result = measured.metrics.get(task, {}).get(metric) if measured else None
        is_higher_better = result is not None and result.better == "higher"
        if not (val[name] >= goal if is_higher_better else val[name] <= goal):  # or NaN
            return False
    return True


def grant(store: Store, source: Source, cells: Iterable[Cell]) -> None:
    """Label the cells whose label has a valid pixel.

    Others are skipped if requested, else stay missing.
    """
    from labelgrid.tasks.task import definitions

    tasks = definitions(store.tasks())
    costs = {row.name: row.cost for row in store.tasks()}
    rows = store.find(cells)
    moves = []
    for cell, row in rows.items():
        task = tasks[cell.task]
        move = partial(Move, cell=cell, round=row.round, request_id=row.request_id)
        if nonempty_label(source, cell.image_id, task) is not None:
            moves.append(
                move(
                    to=State.LABELLED,
                    cost=costs[cell.task],
                    weight=row.weight,
                    classes=task.classes,
                )
            )
        elif row.state == State.REQUESTED:
            moves.append(move(to=State.SKIPPED, why=NO_LABEL))
    with store.transaction("import"):
        store.move(moves)


def skip_unlabelled(store: Store, source: Source) -> None:
    """Skip the cells of the pool without a label in a `ListedDataset`: nobody can buy them."""
    if not isinstance(source, ListedDataset):
        return
    labelled = source.labelled()
    names = [task.name for task in store.tasks()]
    moves = []
    for row, name in product(store.images(("train",)), names):
        cell = Cell(row.image_id, name)
        if cell not in labelled:
            moves.append(Move(cell=cell, to=State.REQUESTED))
            moves.append(Move(cell=cell, to=State.SKIPPED, why=NO_LABEL))
    with store.transaction("import"):
        store.move(moves)


def answer(project: ProjectFolder) -> int:
    """Answer every open request; returns their number."""
    assert project.settings.oracle is not None
    cells = [row.cell for row in project.store.cells(state=State.REQUESTED)]
    if cells:
        grant(project.store, dataset_of(project.settings.oracle), cells)
    return len(cells)
