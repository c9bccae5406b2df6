"""Reads the content of a project's report from the ledger and the files of its rounds.

Loads no torch.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from labelgrid.advice.advise import advise
from labelgrid.basics.errors import command
from labelgrid.basics.type_names import Json
from labelgrid.basics.version import __version__
from labelgrid.ledger.grid import Pick, Split, State
from labelgrid.ledger.store import RoundRow
from labelgrid.operations.next_step import next_step
from labelgrid.project.derived_labels import derived_counts
from labelgrid.project.folder import ProjectFolder
from labelgrid.project.prices import TaskTimes, times_of
from labelgrid.project.records import (
    Fit,
    measured_rounds,
    read_fit,
    read_log,
    read_picks,
)
from labelgrid.project.score_files import unreadable_scores
from labelgrid.project.setting_changes import changes_by_round
from labelgrid.project.suppliers import supplier_rows, supplier_values
from labelgrid.recipes.resolve import network_words
from labelgrid.report.content import Hint, ProjectReport, Round, SplitCells, TaskCells, Training
from labelgrid.report.project_view import data_hash, request_history, round_picks, uncertainty_of
from labelgrid.report.task_pictures import overlays_of, predictions_of

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
    rows = store.rounds()
    fits = {}
    rounds = []
    newest_picked = 0
    for row in rows:
        fit = read_fit(project.round_folder(row.number))
        if fit:
            fits[row.number] = fit
        picks = []  # the picks of an open round were never requested
        if row.state == "closed":
            picks = read_picks(project.round_folder(row.number))
        if picks:
            newest_picked = max(newest_picked, row.number)
        rounds.append(_round(project, row, fit, picks))
    parts = []
    for split, name in PARTS.items():
        if split == "train" or store.count_images((split,)):
            parts.append(_part(project, split, name))
    measured = measured_rounds(project.folder)
    predictions = predictions_of(project, measured[-1]) if measured else []
    content = ProjectReport(
        name=project.folder.resolve().name,
        made=timestamp(),
        about=_about(project, fits),
        headlines={name: task.headline for name, task in project.tasks().items()},
        parts=parts,
        heldout=_part(project, "heldout", "Held out") if store.count_images(("heldout",)) else None,
        measured=measured,
        rounds=rounds,
        picked=round_picks(project, newest_picked),
        training=_newest_training(project, rows),
        next_step=next_step(project).line,
        hints={},
        requests=request_history(project),
        uncertainty=uncertainty_of(project),
        unread_scores=str(unreadable_scores(project) or ""),
        predictions=predictions,
        overlays=[] if predictions else overlays_of(project),
        changed=changes_by_round([fits[number] for number in sorted(fits)]),
        advice=[advice.text for advice in advise(project).advice] if fits else [],
        suppliers=supplier_rows(supplier_values(project, project.suppliers())),
    )
    return replace(content, hints=_hints(project.folder, content, fits))


def timestamp() -> str:
    """The current time in UTC, as text."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _about(project: ProjectFolder, fits: Mapping[int, Fit]) -> dict[str, str]:
    settings = project.settings
    strategy = settings.strategy.name
    if settings.strategy.options:
        options = [f"{key} = {value}" for key, value in settings.strategy.options.items()]
        strategy += f" ({', '.join(options)})"
    about = {
        "Recipe": settings.recipe,
        "Strategy": strategy,
        "Seed": str(settings.seed),
        "labelgrid": __version__,
        "torch": _torch_version(),
        "Data hash": data_hash(project),
        "Pool's hash": project.store.pool_hash(),
    }
    if fits:
        newest = fits[max(fits)]
        about |= {"Newest network": network_words(newest.recipe), "Its weights' hash": newest.model}
    return about


def _torch_version() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return "not installed"


def _part(project: ProjectFolder, split: Split, name: str) -> SplitCells:
    rows = {row.name: row for row in project.store.tasks()}
    times = times_of(project, (split,))
    # Only labels of training images are derived.
    derived = derived_counts(project) if split == "train" else {}
    counts = []
    for task, count in project.store.counts((split,)).items():
        cells = TaskCells(
            task=task,
            kind=rows[task].kind,
            cost=rows[task].cost,
            labelled=count.labelled,
            requested=count.requested,
            skipped=count.skipped,
            missing=count.missing - (derived[task].derived if task in derived else 0),
            spent=count.spent,
            promised=count.promised,
            **_times(times.get(task)),
            **(asdict(derived[task]) if task in derived else {}),
        )
        counts.append(cells)
    dropped = project.store.spent((split,)) - sum(cells.spent for cells in counts)
    # Costs are sums of floats.
    return SplitCells(name, project.store.count_images((split,)), counts, round(dropped, 9))


def _times(times: TaskTimes | None) -> Json:
    if times is None:
        return {}
    return {
        "timed": times.labels,
        "median": times.median,
        "mean": times.mean,
        "learned": times.cost,
    }


def _round(project: ProjectFolder, row: RoundRow, fit: Fit | None, picks: Sequence[Pick]) -> Round:
    cells = project.store.find(pick.cell for pick in picks)
    states = Counter(cell.state for cell in cells.values())
    today = {}
    for state in (State.LABELLED, State.SKIPPED, State.REQUESTED):
        today[state.name.lower()] = states[state]
    return Round(
        number=row.number,
        state=row.state,
        strategy=row.strategy,
        budget=f"{row.budget:g} {row.unit}" if row.state == "closed" else "",
        picks=Counter(pick.cell.task for pick in picks),
        cost=sum(pick.cost for pick in picks),
        now=today,
        trained=(fit.images, sum(fit.labels.values())) if fit else None,
    )


def _newest_training(project: ProjectFolder, rows: Sequence[RoundRow]) -> Training | None:
    for row in reversed(rows):
        epochs = read_log(project.round_folder(row.number)) or []
        losses: dict[str, dict[int, float]] = {}
        for epoch in epochs:
            values = {**epoch.loss, **epoch.terms}
            if "loss_mtl" in epoch.val:
                values["validation: loss_mtl"] = epoch.val["loss_mtl"]
            for name, loss in values.items():
                losses.setdefault(name, {})[epoch.epoch] = loss
        if epochs:
            return Training(row.number, losses)
    return None


def _hints(folder: Path, content: ProjectReport, fits: Mapping[int, Fit]) -> dict[str, Hint]:
    pictures = None
    if content.measured and not content.predictions:
        lacking = "The newest network kept no held-out predictions."
        pictures = Hint(lacking, command("evaluate", folder))
    hints = {
        "metrics": _metrics_hint(folder, content),
        "rounds": None if content.rounds else Hint("No round has started yet.", content.next_step),
        "picks": _picks_hint(folder, content),
        "training": _training_hint(folder, content, fits),
        "pictures": pictures,
    }
    return {section: hint for section, hint in hints.items() if hint}


def _metrics_hint(folder: Path, content: ProjectReport) -> Hint | None:
    if content.heldout is None:
        return Hint(
            "This project has no held-out images, so its networks cannot be measured and there are "
            "no curves. Images are held out when a project is created.",
            "labelgrid init NEW --images IMAGES --task TASK --holdout 50",
        )
    if not any(count.labelled for count in content.heldout.tasks):
        export = command("export", folder, "--round", "0")
        return Hint(
            "The held-out images have no labels yet, so there is nothing to measure on.",
            f"{export}, then {command('import', folder)} with the labels",
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
        next_step = content.next_step
        if any(count.labelled for count in content.parts[0].tasks):
            next_step = command("fit", folder)
        return Hint("No network has been trained yet.", next_step)
    if content.training.round not in fits:
        return Hint(
            f"The training of round {content.training.round} is not finished. "
            "These are its losses so far.",
            command("fit", folder),
        )
    return None
