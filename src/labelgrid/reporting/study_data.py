"""What a study's report shows, read from its folder. Loads no torch."""

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from labelgrid.project.artifacts import read_measured
from labelgrid.project.folder import SETTINGS, ProjectFolder
from labelgrid.report.content import Hint, Measured
from labelgrid.report.trials import Ending, PointResults, RunResult, Seen, StudyReport
from labelgrid.reporting.project_data import now
from labelgrid.reporting.project_view import asked_of, data_hash, newest_scored, picked_of, unsure_of, versions
from labelgrid.simulation import results
from labelgrid.simulation.runs import Run, point_text, runs_at, runs_of
from labelgrid.simulation.study import ENDINGS, KEPT, Study, kept_study, read_json
from labelgrid.tasks.task import definitions

#: The strategy whose final loss the others are to reach.
REFERENCE = "random_cells"
#: How many of a run's cells the page shows.
SHOWN = 12


def is_study(folder: Path) -> bool:
    """Whether a folder holds the runs of a study."""
    return (folder / KEPT).is_file()


@dataclass(frozen=True)
class StudyFolder:
    """A study's folder, read.

    Args:
        kept: what `study.json` says; endings: how runs ended, by key.
        records: of runs whose folders are not here.
    """

    path: Path
    study: Study
    kept: Mapping[str, Any]
    endings: Mapping[str, Mapping[str, Any]]
    records: Mapping[str, Sequence[Measured]]

    @classmethod
    def read(cls, path: Path) -> "StudyFolder":
        """A study's folder.

        Raises:
            LabelgridError: `study.json` is damaged or of another program.
        """
        kept, endings = read_json(path / KEPT), read_json(path / ENDINGS) if (path / ENDINGS).is_file() else {}
        study = kept_study(kept, path)
        table = path / "outcomes.parquet"
        endings = {key: row for key, row in endings.items() if isinstance(row, Mapping)}
        return cls(path, study, kept, endings, results.by_run(results.read_outcomes(path)) if table.is_file() else {})

    def place(self, run: Run) -> Path:
        """Where a run's project lies."""
        return self.path / "runs" / run.key

    def is_here(self, run: Run) -> bool:
        """Whether a run's project is there to be looked at."""
        return (self.place(run) / SETTINGS).is_file()


def gather_study(path: Path) -> StudyReport:
    """All that a study's report says, as plain data.

    Raises:
        LabelgridError: a file of it is damaged.
    """
    folder = StudyFolder.read(path)
    rows = folder.study.rows()
    trials = [_trial(folder, point) for point in folder.study.points()]
    hints = {}
    cells = [cell for trial in trials for seen in trial.seen if seen.picked for cell in seen.picked.first]
    if cells and not any(cell.pictures for cell in cells):
        hints["cells"] = Hint(
            "No pictures of these cells were kept.", f"labelgrid report {shlex.quote(str(path))} --pictures"
        )
    return StudyReport(
        name=path.resolve().name,
        made=now(),
        about=_about(folder),
        headlines={name: task.spec.headline for name, task in definitions(rows).items()},
        prices={row.name: row.cost for row in rows},
        reference=REFERENCE,
        trials=trials,
        hints=hints,
    )


def _trial(folder: StudyFolder, point: Mapping[str, Any]) -> PointResults:
    runs = [run for seed in range(folder.study.seeds) for run in runs_at(folder.study, seed, point)]
    strategies = list(dict.fromkeys(run.name for run in runs if run.kind == "strategy"))
    firsts = [next((r for r in runs if r.name == name and folder.is_here(r)), None) for name in strategies]
    seen = [_seen(folder, first) for first in firsts if first]
    return PointResults(point_text(point), strategies, [_ran(folder, run) for run in runs], seen)


def cells_shown(path: Path) -> list[tuple[Path, int]]:
    """The runs whose cells a study's page shows, a run a point, each with the round that picked them."""
    folder = StudyFolder.read(path)
    found: dict[str, tuple[Path, int]] = {}
    for run in sorted(runs_of(folder.study), key=lambda run: run.seed):
        if run.kind == "strategy" and folder.is_here(run) and point_text(run.point) not in found:
            with ProjectFolder.open(folder.place(run)) as project:
                number = newest_scored(project)
            if number:
                found[point_text(run.point)] = folder.place(run), number
    return list(found.values())


def _seen(folder: StudyFolder, run: Run) -> Seen:
    with ProjectFolder.open(folder.place(run)) as project:
        picked = picked_of(project, newest_scored(project), SHOWN)
        return Seen(run.name, run.seed, asked_of(project), unsure_of(project), picked)


def _ran(folder: StudyFolder, run: Run) -> RunResult:
    place, wanted = folder.place(run), run.rounds(folder.study) + (run.kind == "strategy")
    point = point_text(run.point)
    if place.is_dir():
        measured = [one for path in sorted(place.glob("rounds/*")) if (one := read_measured(path))]
    else:
        measured = list(folder.records.get(results.key_of(run.kind, run.name, run.seed, point), []))
    if len(folder.study.rows(run.arm)) < len(folder.study.tasks):  # a sum over fewer tasks does not compare
        measured = [replace(one, loss_mtl=math.nan) for one in measured]
    ending, fault = _ending(folder, run, len(measured), wanted)
    return RunResult(run.key, run.kind, run.name, run.seed, measured, ending, fault, wanted, point)


def _ending(folder: StudyFolder, run: Run, measured: int, wanted: int) -> tuple[Ending, str]:
    """How far a run is: as it was written down, else by what lies in its folder."""
    place, known = folder.place(run), folder.endings.get(run.key, {})
    if run.is_done(folder.study, place) or measured >= wanted or known.get("state") == "done":
        return "done", ""
    if known.get("state") == "failed":
        return "failed", str(known.get("fault", ""))
    return ("unfinished" if measured or place.is_dir() else "not begun"), ""


def _about(folder: StudyFolder) -> dict[str, str]:
    """Recipe, study options, seeds, versions and data."""
    study, recipe = folder.study, folder.kept.get("recipe", {})
    network, backbone = (recipe.get(part, {}).get("name", "?") for part in ("network", "backbone"))
    plain = {k: v for k, v in recipe.get("train", {}).items() if isinstance(v, int | float | str)}
    about = {
        "Data": f"{study.data}: pool {study.pool}, test {study.test}" + (f", val {study.val}" if study.val else ""),
        "Tasks": ", ".join(study.tasks),
        "Strategies": ", ".join(study.strategies),
        "Seeds": str(study.seeds),
        "Start": f"{study.initial} images with all labels",
        "Budget": f"{study.budget:g} {study.unit} a round, {study.rounds} rounds",
        "Network": f"{network} on {backbone}",
        "Training": ", ".join(f"{key} = {value}" for key, value in plain.items()),
    }
    about |= {f"Arm {name}": json.dumps(asdict(arm)) for name, arm in study.arms.items() if name in study.strategies}
    about |= {"Grid": json.dumps(study.grid)} if study.grid else {}
    about |= {"Changes by kind of run": json.dumps(study.changes)} if study.changes else {}
    about |= {"Ends when": f"{study.spend:g} is spent"} if study.spend else {}
    about |= {"Ends at": json.dumps(dict(study.until))} if study.until else {}
    return about | versions() | {"Data hash": _data_hash(folder)}


def _data_hash(folder: StudyFolder) -> str:
    """As the study keeps it; else of the first run that is here: all runs have the same images."""
    if folder.kept.get("pictures"):
        return f"{folder.kept['pictures']} (ids, splits and pixels of all images)"
    first = next((run for run in runs_of(folder.study) if folder.is_here(run)), None)
    if first is None:
        return "no run is here"
    with ProjectFolder.open(folder.place(first)) as project:
        known = any(row.digest for row in project.store.images())
        return data_hash(project) + ("" if known else " (image ids and splits; contents are not known)")
