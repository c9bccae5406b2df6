"""Reads the content of a project's report from the ledger and the files of its rounds.

Loads no torch.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from labelgrid import __version__
from labelgrid.errors import command
from labelgrid.ledger.grid import Pick, Split, State
from labelgrid.ledger.store import RoundRow
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.prices import TaskTimes, times_of
from labelgrid.project.records import (
    Fit,
    measured_rounds,
    read_fit,
    read_log,
    read_picks,
)
from labelgrid.project.status import status_of
from labelgrid.recipes.resolve import network_words
from labelgrid.report.content import Hint, ProjectReport, Round, SplitCells, TaskCells, Training
from labelgrid.report.project_view import data_hash, request_history, round_picks, uncertainty_of

PARTS: Mapping[Split, str] = {
    "train": "Training",
    "val": "Validation (to choose the model)",
    "test": "Test (for the end)",
}


def project_report(project: ProjectFolder) -> ProjectReport:
    """The content of a project's report.

    Raises:
        ProjectError: a round's file is damaged.
    """
    store = project.store
    rows = project.store.rounds()
    fits = {row.number: fit for row in rows if (fit := read_fit(project.round_folder(row.number)))}
    picks = {row.number: _picks(project, row) for row in rows}
    content = ProjectReport(
        name=project.folder.resolve().name,
        made=timestamp(),
        about=_about(project, fits),
        headlines={name: task.headline for name, task in project.tasks().items()},
        parts=[
            _part(project, s, name)
            for s, name in PARTS.items()
            if s == "train" or store.count_images((s,))
        ],
        heldout=_part(project, "heldout", "Held out") if store.count_images(("heldout",)) else None,
        measured=measured_rounds(project.folder),
        rounds=[_round(project, row, fits.get(row.number), picks[row.number]) for row in rows],
        picked=round_picks(
            project, max((number for number, some in picks.items() if some), default=0)
        ),
        training=_newest_training(project, rows),
        next_step=status_of(project)["next"],
        hints={},
        requests=request_history(project),
        uncertainty=uncertainty_of(project),
    )
    return replace(content, hints=_hints(project.folder, content, fits))


def timestamp() -> str:
    """The current time in UTC, as text."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _about(project: ProjectFolder, fits: Mapping[int, Fit]) -> dict[str, str]:
    """Settings and versions."""
    settings = project.settings
    options = ", ".join(f"{key} = {value}" for key, value in settings.strategy.options.items())
    about = {
        "Recipe": settings.recipe,
        "Strategy": f"{settings.strategy.name} ({options})" if options else settings.strategy.name,
        "Seed": str(settings.seed),
        "labelgrid": __version__,
        "torch": version("torch"),
        "Data hash": data_hash(project),
        "Pool's hash": project.store.pool_hash(),
    }
    if fits:
        newest = fits[max(fits)]
        about |= {"Newest network": network_words(newest.recipe), "Its weights' hash": newest.model}
    return about


def _part(project: ProjectFolder, split: Split, name: str) -> SplitCells:
    rows = {row.name: row for row in project.store.tasks()}
    times = times_of(project, (split,))
    counts = [
        TaskCells(
            task=task,
            kind=rows[task].kind,
            cost=rows[task].cost,
            labelled=count.labelled,
            requested=count.requested,
            skipped=count.skipped,
            missing=count.missing,
            spent=count.spent,
            promised=count.promised,
            **_times(times.get(task)),
        )
        for task, count in project.store.counts((split,)).items()
    ]
    dropped = round(
        project.store.spent((split,)) - sum(task.spent for task in counts), 9
    )  # costs are sums of floats
    return SplitCells(name, project.store.count_images((split,)), counts, dropped)


def _times(times: TaskTimes | None) -> dict[str, Any]:
    """How long labels took, as fields of `TaskCells`."""
    return (
        {"timed": times.labels, "median": times.median, "mean": times.mean, "learned": times.cost}
        if times
        else {}
    )


def _picks(project: ProjectFolder, row: RoundRow) -> list[Pick]:
    """A closed round's picks; the picks of an open round were never requested."""
    return read_picks(project.round_folder(row.number)) if row.state == "closed" else []


def _round(project: ProjectFolder, row: RoundRow, fit: Fit | None, picks: Sequence[Pick]) -> Round:
    known = project.store.find(pick.cell for pick in picks)
    states = Counter(cell.state for cell in known.values())
    return Round(
        number=row.number,
        state=row.state,
        strategy=row.strategy,
        budget=f"{row.budget:g} {row.unit}" if row.state == "closed" else "",
        picks=Counter(pick.cell.task for pick in picks),
        cost=sum(pick.cost for pick in picks),
        now={
            state.name.lower(): states[state]
            for state in (State.LABELLED, State.SKIPPED, State.REQUESTED)
        },
        trained=(fit.images, sum(fit.labels.values())) if fit else None,
    )


def _newest_training(project: ProjectFolder, rows: Sequence[RoundRow]) -> Training | None:
    """The losses of the newest training, finished or not."""
    for row in reversed(rows):
        epochs = read_log(project.round_folder(row.number))
        if epochs:
            losses: dict[str, dict[int, float]] = {}
            for epoch in epochs:
                val = (
                    {"validation: loss_mtl": epoch.val["loss_mtl"]}
                    if "loss_mtl" in epoch.val
                    else {}
                )
                for name, loss in {**epoch.loss, **epoch.terms, **val}.items():
                    losses.setdefault(name, {})[epoch.epoch] = loss
            return Training(row.number, losses)
    return None


def _hints(folder: Path, content: ProjectReport, fits: Mapping[int, Fit]) -> dict[str, Hint]:
    """What each section lacks, and the command that provides it."""
    hints = {
        "metrics": _metrics_hint(folder, content),
        "rounds": None if content.rounds else Hint("No round has started yet.", content.next_step),
        "picks": _picks_hint(folder, content),
        "training": _training_hint(folder, content, fits),
    }
    return {section: hint for section, hint in hints.items() if hint}


def _metrics_hint(folder: Path, content: ProjectReport) -> Hint | None:
    if content.heldout is None:
        return Hint(
            "This project has no held-out images, so its networks cannot be measured and there are no curves. Images "
            "are held out when a project is created.",
            "labelgrid init NEW --images IMAGES --task TASK --holdout 50",
        )
    if not any(count.labelled for count in content.heldout.tasks):
        return Hint(
            "The held-out images have no labels yet, so there is nothing to measure on.",
            f"{command('export', folder, '--round', '0')}, then {command('import', folder)} with the labels",
        )
    if not content.measured:
        return Hint(
            "No network has been measured on the held-out labels yet.", command("fit", folder)
        )
    if len(content.measured) == 1:
        return Hint(
            "One round is measured. Curves need two. Label more, then fit again.", content.next_step
        )
    return None


def _picks_hint(folder: Path, content: ProjectReport) -> Hint | None:
    if content.picked is None:
        return Hint("Nothing has been picked yet.", command("query", folder, "--budget", "N"))
    if not any(pick.pictures for pick in content.picked.first):
        return Hint(
            "There are no pictures, because no network predicted these cells when they were picked."
        )
    return None


def _training_hint(folder: Path, content: ProjectReport, fits: Mapping[int, Fit]) -> Hint | None:
    if content.training is None:
        has_labels = any(count.labelled for count in content.parts[0].tasks)
        return Hint(
            "No network has been trained yet.",
            command("fit", folder) if has_labels else content.next_step,
        )
    if content.training.round not in fits:
        return Hint(
            f"The training of round {content.training.round} is not finished. These are its losses so far.",
            command("fit", folder),
        )
    return None
