"""One simulated campaign: the rounds of a live one, its requests answered by a data set, nothing copied.

The split that measures is the project's held-out one, so that a simulated project is measured, reported and looked at
as a live one.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from labelgrid.campaign import fitting, prelabels, querying, scoring
from labelgrid.campaign.project import Chosen, Oracle, Project, Settings, group_of
from labelgrid.campaign.records import read_fit, read_log, read_measured, val_figures
from labelgrid.campaign.setup import new_project, whole
from labelgrid.campaign.source import dataset_of
from labelgrid.campaign.study import DONE, Run, Study
from labelgrid.data.dataset import Source
from labelgrid.errors import RecipeError
from labelgrid.labels.grid import Cell, ImageRow, Move, Split, State
from labelgrid.labels.store import Store
from labelgrid.progress import Progress
from labelgrid.select.strategy import Budget, left_of

#: What chooses the labels that a run begins with.
FIRST = "random_images"


def settings_of(run: Run, recipe: str, weights: str, study: Study, root: Path) -> Settings:
    """The settings of a run's project."""
    chosen = study.chosen(run.strategy) if run.kind == "strategy" else Chosen(FIRST)
    oracle = Oracle(study.data, str(root.absolute()))
    return Settings(recipe, run.seed, weights, study.group, chosen, run.changes(study), oracle)


def begin(folder: Path, settings: Settings, study: Study) -> None:
    """Make a run's project: the pool without labels, the measuring split with all of them.

    Raises:
        RecipeError: the split that measures has no label.
    """
    assert settings.oracle is not None
    source = dataset_of(settings.oracle)
    splits: dict[str, Split] = {study.pool: "train", study.test: "heldout"}
    if study.val:
        splits[study.val] = "val"
    known = source.splits()
    with new_project(folder, settings, study.rows()) as store:
        for split, own in splits.items():
            names = known[split]
            store.add_images(
                ImageRow(name, settings.oracle.root, split=own, group=group_of(study.group, name)) for name in names
            )
        tasks = [row.name for row in store.tasks()]
        open_ones = [name for split, own in splits.items() if own != "train" for name in known[split]]
        grant(store, source, [Cell(name, task) for name in open_ones for task in tasks])
        if not any(count.labelled for count in store.counts(("heldout",)).values()):
            raise RecipeError(
                f"The split '{study.test}' has no label of these tasks, so nothing could be measured.",
                where=settings.oracle.root,
                next_step="Name another split as `test` in [simulate], or other tasks.",
            )


def go_on_from(start: Path, folder: Path, settings: Settings) -> None:
    """Make a run's project from the one of the run it goes on from: whole, or not at all."""
    with whole(folder, settings) as building:
        shutil.copytree(start, building)
        (building / DONE).unlink(missing_ok=True)


def grant(store: Store, source: Source, cells: Iterable[Cell]) -> None:
    """Open the labels of cells; one that the data set has not is skipped where it was asked for, else stays missing."""
    from labelgrid.tasks.task import definitions

    tasks, prices = definitions(store.tasks()), {row.name: row.cost for row in store.tasks()}
    rows = store.find(cells)
    moves = []
    for cell, row in rows.items():
        label = source.label(cell.image, tasks[cell.task])
        if label is not None and label.valid.any():
            moves.append(
                Move(cell, State.LABELLED, row.round, row.request_id, cost=prices[cell.task], weight=row.weight)
            )
        elif row.state == State.REQUESTED:
            moves.append(Move(cell, State.SKIPPED, row.round, row.request_id, why="the data set has no such label"))
    store.move(moves)


def answer(project: Project) -> int:
    """Grant every open request; returns how many there were."""
    assert project.settings.oracle is not None
    cells = [row.cell for row in project.store.cells(state=State.REQUESTED)]
    if cells:
        grant(project.store, dataset_of(project.settings.oracle), cells)
    return len(cells)


def step(project: Project, run: Run, study: Study, progress: Progress) -> bool:
    """Take the next step of a campaign, whichever it is; False where there is none.

    Each step is whole in the ledger or in the round's files, so that a killed run goes on from its last one.
    """
    closed = [row for row in project.store.rounds() if row.state == "closed"]
    if not closed:
        left = project.store.count_images(("train",))
        images = left if run.kind == "full" else min(study.initial, left)
        querying.query(project, Budget(images, "images"), progress, strategy=FIRST, prelabels=False)
        return True
    if answer(project):
        return True
    folder = project.round_folder(fitting.round_number(project))
    if read_fit(folder) is None or read_measured(folder) is None:
        fitting.fit(project, progress)
        return True
    reached = _reached(project, study, folder)  # in every run, so that a figure nobody measures ends the first one
    if reached or run.kind != "strategy" or len(closed) > study.rounds:
        return False
    return _query(project, run, study, progress)


def _query(project: Project, run: Run, study: Study, progress: Progress) -> bool:
    """Ask for a round's labels, or for what is left of the pool; False where nothing is.

    The first seed's scored picks get pictures for the report, while their labels are still hidden.
    """
    grid = project.store.grid()
    left = left_of(grid, study.unit)
    cheapest = grid.cost[grid.eligible.any(0)].min(initial=np.inf) if study.unit == "cost" else 0.0
    if not left or study.budget < cheapest:
        return False
    done = fitting.latest(project)
    asked = querying.query(project, Budget(min(study.budget, left), study.unit), progress, prelabels=False)
    if run.seed == 0 and done is not None and scoring.strategy_of(project)[1].needs:
        prelabels.write_pictures(project, done, asked.picks, asked.round)
    return True


def _reached(project: Project, study: Study, folder: Path) -> bool:
    """Whether the labels have cost what they may, or the val metrics are what they are to be."""
    done = read_fit(folder)
    if study.spend and done and done.spent >= study.spend:
        return True
    if not (study.until and done):
        return False
    val = val_figures(read_log(folder) or [], done.checkpoint)
    unknown = [name for name in study.until if name not in val]
    if unknown:
        raise RecipeError(
            f"until names '{unknown[0]}', which is not measured.", next_step=f"Measured: {', '.join(val)}."
        )
    lower = {name for name in study.until if not _higher_is_better(project, name)}
    return all(val[n] <= goal if n in lower else val[n] >= goal for n, goal in study.until.items())


def _higher_is_better(project: Project, name: str) -> bool:
    """Of `task/metric`, or `loss_mtl`."""
    measured = read_measured(project.round_folder(fitting.round_number(project)))
    task, _, metric = name.partition("/")
    results = measured.metrics.get(task, {}) if measured else {}
    return metric in results and results[metric].better == "higher"
