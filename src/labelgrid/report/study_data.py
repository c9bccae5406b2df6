"""Reads the content of a study's report from its folder. Loads no torch."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from labelgrid.errors import command
from labelgrid.project.folder import SETTINGS, ProjectFolder
from labelgrid.project.records import Measurement, read_measurement
from labelgrid.recipes.resolve import network_words
from labelgrid.report.content import Hint
from labelgrid.report.project_data import timestamp
from labelgrid.report.project_view import (
    data_hash,
    newest_scored_round,
    request_history,
    round_picks,
    uncertainty_of,
)
from labelgrid.report.study_content import (
    PointResults,
    RunDetails,
    RunResult,
    RunState,
    StudyReport,
)
from labelgrid.simulation import results
from labelgrid.simulation.arms import FULL
from labelgrid.simulation.runs import Run, describe_point, runs_at_point, runs_of, single_name
from labelgrid.simulation.study import (
    ENDINGS,
    KEPT,
    Study,
    kept_study,
    notes_of,
    read_json,
    versions_of,
)
from labelgrid.tasks.task import definitions
from labelgrid.words import count_text

#: The strategies whose final loss may be the goal for the others; the first that a study has is.
REFERENCES = ("random_cells", "random_images")
#: The number of picks of a run that the page shows.
SHOWN = 12


def is_study(folder: Path) -> bool:
    """Whether a folder holds the runs of a study."""
    return (folder / KEPT).is_file()


@dataclass(frozen=True, kw_only=True)
class StudyFolder:
    """The content of a study's folder.

    Args:
        path: of the folder.
        study: its settings.
        kept: the values of `study.json`.
        endings: the entries of `runs.json`, by run key.
        records: of all runs, by run key, for those whose folders are not here.
    """

    path: Path
    study: Study
    kept: Mapping[str, Any]
    endings: Mapping[str, Mapping[str, Any]]
    records: Mapping[str, Sequence[results.Outcome]]

    @classmethod
    def read(cls, path: Path) -> "StudyFolder":
        """Read a study's folder.

        Raises:
            LabelgridError: `study.json` is damaged or was written by another program.
        """
        kept = read_json(path / KEPT)
        endings = read_json(path / ENDINGS) if (path / ENDINGS).is_file() else {}
        study = kept_study(kept, path)
        records = results.read_outcomes(path) if (path / results.TABLE).is_file() else []
        endings = {key: row for key, row in endings.items() if isinstance(row, Mapping)}
        return cls(
            path=path,
            study=study,
            kept=kept,
            endings=endings,
            records=results.records_by_run(records, runs_of(study)),
        )

    def run_folder(self, run: Run) -> Path:
        """The folder of a run's project."""
        return self.path / "runs" / run.key

    def has_project(self, run: Run) -> bool:
        """Whether a run's project exists."""
        return (self.run_folder(run) / SETTINGS).is_file()


def study_report(path: Path) -> StudyReport:
    """The content of a study's report.

    Raises:
        LabelgridError: a file of the study is damaged.
    """
    folder = StudyFolder.read(path)
    rows = folder.study.rows()
    points = [_point_results(folder, point) for point in folder.study.points()]
    hints = {}
    cells = [
        cell
        for point in points
        for details in point.details
        if details.picked
        for cell in details.picked.first
    ]
    if cells and not any(cell.pictures for cell in cells):
        hints["cells"] = Hint(
            "No pictures of these cells were kept.", command("report", path, "--pictures")
        )
    return StudyReport(
        name=path.resolve().name,
        made=timestamp(),
        about=_about(folder),
        headlines={name: task.headline for name, task in definitions(rows).items()},
        costs={row.name: row.cost for row in rows},
        reference=next(
            (name for name in REFERENCES if name in folder.study.strategies), REFERENCES[0]
        ),
        points=points,
        hints=hints,
        notes=notes_of(folder.kept),
    )


def _point_results(folder: StudyFolder, point: Mapping[str, Any]) -> PointResults:
    runs = [
        run
        for seed in range(folder.study.seeds)
        for run in runs_at_point(folder.study, seed, point)
    ]
    strategies = list(dict.fromkeys(run.name for run in runs if run.kind == "strategy"))
    firsts = [
        next((r for r in runs if r.name == name and folder.has_project(r)), None)
        for name in strategies
    ]
    details = [_run_details(folder, first) for first in firsts if first]
    best_of = {
        name: arms for name, arms in folder.study.best_of.items() if set(arms) <= set(strategies)
    }
    found = [_run_result(folder, run) for run in runs]
    single = _single_task(runs, found)
    single_of = {name: single_name(folder.study.single_of(name)) for name in [*strategies, FULL]}
    return PointResults(
        point=describe_point(point),
        strategies=strategies,
        runs=found,
        details=details,
        best_of=best_of,
        single=single,
        single_of=single_of,
    )


def _single_task(
    runs: Sequence[Run], found: Sequence[RunResult]
) -> dict[str, dict[int, Measurement]]:
    """By name and seed, the networks of one task each, as one with the metrics of all."""
    networks: dict[tuple[str, int], list[Measurement]] = {}
    for run, result in zip(runs, found, strict=True):
        if run.task and result.measured:
            networks.setdefault((single_name(run.arm), run.seed), []).append(result.measured[-1])
    single: dict[str, dict[int, Measurement]] = {}
    for (name, seed), ones in networks.items():
        parts: dict[str, Any] = {
            "model": "",
            "spent": sum(one.spent for one in ones),
            "loss_mtl": math.nan,
        }
        for part in ("labels", "heldout_labels", "metrics", "without"):
            parts[part] = {
                task: value for one in ones for task, value in getattr(one, part).items()
            }
        single.setdefault(name, {})[seed] = replace(ones[0], **parts)
    return single


def shown_rounds(path: Path) -> list[tuple[Path, int]]:
    """The run folders whose picks a study's page shows, one per point, each with the number of the round."""
    folder = StudyFolder.read(path)
    rounds: dict[str, tuple[Path, int]] = {}
    for run in sorted(runs_of(folder.study), key=lambda run: run.seed):
        if (
            run.kind == "strategy"
            and folder.has_project(run)
            and describe_point(run.point) not in rounds
        ):
            with ProjectFolder.open(folder.run_folder(run)) as project:
                number = newest_scored_round(project)
            if number:
                rounds[describe_point(run.point)] = folder.run_folder(run), number
    return list(rounds.values())


def _run_details(folder: StudyFolder, run: Run) -> RunDetails:
    with ProjectFolder.open(folder.run_folder(run)) as project:
        picked = round_picks(project, newest_scored_round(project), SHOWN)
        return RunDetails(
            strategy=run.name,
            seed=run.seed,
            requests=request_history(project),
            uncertainty=uncertainty_of(project),
            picked=picked,
        )


def _run_result(folder: StudyFolder, run: Run) -> RunResult:
    run_folder = folder.run_folder(run)
    expected = run.networks(folder.study)
    point = describe_point(run.point)
    if run_folder.is_dir():
        measured = [
            one for path in sorted(run_folder.glob("rounds/*")) if (one := read_measurement(path))
        ]
    else:
        measured = results.measurements_of(folder.records.get(run.key, []))
    if len(run.rows(folder.study)) < len(
        folder.study.used_tasks
    ):  # a sum over fewer tasks is not comparable
        measured = [replace(one, loss_mtl=math.nan) for one in measured]
    state, fault = _ending(folder, run, len(measured), expected)
    return RunResult(
        key=run.key,
        kind=run.kind,
        strategy=run.name,
        seed=run.seed,
        measured=measured,
        state=state,
        fault=fault,
        expected=expected,
        point=point,
    )


def _ending(folder: StudyFolder, run: Run, measured: int, expected: int) -> tuple[RunState, str]:
    """The state of a run and its fault: from the study's records, otherwise from the run's folder."""
    run_folder = folder.run_folder(run)
    known = folder.endings.get(run.key, {})
    if (
        run.is_done(folder.study, run_folder)
        or measured >= expected
        or known.get("state") == "done"
    ):
        return "done", ""
    if known.get("state") == "failed":
        return "failed", str(known.get("fault", ""))
    return ("unfinished" if measured or run_folder.is_dir() else "not started"), ""


def _about(folder: StudyFolder) -> dict[str, str]:
    """Recipe, study options, seeds, versions and data."""
    study = folder.study
    recipe = folder.kept.get("recipe", {})
    plain = {k: v for k, v in recipe.get("train", {}).items() if isinstance(v, int | float | str)}
    about = {
        "Data": f"{study.data}: pool {study.pool}, test {study.test}"
        + (f", val {study.val}" if study.val else ""),
        "Tasks": ", ".join(study.used_tasks),
        "Strategies": ", ".join(study.strategies),
        "Seeds": str(study.seeds),
        "Start": f"{count_text(study.initial, 'image')} with all labels",
        "Budget": f"{study.budget:g} {study.unit} a round, {count_text(study.rounds, 'round')}",
        "Threads of a run": str(study.threads),
        "Network": network_words(recipe),
        "Training": ", ".join(f"{key} = {value}" for key, value in plain.items()),
    }
    about |= {
        f"Arm {name}": json.dumps(asdict(arm))
        for name, arm in study.arms.items()
        if name in study.strategies
    }
    about |= {"Grid": json.dumps(study.grid)} if study.grid else {}
    about |= {"Overrides by kind of run": json.dumps(study.changes)} if study.changes else {}
    about |= {"Stops when": f"{study.spend:g} is spent"} if study.spend else {}
    about |= {"Stops at": json.dumps(dict(study.until))} if study.until else {}
    versions = versions_of(folder.kept) or dict.fromkeys(("labelgrid", "torch"), "not recorded")
    return about | versions | {"Data hash": _data_hash(folder)}


def _data_hash(folder: StudyFolder) -> str:
    """The study's digest of its images, otherwise that of its first run: all runs have the same images."""
    if folder.kept.get("pictures"):
        return f"{folder.kept['pictures']} (ids, splits and pixels of all images)"
    first = next((run for run in runs_of(folder.study) if folder.has_project(run)), None)
    if first is None:
        return "unknown: the folders of the runs are not here"
    with ProjectFolder.open(folder.run_folder(first)) as project:
        known = any(row.digest for row in project.store.images())
        return data_hash(project) + (
            "" if known else " (image ids and splits; contents are not known)"
        )
