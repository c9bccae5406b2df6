"""Runs an analysis of a finished study, and writes its tables and drawings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from labelgrid.basics import files
from labelgrid.basics.errors import ProjectError, UsageError, command
from labelgrid.basics.progress import Progress, Silent
from labelgrid.basics.results import replace_non_finite
from labelgrid.basics.spreadsheets import csv_text
from labelgrid.basics.type_names import Json, Values
from labelgrid.basics.words import count_text, join_names
from labelgrid.drawings.drawing import Drawing, drawing_files
from labelgrid.lab.simulation.analysis import Analysis, Finding, Mean, means_of
from labelgrid.lab.simulation.runs import Run, runs_of
from labelgrid.lab.simulation.study_recipe import KEPT, Study, kept_study, read_json
from labelgrid.lab.simulation.study_results import RECORDS, recorded_runs
from labelgrid.lab.simulation.validate import digest_images
from labelgrid.project.folder import SETTINGS
from labelgrid.recipes.recipe import PluginChoice
from labelgrid.recipes.resolve import build_plugin

#: The plug-in folder of the analyses.
ANALYSES = "analyses"


@dataclass(frozen=True)
class AnalysisResult:
    """The result of an analysis.

    Args:
        name: the name of the analysis.
        findings: the numbers, each of one run, in the order of the runs.
        means: their means over seeds.
        files: the written files: two tables, then drawings.
    """

    name: str
    findings: Sequence[Finding]
    means: Sequence[Mean]
    files: Sequence[Path] = field(default_factory=tuple)

    def as_json(self) -> Json:
        """The result as JSON values; NaN is null."""
        return {
            "analysis": self.name,
            "means": [replace_non_finite(mean.row()) for mean in self.means],
            "findings": [replace_non_finite(finding.row()) for finding in self.findings],
            "files": [str(path) for path in self.files],
        }


def analyse(
    folder: Path,
    name: str,
    out: Path | None = None,
    options: Values | None = None,
    progress: Progress | None = None,
    strategies: Sequence[str] = (),
) -> AnalysisResult:
    """Analyse a finished study with the help of its hidden labels.

    The study is not changed.

    Args:
        folder: the folder of the study.
        name: the name of the analysis, a plug-in of `labelgrid.lab.simulation.analyses`.
        out: a folder for its tables and drawings; None writes nothing.
        options: the options of the analysis.
        progress: receives the progress.
        strategies: only the runs of these arms or strategies, with their single-task networks, are
            read and must be finished; () is all runs.

    Raises:
        LabelgridError: the folder holds no finished study, a strategy is unknown, or a run lacks
            what the analysis needs.
    """
    analysis: Analysis = build_plugin(ANALYSES, PluginChoice(name, options or {}))
    if out and out.resolve().is_relative_to(folder.resolve() / "runs"):
        raise UsageError(
            f"{out} is inside the study's runs.", next_step="Name another folder with --out."
        )
    progress = progress or Silent()
    runs = _runs(folder, analysis, strategies, progress)
    findings = list(analysis.findings(runs, progress))
    if not findings:
        raise ProjectError(
            f"No run has {analysis.needs}.", where=folder, unchanged="Nothing was written."
        )
    means = list(means_of(findings, analysis.within))
    written = []
    if out:
        drawings = analysis.drawings([mean for mean in means if mean.headline])
        written = _write(
            out, name.replace(":", "."), findings=findings, means=means, drawings=drawings
        )
    return AnalysisResult(name, findings, means, written)


def _runs(
    folder: Path, analysis: Analysis, strategies: Sequence[str], progress: Progress
) -> list[tuple[Run, Path]]:
    """List the finished runs that an analysis reads, each with the project's folder.

    Raises:
        ProjectError: there is no study, a run is not done, or the data set has other images than
            the runs had.
        UsageError: the study has no such strategy.
    """
    if not (folder / KEPT).is_file():
        fault = "There is no study."
        if (folder / SETTINGS).is_file():
            fault = "The folder holds a project, not a study."
        raise ProjectError(
            fault,
            where=folder,
            next_step="Name the folder of a study, made by `labelgrid simulate`: "
            "the analyses read its hidden labels.",
            unchanged="Nothing was written.",
        )
    values = read_json(folder / KEPT)
    study = kept_study(values, folder)
    unknown = [name for name in strategies if name not in study.strategies]
    if unknown:
        raise UsageError(
            f"The study has no strategy or arm '{unknown[0]}'.",
            next_step=f"It has {', '.join(study.strategies)}.",
            unchanged="Nothing was written.",
        )
    runs = [run for run in runs_of(study) if not strategies or _belongs(run, study, strategies)]
    _check_finished(runs, study, folder)
    digest_images(study, Path(str(values.get("root", ""))), values, progress)
    return [(run, folder / "runs" / run.key) for run in runs if run.kind in analysis.kinds]


def _belongs(run: Run, study: Study, strategies: Sequence[str]) -> bool:
    """Whether a run is a campaign of the strategies, or a single-task network of a strategy."""
    if run.kind == "single":
        return run.start_arm in {study.single_of(name) for name in strategies}
    return run.arm in strategies


def _check_finished(runs: Sequence[Run], study: Study, folder: Path) -> None:
    """Refuse unfinished runs, and runs with records but without networks."""
    recorded = recorded_runs(folder, runs, study)
    if recorded:
        names = join_names(sorted(recorded), 6)
        raise ProjectError(
            f"{len(recorded)} of {count_text(len(runs), 'run')} have records, "
            f"but no networks: {names}.",
            where=folder,
            next_step=f"Remove {RECORDS} and run `labelgrid simulate` again: "
            "an analysis reads all networks.",
            unchanged="Nothing was written.",
        )
    unfinished = [run.key for run in runs if not run.is_done(study, folder / "runs" / run.key)]
    if unfinished:
        names = join_names(unfinished, 6)
        raise ProjectError(
            f"{len(unfinished)} of {count_text(len(runs), 'run')} are not done: {names}.",
            where=folder,
            next_step=f"Finish them with `labelgrid simulate`, or analyse others with --strategy; "
            f"`{command('report', folder)}` shows how far they are.",
            unchanged="Nothing was written.",
        )


def _write(
    out: Path,
    name: str,
    findings: Sequence[Finding],
    means: Sequence[Mean],
    drawings: Sequence[Drawing],
) -> list[Path]:
    content = {
        f"{name}.csv": _csv([finding.row() for finding in findings]),
        f"{name}-means.csv": _csv([mean.row() for mean in means]),
    }
    content |= dict(drawing_files(drawings))
    with files.disk_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    for file, data in content.items():
        with files.disk_errors(out), files.atomic_write(out / file) as temporary:
            temporary.write_bytes(data)
    return [out / file for file in content]


def _csv(rows: Sequence[Mapping[str, object]]) -> bytes:
    """Rows as CSV, with a column for each key."""
    columns = dict.fromkeys(chain.from_iterable(rows))
    return csv_text(list(columns), rows).encode()
