"""Measures what a long campaign costs: `status` and the history of trainings after 200 rounds against 10.

Each round has ten labels, a training, and metrics on held-out images.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from _measure import check_limit, interleaved, machine, show

from labelgrid.basics.results import Result
from labelgrid.ledger.grid import Cell, ImageRow, Move, State, TaskRow, request_id
from labelgrid.operations.create import new_project
from labelgrid.operations.status import status_of
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.records import Fit, measured_rounds, write_fit, write_measurement
from labelgrid.project.settings import Settings
from labelgrid.report.content import Measurement
from labelgrid.rounds.training_history import training_history

TASKS = ("depth", "normals")
#: Labels of a round, epochs of a training, and how much slower 200 rounds may be than 10.
LABELS = 10
EPOCHS = 10
BAR = 3.0


def campaign(folder: Path, rounds: int) -> Path:
    """A project after so many rounds."""
    names = [f"{number:06d}.png" for number in range(rounds * LABELS)]
    tasks = [TaskRow(name, name, 1.0) for name in TASKS]
    with new_project(folder, Settings(), tasks) as (_, store):
        store.add_images(
            ImageRow(image_id=name, root="photos", height=480, width=640) for name in names
        )
    with ProjectFolder.open(folder) as project:
        for number in range(1, rounds + 1):
            one_round(project, number, names[(number - 1) * LABELS : number * LABELS])
    return folder


def one_round(project: ProjectFolder, number: int, names: list[str]) -> None:
    row = project.open_round()
    folder = project.round_folder(number)
    cells = [Cell(name, TASKS[index % len(TASKS)]) for index, name in enumerate(names)]
    (folder / "fit").mkdir(parents=True)
    labels = dict.fromkeys(TASKS, number * LABELS // len(TASKS))
    recipe = {"train": {"steps": 100}}
    write_fit(
        folder,
        Fit(
            round=number,
            checkpoint="fit/last.ckpt",
            model=f"m{number}",
            recipe=recipe,
            seed=0,
            trained=[*TASKS],
            images=10 * number,
            labels=labels,
            spent=10.0 * number,
        ),
    )
    epochs = [
        {"epoch": epoch, "loss": dict.fromkeys(TASKS, 1.0), "val": {}}
        for epoch in range(1, EPOCHS + 1)
    ]
    (folder / "fit" / "log.jsonl").write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs))
    results = {name: Result(name, 0.5, "", "lower") for name in ("rmse", "abs_rel", "loss")}
    without = {task: dict.fromkeys(results, [0.5] * 20) for task in TASKS}
    measured = Measurement(
        round=number,
        model=f"m{number}",
        labels=labels,
        spent=10.0 * number,
        heldout_labels=dict.fromkeys(TASKS, 50),
        metrics=dict.fromkeys(TASKS, results),
        loss_mtl=1.5,
        without=without,
    )
    write_measurement(folder, measured, 100.0, dict.fromkeys(TASKS, 1.0))
    asked = [
        Move(
            cell=cell,
            to=State.REQUESTED,
            round=number,
            request_id=request_id(number, cell),
            cost=1.0,
        )
        for cell in cells
    ]
    project.store.close_round(
        replace(row, strategy="random_cells", budget=10.0, unit="labels", state="closed"), asked
    )
    project.store.move(
        [Move(cell=cell, to=State.LABELLED, path="a.png", digest="b", cost=1.0) for cell in cells]
    )


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args(words)
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        short = campaign(Path(name) / "short", 10)
        long = campaign(Path(name) / "long", options.rounds)
        with ProjectFolder.open(short) as first, ProjectFolder.open(long) as second:
            sides: dict[str, Callable[[], object]] = {
                "status after 10 rounds": partial(status_of, first),
                f"status after {options.rounds} rounds": partial(status_of, second),
                "all measured rounds, as before": partial(measured_rounds, long),
                f"history of {options.rounds} trainings": partial(training_history, long),
            }
            times = interleaved(sides, options.repeats)
    show(times)
    early, late, *_ = times.values()
    return (
        0
        if check_limit("status of a long campaign over a short one", late.work_over(early), BAR)
        else 1
    )


if __name__ == "__main__":
    sys.exit(main())
