"""Reads the content of a study's report from its folder. Loads no torch."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import cast

from labelgrid.basics.errors import command
from labelgrid.basics.type_names import Json, Tables, Values
from labelgrid.basics.words import count_text
from labelgrid.executors.job import JobFolder
from labelgrid.lab.reports.study_content import (
    PointResults,
    RunDetails,
    RunResult,
    RunState,
    StudyReport,
)
from labelgrid.lab.simulation import study_results
from labelgrid.lab.simulation.arms import FULL
from labelgrid.lab.simulation.runs import Run, describe_point, runs_at_point, runs_of, single_name
from labelgrid.lab.simulation.study_recipe import (
    ENDINGS,
    KEPT,
    Study,
    kept_study,
    notes_of,
    read_json,
    texts_of,
)
from labelgrid.project.folder import SETTINGS, ProjectFolder
from labelgrid.project.records import Measurement, measured_rounds, read_measurement
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
from labelgrid.report.task_pictures import predictions_of
from labelgrid.tasks.task import definitions

#: The strategies that the others may be compared with; the first that a study has is.
REFERENCES = ("random_cells", "random_images")
#: The states of unfinished runs that the study's records or a run's job tell.
RECORDED_STATES = ("running", "stopped", "failed")
#: The number of picks of a run that the page shows.
SHOWN = 12


@dataclass(frozen=True, kw_only=True)
class StudyFolder:
    """The content of a study's folder.

    Args:
        path: the path of the folder.
        study: its settings.
        kept: the values of `study.json`.
        endings: the entries of `runs.json`, by run key.
        records: the records of all runs, by run key, for those whose folders are not here.
    """

    path: Path
    study: Study
    kept: Values
    endings: Tables
    records: Mapping[str, Sequence[study_results.Outcome]]

    @classmethod
    def read(cls, path: Path) -> "StudyFolder":
        """Read a study's folder.

        Raises:
            LabelgridError: `study.json` is damaged or was written by another program.
        """
        kept = read_json(path / KEPT)
        study = kept_study(kept, path)
        endings = read_json(path / ENDINGS) if (path / ENDINGS).is_file() else {}
        has_records = (path / study_results.TABLE).is_file()
        records = study_results.read_outcomes(path) if has_records else []
        return cls(
            path=path,
            study=study,
            kept=kept,
            endings={key: row for key, row in endings.items() if isinstance(row, Mapping)},
            records=study_results.records_by_run(records, runs_of(study)),
        )

    def run_folder(self, run: Run) -> Path:
        """The folder of the project that a run works in."""
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
    if _lacks_pictures(points):
        hints["cells"] = Hint(
            "No pictures of these cells were kept.", command("report", path, "--pictures")
        )
    references = [name for name in REFERENCES if name in folder.study.strategies]
    return StudyReport(
        name=path.resolve().name,
        made=timestamp(),
        about=_about(folder),
        headlines={name: task.headline for name, task in definitions(rows).items()},
        costs={row.name: row.cost for row in rows},
        reference=references[0] if references else REFERENCES[0],
        points=points,
        hints=hints,
        notes=notes_of(folder.kept),
    )


def _lacks_pictures(points: Sequence[PointResults]) -> bool:
    """Whether there are picked cells, but no picture of any."""
    every_details = chain.from_iterable(point.details for point in points)
    picked = [details.picked.first for details in every_details if details.picked]
    cells = list(chain.from_iterable(picked))
    return bool(cells) and not any(cell.pictures for cell in cells)


def _point_results(folder: StudyFolder, point: Values) -> PointResults:
    runs: list[Run] = []
    for seed in range(folder.study.seeds):
        runs += runs_at_point(folder.study, seed, point)
    strategies = list(dict.fromkeys(run.name for run in runs if run.kind == "strategy"))
    details: list[RunDetails] = []
    for name in strategies:
        first = next((run for run in runs if run.name == name and folder.has_project(run)), None)
        if first:
            has_pictures = any(one.predictions for one in details)
            details.append(_run_details(folder, first, predictions=not has_pictures))
    best_of = folder.study.best_of.items()
    run_results = [_run_result(folder, run) for run in runs]
    return PointResults(
        point=describe_point(point),
        strategies=strategies,
        runs=run_results,
        details=details,
        best_of={name: arms for name, arms in best_of if set(arms) <= set(strategies)},
        single=_single_task(runs, run_results),
        single_of={name: single_name(folder.study.single_of(name)) for name in [*strategies, FULL]},
    )


def _single_task(
    runs: Sequence[Run], run_results: Sequence[RunResult]
) -> dict[str, dict[int, Measurement]]:
    """The joined single-task networks by name and seed, see `_join_tasks`."""
    networks: dict[tuple[str, int], list[Measurement]] = {}
    for run, result in zip(runs, run_results, strict=True):
        if run.task and result.measured:
            networks.setdefault((single_name(run.arm), run.seed), []).append(result.measured[-1])
    single: dict[str, dict[int, Measurement]] = {}
    for (name, seed), one_task_each in networks.items():
        single.setdefault(name, {})[seed] = _join_tasks(one_task_each)
    return single


def _join_tasks(networks: Sequence[Measurement]) -> Measurement:
    """Join single-task networks to a network with the labels, metrics and costs of all."""
    parts: Json = {
        "model": "",
        "spent": sum(network.spent for network in networks),
        "loss_mtl": math.nan,
    }
    for part in ("labels", "heldout_labels", "metrics", "without"):
        by_task: Json = {}
        for network in networks:
            by_task |= getattr(network, part)
        parts[part] = by_task
    return replace(networks[0], **parts)


def shown_rounds(path: Path) -> list[tuple[Path, int]]:
    """The run folders whose picks a study's page shows, each with the number of the round.

    There is at most one for each point of the study's grid.
    """
    folder = StudyFolder.read(path)
    rounds = {}
    for run in sorted(runs_of(folder.study), key=lambda run: run.seed):
        point = describe_point(run.point)
        if run.kind != "strategy" or point in rounds or not folder.has_project(run):
            continue
        with ProjectFolder.open(folder.run_folder(run)) as project:
            number = newest_scored_round(project)
        if number:
            rounds[point] = (folder.run_folder(run), number)
    return list(rounds.values())


def _run_details(folder: StudyFolder, run: Run, *, predictions: bool) -> RunDetails:
    with ProjectFolder.open(folder.run_folder(run)) as project:
        picked = round_picks(project, newest_scored_round(project), SHOWN)
        measured = measured_rounds(project.folder, newest=1) if predictions else []
        return RunDetails(
            strategy=run.name,
            seed=run.seed,
            requests=request_history(project),
            uncertainty=uncertainty_of(project),
            picked=picked,
            predictions=predictions_of(project, measured[-1]) if measured else (),
        )


def _run_result(folder: StudyFolder, run: Run) -> RunResult:
    run_folder = folder.run_folder(run)
    expected = run.networks(folder.study)
    if run_folder.is_dir():
        networks = map(read_measurement, sorted(run_folder.glob("rounds/*")))
        measured = [network for network in networks if network]
    else:
        measured = study_results.measurements_of(folder.records.get(run.key, []))
    if len(run.rows(folder.study)) < len(folder.study.used_tasks):
        # A sum over fewer tasks is not comparable.
        measured = [replace(network, loss_mtl=math.nan) for network in measured]
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
        point=describe_point(run.point),
    )


def _ending(folder: StudyFolder, run: Run, measured: int, expected: int) -> tuple[RunState, str]:
    run_folder = folder.run_folder(run)
    if run.is_done(folder.study, run_folder) or measured >= expected:
        return "done", ""
    ending = folder.endings.get(run.key)
    if ending:
        state = ending.get("state")
        fault = str(ending.get("fault", ""))
    else:  # the study is running, or was killed
        job = JobFolder(folder.path / "jobs" / run.key)
        state = job.state
        fault = job.end.fault if job.end else ""
    if state == "done":
        return "done", ""
    if state in RECORDED_STATES:
        return cast(RunState, state), fault
    if measured or run_folder.is_dir():
        return "unfinished", fault
    return "not started", ""


def _about(folder: StudyFolder) -> dict[str, str]:
    study = folder.study
    recipe = folder.kept.get("recipe", {})
    training = recipe.get("train", {})
    options = []
    for k, v in training.items():
        if isinstance(v, int | float | str):
            options.append(f"{k} = {v}")
    data = f"{study.data}: pool {study.pool}, test {study.test}"
    if study.val:
        data += f", val {study.val}"
    about = {
        "Data": data,
        "Tasks": ", ".join(study.used_tasks),
        "Strategies": ", ".join(study.strategies),
        "Seeds": str(study.seeds),
        "Start": f"{count_text(study.initial, 'image')} with all labels",
        "Budget": f"{study.budget:g} {study.unit} a round, {count_text(study.rounds, 'round')}",
        "Threads of a run": str(study.threads),
        "Network": network_words(recipe),
        "Training": ", ".join(options),
    }
    about |= _special_settings(study)
    versions = texts_of(folder.kept, "versions") or dict.fromkeys(
        ("labelgrid", "torch"), "not recorded"
    )
    return about | versions | {"Data hash": _data_hash(folder)}


def _special_settings(study: Study) -> dict[str, str]:
    arms = {name: arm for name, arm in study.arms.items() if name in study.strategies}
    about = {f"Arm {name}": json.dumps(asdict(arm)) for name, arm in arms.items()}
    if study.grid:
        about["Grid"] = json.dumps(study.grid)
    if study.changes:
        about["Overrides by kind of run"] = json.dumps(study.changes)
    if study.pairs:
        about["Pairs"] = f"{count_text(study.pairs, 'random image')} in the first budget"
    if study.control:
        about["Control"] = f"{study.control:.4g} of each budget buys random cells"
    if study.spend:
        about["Stops when"] = f"{study.spend:g} is spent"
    if study.until:
        about["Stops at"] = json.dumps(dict(study.until))
    return about


def _data_hash(folder: StudyFolder) -> str:
    """The digest of the study's images, or of the first run's: all have the same images."""
    if folder.kept.get("pictures"):
        return f"{folder.kept['pictures']} (ids, splits and pixels of all images)"
    first = next(filter(folder.has_project, runs_of(folder.study)), None)
    if first is None:
        return "unknown: the folders of the runs are not here"
    with ProjectFolder.open(folder.run_folder(first)) as project:
        digest = data_hash(project)
        if any(row.digest for row in project.store.images()):
            return digest
        return f"{digest} (image ids and splits; contents are not known)"
