"""What a project has to report: gathered from ledger and files, and written as a page. Loads no torch."""

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import get_args

from labelgrid import __version__
from labelgrid.campaign.project import Project, write_text
from labelgrid.campaign.records import Fit, PickRecord, read_fit, read_log, read_measured, read_picks
from labelgrid.campaign.status import status_of
from labelgrid.errors import ProjectError
from labelgrid.labels.grid import Cell, Split, State
from labelgrid.labels.store import RoundRow
from labelgrid.report.content import (
    Counted,
    Hint,
    Measured,
    Part,
    Picked,
    Picture,
    Report,
    Round,
    ShownPick,
    Training,
)
from labelgrid.report.page import BEGINS, render

#: How many picks the page shows.
SHOWN = 24
PARTS: Mapping[Split, str] = {
    "train": "To learn from",
    "val": "For choosing a model (validation)",
    "test": "For a test at the end",
}


def report(project: Project, out: Path) -> Path:
    """Write all that the project has reached as one HTML file, over an older report; returns the file.

    Raises:
        ProjectError: the place is in no folder, or holds something else than a report; or a round's file is damaged.
    """
    _check_place(out)
    write_text(out, render(gather(project)))
    return out


def _check_place(out: Path) -> None:
    if not out.parent.is_dir():
        fault, next_step = "There is no folder to write the report in", f"Make {out.parent}, or name another --out."
    elif out.is_dir():
        fault, next_step = "The report is a file, and this is a folder", f"Say --out {out / 'report.html'}."
    elif out.exists() and not _is_report(out):
        fault, next_step = "There is a file that is no labelgrid report", "Name another --out, or remove it."
    else:
        return
    raise ProjectError(f"{fault}.", where=str(out), next_step=next_step, unchanged="Nothing was written.")


def _is_report(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(BEGINS)) == BEGINS.encode()


def gather(project: Project) -> Report:
    """All that a report says of a project, as plain data.

    Raises:
        ProjectError: a round's file is damaged.
    """
    store, rows = project.store, project.store.rounds()
    fits = {row.number: fit for row in rows if (fit := read_fit(project.round_folder(row.number)))}
    picks = {row.number: _picks(project, row) for row in rows}
    content = Report(
        name=project.folder.resolve().name,
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        about=_about(project, fits),
        headlines={name: task.spec.headline for name, task in project.tasks().items()},
        parts=[_part(project, s, name) for s, name in PARTS.items() if s == "train" or store.count_images((s,))],
        heldout=_part(project, "heldout", "Held out") if store.count_images(("heldout",)) else None,
        measured=_measured(project, fits),
        rounds=[_round(project, row, fits.get(row.number), picks[row.number]) for row in rows],
        picked=_newest_picks(project, picks),
        training=_newest_training(project, rows),
        next_step=status_of(project)["next"],
        hints={},
    )
    return replace(content, hints=_hints(shlex.quote(str(project.folder)), content, fits))


def _about(project: Project, fits: Mapping[int, Fit]) -> dict[str, str]:
    """Settings and versions; torch's is read from its installation, torch stays unloaded."""
    settings = project.settings
    try:
        torch = version("torch")
    except PackageNotFoundError:
        torch = "not installed"
    options = ", ".join(f"{key} = {value}" for key, value in settings.strategy.options.items())
    about = {
        "Recipe": settings.recipe,
        "Strategy": f"{settings.strategy.name} ({options})" if options else settings.strategy.name,
        "Seed": str(settings.seed),
        "labelgrid": __version__,
        "torch": torch,
        "Pool's hash": project.store.pool_hash(),
    }
    if fits:
        newest = fits[max(fits)]
        network, backbone = (newest.recipe.get(part, {}).get("name", "?") for part in ("network", "backbone"))
        about |= {"Newest network": f"{network} on {backbone}", "Its weights' hash": newest.model}
    return about


def _part(project: Project, split: Split, name: str) -> Part:
    rows = {row.name: row for row in project.store.tasks()}
    counts = [
        Counted(
            task=task,
            kind=rows[task].kind,
            price=rows[task].cost,
            labelled=count.labelled,
            requested=count.requested,
            skipped=count.skipped,
            missing=count.missing,
            spent=count.spent,
            promised=count.promised,
        )
        for task, count in project.store.counts((split,)).items()
    ]
    return Part(name, project.store.count_images((split,)), counts)


def _measured(project: Project, fits: Mapping[int, Fit]) -> list[Measured]:
    """The rounds that were measured on held-out labels; figures of a network that was trained anew are left out."""
    found = {number: read_measured(project.round_folder(number)) for number in fits}
    return [one for number, one in found.items() if one and one.model == fits[number].model]


def _picks(project: Project, row: RoundRow) -> list[PickRecord]:
    """A closed round's picks; those of an open one were never asked for."""
    return read_picks(project.round_folder(row.number)) if row.state == "closed" else []


def _round(project: Project, row: RoundRow, fit: Fit | None, picks: Sequence[PickRecord]) -> Round:
    known = project.store.find(Cell(pick.image, pick.task) for pick in picks)
    states = Counter(cell.state for cell in known.values())
    return Round(
        number=row.number,
        state=row.state,
        strategy=row.strategy,
        budget=f"{row.budget:g} {row.unit}" if row.state == "closed" else "",
        picks=Counter(pick.task for pick in picks),
        cost=sum(pick.cost for pick in picks),
        now={state.name.lower(): states[state] for state in (State.LABELLED, State.SKIPPED, State.REQUESTED)},
        trained=(fit.images, sum(fit.labels.values())) if fit else None,
    )


def _newest_picks(project: Project, picks: Mapping[int, Sequence[PickRecord]]) -> Picked | None:
    """The first picks of the newest round that has any, with their pictures."""
    number = max((number for number, some in picks.items() if some), default=None)
    if number is None:
        return None
    folder = project.round_folder(number) / "pictures"
    first = [
        ShownPick(pick.image, pick.task, pick.score, pick.cost, pick.why, _pictures(folder, index))
        for index, pick in enumerate(picks[number][:SHOWN])
    ]
    return Picked(number, len(picks[number]), first)


def _pictures(folder: Path, index: int) -> dict[Picture, bytes]:
    places: dict[Picture, Path] = {what: folder / f"{index:03d}-{what}.jpg" for what in get_args(Picture)}
    return {what: path.read_bytes() for what, path in places.items() if path.is_file()}


def _newest_training(project: Project, rows: Sequence[RoundRow]) -> Training | None:
    """How the newest training went, also one that is not finished."""
    for row in reversed(rows):
        epochs = read_log(project.round_folder(row.number))
        if epochs:
            losses: dict[str, dict[int, float]] = {}
            for epoch in epochs:
                val = {"validation: loss_mtl": epoch.val["loss_mtl"]} if "loss_mtl" in epoch.val else {}
                for name, loss in {**epoch.loss, **val}.items():
                    losses.setdefault(name, {})[epoch.epoch] = loss
            return Training(row.number, losses)
    return None


def _hints(folder: str, content: Report, fits: Mapping[int, Fit]) -> dict[str, Hint]:
    """What each section lacks, and the command that brings it."""
    hints = {
        "figures": _figures_hint(folder, content),
        "rounds": None if content.rounds else Hint("No round has begun yet.", content.next_step),
        "picks": _picks_hint(folder, content),
        "training": _training_hint(folder, content, fits),
    }
    return {section: hint for section, hint in hints.items() if hint}


def _figures_hint(folder: str, content: Report) -> Hint | None:
    if content.heldout is None:
        return Hint(
            "This project holds no images out, so its networks cannot be measured on fresh labels, and there are no "
            "curves. Images are held out when a project is made.",
            "labelgrid init NEW --images IMAGES --task TASK --holdout 50",
        )
    if not any(count.labelled for count in content.heldout.tasks):
        return Hint(
            "The held-out images have no labels yet, so there is nothing to measure on.",
            f"labelgrid export {folder} --round 0, then labelgrid import {folder} with the labels",
        )
    if not content.measured:
        return Hint("No network has been measured on the held-out labels yet.", f"labelgrid fit {folder}")
    if len(content.measured) == 1:
        return Hint("One round is measured. Curves need two: label more, and fit again.", content.next_step)
    return None


def _picks_hint(folder: str, content: Report) -> Hint | None:
    if content.picked is None:
        return Hint("Nothing has been picked yet.", f"labelgrid query {folder} --budget N")
    if not any(pick.pictures for pick in content.picked.first):
        return Hint("There are no pictures: no network predicted these cells when they were picked.")
    return None


def _training_hint(folder: str, content: Report, fits: Mapping[int, Fit]) -> Hint | None:
    if content.training is None:
        learnt = any(count.labelled for count in content.parts[0].tasks)
        return Hint("No network has been trained yet.", f"labelgrid fit {folder}" if learnt else content.next_step)
    if content.training.round not in fits:
        return Hint(
            f"The training of round {content.training.round} is not finished; this is how far it got.",
            f"labelgrid fit {folder}",
        )
    return None
